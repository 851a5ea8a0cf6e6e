import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import { AssertionError } from "../../src/core/assert.ts";
import { type Block, blockBytes, BlockPool, blocks } from "../../src/buffer/block.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { SystemError } from "../../src/core/errors.ts";
import { failWith, faultTest } from "../support/faults.ts";

const KIB = 1024;
const MIB = 1024 * 1024;

function takeAll(pool: BlockPool, bytes: readonly number[]): Block[] {
  return bytes.map((count) => pool.take(count));
}

/** Gives a block of a pool of its own back: Block.release() knows the thread's pool only. */
function give(pool: BlockPool, block: Block): void {
  block.references = 0;
  pool.give(block);
}

test("blockBytes() is the next power of two from 1 KiB on", () => {
  const cases = [[0, 1024], [1, 1024], [1024, 1024], [1025, 2048], [4096, 4096], [4097, 8192]];
  for (const [bytes, expected] of cases) assertEquals(blockBytes(bytes!), expected);
  assertEquals(blockBytes(MIB + 1), 2 * MIB);
  assertEquals(blockBytes(2 ** 30), 2 ** 30);
});

test("take() splits a slab and overlaps nothing", () => {
  const pool = new BlockPool();
  const sizes = [1, 1024, 1025, 5000, 70_000, 1, MIB, 3000, 600_000, 1024];
  const taken = takeAll(pool, sizes);
  const pieces = taken.map((block, i) => {
    assertEquals(block.capacity, blockBytes(sizes[i]!));
    assertEquals(block.offset % block.capacity, 0);
    assertEquals([block.references, block.published], [1, block.offset]);
    assertStrictEquals(block.slab.blockAt(block.offset + block.capacity - 1), block);
    return { slab: block.slab.id, from: block.offset, to: block.offset + block.capacity };
  });
  pieces.sort((a, b) => a.slab - b.slab || a.from - b.from);
  for (let i = 1; i < pieces.length; i++) {
    const [one, two] = [pieces[i - 1]!, pieces[i]!];
    assert(one.slab !== two.slab || one.to <= two.from);
  }
  const usedBytes = taken.reduce((sum, block) => sum + block.capacity, 0);
  assertEquals(pool.counts().usedBytes, usedBytes);
  assertEquals(pool.counts().usedCount, sizes.length);
  for (const block of taken) give(pool, block);
  assertEquals([pool.counts().usedBytes, pool.counts().usedCount], [0, 0]);
});

test("take() gives the block that was given back last", () => {
  const pool = new BlockPool();
  const [first, second] = takeAll(pool, [4096, 4096]) as [Block, Block];
  give(pool, first);
  give(pool, second);
  assertStrictEquals(pool.take(4000), second);
  assertStrictEquals(pool.take(4000), first);
});

test("take() above 1 MiB is memory of its own, at most 1 GiB", () => {
  const pool = new BlockPool();
  const block = pool.take(3 * MIB);
  assertEquals([block.offset, block.capacity, block.slab.byteLength], [0, 4 * MIB, 4 * MIB]);
  give(pool, block);
  assertStrictEquals(pool.take(4 * MIB), block); // kept
  assertThrows(() => pool.take(2 ** 30 + 1), RangeError, "at most 1073741824");
  assertEquals(pool.counts().usedCount, 1);
});

test("give() of a block above 8 MiB gives its pages back at once, and it is used again", () => {
  const pool = new BlockPool();
  const block = pool.take(9 * MIB);
  const { slab } = block;
  slab.bytes.fill(7, 0, 10);
  give(pool, block);
  assertEquals(pool.counts(), {
    usedBytes: 0,
    usedCount: 0,
    slabCount: 1,
    wrappedCount: 0,
    wrappedBytes: 0,
  });
  assertEquals(slab.isWrapped, false);
  const again = pool.take(16 * MIB);
  assertStrictEquals(again.slab, slab);
  assertEquals(slab.bytes[0], 0);
  assertEquals(pool.counts().slabCount, 1);
  give(pool, again);
});

