import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { socketPair } from "../../mod.ts";
import { clock } from "../../src/poll/clock.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll } from "../support/pair.ts";
import { until } from "../support/until.ts";

test("clock.now() never goes back, also not when a test gives it back", async () => {
  let last = clock.now();
  await withFakeClock(async (fake) => {
    assertGreaterOrEqual(clock.now(), last);
    await fake.advance(3_600_000);
    last = clock.now();
  });
  assertGreaterOrEqual(clock.now(), last);
});

test("clock.setAlarm() lets a timerfd expire", async () => {
  const fd = native.timerfd();
  assertEquals(clock.setAlarm(fd, 1), 0);
  await until(() => native.counterTake(fd) > 0, "it expires");
  native.close(fd);
});

test("setTimer() goes on by the clock behind, when a test gives its own back", () =>
  leaks(async () => {
    const pair = socketPair();
    const expired: string[] = [];
    const timer = (name: string) => new Timer({ onTimer: () => void expired.push(name) });
    const poller = threadPoller();
    await withFakeClock(async (fake) => {
      poller.setTimer(timer("later"), 1010);
      poller.setTimer(timer("soon"), 20);
      await fake.advance(19);
      assertEquals(expired, []);
      await fake.advance(981);
      assertEquals(expired, ["soon"]);
    });
    await until(() => expired.length === 2, "the one that is left");
    await closeAll(...pair);
  }));
