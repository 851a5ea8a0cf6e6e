import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type ConnectionSettings, settings } from "../../src/connection/settings.ts";
import { checkTimeout } from "../../src/core/options.ts";
import {
  MESSAGE_BYTES_MAX,
  READ_BUFFER_BYTES_MAX,
  WRITE_BUFFER_BYTES_MAX,
} from "../../src/core/limits.ts";
import { pairWith } from "../support/pair.ts";

test("settings() has defaults for what is not given, undefined included (netpoll 169)", () => {
  const defaults: ConnectionSettings = {
    readTimeoutMs: 0,
    writeTimeoutMs: 0,
    idleTimeoutMs: 0,
    lifetimeMs: 0,
    closeTimeoutMs: 5000,
    readBufferBytesMax: READ_BUFFER_BYTES_MAX,
    writeBufferBytesMax: WRITE_BUFFER_BYTES_MAX,
    messageBytesMax: MESSAGE_BYTES_MAX,
    zeroCopy: "off",
    limits: null,
  };
  assertEquals(settings({}), defaults);
  assertEquals(settings({ readTimeoutMs: undefined }), defaults);
  assertEquals(settings({ readTimeoutMs: 5 }), { ...defaults, readTimeoutMs: 5 });
});

test("settings() refuses what is no duration and no size, and names it (netpoll 131 x)", () => {
  for (const value of [-1, NaN, Infinity]) {
    assertThrows(() => settings({ idleTimeoutMs: value }), RangeError, "idleTimeoutMs");
  }
  for (const value of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => settings({ messageBytesMax: value }), RangeError, "messageBytesMax");
  }
});

test("settings() refuses a mode of zero copy that there is none of", () => {
  assertEquals(settings({ zeroCopy: "always" }).zeroCopy, "always");
  assertThrows(() => settings({ zeroCopy: "on" as "auto" }), TypeError, "zeroCopy");
});

test("checkTimeout() passes on what is a duration, 0 for none included", () => {
  assertEquals([checkTimeout("x", 0), checkTimeout("x", 1.5)], [0, 1.5]);
});

test("Connection's timeouts refuse what is no duration, and keep what they had", async () => {
  const [a, b] = pairWith();
  a.readTimeoutMs = 100;
  for (const name of ["readTimeoutMs", "writeTimeoutMs", "idleTimeoutMs"] as const) {
    assertThrows(() => a[name] = -1, RangeError, name);
  }
  assertEquals([a.readTimeoutMs, a.writeTimeoutMs, a.idleTimeoutMs], [100, 0, 0]);
  await Promise.all([a.close(), b.close()]);
});
