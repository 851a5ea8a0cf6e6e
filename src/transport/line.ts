/**
 * A line between two ends in memory that is as bad as a test wants it: bytes come in pieces, late,
 * changed, or not at all. Whatever happens does so at an offset, and so the same way each time.
 */
import { setImmediate } from "node:timers";
import { checkNumber, type Known, readOptions, show } from "../core/options.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";

/** A pause of a line: what lies behind an offset comes later. */
export interface LineDelay {
  /** The offset behind which nothing comes for a while. */
  at: number;
  /** Milliseconds from when there is something behind it; a FakeClock counts them. */
  ms?: number;
  /** In place of `ms`: until this promise has settled. */
  until?: PromiseLike<unknown>;
}

/**
 * What happens to the bytes that go one way. Offsets count the bytes that are sent this way, from
 * the beginning of the connection.
 */
export interface LineFaults {
  /** The reader gets a piece that ends at each of these offsets, and the next piece a round later. */
  splitAt?: readonly number[];
  /** No piece is longer. 1 sends byte by byte. */
  chunkBytesMax?: number;
  /** Of the bytes at these offsets the lowest bit is inverted. */
  flipAt?: readonly number[];
  /** Pauses, each of which begins when something lies behind its offset. */
  delays?: readonly LineDelay[];
  /** Nothing behind this offset ever comes: no byte, no end, no reset. */
  stallAt?: number;
  /** The connection breaks when so many bytes have come: both ends hear of a reset. */
  resetAt?: number;
  /** The reader hears of the end of the stream when so many bytes have come; the rest is dropped. */
  endAt?: number;
}

const FAULTS: Known<LineFaults> = {
  splitAt: 1,
  chunkBytesMax: 1,
  flipAt: 1,
  delays: 1,
  stallAt: 1,
  resetAt: 1,
  endAt: 1,
};
const DELAY: Known<LineDelay> = { at: 1, ms: 1, until: 1 };
/** The longest delay: setTimeout has the same. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The steps of a line at an offset. At the same offset the first kind comes first. */
type Step =
  | { kind: "split"; at: number }
  | { kind: "delay"; at: number; ms: number; until: PromiseLike<unknown> | undefined }
  | { kind: "stall"; at: number }
  | { kind: "end" | "reset"; at: number };

const KINDS: readonly Step["kind"][] = ["split", "delay", "stall", "end", "reset"];

/** The faults of a line, checked, in the order of their offsets. */
export interface LinePlan {
  readonly steps: readonly Step[];
  readonly flips: readonly number[];
  readonly chunkBytesMax: number;
}

function offsets(name: string, value: unknown, least: number): number[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    throw new TypeError(`Cannot set ${name} to ${show(value)}: it is a list of offsets`);
  }
  return value.map((each) => checkNumber(name, each, least, Number.MAX_SAFE_INTEGER));
}

function delayStep(of: string, delay: LineDelay): Step {
  const { at, ms, until } = readOptions(`a delay of ${of}`, delay, DELAY);
  if ((ms === undefined) === (until === undefined)) {
    throw new TypeError(`Cannot use a delay of ${of}: it has either ms or until`);
  }
  if (until !== undefined && typeof until?.then !== "function") {
    throw new TypeError(`Cannot use ${show(until)} as until of ${of}: it is no promise`);
  }
  const read = { at: checkNumber("at", at, 0, Number.MAX_SAFE_INTEGER), until };
  return { kind: "delay", ...read, ms: checkNumber("ms", ms ?? 1, 1, DELAY_MS_MAX) };
}

/**
 * The plan that follows from a user's options; null where nothing happens.
 *
 * @throws {TypeError} An option is none, or its value is none that it may have.
 * @throws {RangeError} A number is none that means anything.
 */
