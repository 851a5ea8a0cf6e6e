/**
 * The timer wheel: every message of a connection with a deadline sets one and takes it back.
 */
import { assertEquals } from "@std/assert";
import { Timer, type TimerOwner, TimerWheel } from "../../src/poll/timer_wheel.ts";
import type { Micro } from "../harness/micro.ts";

const COUNT = 10_000;

class Owner implements TimerOwner {
  expired = 0;

  onTimer(): void {
    this.expired += 1;
  }
}

/** A wheel on which 10 000 idle timeouts are set, and one timer more. */
function loaded(): { wheel: TimerWheel; timer: Timer; owner: Owner } {
  const owner = new Owner();
  const wheel = new TimerWheel(0, () => {});
  for (let i = 0; i < COUNT; i++) wheel.set(new Timer(owner), 60_000 + i);
  return { wheel, timer: new Timer(owner), owner };
}

const setAndCancel: Micro = {
  name: "timer_wheel: set and cancel beside 10 000",
  prepare() {
    const { wheel, timer } = loaded();
    const once = (delayMs: number) => {
      wheel.set(timer, delayMs);
      wheel.cancel(timer);
    };
    return {
      check() {
        once(5000);
        assertEquals(wheel.count, COUNT);
        assertEquals(timer.isSet, false);
      },
      run(times) {
        for (let i = 0; i < times; i++) once(1000 + (i & 0xfff));
      },
    };
  },
};

const reset: Micro = {
  name: "timer_wheel: set anew, as each message does",
  prepare() {
    const { wheel, timer } = loaded();
    return {
      check() {
        wheel.set(timer, 5000);
        wheel.set(timer, 6000);
        assertEquals([wheel.count, timer.expiryMs], [COUNT + 1, 6000]);
      },
      run(times) {
        for (let i = 0; i < times; i++) wheel.set(timer, 1000 + (i & 0xfff));
      },
    };
  },
};

const expire: Micro = {
  name: "timer_wheel: set and expire",
  perRun: 1000,
  prepare() {
    const owner = new Owner();
    const wheel = new TimerWheel(0, () => {});
    const timers = Array.from({ length: 1000 }, () => new Timer(owner));
    let nowMs = 0;
    const once = () => {
      for (let i = 0; i < timers.length; i++) wheel.set(timers[i]!, nowMs + 1 + i);
      wheel.advance(nowMs += 1000);
    };
    return {
      check() {
        const before = owner.expired;
        once();
        assertEquals([owner.expired - before, wheel.count], [timers.length, 0]);
      },
      run(times) {
        for (let i = 0; i < times; i++) once();
      },
    };
  },
};

/** All of this noun. */
export const TIMER_WHEEL: readonly Micro[] = [setAndCancel, reset, expire];
