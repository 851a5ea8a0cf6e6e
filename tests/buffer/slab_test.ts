import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { markAsUntransferable } from "node:worker_threads";
import { native } from "../../ffi/load.ts";
import { AssertionError } from "../../src/core/assert.ts";
import { SLAB_BYTES } from "../../src/core/limits.ts";
import { SystemError } from "../../src/core/errors.ts";
import { Block, blocks } from "../../src/buffer/block.ts";
import { Slab, slabOf } from "../../src/buffer/slab.ts";

test("Slab.map() maps zeroed memory that is seen as bytes and as numbers", () => {
  const slab = Slab.map(SLAB_BYTES);
  assertEquals([slab.byteLength, slab.bytes.length], [SLAB_BYTES, SLAB_BYTES]);
  assert(slab.isWrapped);
  assert(slab.bytes.every((byte) => byte === 0));
  slab.view.setUint32(8, 0x01020304);
  assertEquals([...slab.bytes.subarray(8, 12)], [1, 2, 3, 4]);
  assertEquals(native.find(slab.id, 0, 100, new Uint8Array([3]), 1), 10); // C sees the same
});

test("Slab.map() of what is no multiple of 2 MiB is a SystemError", () => {
  assertThrows(() => Slab.map(SLAB_BYTES + 1), SystemError, "map memory");
});

test("slabOf() knows the slab of its buffer, and no other", () => {
  const slab = Slab.map(SLAB_BYTES);
  assertStrictEquals(slabOf(slab.bytes.buffer), slab);
  assertEquals(slabOf(new ArrayBuffer(8)), undefined);
});

test("Slab.retire() lets go of the bytes and gives the pages back; wrap() sees zeros", () => {
  const slab = Slab.map(SLAB_BYTES);
  const stale = slab.bytes;
  slab.bytes.fill(7);
  slab.retire();
  assertEquals([slab.isWrapped, slab.bytes.length, slab.view.byteLength], [false, 0, 0]);
  assertEquals([stale[0], stale[SLAB_BYTES - 1]], [0, 0]); // a stale view never faults
  slab.wrap();
  assertEquals([slab.bytes[0], slab.bytes[SLAB_BYTES - 1]], [0, 0]);
  slab.bytes[5] = 9;
  assertEquals(stale[5], 9); // the same memory
  assertStrictEquals(slabOf(stale.buffer), slab);
});

test("Slab.retire() of a slab in use is a bug of ours", () => {
  const slab = Slab.map(SLAB_BYTES);
  slab.usedBytes = 1024;
  assertThrows(() => slab.retire(), AssertionError);
});

test("Slab.blockAt() is the block that a byte lies in", () => {
  const slab = Slab.map(SLAB_BYTES);
  const kib = 1024;
  const large = new Block(slab, 0, 8 * kib);
  const small = new Block(slab, 9 * kib, kib);
  const end = new Block(slab, SLAB_BYTES - kib, kib);
  for (const at of [0, 1, 1023, 1024, 5 * kib, 8 * kib - 1]) assertEquals(slab.blockAt(at), large);
  assertEquals(slab.blockAt(8 * kib), undefined);
  assertEquals(slab.blockAt(9 * kib), small);
  assertEquals(slab.blockAt(10 * kib - 1), small);
  assertEquals(slab.blockAt(10 * kib), undefined);
  assertEquals(slab.blockAt(SLAB_BYTES - 1), end);
  slab.forgetBlocks();
  assertEquals(slab.blockAt(5 * kib), undefined);
});

/** True when this runtime heeds markAsUntransferable(); Deno does since 2.9.5, Bun not for transfer(). */
function heedsMark(): boolean {
  const buffer = new ArrayBuffer(8);
  markAsUntransferable(buffer);
  try {
    structuredClone(buffer, { transfer: [buffer] });
    return false;
  } catch {
    return true;
  }
}

test("a slab refuses to be transferred", (t) => {
  if (!heedsMark()) return t.skip("this runtime ignores markAsUntransferable");
  const block = blocks.take(1024);
  const { buffer } = block.slab.bytes;
  assertThrows(() => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }));
  assertEquals(block.slab.isWrapped, true);
  block.release();
});

test("a slab that was detached all the same is wrapped again when a block is taken", () => {
  const block = blocks.take(1024);
  const { slab, offset } = block;
  slab.bytes[offset] = 42;
  try {
    (slab.bytes.buffer as ArrayBuffer).transfer(); // refused where the runtime heeds the mark
  } catch (error) {
    assert(error instanceof TypeError);
  }
  const other = blocks.take(1024); // of the same slab, where a block was just free
  for (const taken of [block, other]) {
    if (taken.slab !== slab) continue;
    assertEquals(taken.lend(taken.offset, 10).length, 10);
  }
  block.release();
  const again = blocks.take(1024);
  assertStrictEquals(again.slab, slab);
  assertEquals(again.slab.bytes[offset], 42); // the memory never moved
  assertEquals(again.lend(offset, 1)[0], 42);
  again.release();
  other.release();
});
