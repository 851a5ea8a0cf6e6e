import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { packPeer } from "../../mod.ts";
import { udpOf } from "../../src/datagram/peer.ts";
import {
  copyRoute,
  Flag,
  isSameRoute,
  localAt,
  peerAt,
  putPeer,
  RECORD_WORDS,
  recordTable,
  Word,
} from "../../src/datagram/record.ts";

const PEERS = [
  "127.0.0.1:1",
  "255.255.255.255:65535",
  "0.0.0.1:53",
  "[::1]:9",
  "[fe80::1%3]:65535",
];

test("putPeer() and peerAt() agree, for every kind of address", () => {
  const table = recordTable(2);
  table.fill(0xffff_ffff);
  for (const text of PEERS) {
    const peer = packPeer(text);
    putPeer(table, RECORD_WORDS, peer);
    assertEquals(peerAt(table, RECORD_WORDS), peer, text);
  }
});

test("peerAt() is a number for IPv4: no object is made for a datagram", () => {
  const table = recordTable(1);
  putPeer(table, 0, packPeer("192.0.2.255:53"));
  assertEquals(typeof peerAt(table, 0), "number");
});

test("copyRoute() takes along where it goes and from where, and isSameRoute() sees each difference", () => {
  for (const text of ["192.0.2.1:53", "[fe80::1%3]:53"]) {
    const table = recordTable(2);
    const [a, b] = [0, RECORD_WORDS];
    putPeer(table, a, packPeer(text));
    for (let i = 0; i < 4; i++) table[a + Word.LOCAL + i] = 100 + i;
    table[a + Word.FLAGS] = Flag.LOCAL;
    table[b + Word.FLAGS] = Flag.LOCAL;
    copyRoute(table, a, table, b);
    assertEquals(peerAt(table, b), packPeer(text));
    assert(isSameRoute(table, a, b));
    const words = [Word.END, Word.ADDRESS, Word.LOCAL, Word.FLAGS];
    if (text.startsWith("[")) {
      words.push(Word.SCOPE as never, Word.ADDRESS + 3 as never, Word.LOCAL + 3 as never);
    }
    for (const word of words) {
      const before = table[b + word]!;
      table[b + word] = before ^ Flag.SERVICE ^ 1;
      assert(!isSameRoute(table, a, b), `${text}, word ${word}`);
      table[b + word] = before;
    }
    table[a + Word.FLAGS] = 0;
    table[b + Word.FLAGS] = 0;
    table[b + Word.LOCAL] = 0;
    assert(isSameRoute(table, a, b), "an address of ours that is not used makes no difference");
  }
});

test("localAt() has the port of the socket, and the interface of an address of one link", () => {
  const table = recordTable(1);
  putPeer(table, 0, packPeer("192.0.2.1:53"));
  table[Word.LOCAL] = 0x0100_007f;
  assertEquals(udpOf(localAt(table, 0, 7)).hostname, "127.0.0.1");
  assertEquals(udpOf(localAt(table, 0, 7)).port, 7);
  putPeer(table, 0, packPeer("[fe80::2%5]:53"));
  table.set([0x80fe, 0, 0, 0x0100_0000], Word.LOCAL);
  table[Word.INTERFACE] = 5;
  assertEquals(udpOf(localAt(table, 0, 7)).hostname, "fe80::1%5");
});