export function linePlan(of: string, faults: LineFaults | undefined): LinePlan | null {
  if (faults === undefined) return null;
  const read = readOptions(of, faults, FAULTS);
  const { delays = [], chunkBytesMax = Infinity } = read;
  if (!Array.isArray(delays)) {
    throw new TypeError(`Cannot set delays to ${show(delays)}: it is a list of { at, ms }`);
  }
  if (read.endAt !== undefined && read.resetAt !== undefined) {
    throw new TypeError(`Cannot use both endAt and resetAt of ${of}: a line is cut once`);
  }
  const one = (kind: "stall" | "end" | "reset", at: number | undefined): Step[] =>
    at === undefined
      ? []
      : [{ kind, at: checkNumber(`${kind}At`, at, 0, Number.MAX_SAFE_INTEGER) }];
  const steps: Step[] = [
    ...offsets("splitAt", read.splitAt, 1).map((at) => ({ kind: "split" as const, at })),
    ...delays.map((each) => delayStep(of, each)),
    ...one("stall", read.stallAt),
    ...one("end", read.endAt),
    ...one("reset", read.resetAt),
  ];
  steps.sort((a, b) => a.at - b.at || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  if (chunkBytesMax !== Infinity) {
    checkNumber("chunkBytesMax", chunkBytesMax, 1, Number.MAX_SAFE_INTEGER);
  }
  return { steps, flips: offsets("flipAt", read.flipAt, 0).sort((a, b) => a - b), chunkBytesMax };
}

/** The receiving end of a line. */
export interface LineOwner {
  /** True when something was sent that has not come: bytes, or the end. */
  readonly hasMore: boolean;
  /** More may be received than a moment ago. */
  onLineOpen(): void;
  /** Nothing more comes: the line is cut here. */
  onLineCut(how: "end" | "reset"): void;
}

/** The way of the bytes to one end. It is open for a piece, and then closed for a round at least. */
export class Line implements TimerOwner {
  readonly #plan: LinePlan;
  readonly #owner: LineOwner;
  readonly #timer = new Timer(this, true);
  #poller: Poller | null = null;
  /** The bytes that have come, and how many will have when this piece ends. */
  #at = 0;
  #pieceEnd = 0;
  #isOpen = false;
  /** The next step, and the next byte that is changed. */
  #step = 0;
  #flip = 0;
  /** The pause that begins when something lies behind it. */
  #pause: Step & { kind: "delay" } | null = null;
  #isStalled = false;
  #isOver = false;

  /** A line on which nothing comes before `begin`. */
  constructor(plan: LinePlan, owner: LineOwner) {
    this.#plan = plan;
    this.#owner = owner;
  }

  /** Nothing more will come, whatever is sent. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** The bytes that may be received now, of so many. */
  openBytes(bytes: number): number {
    return this.#isOpen ? Math.min(bytes, this.#pieceEnd - this.#at) : 0;
  }

  /** The end is watched: bytes may come. */
  begin(poller: Poller): void {
    if (this.#poller !== null) return;
    this.#poller = poller;
    this.#goOn();
  }

  /** These bytes have come. */
  pass(bytes: Uint8Array, offset: number, count: number): void {
    const { flips } = this.#plan;
    for (; this.#flip < flips.length && flips[this.#flip]! < this.#at + count; this.#flip++) {
      const index = offset + flips[this.#flip]! - this.#at;
      if (index >= offset) bytes[index]! ^= 1;
    }
    this.#at += count;
    if (this.#at < this.#pieceEnd) return;
    this.#isOpen = false;
    // In a round of its own: who waits for this piece goes on before the next one comes.
    setImmediate(() => this.#goOn());
  }

  /** Something was sent. */
  onMore(): void {
    const pause = this.#pause;
    if (pause === null) return;
    this.#pause = null;
    const goOn = () => this.#goOn();
    if (pause.until !== undefined) Promise.resolve(pause.until).then(goOn, goOn);
    else this.#poller!.setTimer(this.#timer, pause.ms);
  }

  onTimer(): void {
    this.#goOn();
  }

  /** Does what is to be done at this offset, and opens for the next piece. */
  #goOn(): void {
    const { steps, chunkBytesMax } = this.#plan;
    while (!this.#isOver) {
      const step = steps[this.#step];
      if (step === undefined || step.at > this.#at) {
        this.#pieceEnd = Math.min(step?.at ?? Infinity, this.#at + chunkBytesMax);
        this.#isOpen = true;
        return this.#owner.onLineOpen();
      }
      this.#step += 1;
      if (step.kind === "split") continue;
      if (step.kind === "delay") return this.#wait(step);
      if (step.kind === "stall") this.#isStalled = true;
      else this.#cut(step.kind);
      return;
    }
  }

  #wait(pause: Step & { kind: "delay" }): void {
    this.#pause = pause;
    const isCutHere = this.#plan.steps.some(({ kind, at }) =>
      at === this.#at && (kind === "end" || kind === "reset")
    );
    if (isCutHere || this.#owner.hasMore) this.onMore();
  }

  /** Ends it: no byte comes any more, and the end of the sender is all that follows. */
  #cut(how: "end" | "reset"): void {
    this.#step = this.#plan.steps.length;
    this.#pieceEnd = Infinity;
    this.#isOpen = true;
    this.#owner.onLineCut(how);
  }

  /** The end is closed: nothing is waited for. */
  close(): void {
    this.#isOver = true;
    this.#isOpen = false;
    this.#pause = null;
    this.#poller?.cancelTimer(this.#timer);
  }
}
