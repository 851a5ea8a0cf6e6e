import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { readRate, TokenBucket } from "../../src/core/token_bucket.ts";
import { seededRandom } from "../support/random.ts";

test("readRate() fills a bucket for a second, and refuses what means nothing", () => {
  assertEquals(readRate("bytes", undefined, undefined), null);
  assertEquals(readRate("bytes", 10, undefined), { perSecond: 10, burst: 10 });
  assertEquals(readRate("bytes", 10, 3), { perSecond: 10, burst: 3 });
  assertThrows(() => readRate("bytes", undefined, 3), TypeError, "without bytesPerSecond");
  for (const wrong of [0, -1, 0.5, NaN, Infinity, "1" as unknown as number, null as never]) {
    assertThrows(() => readRate("bytes", wrong, undefined), RangeError, "bytesPerSecond");
    assertThrows(() => readRate("bytes", 1, wrong), RangeError, "bytesBurst");
  }
});

test("TokenBucket.level() begins full, grows with time and never above the burst", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 1_000_000);
  assertEquals(bucket.level(1_000_000), 5);
  bucket.take(5);
  assertEquals(bucket.level(1_000_000), 0);
  assertEquals(bucket.delayMs(2), 200);
  assertEquals(bucket.level(1_200_000), 2);
  assertEquals(bucket.delayMs(2), 0);
  assertEquals(bucket.level(9_000_000), 5);
  assertEquals(bucket.level(1_000_000), 5, "time that goes back brings none, and takes none");
});

test("TokenBucket.take() of more than there are is waited for the next time", () => {
  const bucket = new TokenBucket({ perSecond: 100, burst: 10 }, 0);
  bucket.take(30);
  assertEquals(bucket.level(0), -20);
  assertEquals(bucket.delayMs(1), 210);
  assert(Math.abs(bucket.level(210_000) - 1) < 1e-9);
});

test("TokenBucket gives no more than its burst and its rate, however it is asked", () => {
  const random = seededRandom();
  for (let round = 0; round < 50; round++) {
    const rate = {
      perSecond: 1 + Math.floor(random.next() * 1e6),
      burst: 1 + Math.floor(random.next() * 1e5),
    };
    const bucket = new TokenBucket(rate, 0);
    let [now, taken] = [0, 0];
    for (let i = 0; i < 200; i++) {
      now += Math.floor(random.next() * 50_000);
      const count = Math.floor(bucket.level(now) * random.next());
      bucket.take(count);
      taken += count;
      const most = rate.burst + rate.perSecond * now / 1e6;
      assertEquals(taken <= most + 1e-6 * most, true, `${taken} of ${most}`);
    }
  }
});
