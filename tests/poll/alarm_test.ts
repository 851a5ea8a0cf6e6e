import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { ERRNO } from "../../src/core/errno.ts";
import { clock } from "../../src/poll/clock.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { ticks, until } from "../support/until.ts";

/** A poller whose timer the kernel refuses so many times. The number of times that it was asked. */
async function whileRefused(
  count: number,
  run: (poller: Poller, asked: () => number) => Promise<void>,
): Promise<void> {
  const { setAlarm } = clock;
  let asked = 0;
  clock.setAlarm = (fd, micros) => asked++ < count ? -ERRNO.ENOMEM : setAlarm(fd, micros);
  const poller = new Poller();
  try {
    await run(poller, () => asked);
  } finally {
    clock.setAlarm = setAlarm;
    poller.close();
  }
}

/** Sets a timer, and waits until it expires: not before its time. */
async function expires(poller: Poller, ms: number): Promise<void> {
  let at = 0;
  const dueAt = clock.now() + 1000 * ms;
  poller.setTimer(new Timer({ onTimer: () => at = clock.now() }), ms);
  await until(() => at > 0, "the timer");
  assert(at >= dueAt, "it expired before its time");
}

test("a timer that the kernel refuses is asked for again until it is taken", () =>
  whileRefused(3, async (poller, asked) => {
    poller.setTimer(new Timer({ onTimer() {} }), 3_600_000);
    await until(() => asked() === 4, "the timer is taken");
    await ticks(20);
    assertEquals(asked(), 4);
    await expires(poller, 20);
  }));

test("setTimer() calls at its time, although the kernel refuses the timer for good", () =>
  whileRefused(Infinity, async (poller) => {
    await expires(poller, 20);
    await expires(poller, 5);
    assertEquals(poller.timerCount, 0);
  }));

test("a refusal while deadlines expire keeps no later one from its time", () =>
  whileRefused(0, async (poller) => {
    const { setAlarm } = clock;
    let isLater = false;
    const later = new Timer({ onTimer: () => isLater = true });
    const first = new Timer({
      onTimer() {
        clock.setAlarm = () => {
          clock.setAlarm = setAlarm;
          return -ERRNO.ENOMEM;
        };
      },
    });
    poller.setTimer(first, 5);
    poller.setTimer(later, 100);
    await until(() => isLater, "the later one");
  }));

test("a refused timer is asked for no more once nothing is due", () =>
  whileRefused(Infinity, async (poller, asked) => {
    await expires(poller, 5);
    await ticks(20);
    const before = asked();
    await ticks(20);
    assertEquals(asked(), before);
  }));
