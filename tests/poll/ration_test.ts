import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { FakeClock } from "../../mod.ts";
import { Claim, claimOn, Ration } from "../../src/poll/ration.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";

/** Somebody who takes all that he may, whenever he is called. */
function eater(rations: Ration[], most = Infinity) {
  const eaten = { bytes: 0, turns: 0 };
  const claim = new Claim(rations, () => eat());
  const eat = () => {
    const count = Math.min(most, claim.allowance);
    eaten.turns += 1;
    eaten.bytes += count;
    claim.take(count);
    claim.wait();
  };
  return { eaten, eat, claim };
}

test("claimOn() is null where nothing is limited", () => {
  assertEquals(claimOn([null, null], () => {}), null);
});

test("Claim.wait() ends when there are tokens, and no timer is left without a wait", async () => {
  using clock = new FakeClock();
  const timers = threadPoller().timerCount;
  const ration = new Ration(threadPoller(), { perSecond: 1000, burst: 100 });
  let calls = 0;
  const claim = new Claim([ration], () => calls += 1);
  assertEquals(claim.allowance, 100);
  claim.take(100);
  assertEquals(claim.allowance, 0);
  assertEquals(threadPoller().timerCount, timers);
  claim.wait();
  await clock.advance(19);
  assertEquals(calls, 0);
  await clock.advance(1);
  assertEquals([calls, claim.allowance], [1, 20]);
  assertEquals(threadPoller().timerCount, timers);
  claim.wait();
  claim.close();
  assertEquals(threadPoller().timerCount, timers);
});

test("Ration gives everybody as much as others, and all together their rate", async () => {
  using clock = new FakeClock();
  const ration = new Ration(threadPoller(), { perSecond: 10_000, burst: 1000 });
  const eaters = Array.from({ length: 7 }, () => eater([ration]));
  for (const { eat } of eaters) eat();
  await clock.advance(7000);
  const all = eaters.map(({ eaten }) => eaten.bytes);
  const sum = all.reduce((a, b) => a + b, 0);
  assert(sum <= 71_000 && sum >= 69_000, `${sum} of 71000`);
  all.sort((a, b) => a - b);
  assert(all.at(-1)! - all[0]! <= 1000 + 200, `${all}: only the burst was one's`);
  for (const { claim } of eaters) claim.close();
});

test("Claim on two rations has what both have", async () => {
  using clock = new FakeClock();
  const own = () => new Ration(threadPoller(), { perSecond: 1000, burst: 1000 });
  const all = new Ration(threadPoller(), { perSecond: 1500, burst: 100 });
  const eaters = [eater([own(), all]), eater([own(), all]), eater([own(), all], 1)];
  for (const { eat } of eaters) eat();
  await clock.advance(10_000);
  const sum = eaters.reduce((sum, { eaten }) => sum + eaten.bytes, 0);
  assert(sum <= 15_100 && sum > 14_000, `${sum} of 15100`);
  for (const { eaten } of eaters) assert(eaten.turns > 100, "each has its turns");
  for (const { claim } of eaters) claim.close();
});
