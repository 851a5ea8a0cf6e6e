import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import {
  borrowedNode,
  emptyNode,
  freeNode,
  heldBeside,
  linkedNode,
  windowNode,
} from "../../src/buffer/link_node.ts";
import { AssertionError } from "../../src/core/assert.ts";
import { assertBytes, balanced, sequence } from "./balanced.ts";

balanced("emptyNode() is all free, and holds its block", () => {
  const block = blocks.take(4096);
  const node = emptyNode(block);
  assertEquals([node.readable, node.pending, node.free, node.heldBytes], [0, 0, 4096, 4096]);
  assertEquals([node.fills, node.next, node.array], [true, null, null]);
  node.check();
  freeNode(node);
  assertEquals(block.references, 0);
});

balanced("publish() makes pending bytes readable, and the block remembers how far", () => {
  const block = blocks.take(1024);
  const node = emptyNode(block);
  node.malloced += 100;
  assertEquals([node.readable, node.pending, node.free], [0, 100, 924]);
  node.publish();
  assertEquals([node.readable, node.pending, node.free], [100, 0, 924]);
  assertEquals(block.published, block.offset + 100);
  freeNode(node);
});

balanced("linkedNode() stands on a part of a block that others hold too", () => {
  const block = blocks.take(1024);
  block.slab.bytes.set(sequence(1024), block.offset);
  const node = linkedNode(block, block.offset + 10, block.offset + 30);
  assertEquals([block.references, node.pending, node.free, node.fills], [2, 20, 0, false]);
  node.publish();
  assertBytes(node.lend(node.read, 20), sequence(20, 10));
  block.release();
  assertEquals(block.references, 1);
  freeNode(node);
});

balanced("borrowedNode() stands on the user's array, and windows of it do", () => {
  const array = sequence(100).subarray(20, 60);
  const node = borrowedNode(array);
  assertEquals([node.block, node.pending, node.free, node.heldBytes], [null, 40, 0, 40]);
  node.publish();
  assertBytes(node.lend(5, 10), sequence(10, 25));
  const window = windowNode(node, 10, 15);
  window.publish();
  assertStrictEquals(window.array, node.array);
  assertStrictEquals(window.array!.buffer, array.buffer);
  assertBytes(window.lend(window.read, 5), sequence(5, 30));
  assertEquals(window.free, 0);
  freeNode(node);
  freeNode(window);
  assertEquals([node.array, window.array], [null, null]);
});

balanced("heldBytes of a borrowed node stays what it was when the array is detached", () => {
  const array = sequence(100);
  const node = borrowedNode(array);
  structuredClone(array, { transfer: [array.buffer] });
  assertEquals(node.heldBytes, 100);
  freeNode(node);
});

balanced("heldBeside() counts memory that neighbours share once", () => {
  const [one, other] = [emptyNode(blocks.take(1024)), emptyNode(blocks.take(2048))];
  const same = windowNode(one, one.start, one.start);
  assertEquals(heldBeside(null, one), 1024);
  assertEquals(heldBeside(other, one), 1024);
  assertEquals(heldBeside(one, same), 0);
  const borrowed = borrowedNode(sequence(10));
  assertEquals(heldBeside(borrowed, windowNode(borrowed, 2, 4)), 0);
  assertEquals(heldBeside(borrowed, borrowedNode(sequence(10))), 10);
  for (const node of [one, other, same]) freeNode(node);
});

balanced("freeNode() keeps the node for the next one, with nothing of before", () => {
  const node = linkedNode(blocks.take(1024).retain(), 0, 10);
  const { block } = node;
  freeNode(node);
  block!.release();
  block!.release();
  const next = borrowedNode(sequence(5));
  assertStrictEquals(next, node);
  assertEquals([next.block, next.next, next.start, next.end, next.fills], [
    null,
    null,
    0,
    5,
    false,
  ]);
  freeNode(next);
});

balanced("check() throws when the cursors are out of order: a bug of ours", () => {
  const node = emptyNode(blocks.take(1024));
  node.flushed = node.malloced + 1;
  assertThrows(() => node.check(), AssertionError, "flushed <= malloced");
  node.flushed = node.read - 1;
  assertThrows(() => node.check(), AssertionError, "read <= flushed");
  freeNode(node);
});
