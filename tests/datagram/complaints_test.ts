import { assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { neutral } from "../../ffi/context.ts";
import { config } from "../../src/core/config.ts";
import { DATAGRAM_ERRORS_MAX } from "../../src/core/limits.ts";
import { Complaints, logLine } from "../../src/datagram/complaints.ts";
import { clock } from "../../src/poll/clock.ts";
import { withLog } from "../support/datagrams.ts";
import { tick } from "../support/until.ts";

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

test("tell() says in the log that the callback has failed, by a throw or by a rejection", async () => {
  const failing = [
    () => {
      throw new Error("thrown");
    },
    () => Promise.reject(new Error("rejected")),
  ];
  const { now } = clock;
  try {
    for (const [i, onError] of failing.entries()) {
      clock.now = () => now() + (i + 1) * 31_000_000; // one line at a time is logged
      const lines = await withLog(async () => {
        const complaints = new Complaints(onError as () => void, neutral);
        complaints.add(1, null);
        complaints.tell();
        await tick();
      });
      assertMatch(
        lines.join(),
        /^netpoll: onError of a datagram socket failed: .*(thrown|rejected)/,
      );
    }
  } finally {
    clock.now = now;
  }
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
