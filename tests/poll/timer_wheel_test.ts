import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { Timer, TimerWheel } from "../../src/poll/timer_wheel.ts";
import { seededRandom } from "../support/random.ts";

/** A wheel, what expired on it and when, and when it asked to be woken. */
function wheelAt(nowMs: number) {
  const expired: [name: string, atMs: number][] = [];
  const asked: number[] = [];
  const clock = { nowMs };
  const wheel = new TimerWheel(nowMs, (dueMs) => asked.push(dueMs));
  const timer = (name: string) =>
    new Timer({ onTimer: () => void expired.push([name, clock.nowMs]) });
  const advance = (to: number) => {
    clock.nowMs = to;
    wheel.advance(to);
  };
  return { wheel, expired, asked, timer, advance };
}

test("TimerWheel.advance() expires what is due, and nothing before", () => {
  const { wheel, expired, timer, advance } = wheelAt(1000);
  wheel.set(timer("a"), 1010);
  wheel.set(timer("b"), 1005);
  advance(1004);
  assertEquals(expired, []);
  advance(1005);
  assertEquals(expired, [["b", 1005]]);
  advance(2000);
  assertEquals(expired, [["b", 1005], ["a", 2000]]);
  assertEquals(wheel.count, 0);
  assertEquals(wheel.dueMs, Infinity);
});

test("TimerWheel.set() rounds up: a timer never expires early", () => {
  const { wheel, expired, timer, advance } = wheelAt(0);
  wheel.set(timer("a"), 10.2);
  advance(10.9);
  assertEquals(expired, []);
  advance(11);
  assertEquals(expired, [["a", 11]]);
});

test("TimerWheel.set() sets anew what is set already", () => {
  const { wheel, expired, timer, advance } = wheelAt(0);
  const once = timer("a");
  wheel.set(once, 10);
  wheel.set(once, 50);
  assertEquals(wheel.count, 1);
  advance(49);
  assertEquals(expired, []);
  advance(50);
  assertEquals(expired, [["a", 50]]);
});

test("TimerWheel.cancel() leaves nothing behind that expires (netpoll 133)", () => {
  const { wheel, expired, timer, advance } = wheelAt(0);
  const once = timer("a");
  wheel.set(once, 10);
  wheel.cancel(once);
  wheel.cancel(once);
  assertEquals(wheel.count, 0);
  assert(!once.isSet);
  advance(100);
  assertEquals(expired, []);
  assertEquals(wheel.dueMs, Infinity);
});

test("TimerWheel tells when something is due earlier than was known, and only then", () => {
  const { wheel, asked, timer } = wheelAt(0);
  wheel.set(timer("a"), 30);
  wheel.set(timer("b"), 31);
  wheel.set(timer("c"), 7);
  assertEquals(asked, [30, 7]);
});

test("TimerWheel.dueMs names the next step after each advance, down to the timer itself", () => {
  const { wheel, expired, timer, advance } = wheelAt(0);
  wheel.set(timer("far"), 40_000_003);
  let steps = 0;
  while (wheel.dueMs < Infinity) {
    assert(wheel.dueMs <= 40_000_003);
    advance(wheel.dueMs);
    steps += 1;
  }
  assertEquals(expired, [["far", 40_000_003]]);
  assert(steps <= 6, `one step a level at most, not ${steps}`);
});

test("TimerWheel keeps a timer that is further away than it spans", () => {
  const { wheel, expired, timer, advance } = wheelAt(5);
  const atMs = 3 * 32 ** 6;
  wheel.set(timer("years"), atMs);
  for (let i = 0; wheel.dueMs < Infinity && i < 1000; i++) advance(wheel.dueMs);
  assertEquals(expired, [["years", atMs]]);
});

