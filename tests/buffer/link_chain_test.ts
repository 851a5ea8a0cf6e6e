import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import { CLOSED, LinkChain, MOVED, SLICE } from "../../src/buffer/link_chain.ts";
import { borrowedNode } from "../../src/buffer/link_node.ts";
import { ChainReader } from "../../src/buffer/reader.ts";
import { socketTransport } from "../../src/transport/descriptor.ts";
import { send } from "../../src/transport/transport.ts";
import { AssertionError } from "../../src/core/assert.ts";
import { ClosedError } from "../../src/core/errors.ts";
import { assertBytes, balanced, sequence } from "./balanced.ts";

/** A chain with readable bytes in nodes of their own. */
function chainOf(...pieces: Uint8Array[]): LinkChain {
  const chain = new LinkChain();
  for (const piece of pieces) {
    const node = chain.room(piece.length, 8192);
    if (node.pending > 0) throw new Error("a node of its own");
    node.bytes.set(piece, node.malloced);
    chain.written(piece.length);
    node.end = node.malloced; // full: the next piece gets another node
  }
  chain.publish();
  return chain;
}

function nodeCount(chain: LinkChain): number {
  let count = 0;
  for (let node = chain.head; node !== null; node = node.next) count += 1;
  return count;
}

balanced(
  "room() gives memory to receive into; received() publishes what came (netpoll 8, 9)",
  () => {
    const chain = chainOf(sequence(100));
    const node = chain.room(1024, 8192);
    assertEquals([chain.length, chain.pending], [100, 0]);
    assert(node.free >= 1024);
    node.bytes.set(sequence(1024, 100), node.malloced);
    chain.received(1024);
    assertEquals([chain.length, chain.pending], [1124, 0]);
    assertBytes(new ChainReader(chain).next(1124), sequence(1124));
    chain.close(CLOSED);
  },
);

balanced("room() passes over less room than is worth a call (netpoll 33)", () => {
  const chain = new LinkChain();
  const first = chain.room(1024, 8192);
  chain.received(8191);
  const second = chain.room(1024, 8192); // netpoll: a read of one byte
  assertEquals(second === first, false);
  assertEquals(second.free, 8192);
  chain.received(7000);
  assertStrictEquals(chain.room(1024, 8192), second);
  chain.close(CLOSED);
});

balanced(
  "room() lets much that leaves together lie in few blocks, each twice the one before",
  () => {
    const chain = new LinkChain();
    const sizes: number[] = [];
    for (let i = 0; i < 150; i++) {
      const node = chain.room(1000);
      if (node.pending === 0) sizes.push(node.free);
      chain.written(1000);
    }
    const KIB = 1024;
    assertEquals(sizes.slice(0, 4), [4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB]);
    assertEquals(sizes.slice(4), sizes.slice(4).map(() => 32 * KIB));
    assertEquals(sizes.length, 7);
    // Receiving asks for what it wants, whatever is there already.
    chain.publish();
    assertEquals(chain.room(32 * KIB, 64 * KIB).free, 64 * KIB);
    chain.close(CLOSED);
  },
);

balanced("received(0) of a chain without bytes holds no memory", () => {
  const before = blocks.counts().usedBytes;
  const chain = new LinkChain();
  chain.room(1024, 8192);
  chain.received(0);
  assertEquals(blocks.counts().usedBytes, before);
  assertEquals([chain.heldBytes, chain.head], [0, null]);
  chain.room(1024, 8192);
  chain.received(-11);
  assertEquals(blocks.counts().usedBytes, before);
});

balanced("received(0) leaves what was lent alone", () => {
  const chain = chainOf(sequence(10));
  const lent = new ChainReader(chain).next(10);
  chain.room(1024, 8192);
  chain.received(0);
  blocks.take(1024).release();
  assertBytes(lent, sequence(10));
  chain.close(CLOSED);
});

balanced("room() gives one node for what was asked, however large (netpoll 51)", () => {
  const chain = new LinkChain();
  const node = chain.room(8192);
  assertEquals(node.free, 8192);
  assertStrictEquals(chain.room(8192), node);
  assert(chain.room(8193) !== node);
  chain.close(CLOSED);
});

/** Sends a chain through a socket pair, and receives all of it. */
function through(chain: LinkChain): Uint8Array {
  const pair = new Int32Array(2);
  assertEquals(native.socketpair(pair), 0);
  const [from, to] = [pair[0]!, pair[1]!];
  const input = new LinkChain();
  const wanted = chain.length;
  while (input.length < wanted) {
    if (chain.length > 0) assert(send(socketTransport, from, chain) > 0);
    const node = input.room(1024, 65536);
    const count = native.recv(to, node.block!.slab.id, node.malloced, node.free);
    input.received(count);
  }
  native.close(from);
  native.close(to);
  assertEquals(chain.heldBytes, 0); // what was sent is given back
  const bytes = new ChainReader(input).readBinary(wanted);
  input.close(CLOSED);
  return bytes;
}

