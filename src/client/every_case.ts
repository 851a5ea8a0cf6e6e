/**
 * A protocol at every split and at every loss: what a network may do to it, one case after the other.
 */
import { setImmediate, setTimeout } from "node:timers";
import type { Connection, FromFdOptions } from "../connection/connection.ts";
import { BusyError, FrameError, NetpollError, TornFrameError } from "../core/errors.ts";
import { CASE_DEADLINES_MAX, CASE_HANG_MS, CASE_QUIET_ROUNDS, CASES_MAX } from "../core/limits.ts";
import {
  checkFunction,
  checkNumber,
  checkObject,
  checkTimeout,
  type Known,
  readOptions,
  show,
} from "../core/options.ts";
import { FakeClock, fakeClockIfAny } from "../poll/fake_clock.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { type LineFaults, type MemoryPair, type MemoryPairOptions, pairOf } from "./memory_pair.ts";

/**
 * A protocol under test: what both ends of a connection do, and what has to come of it. The case is
 * over when its promise has settled; then both connections are reset.
 */
export type CaseRun = (
  first: Connection,
  second: Connection,
  clock: FakeClock,
) => void | Promise<void>;

/** The events on the way in one case, as {@linkcode memoryPair} takes them: `{}` for none. */
export type CaseFaults = Pick<MemoryPairOptions, "toFirst" | "toSecond">;

/** A way to lose a connection. */
export type Loss =
  /** It breaks: both ends hear of a reset. */
  | "reset"
  /** The end of the stream comes early. */
  | "end"
  /** Nothing comes any more, and nobody says so: only a deadline helps. */
  | "stall";

/** Options of {@linkcode everySplit}. */
export interface EverySplitOptions<A = undefined, B = undefined>
  extends Pick<MemoryPairOptions<A, B>, "first" | "second" | "windowBytes"> {
  /** The most cases. Where there were more, those that run are spread evenly. 2000 unless given. */
  casesMax?: number;
  /** This case alone: the error of one that failed says how it is written. */
  only?: CaseFaults;
  /**
   * The real time, in milliseconds, for which nothing happens here before the next deadline passes:
   * for a protocol that waits for a file, a child process or a socket. 0 unless given.
   */
  outsideMs?: number;
}

/** Options of {@linkcode everyLoss}. */
export interface EveryLossOptions<A = undefined, B = undefined> extends EverySplitOptions<A, B> {
  /** The ways to lose it that are tried. `["reset", "end"]` unless given. */
  losses?: readonly Loss[];
}

/** The cases that {@linkcode everySplit} or {@linkcode everyLoss} has run. */
export interface CaseCounts {
  /** Cases that have run, the first one without any fault included. */
  cases: number;
  /** Cases that have not, for want of room in `casesMax`. */
  skipped: number;
  /** The bytes of the first case, to the first connection. */
  toFirstBytes: number;
  /** The bytes of the first case, to the second connection. */
  toSecondBytes: number;
}

const SPLIT_OPTIONS: Known<EverySplitOptions> = {
  first: 1,
  second: 1,
  windowBytes: 1,
  casesMax: 1,
  only: 1,
  outsideMs: 1,
};
const LOSS_OPTIONS: Known<EveryLossOptions> = { ...SPLIT_OPTIONS, losses: 1 };
const LOSSES: Readonly<Record<Loss, keyof LineFaults>> = {
  reset: "resetAt",
  end: "endAt",
  stall: "stallAt",
};

/** Runs cases that a number stands for each, without a list of them: there may be millions. */
interface Cases {
  readonly count: number;
  at(index: number): CaseFaults;
}

type Way = keyof CaseFaults;
type Sent = Readonly<Record<Way, number>>;

/** The offsets of both ways, one after the other: to the first connection, then to the second. */
function place(sent: Sent, index: number, least: number): [Way, number] {
  const firsts = sent.toFirst + 1 - least;
  return index < firsts ? ["toFirst", least + index] : ["toSecond", least + index - firsts];
}

/** The pair of numbers `i < j` that has this place among all of them. */
function pairAt(index: number): [number, number] {
  let j = Math.floor((1 + Math.sqrt(1 + 8 * index)) / 2);
  if (j * (j - 1) / 2 > index) j -= 1;
  return [index - j * (j - 1) / 2, j];
}

