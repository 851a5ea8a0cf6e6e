/**
 * The timer wheel against a sorted list, and the completions of zero copy against a set.
 */
import { assert, assertEquals } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { LATE_MS_MIN } from "../../src/core/limits.ts";
import { Timer, TimerWheel } from "../../src/poll/timer_wheel.ts";
import { ZeroCopyCalls } from "../../src/transport/zero_copy_calls.ts";
import type { Random } from "../support/random.ts";
import { balanced, type Target } from "./target.ts";

const SPANS = [
  1,
  5,
  31,
  32,
  33,
  1023,
  1024,
  1025,
  32 ** 3,
  32 ** 4 + 7,
  32 ** 5,
  32 ** 6,
  3 * 32 ** 6 + 5,
];

/** A timer, and when it is to expire: never while it is not set. */
interface Expected {
  readonly timer: Timer;
  atMs: number;
  spanMs: number;
}

/** The wheel, beside a list that is looked through at every step. */
class Timers {
  nowMs: number;
  readonly all: Expected[] = [];
  readonly wheel: TimerWheel;
  /** Those that have expired in this step, in their order. */
  expired: Timer[] = [];
  /** What the wheel has asked for last. */
  dueMs = Infinity;

  constructor(readonly random: Random) {
    this.nowMs = random.below(2) * random.below(2 ** 40);
    this.wheel = new TimerWheel(this.nowMs, (dueMs) => this.dueMs = dueMs);
    for (let i = 0; i < 8; i++) {
      const timer = new Timer({ onTimer: (one) => this.#onTimer(one) });
      this.all.push({ timer, atMs: Infinity, spanMs: 0 });
    }
  }

  #onTimer(timer: Timer): void {
    this.expired.push(timer);
    const { random } = this;
    // An owner sets and cancels timers when it is told.
    if (random.chance(0.2)) this.set(random.pick(this.all), true);
    if (random.chance(0.1)) this.cancel(random.pick(this.all));
    if (random.chance(0.1)) this.wheel.advance(this.nowMs + 1000);
  }

  /** Sets one; within a step it may expire in that, too, so nothing is expected of it. */
  set(one: Expected, isWithin = false): void {
    const { random } = this;
    const spanMs = random.pick(SPANS) + random.below(3);
    const late = random.chance(0.5) ? spanMs : 0;
    this.wheel.set(one.timer, this.nowMs + spanMs, late);
    one.atMs = isWithin ? NaN : this.nowMs + spanMs;
    one.spanMs = late;
  }

  cancel(one: Expected): void {
    this.wheel.cancel(one.timer);
    one.atMs = Infinity;
  }

  /** It is later: what is due has expired, and nothing else. */
  advance(toMs: number): void {
    this.nowMs = toMs;
    this.expired = [];
    const before = this.all.map((one) => ({ ...one }));
    this.wheel.advance(toMs);
    for (const [i, { timer, atMs, spanMs }] of before.entries()) {
      const one = this.all[i]!;
      if (Number.isNaN(one.atMs) || Number.isNaN(atMs)) {
        one.atMs = timer.isSet ? timer.expiryMs : Infinity;
        continue;
      }
      if (one.atMs === Infinity) continue;
      const isDue = atMs <= toMs;
      // One that the wheel came to late is put off once, by as much as it was late.
      const isExcused = isDue && spanMs > 0 && toMs - atMs >= LATE_MS_MIN;
      assertEquals(
        this.expired.includes(timer),
        isDue && !isExcused,
        `due at ${atMs}, now ${toMs}`,
      );
      if (isExcused) {
        one.atMs = Math.ceil(toMs + Math.min(toMs - atMs, spanMs));
        one.spanMs = 0;
        assertEquals(timer.expiryMs, one.atMs, "it is put off");
      } else if (isDue) {
        one.atMs = Infinity;
      }
    }
    this.check();
  }

  check(): void {
    const set = this.all.filter(({ timer }) => timer.isSet);
    assertEquals(this.wheel.count, set.length);
    const first = Math.min(Infinity, ...set.map(({ timer }) => timer.expiryMs));
    assert(
      this.wheel.dueMs <= first,
      `the wheel is to be advanced at ${this.wheel.dueMs}, not ${first}`,
    );
    assert(this.wheel.dueMs > this.nowMs, "something that is due was left");
  }
}

function timerCase(random: Random): void {
  const timers = new Timers(random);
  for (let n = 0; n < 60; n++) {
    const one = random.pick(timers.all);
    const { dueMs } = timers.wheel;
    switch (random.below(5)) {
      case 0:
        timers.cancel(one);
        break;
      case 1:
      case 2:
        timers.set(one);
        break;
      case 3:
        if (dueMs !== Infinity) timers.advance(Math.max(dueMs, timers.nowMs));
        break;
      default:
        timers.advance(timers.nowMs + random.pick(SPANS));
    }
  }
  // What is set expires, if the wheel is advanced when it says.
  for (const one of timers.all) one.spanMs = 0;
  for (let n = 0; timers.wheel.dueMs !== Infinity; n++) {
    assert(n < 10_000, "the wheel never comes to its last timer");
    timers.advance(timers.wheel.dueMs);
  }
  assertEquals(timers.wheel.count, 0);
}

// ---- completions --------------------------------------------------------------------------------

const PIECE_BYTES = 1024;

/** One send of a block that nobody else holds. */
function send(calls: ZeroCopyCalls, start: number): void {
  const chain = new LinkChain();
  const node = chain.room(PIECE_BYTES, PIECE_BYTES);
  chain.written(PIECE_BYTES);
  chain.publish();
  calls.add(start, PIECE_BYTES, node);
  chain.close(CLOSED);
}

function completionCase(random: Random): void {
  const first = random.chance(0.5) ? random.below(2 ** 32) : (2 ** 32 - random.below(40)) >>> 0;
  const calls = new ZeroCopyCalls(first);
  const before = blocks.pinnedBytes;
  const under = new Set<number>();
  let sent = 0;
  const idOf = (n: number) => (first + n) >>> 0;
  for (let n = 0; n < 80; n++) {
    if (random.chance(0.5) && sent - Math.min(sent, ...under) < 200) {
      send(calls, sent * PIECE_BYTES);
      under.add(sent++);
    } else {
      // Ranges as the kernel tells them, and such as it should not.
      const lo = random.below(sent + 3) - 1;
      const hi = random.chance(0.1) ? lo - 1 : lo + random.below(6);
      const known = [...under].filter((id) =>
        (idOf(id) - idOf(lo)) >>> 0 <= (idOf(hi) - idOf(lo)) >>> 0
      );
      assertEquals(calls.complete(idOf(lo), idOf(hi)), known.length, `${lo} to ${hi}`);
      for (const id of known) under.delete(id);
    }
    assertEquals(calls.bytes, under.size * PIECE_BYTES);
    assertEquals(blocks.pinnedBytes - before, under.size * PIECE_BYTES);
    const oldest = Math.min(Infinity, ...under);
    assertEquals(calls.releasedTo, oldest * PIECE_BYTES);
    assertEquals(calls.count, oldest === Infinity ? 0 : sent - oldest);
  }
  calls.complete(first, (first - 1) >>> 0);
}

export const TIMING_TARGETS: readonly Target[] = [
  {
    name: "timers",
    what: "the timer wheel expires what a sorted list would",
    run: timerCase,
  },
  {
    name: "completions",
    what: "completions of zero copy free what a set would, in any order, across the wrap",
    run: balanced(completionCase),
  },
];