test("TimerWheel.set() within an expiry waits its full time", () => {
  const asked: number[] = [];
  const wheel = new TimerWheel(0, (dueMs) => asked.push(dueMs));
  const at: number[] = [];
  let nowMs = 0;
  const again: Timer = new Timer({
    onTimer: () => {
      at.push(nowMs);
      // As the poller does, when none is set: it may be later than the slot that is being emptied.
      if (wheel.count === 0) wheel.advance(nowMs);
      if (at.length < 50) wheel.set(again, nowMs + 30);
    },
  });
  wheel.set(again, 1);
  while (wheel.dueMs < Infinity) {
    nowMs = wheel.dueMs + 3; // whoever wakes us is late
    wheel.advance(nowMs);
  }
  assertEquals(at.length, 50);
  for (let i = 1; i < at.length; i++) assert(at[i]! - at[i - 1]! >= 30, `${at}`);
});

test("TimerWheel tells of timers that keep the process alive, however they end", () => {
  let kept = 0;
  const wheel = new TimerWheel(0, () => {}, (change) => kept += change);
  const owner = { onTimer: () => {} };
  const [expiring, cancelled, other] = [true, true, false].map((each) => new Timer(owner, each));
  wheel.set(other!, 5);
  assertEquals(kept, 0);
  wheel.set(expiring!, 5);
  wheel.set(cancelled!, 5000);
  wheel.set(cancelled!, 6000);
  assertEquals(kept, 2);
  wheel.advance(10);
  assertEquals(kept, 1);
  wheel.cancel(cancelled!);
  wheel.cancel(cancelled!);
  assertEquals(kept, 0);
});

test("TimerWheel goes on after an owner that throws", () => {
  const { wheel, expired, timer, advance } = wheelAt(0);
  const failing = new Timer({
    onTimer: () => {
      throw new Error("on purpose");
    },
  });
  wheel.set(timer("a"), 10);
  wheel.set(failing, 10);
  wheel.set(timer("b"), 10);
  let failures = 0;
  for (let i = 0; i < 3 && wheel.count > 0; i++) {
    try {
      advance(20);
    } catch {
      failures += 1;
    }
  }
  assertEquals(failures, 1);
  assertEquals(expired.map(([name]) => name).sort(), ["a", "b"]);
});

test("TimerWheel agrees with a sorted list, over random operations", () => {
  const random = seededRandom(process.env["NETPOLL_SEED"]);
  const operations = Number(process.env["NETPOLL_OPERATIONS"] ?? 60_000);
  let nowMs = random.below(2 ** 31);
  const expired = new Set<Timer>();
  const owner = { onTimer: (timer: Timer) => void expired.add(timer) };
  const wheel = new TimerWheel(nowMs, () => {});
  const timers = Array.from({ length: 200 }, () => new Timer(owner));
  const model = new Map<Timer, number>();
  const note = (what: string) => `${what}; seed ${random.seed}`;

  for (let i = 0; i < operations; i++) {
    const timer = timers[random.below(timers.length)]!;
    const dice = random.below(10);
    if (dice < 4) {
      // All levels alike: as many near as far.
      const expiryMs = nowMs + 1 + random.below(32 ** (1 + random.below(6)));
      wheel.set(timer, expiryMs);
      model.set(timer, expiryMs);
    } else if (dice < 6) {
      wheel.cancel(timer);
      model.delete(timer);
    } else {
      nowMs += dice < 9 ? random.below(64) : random.below(32 ** (1 + random.below(5)));
      wheel.advance(nowMs);
      const due = [...model].filter(([, atMs]) => atMs <= nowMs).map(([each]) => each);
      assertEquals(expired.size, due.length, note("as many expired as are due"));
      for (const each of due) {
        assert(expired.has(each) && !each.isSet, note("the same ones"));
        model.delete(each);
      }
      expired.clear();
    }
    assertEquals(wheel.count, model.size, note("as many are set"));
    if (i % 16 > 0) continue;
    const next = Math.min(...model.values());
    assert(wheel.dueMs <= next, note("none expires before dueMs"));
  }
});
