import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { EventLoop, type LoopLimits } from "../../mod.ts";
import { loopRates, partOf } from "../../src/server/loop_limits.ts";

test("loopRates() refuses what means nothing, or contradicts itself", () => {
  assertEquals(loopRates(undefined), null);
  const refused: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [null, TypeError, "it is no object"],
    ["fast", TypeError, "it is no object"],
    [{ acceptPerSecond: 1 }, TypeError, "did you mean acceptsPerSecond?"],
    [{ acceptsPerSecond: 0.5 }, RangeError, "acceptsPerSecond"],
    [{ acceptsBurst: 5 }, TypeError, "without acceptsPerSecond"],
    [{ memoryPolicy: "pause" }, TypeError, "without memoryBytesMax"],
    [{ memoryBytesMax: 1 << 30, memoryPolicy: "drop" }, TypeError, '"pause" or "refuse"'],
    [{ memoryBytesMax: 0 }, RangeError, "memoryBytesMax"],
    [{ memoryBytesMax: 1000 }, RangeError, "one connection alone could hold more"],
    [{ connection: 1 }, TypeError, "it is no object"],
    [{ connection: { bytes: 1 } }, TypeError, "limits.connection"],
    [{ bytesPerSecond: 9, connection: { bytesPerSecondMin: 10 } }, RangeError, "as fast"],
  ];
  for (const [limits, kind, words] of refused) {
    assertThrows(() => new EventLoop(null, { limits: limits as LoopLimits }), kind, words);
  }
});

test("partOf() divides what is counted, and nothing below 1", () => {
  const connection = { bytesPerSecond: 8 };
  assertEquals(
    partOf({ acceptsPerSecond: 9, bytesPerSecond: 8, bytesBurst: 1, connection }, 4),
    { acceptsPerSecond: 2, bytesPerSecond: 2, bytesBurst: 1, connection },
  );
});

test("partOf() refuses limits that contradict each other once they are divided", () => {
  const limits = { bytesPerSecond: 8000, connection: { bytesPerSecondMin: 3000 } };
  partOf(limits, 2);
  assertThrows(() => partOf(limits, 4), RangeError, "over 4 pollers");
});
