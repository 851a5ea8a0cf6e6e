import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type PackedAddress, packPeer, peerKey, type UdpAddress, unpackPeer } from "../../mod.ts";
import { checkPeer, describePeer } from "../../src/datagram/peer.ts";

const TEXTS = [
  "127.0.0.1:53",
  "255.255.255.255:65535",
  "[::1]:1",
  "[2001:db8::1]:53",
  "[fe80::1%4]:9",
];

test("packPeer() and unpackPeer() agree, for texts and for objects", () => {
  for (const text of TEXTS) {
    const peer = packPeer(text);
    assertEquals(describePeer(peer), text);
    assertEquals(packPeer(unpackPeer(peer)), peer);
  }
  assertEquals(describePeer(packPeer("localhost:7")), "127.0.0.1:7");
});

test("packPeer() knows IPv4 that is mapped into IPv6, and makes the same key of it", () => {
  const peer = packPeer("127.0.0.1:53");
  for (const text of ["[::ffff:127.0.0.1]:53", "[::ffff:7f00:1]:53"]) {
    assertEquals([packPeer(text), peerKey(packPeer(text))], [peer, peerKey(peer)]);
  }
});

test("packPeer() refuses names, port 0, and what is no address", () => {
  for (const text of ["example.org:53", ":53", "127.0.0.1:0", "127.0.0.1", "::1:53", "", "a b:1"]) {
    assertThrows(() => packPeer(text), TypeError);
  }
  for (const wrong of [null, undefined, 5, {}, { hostname: "::1" }, { hostname: "x", port: 1 }]) {
    assertThrows(() => packPeer(wrong as unknown as UdpAddress), TypeError);
  }
  assertThrows(() => packPeer({ transport: "udp", hostname: "::1", port: 0.5 }), TypeError);
});

test("peerKey() is the same for the same peer, and differs in port, scope and address", () => {
  const keys = [...TEXTS, "[fe80::1%5]:9", "[fe80::1%4]:10", "[fe80:1::1%4]:9", "127.0.0.1:54"]
    .map((text) => peerKey(packPeer(text)));
  assertEquals(new Set(keys).size, keys.length);
  for (const text of TEXTS) assertEquals(peerKey(packPeer(text)), peerKey(packPeer(text)));
  assertEquals(typeof peerKey(packPeer("127.0.0.1:53")), "number");
});

test("checkPeer() refuses what is no packed address, so that no forged one gets to the kernel", () => {
  const forged = [0, -1, 0.5, NaN, 2 ** 48, "127.0.0.1:53", null, [10, 53], new Uint32Array(8)];
  for (const wrong of forged) {
    assertThrows(() => checkPeer(wrong as PackedAddress), TypeError, "no packed address");
  }
  const long = new Uint32Array(9);
  long.set(packPeer("[::1]:1") as Uint32Array);
  assertThrows(() => checkPeer(long), TypeError);
  assertEquals(checkPeer(2 ** 48 - 1), 2 ** 48 - 1);
});

test("unpackPeer() reads the peer of a datagram whose port is forged to be 0", () => {
  assertEquals(unpackPeer(0x0100_007f), { transport: "udp", hostname: "127.0.0.1", port: 0 });
  for (const wrong of ["x", -1, 0.5, 2 ** 48, new Uint32Array(8), null, 10n, Symbol("x")]) {
    assertThrows(() => unpackPeer(wrong as PackedAddress), TypeError, "Cannot unpack");
    assertThrows(() => peerKey(wrong as PackedAddress), TypeError, "Cannot make a key of");
  }
});