function splitsAt(places: readonly [Way, number][]): CaseFaults {
  const faults: { toFirst?: { splitAt: number[] }; toSecond?: { splitAt: number[] } } = {};
  for (const [way, at] of places) (faults[way] ??= { splitAt: [] }).splitAt.push(at);
  return faults;
}

/** Byte by byte, then one split, then two of them. */
function splitCases(sent: Sent): Cases[] {
  const count = sent.toFirst + sent.toSecond;
  const byByte = { toFirst: { chunkBytesMax: 1 }, toSecond: { chunkBytesMax: 1 } };
  return [
    { count: 1, at: () => byByte },
    { count, at: (index) => splitsAt([place(sent, index, 1)]) },
    {
      count: count * (count - 1) / 2,
      at: (index) => splitsAt(pairAt(index).map((each) => place(sent, each, 1))),
    },
  ];
}

function lossCases(sent: Sent, losses: readonly Loss[]): Cases[] {
  const at = (index: number): CaseFaults => {
    const [way, offset] = place(sent, Math.floor(index / losses.length), 0);
    return { [way]: { [LOSSES[losses[index % losses.length]!]]: offset } };
  };
  return [{ count: losses.length * (sent.toFirst + sent.toSecond + 2), at }];
}

/** As many of the cases as there may be, spread evenly. */
function* spread({ count, at }: Cases, most: number): Generator<CaseFaults> {
  const taken = Math.min(count, most);
  for (let i = 0; i < taken; i++) yield at(Math.floor(i * count / taken));
}

// ---- one case -------------------------------------------------------------------------------------

/** One round of the runtime. */
function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets everybody go on who can, without time that passes. */
async function quiet(isOver: () => boolean): Promise<void> {
  const poller = threadPoller();
  const { counts } = poller;
  let { told } = counts;
  for (let left = CASE_QUIET_ROUNDS; left > 0 && !isOver(); left--) {
    await round();
    if (counts.told !== told || poller.againCount > 0) left = CASE_QUIET_ROUNDS;
    told = counts.told;
  }
}

/** True when something happens within so much real time. */
async function happens(ms: number, isOver: () => boolean): Promise<boolean> {
  const { counts } = threadPoller();
  const { told } = counts;
  for (const end = performance.now() + ms; performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (isOver() || counts.told !== told) return true;
  }
  return false;
}

/** Waits for a promise, and lets deadlines pass when nothing else happens. False if that is for ever. */
async function settles(
  promise: Promise<unknown>,
  clock: FakeClock,
  outsideMs: number,
): Promise<boolean> {
  let isSettled = false;
  const isOver = () => isSettled;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  for (let deadlines = 0;;) {
    await quiet(isOver);
    if (isSettled) return true;
    if (outsideMs > 0 && await happens(outsideMs, isOver)) continue;
    if (deadlines++ < CASE_DEADLINES_MAX && await clock.advanceToNext()) continue;
    if (!await happens(CASE_HANG_MS, isOver)) return false;
  }
}

function describe(name: string, connection: Connection, heldBytes: number): string {
  const { state, isWaiting, flushCount, unread, unsent, isReadPaused } = connection.metrics();
  const waits = [
    isWaiting ? "waits to read" : "",
    flushCount > 0 ? `waits for a flush of which ${unsent.bytes} bytes are not sent` : "",
  ].filter((each) => each !== "");
  const does = waits.length === 0 ? "waits for nothing" : waits.join(" and ");
  const held = heldBytes > 0 ? `, ${heldBytes} more are held on the way to it` : "";
  const paused = isReadPaused ? ", and does not read" : "";
  return `${name} (${state}) ${does}, has ${unread.bytes} bytes unread${held}${paused}`;
}

/** The longest way from an error to its first cause: one may be its own. */
const CAUSES_MAX = 20;

function textOf(error: unknown): string {
  return error instanceof Error ? String(error) : show(error);
}

/** True when an error says that a connection was lost, or is the consequence of one that does. */
function tellsLoss(error: unknown): boolean {
  for (
    let at = error, depth = 0;
    at instanceof Error && depth < CAUSES_MAX;
    at = at.cause, depth++
  ) {
    if (at instanceof FrameError) return at.fault === "truncated";
    if (at instanceof BusyError || at instanceof TornFrameError) return false; // no network does that
    if (at instanceof NetpollError) return true;
  }
  return false;
}

