import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { memoryPair } from "../../mod.ts";
import { type ConnectionLimits, connectionRates } from "../../src/connection/connection_limits.ts";

test("connectionRates() is null where nothing is limited", () => {
  assertEquals(connectionRates(undefined), null);
  assertEquals(connectionRates({}), null);
  assertEquals(connectionRates({ bytesPerSecond: undefined }), null);
  assertEquals(connectionRates({ bytesPerSecondMin: 5 }), {
    bytes: null,
    requests: null,
    least: { bytesPerSecondMin: 5, graceMs: 5000 },
  });
});

test("connectionRates() refuses what means nothing, or contradicts itself", () => {
  const refused: [unknown, typeof TypeError | typeof RangeError, string][] = [
    [null, TypeError, "it is no object"],
    [7, TypeError, "it is no object"],
    [[], TypeError, "it is no object"],
    [{ bytesPerSec: 1 }, TypeError, "did you mean bytesPerSecond?"],
    [{ acceptsPerSecond: 1 }, TypeError, "Unknown option"],
    [{ bytesPerSecond: 0 }, RangeError, "bytesPerSecond"],
    [{ bytesPerSecond: "9" }, RangeError, "bytesPerSecond"],
    [{ bytesBurst: 1 }, TypeError, "without bytesPerSecond"],
    [{ requestsBurst: 1 }, TypeError, "without requestsPerSecond"],
    [{ graceMs: 1 }, TypeError, "without bytesPerSecondMin"],
    [{ bytesPerSecondMin: 1, graceMs: 0 }, RangeError, "graceMs"],
    [{ bytesPerSecondMin: 1, graceMs: -1 }, RangeError, "graceMs"],
    [{ bytesPerSecondMin: 10, bytesPerSecond: 9 }, RangeError, "nobody could be as fast"],
  ];
  for (const [limits, kind, words] of refused) {
    assertThrows(() => connectionRates(limits as ConnectionLimits), kind, words);
    assertThrows(
      () => memoryPair({ first: { limits: limits as ConnectionLimits } }),
      kind,
      words,
    );
  }
});
