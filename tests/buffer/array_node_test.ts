import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../mod.ts";
import { countToWrite, insertedNode, nodeOf } from "../../src/buffer/array_node.ts";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import { freeNode } from "../../src/buffer/link_node.ts";
import { spoofed } from "../support/spoofed.ts";
import { balanced, sequence } from "./balanced.ts";

balanced("countToWrite() counts what there is, and refuses what was taken away", () => {
  assertEquals(countToWrite(spoofed(5, 500)), 5);
  const gone = sequence(5);
  gone.buffer.transfer();
  assertThrows(() => countToWrite(gone), TypeError, "taken away");
});

balanced("nodeOf() borrows a long array of the user's, and copies where it must or may", () => {
  const chain = new LinkChain();
  const bytes = sequence(5000);
  const node = nodeOf(chain, bytes, 5000)!;
  assertStrictEquals(node.array!.buffer, bytes.buffer);
  assertEquals(nodeOf(chain, sequence(4096), 4096), null);
  assertEquals(nodeOf(chain, new Uint8Array(new SharedArrayBuffer(5000)), 5000), null);
  chain.borrows = false;
  assertEquals(nodeOf(chain, bytes, 5000), null);
  freeNode(node);
});

balanced("nodeOf() links what a reader has lent", () => {
  const buffer = new LinkBuffer();
  buffer.malloc(8192).fill(1);
  buffer.flush();
  const lent = buffer.next(8192);
  const node = nodeOf(new LinkChain(), lent, 8192)!;
  assertEquals([node.array, node.pending], [null, 8192]);
  freeNode(node);
  buffer.close();
});

balanced(
  "insertedNode() borrows the shortest array, or copies where nothing may be borrowed",
  () => {
    const chain = new LinkChain();
    const bytes = sequence(3);
    assertStrictEquals(insertedNode(chain, bytes, 3).array!.buffer, bytes.buffer);
    chain.borrows = false;
    const copied = insertedNode(chain, bytes, 3);
    assertEquals([copied.array, copied.pending], [null, 3]);
    freeNode(copied);
  },
);
