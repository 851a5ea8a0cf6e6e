import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { DATAGRAM_OPTIONS, datagramSettings } from "../../src/datagram/options.ts";

test("datagramSettings() has a default for everything, and takes what is given", () => {
  assertEquals(datagramSettings({ queueCountMax: 5, onQueueFull: "drop-old" }), {
    readTimeoutMs: 0,
    writeTimeoutMs: 0,
    idleTimeoutMs: 0,
    receiveCountMax: 32,
    queueCountMax: 5,
    queueBytesMax: 1 << 20,
    queueLifetimeMs: 0,
    onQueueFull: "drop-old",
    segmentation: "auto",
    typeOfService: 0,
  });
});

test("datagramSettings() refuses numbers that mean nothing", () => {
  for (const name of ["receiveCountMax", "queueCountMax", "queueBytesMax"] as const) {
    for (const value of [0, -1, 0.5, NaN, Infinity]) {
      assertThrows(() => datagramSettings({ [name]: value }), RangeError, name);
    }
  }
  for (
    const name of ["readTimeoutMs", "writeTimeoutMs", "idleTimeoutMs", "queueLifetimeMs"] as const
  ) {
    for (const value of [-1, NaN, Infinity]) {
      assertThrows(() => datagramSettings({ [name]: value }), RangeError, name);
    }
  }
});

test("DATAGRAM_OPTIONS knows each setting", () => {
  for (const name of Object.keys(datagramSettings({}))) {
    assertEquals(name in DATAGRAM_OPTIONS, true, name);
  }
});