balanced("a chain of one node and of many is sent whole (netpoll 10, 13, 14)", () => {
  assertBytes(through(chainOf(sequence(5))), sequence(5));
  assertBytes(
    through(chainOf(sequence(5), sequence(5000, 5), sequence(1, 5005))),
    sequence(5006),
  );
  const many = Array.from({ length: 200 }, (_, i) => sequence(50, 50 * i));
  assertBytes(through(chainOf(...many)), sequence(10_000));
});

balanced("borrowed nodes are sent among our own, and unread bytes only (netpoll 15)", () => {
  const chain = chainOf(sequence(5));
  for (let i = 0; i < 5; i++) chain.link(borrowedNode(sequence(5000, 5 + 5000 * i)));
  chain.copyIn(sequence(10, 25_005));
  chain.publish();
  assertEquals(chain.length, 25_015);
  new ChainReader(chain).skip(3);
  assertBytes(through(chain), sequence(25_012, 3));
});

balanced("consume() counts all that was read, and release() what since then", () => {
  const chain = chainOf(sequence(10), sequence(10, 10));
  chain.consume(15);
  assertEquals([chain.length, chain.consumed, chain.total], [5, 15, 15]);
  chain.release();
  assertEquals([chain.consumed, chain.total, nodeCount(chain)], [0, 15, 1]);
  assertThrows(() => chain.consume(6), AssertionError);
  chain.close(CLOSED);
});

balanced("heldBytes counts blocks whole, copies too, and falls to 0", () => {
  const chain = chainOf(sequence(10), sequence(10, 10));
  assertEquals(chain.heldBytes, 16384);
  chain.lend(20);
  assertEquals(chain.heldBytes, 16384 + 1024);
  chain.consume(20);
  chain.release();
  assertEquals(chain.heldBytes, 0);
});

balanced("insert() splits a node and counts its block on both sides of what is between", () => {
  const chain = new LinkChain();
  chain.copyIn(sequence(10));
  chain.insert(borrowedNode(sequence(3)), 4);
  assertEquals([nodeCount(chain), chain.pending, chain.heldBytes], [3, 13, 4096 + 3 + 4096]);
  chain.insert(borrowedNode(sequence(2)), 4); // at a boundary: nothing is split
  assertEquals([nodeCount(chain), chain.pending], [4, 15]);
  chain.copyIn(sequence(5)); // goes on in the second part
  assertEquals(nodeCount(chain), 4);
  chain.truncate(0);
  assertEquals([nodeCount(chain), chain.heldBytes], [0, 0]);
});

balanced("truncate() at every position leaves a chain that goes on", () => {
  for (let kept = 0; kept <= 30; kept++) {
    const chain = chainOf(sequence(4));
    chain.copyIn(sequence(10, 4));
    chain.link(borrowedNode(sequence(10, 14)));
    chain.copyIn(sequence(10, 24));
    chain.truncate(kept);
    chain.copyIn(sequence(2, 4 + kept));
    chain.publish();
    assertBytes(new ChainReader(chain).readBinary(chain.length), sequence(6 + kept));
    chain.close(CLOSED);
  }
});

balanced("take() gives back the copies and read nodes of the other chain", () => {
  const before = blocks.counts().usedBytes;
  const [chain, other] = [
    new LinkChain(),
    chainOf(sequence(10), sequence(10, 10), sequence(10, 20)),
  ];
  other.consume(10);
  other.lend(15); // a copy
  chain.take(other);
  assertEquals([other.heldBytes, other.length, other.head], [0, 0, null]);
  assertEquals(chain.heldBytes, blocks.counts().usedBytes - before);
  assertEquals(chain.heldBytes, 16384);
  chain.publish();
  assertBytes(new ChainReader(chain).next(20), sequence(20, 10));
  chain.close(CLOSED);
  other.close(CLOSED);
});

balanced("share() moves bytes to a chain on the same memory", () => {
  const [chain, into] = [chainOf(sequence(10), sequence(10, 10)), new LinkChain()];
  const before = blocks.counts().usedCount;
  chain.share(15, into);
  assertEquals([chain.length, into.length, nodeCount(into)], [5, 15, 2]);
  assertEquals(blocks.counts().usedCount, before);
  into.close(CLOSED);
  assertBytes(new ChainReader(chain).next(5), sequence(5, 15));
  chain.close(CLOSED);
});

balanced("a ban says why, with an error of its own class", () => {
  for (
    const [ban, error] of [[CLOSED, ClosedError], [MOVED, TypeError], [SLICE, TypeError]] as const
  ) {
    const chain = new LinkChain();
    chain.checkReadable();
    chain.checkWritable();
    chain.close(ban);
    assertThrows(() => chain.checkReadable(), error, ban.message);
    assertThrows(() => chain.checkWritable(), error, ban.message);
  }
});

balanced("verify() finds counts that are not those of the nodes", () => {
  const chain = chainOf(sequence(10));
  chain.verify();
  chain.length += 1;
  assertThrows(() => chain.verify(), AssertionError);
  chain.length -= 1;
  chain.heldBytes += 1;
  assertThrows(() => chain.verify(), AssertionError);
  chain.heldBytes -= 1;
  chain.close(CLOSED);
});
