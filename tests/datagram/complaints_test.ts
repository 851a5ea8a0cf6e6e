import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { neutral } from "../../ffi/context.ts";
import { config } from "../../src/core/config.ts";
import { DATAGRAM_ERRORS_MAX } from "../../src/core/limits.ts";
import { Complaints, logLine } from "../../src/datagram/complaints.ts";

test("tell() tells each error once, in order, and no more than a bound of them", () => {
  const told: unknown[] = [];
  const complaints = new Complaints((error) => void told.push(error), neutral);
  for (let i = 0; i < DATAGRAM_ERRORS_MAX + 5; i++) complaints.add(i, null);
  assertEquals(complaints.isWaiting, true);
  complaints.tell();
  assertEquals(told, Array.from({ length: DATAGRAM_ERRORS_MAX }, (_, i) => i));
  complaints.tell();
  assertEquals([told.length, complaints.isWaiting], [DATAGRAM_ERRORS_MAX, false]);
});

test("tell() goes on when the callback itself fails, and what it adds is told the next time", () => {
  const told: unknown[] = [];
  const { log } = config;
  config.log = () => {
    throw new Error("no log");
  };
  try {
    const complaints = new Complaints((error) => {
      told.push(error);
      complaints.add("more", null);
      if (error === 1) throw new Error("not you, too");
    }, neutral);
    complaints.add(1, null);
    complaints.add(2, null);
    complaints.tell();
    assertEquals([told, complaints.isWaiting], [[1, 2], true]);
    logLine("nobody hears it");
  } finally {
    config.log = log;
  }
});
