import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { blocks } from "../../src/buffer/block.ts";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { ZeroCopyCalls } from "../../src/transport/zero_copy_calls.ts";
import { AssertionError } from "../../src/core/assert.ts";
import { ZERO_COPY_CALLS_MAX } from "../../src/core/limits.ts";
import { leaks } from "../support/leaks.ts";
import { seededRandom } from "../support/random.ts";

const BYTES = 1024;

/** So many sends of a block each, which nobody else holds any more. */
function sendAll(calls: ZeroCopyCalls, count: number): void {
  for (let i = 0; i < count; i++) {
    const chain = new LinkChain();
    const node = chain.room(BYTES, BYTES);
    chain.written(BYTES);
    chain.publish();
    try {
      calls.add(i * BYTES, BYTES, node);
    } finally {
      chain.close(CLOSED);
    }
  }
}

const pinnedBlocks = () => blocks.pinnedBytes / BYTES;

test("ZeroCopyCalls.complete() frees exactly what was reported, across the wrap (zero copy 10)", () =>
  leaks(() => {
    const calls = new ZeroCopyCalls(0xffff_fff0);
    sendAll(calls, 20);
    assertEquals([calls.count, calls.bytes, pinnedBlocks()], [20, 20 * BYTES, 20]);
    assertEquals(calls.complete(0xffff_fff0, 0xffff_fffd), 14);
    assertEquals([calls.count, pinnedBlocks(), calls.releasedTo], [6, 6, 14 * BYTES]);
    assertEquals(calls.complete(0xffff_fffe, 3), 6); // hi < lo
    assertEquals([calls.count, calls.bytes, pinnedBlocks()], [0, 0, 0]);
    assertEquals(calls.releasedTo, Infinity);
  }));

test("ZeroCopyCalls.complete() takes ranges out of order: memory goes, the stream waits (zero copy 11)", () =>
  leaks(() => {
    const calls = new ZeroCopyCalls();
    sendAll(calls, 8);
    assertEquals(calls.complete(2, 7), 6);
    assertEquals([calls.count, calls.bytes, calls.releasedTo], [8, 2 * BYTES, 0]);
    assertEquals(pinnedBlocks(), 2);
    assertEquals(calls.complete(0, 1), 2);
    assertEquals([calls.count, calls.releasedTo], [0, Infinity]);
  }));

test("ZeroCopyCalls.complete() counts neither what it does not know nor what it knows already (zero copy 11)", () =>
  leaks(() => {
    const calls = new ZeroCopyCalls(5);
    sendAll(calls, 3);
    assertEquals(calls.complete(0, 4), 0); // before the first
    assertEquals(calls.complete(8, 100), 0); // after the last
    assertEquals(calls.complete(6, 6), 1);
    assertEquals(calls.complete(6, 6), 0); // twice
    assertEquals(calls.complete(0, 0xffff_ffff), 2);
  }));

test("ZeroCopyCalls.complete() agrees with a set, in any order (zero copy 11)", () =>
  leaks(() => {
    const random = seededRandom(11);
    for (let round = 0; round < 50; round++) {
      const first = (0xffff_ffff - random.below(200)) >>> 0;
      const calls = new ZeroCopyCalls(first);
      const count = 1 + random.below(200);
      sendAll(calls, count);
      const left = Array.from({ length: count }, (_, i) => (first + i) >>> 0);
      while (left.length > 0) {
        const [id] = left.splice(random.below(left.length), 1);
        assertEquals(calls.complete(id!, id!), 1);
        assertEquals(pinnedBlocks(), left.length);
        const head = left.length === 0 ? Infinity : ((left[0]! - first) >>> 0) * BYTES;
        assertEquals(calls.releasedTo, head);
      }
    }
  }));

test("ZeroCopyCalls.add() pins the blocks that were sent from, and no other", () =>
  leaks(() => {
    const calls = new ZeroCopyCalls();
    const chain = new LinkChain();
    const sent = chain.room(4096, 4096);
    chain.written(4096);
    const partly = chain.room(4096, 4096);
    chain.written(4096);
    const unsent = chain.room(4096, 4096);
    chain.written(4096);
    chain.publish();
    calls.add(0, 4097, sent);
    assertEquals([sent.block!.pins, partly.block!.pins, unsent.block!.pins], [1, 1, 0]);
    calls.add(4097, 4095, partly);
    const { block } = partly;
    assertEquals(block!.pins, 2);
    chain.close(CLOSED);
    assertEquals(block!.references, 2); // the pins hold it
    calls.complete(0, 0);
    assertEquals(blocks.pinnedBytes, 4096);
    calls.complete(1, 1);
    assertEquals([blocks.pinnedBytes, block!.references], [0, 0]);
  }));

test("ZeroCopyCalls.add() is for sends that moved bytes, and as many as there are places", () =>
  leaks(() => {
    const calls = new ZeroCopyCalls();
    sendAll(calls, ZERO_COPY_CALLS_MAX);
    assertThrows(() => sendAll(calls, 1), AssertionError);
    calls.complete(0, ZERO_COPY_CALLS_MAX - 1);
  }));
