import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { test } from "node:test";
import { packAddress, parsePath, rawFromNumeric } from "../../src/net/address.ts";
import { PeerCounts, peerKey } from "../../src/server/peer_counts.ts";

function keyOf(hostname: string, port: number) {
  return peerKey(packAddress(rawFromNumeric(hostname, port)));
}

test("peerKey() is the same for all ports of a host, and for no other host", () => {
  for (
    const [one, other] of [["10.0.0.1", "10.0.0.2"], ["255.255.255.255", "0.0.0.0"], ["::1", "::2"]]
  ) {
    assertEquals(keyOf(one!, 0), keyOf(one!, 65535));
    assertNotEquals(keyOf(one!, 1), keyOf(other!, 1));
  }
});

test("peerKey() is the same for an IPv4 host, whether it comes by IPv4 or mapped into IPv6", () => {
  assertEquals(keyOf("::ffff:10.0.0.1", 1), keyOf("10.0.0.1", 1));
  assertNotEquals(keyOf("::10.0.0.1", 1), keyOf("10.0.0.1", 1));
});

test("peerKey() is none for Unix sockets, which are not bounded", () => {
  const key = peerKey(packAddress(parsePath("/socket")));
  assertEquals(key, null);
  const counts = new PeerCounts(1);
  for (let i = 0; i < 3; i++) assert(counts.add(key));
  counts.remove(key);
});

test("PeerCounts counts up to its bound, for each host by itself", () => {
  const counts = new PeerCounts(2);
  const [one, other] = [keyOf("10.0.0.1", 1), keyOf("::1", 1)];
  assertEquals([counts.add(one), counts.add(one), counts.add(one)], [true, true, false]);
  assert(counts.add(other));
  counts.remove(one);
  assertEquals([counts.add(one), counts.add(one)], [true, false]);
  for (let i = 0; i < 3; i++) counts.remove(one); // one more than there are
  assertEquals([counts.add(one), counts.add(one), counts.add(one)], [true, true, false]);
});

test("PeerCounts without a bound counts nothing", () => {
  const counts = new PeerCounts(Infinity);
  for (let i = 0; i < 1000; i++) assert(counts.add(1));
});