test("trim() gives back the pages of idle slabs but one, which stays whole", () => {
  const pool = new BlockPool();
  const taken = takeAll(pool, [MIB, MIB, MIB, MIB, MIB, 4 * MIB]);
  assertEquals(pool.counts().wrappedCount, 4);
  for (const block of taken.slice(1)) give(pool, block);
  pool.trim();
  assertEquals(pool.counts().wrappedCount, 2); // one in use, one for the next burst
  give(pool, taken[0]!);
  pool.trim();
  assertEquals(pool.counts(), {
    usedBytes: 0,
    usedCount: 0,
    slabCount: 4,
    wrappedCount: 1,
    wrappedBytes: 2 * MIB,
  });
  const again = takeAll(pool, [MIB, MIB, MIB, MIB, MIB, 4 * MIB]);
  assertEquals([pool.counts().slabCount, pool.counts().wrappedCount], [4, 4]); // none mapped anew
  for (const block of again) {
    assert(block.slab.isWrapped);
    block.slab.bytes[block.offset] = 1;
  }
});

test("a slab that was retired is split anew", () => {
  const pool = new BlockPool();
  const keeper = pool.take(MIB); // its slab is not idle
  const rest = pool.take(MIB);
  const small = takeAll(pool, Array(64).fill(KIB));
  const { slab } = small[0]!;
  assertNotEquals(slab.id, keeper.slab.id);
  const other = takeAll(pool, [MIB, MIB, MIB]); // more than what is left: a third slab
  for (const block of [...small, ...other]) give(pool, block);
  pool.trim();
  pool.trim();
  const large = takeAll(pool, [MIB, MIB, MIB, MIB]);
  for (const block of large) assertEquals(block.slab.blockAt(block.offset + 5000), block);
  assertEquals(pool.counts().slabCount, 3);
  give(pool, rest);
});

test("lend() makes a view once, as long as the same is asked for", () => {
  const pool = new BlockPool();
  const block = pool.take(4096);
  const view = block.lend(block.offset, 64);
  assertStrictEquals(block.lend(block.offset, 64), view);
  assertEquals([view.byteOffset, view.length], [block.offset, 64]);
  assertEquals(block.lend(block.offset, 65).length, 65);
  assertEquals(block.lend(block.offset + 1, 64).byteOffset, block.offset + 1);
});

test("retain() and release() count, and a block is not released twice", () => {
  const pool = new BlockPool();
  const block = pool.take(1024);
  assertStrictEquals(block.retain(), block);
  assertEquals(block.references, 2);
  block.release();
  assertEquals(block.references, 1);
  give(pool, block);
  assertThrows(() => block.release(), AssertionError);
  assertThrows(() => block.retain(), AssertionError);
});

test("pin() keeps a block from the pool until as many unpin() have come", () => {
  const { pinnedBytes } = blocks;
  const block = blocks.take(4 * KIB);
  block.pin().pin();
  block.release();
  assertEquals([block.pins, block.references], [2, 2]);
  assertEquals(blocks.pinnedBytes - pinnedBytes, 4 * KIB); // once, however often
  block.unpin();
  assertEquals(blocks.pinnedBytes - pinnedBytes, 4 * KIB);
  block.unpin();
  assertEquals([block.pins, block.references, blocks.pinnedBytes], [0, 0, pinnedBytes]);
  assertThrows(() => block.unpin(), AssertionError);
  assertStrictEquals(blocks.take(4 * KIB), block);
  block.release();
});

test("a long run of all sizes maps no more than its first rounds did", () => {
  const pool = new BlockPool();
  const held: Block[] = [];
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let slabCount = 0;
  for (let i = 0; i < 60_000; i++) {
    if (held.length < 200) held.push(pool.take(1 << (5 + random(13))));
    else give(pool, held.splice(random(held.length), 1)[0]!);
    if (i % 1000 === 999) pool.trim();
    if (i === 20_000) slabCount = pool.counts().slabCount;
  }
  assert(
    pool.counts().slabCount <= slabCount + 2,
    `${pool.counts().slabCount} slabs, were ${slabCount}`,
  );
});

faultTest("takeIfAny() is null, and take() throws, when no memory is left", () => {
  const pool = new BlockPool();
  failWith("mmap", ERRNO.ENOMEM, { count: 2 });
  assertThrows(() => pool.take(1), SystemError, "out of memory");
  assertEquals(pool.takeIfAny(1), null);
  const block = pool.takeIfAny(1);
  assert(block !== null);
  give(pool, block);
});