/** The trial of one protocol: what stays the same from case to case. */
class Trial<A, B> {
  readonly #name: string;
  readonly #run: CaseRun;
  readonly #options: EverySplitOptions<A, B>;
  readonly #clock: FakeClock;
  /** True when a case may end with the error of a loss. */
  readonly #isLossy: boolean;

  constructor(
    name: string,
    run: CaseRun,
    options: EverySplitOptions<A, B>,
    clock: FakeClock,
    isLossy: boolean,
  ) {
    this.#name = name;
    this.#run = run;
    this.#options = options;
    this.#clock = clock;
    this.#isLossy = isLossy;
  }

  /** Runs one case. The bytes that went each way. */
  async case(faults: CaseFaults, isLossy = this.#isLossy): Promise<Sent> {
    const { windowBytes, outsideMs = 0 } = this.#options;
    const errors: unknown[] = [];
    const end = <C>(options: FromFdOptions<C> = {}): FromFdOptions<C> => ({
      ...options,
      onError: options.onError ?? ((error) => errors.push(error)),
    });
    const [one, two] = [end(this.#options.first), end(this.#options.second)];
    const pair = pairOf({ ...faults, first: one, second: two, windowBytes });
    const { first, second } = pair;
    const run = async () => await this.#run(first, second, this.#clock);
    const running = run().catch((error) => void errors.unshift(error));
    try {
      const hasSettled = await settles(running, this.#clock, outsideMs);
      if (!hasSettled) throw this.#hang(faults, pair);
      if (!isLossy && errors.length > 0) throw this.#failed(faults, errors);
    } finally {
      first.reset();
      second.reset();
    }
    // What callbacks do then may fail, too; that the connection is gone is our own doing.
    await settles(Promise.allSettled([first.closed, second.closed]), this.#clock, outsideMs);
    if (!errors.every(tellsLoss)) throw this.#failed(faults, errors);
    return pair.sentBytes;
  }

  #hang(faults: CaseFaults, { first, second, heldBytes }: MemoryPair): Error {
    const one = describe("first", first, heldBytes.toFirst);
    const two = describe("second", second, heldBytes.toSecond);
    return new Error(
      `${this.#name} hangs: ${one}; ${two}; nothing moves and no deadline is set. ` +
        this.#alone(faults),
    );
  }

  /** Names first what is no consequence of a loss: the end of a connection often is one. */
  #failed(faults: CaseFaults, errors: readonly unknown[]): Error {
    const [cause, ...others] = [
      ...errors.filter((error) => !tellsLoss(error)),
      ...errors.filter(tellsLoss),
    ];
    const also = others.map((error) => `\nThen: ${textOf(error)}`).join("");
    return new Error(`${this.#name} failed: ${textOf(cause)}${also}\n${this.#alone(faults)}`, {
      cause,
    });
  }

  #alone(faults: CaseFaults): string {
    return `Run this case alone with { only: ${JSON.stringify(faults)} }`;
  }
}

let isRunning = false;

/** Runs a case without faults, and then those that its bytes make possible. */
async function every<A, B>(
  name: string,
  run: CaseRun,
  options: EverySplitOptions<A, B>,
  casesOf: (sent: Sent) => Cases[],
  isLossy: boolean,
): Promise<CaseCounts> {
  const { casesMax = CASES_MAX, only, outsideMs = 0, first = {}, second = {} } = options;
  checkObject(`first of ${name}`, first);
  checkObject(`second of ${name}`, second);
  checkFunction(`the protocol of ${name}`, run);
  checkNumber("casesMax", casesMax, 1, Number.MAX_SAFE_INTEGER);
  checkTimeout("outsideMs", outsideMs);
  if (isRunning) {
    throw new TypeError(
      `Cannot run ${name} beside another one: what a thread does is one case's; await the first one`,
    );
  }
  isRunning = true;
  const own = fakeClockIfAny() === null ? new FakeClock() : null;
  try {
    const trial = new Trial(name, run, options, own ?? fakeClockIfAny()!, isLossy);
    const sent = await trial.case(only ?? {}, only !== undefined && isLossy);
    const counts = { toFirstBytes: sent.toFirst, toSecondBytes: sent.toSecond };
    let [cases, skipped] = [1, 0];
    for (const kind of only === undefined ? casesOf(sent) : []) {
      const before = cases;
      for (const faults of spread(kind, casesMax - cases)) {
        await trial.case(faults);
        cases += 1;
      }
      skipped += kind.count - (cases - before);
    }
    return { cases, skipped, ...counts };
  } finally {
    isRunning = false;
    own?.[Symbol.dispose]();
  }
}

/**
 * Runs a protocol at every split: once as it is, to learn how many bytes go each way, then byte by
 * byte, then cut at each byte of each way, then cut twice. Each case has a {@linkcode memoryPair} of
 * its own, and the reader of a piece has gone on before the next one comes.
 *
 * A case fails when the protocol rejects, when a callback of one of the connections fails, or when it
 * hangs: nothing is on its way, no deadline is set, and its promise is pending. A deadline passes when
 * nothing else happens, by the {@linkcode FakeClock} that the function gets. The error names the case.
 * One call runs at a time in a thread.
 *
 * @throws {Error} The first case that failed; its `cause` is what was thrown. As a rejection.
 * @throws {TypeError} An option is none, or another call is running.
 * @throws {RangeError} A number is none that means anything.
 *
 * @example A server that answers lines
 * ```ts
 * import { frames, lines } from "@netpoll/netpoll/codec";
 * import { everySplit } from "@netpoll/netpoll/testing";
 *
 * const codec = lines();
 * const { cases } = await everySplit(async (client, server) => {
 *   server.setOnRequest(async (connection) => {
 *     for await (const line of frames(connection, codec)) {
 *       codec.encode(connection.writer, line);
 *       await connection.writer.flush();
 *     }
 *   });
 *   client.writer.writeString("one\ntwo\n");
 *   await client.writer.flush();
 *   await client.reader.wait(8);
 *   const answer = client.reader.readString(client.reader.length);
 *   if (answer !== "one\ntwo\n") throw new Error(`it answered ${answer}`);
 * });
 * console.log(cases); // 138: 8 bytes each way
 * ```
 */
export async function everySplit<A = undefined, B = undefined>(
  run: CaseRun,
  options: EverySplitOptions<A, B> = {},
): Promise<CaseCounts> {
  const read = readOptions("everySplit", options, SPLIT_OPTIONS);
  return await every("everySplit", run, read, splitCases, false);
}

/**
 * Runs a protocol at every loss: once as it is, to learn how many bytes go each way, then with a
 * connection that breaks, and with one that ends early, after each number of bytes of each way.
 *
 * The protocol may notice the loss, or be through before: it resolves, or it rejects with an error of
 * this library, or with one whose `cause` is such an error. Anything else fails the case, and so does
 * a protocol that hangs: with the loss `"stall"` that finds a wait without a deadline. Callbacks are
 * held to the same. As with {@linkcode everySplit}, the error names the case, and one call runs at a
 * time in a thread.
 *
 * @throws {Error} The first case that failed; its `cause` is what was thrown. As a rejection.
 * @throws {TypeError} An option is none, or another call is running.
 * @throws {RangeError} A number is none that means anything.
 *
 * @example A request that never hangs, whatever becomes of its server
 * ```ts
 * import { everyLoss } from "@netpoll/netpoll/testing";
 *
 * const { cases } = await everyLoss(async (client, server) => {
 *   server.setOnRequest(async ({ reader, writer }) => {
 *     await reader.wait(4);
 *     writer.writeBinary(reader.next(4));
 *     await writer.flush();
 *     reader.release();
 *   });
 *   client.readTimeoutMs = 1000;
 *   client.writer.writeString("ping");
 *   await client.writer.flush();
 *   await client.reader.wait(4);
 * }, { losses: ["reset", "end", "stall"] });
 * console.log(cases); // 31: three losses at 5 offsets each way, and none
 * ```
 */
export async function everyLoss<A = undefined, B = undefined>(
  run: CaseRun,
  options: EveryLossOptions<A, B> = {},
): Promise<CaseCounts> {
  const read = readOptions("everyLoss", options, LOSS_OPTIONS);
  const { losses = ["reset", "end"], ...rest } = read;
  if (!Array.isArray(losses) || losses.some((each) => !Object.hasOwn(LOSSES, each))) {
    throw new TypeError(
      `Cannot use ${show(losses)} as losses of everyLoss: it lists "reset", "end" and "stall"`,
    );
  }
  return await every("everyLoss", run, rest, (sent) => lossCases(sent, losses), true);
}
