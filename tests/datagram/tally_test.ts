import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { counts } from "../../src/core/counts.ts";
import { Tally } from "../../src/datagram/tally.ts";

test("a Tally counts for its socket, and for the thread", () => {
  const before = { ...counts.datagrams };
  const [a, b] = [new Tally(), new Tally()];
  a.received(3, 300, 1);
  a.sent(2, 200, 2);
  b.add("droppedFull");
  b.add("droppedFull", 4);
  assertEquals([a.own.receivedCount, a.own.receivedBytes, a.own.receivedMessages], [3, 300, 1]);
  assertEquals([a.own.sentCount, a.own.sentBytes, a.own.sentMessages], [2, 200, 2]);
  assertEquals([a.own.droppedFull, b.own.droppedFull], [0, 5]);
  const { datagrams } = counts;
  assertEquals(datagrams.receivedBytes - before.receivedBytes, 300);
  assertEquals(datagrams.droppedFull - before.droppedFull, 5);
});
