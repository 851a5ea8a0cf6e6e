import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { FakeClock } from "../../mod.ts";
import { settlesWithin } from "../../src/poll/settles_within.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { soon, stateOf } from "../support/until.ts";

test("settlesWithin() tells whether it came in time, and gives up with the signal's reason", async () => {
  using clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const before = threadPoller().timerCount;
  const late = settlesWithin(promise, 20);
  const aborting = new AbortController();
  const aborted = settlesWithin(promise, 20, aborting.signal);
  aborting.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  await clock.advance(20);
  assertEquals(await soon(late), false);
  const inTime = settlesWithin(promise, 0);
  assertEquals(await stateOf(inTime), "pending");
  resolve();
  assertEquals([await soon(inTime), threadPoller().timerCount], [true, before]);
});
