import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { test } from "node:test";
import { packPeer } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { putPeer, RECORD_WORDS, Word } from "../../src/datagram/record.ts";
import { SendQueue } from "../../src/datagram/send_queue.ts";
import { leaks } from "../support/leaks.ts";
import { seededRandom } from "../support/random.ts";

const A = packPeer("127.0.0.1:1");
const B = packPeer("[::1]:2");

function add(queue: SendQueue, length: number, peer = A, note = 0): void {
  const at = queue.add(length);
  queue.table[at + Word.NOTE] = note;
  putPeer(queue.table, at, peer);
}

/** The trains and single datagrams of a queue: [bytes, bytes of each]. */
function shape(queue: SendQueue): [number, number][] {
  queue.settle();
  return Array.from({ length: queue.recordCount }, (_, i) => {
    const at = RECORD_WORDS * (queue.head + i);
    return [queue.table[at + Word.LENGTH]!, queue.table[at + Word.SEGMENT]!];
  });
}

test("settle() makes a train of neighbours of one peer and one size; the last may be shorter", () => {
  const queue = new SendQueue(Infinity);
  for (const length of [100, 100, 100, 50, 50, 100, 0, 0, 7]) add(queue, length);
  assertEquals(shape(queue), [[350, 100], [50, 0], [100, 0], [0, 0], [0, 0], [7, 0]]);
  assertEquals([queue.count, queue.bytes], [9, 507]);
  add(queue, 7, B);
  add(queue, 7, B);
  add(queue, 7, A);
  assertEquals(shape(queue).slice(5), [[7, 0], [14, 7], [7, 0]]);
  assertEquals(queue.clear(), 12);
});

test("settle() makes no train of more than 64 datagrams or 65507 bytes, and none at all where told", () => {
  const queue = new SendQueue(Infinity);
  for (let i = 0; i < 70; i++) add(queue, 10);
  assertEquals(shape(queue), [[640, 10], [60, 10]]);
  queue.clear();
  for (let i = 0; i < 60; i++) add(queue, 1200);
  assertEquals(shape(queue), [[54 * 1200, 1200], [6 * 1200, 1200]]);
  queue.clear();
  for (let i = 0; i < 64; i++) add(queue, 1024);
  assertEquals(shape(queue), [[63 * 1024, 1024], [1024, 0]]);
  queue.clear();
  queue.trainSegmentMax = 100;
  for (const length of [101, 101, 100, 100]) add(queue, length);
  assertEquals(shape(queue), [[101, 0], [101, 0], [200, 100]]);
  queue.clear();
});

test("settle() makes no train of what was written at two times, whose lifetimes end apart", () => {
  const queue = new SendQueue(Infinity);
  for (const time of [7, 7, 8]) add(queue, 10, A, time);
  assertEquals(shape(queue), [[20, 10], [10, 0]]);
  queue.clear();
});

test("shorten() gives back what was lent, and the next datagram begins there", () => {
  const queue = new SendQueue(Infinity);
  add(queue, 100);
  add(queue, 1000);
  assertEquals(queue.openBytes, 1000);
  queue.shorten(100);
  queue.settle();
  assertEquals(queue.openBytes, -1);
  add(queue, 100);
  assertEquals(shape(queue), [[300, 100]]);
  queue.clear();
});

test("addTrain() is one record, which later datagrams join", () => {
  const queue = new SendQueue(Infinity);
  putPeer(queue.table, queue.addTrain(300, 100), A);
  assertEquals([queue.count, queue.bytes, shape(queue)], [3, 300, [[300, 100]]]);
  const at = queue.addTrain(250, 100);
  putPeer(queue.table, at, A);
  assertEquals([queue.count, shape(queue)], [6, [[300, 100], [250, 100]]]);
  add(queue, 100);
  assertEquals([queue.count, shape(queue).length], [7, 3]);
  assertEquals(queue.clear(), 7);
  queue.addTrain(50, 100);
  assertEquals([queue.count, shape(queue)], [1, [[50, 0]]]);
  queue.clear();
});

test("removeOfTrain() takes datagrams from the head of a train, the last one with the record", () => {
  const queue = new SendQueue(Infinity);
  for (const length of [10, 10, 10, 5]) add(queue, length);
  queue.settle();
  queue.removeOfTrain(2);
  assertEquals([shape(queue), queue.count, queue.bytes], [[[15, 10]], 2, 15]);
  queue.removeOfTrain(1);
  assertEquals([shape(queue), queue.count], [[[5, 0]], 1]);
  queue.removeOldest();
  assertEquals([queue.recordCount, queue.count, queue.bytes], [0, 0, 0]);
});

test("an empty queue holds neither blocks nor a table", async () => {
  await leaks(() => {
    const queue = new SendQueue(Infinity);
    for (let i = 0; i < 300; i++) add(queue, 1000, i % 2 === 0 ? A : B);
    assert(queue.table.length >= 300 * RECORD_WORDS);
    assertEquals(queue.removeRecords(300), 300);
    assertEquals(queue.table.length, 0);
  });
});

test("a queue that is never empty gives back the blocks of what has left", () => {
  const queue = new SendQueue(Infinity);
  add(queue, 1000);
  const before = blocks.counts().usedCount;
  for (let i = 0; i < 1000; i++) {
    add(queue, 1000);
    queue.settle();
    queue.removeOldest();
  }
  assertLessOrEqual(blocks.counts().usedCount - before, 1);
  queue.clear();
});

/** The length of each datagram of a queue, those of trains one by one. */
function lengths(queue: SendQueue): number[] {
  return shape(queue).flatMap(([length, segment]) =>
    segment === 0 ? [length] : cut(length, segment)
  );
}

/** The lengths of datagrams that so many bytes are cut to. */
function cut(total: number, segment: number): number[] {
  const count = Math.ceil(total / segment);
  return Array.from({ length: count }, (_, i) => Math.min(segment, total - i * segment));
}

test("a queue of random writes and removals has what a list of them has", async () => {
  const random = seededRandom(1);
  const SIZES = [0, 1, 100, 300, 1200, 40_000];
  await leaks(() => {
    const queue = new SendQueue(Infinity);
    const model: number[] = [];
    for (let step = 0; step < 20_000; step++) {
      const peer = random.chance(0.75) ? A : B;
      const length = random.pick(SIZES);
      const what = model.length < 500 ? random.below(6) : 3;
      if (what === 0) {
        const segment = random.pick([1, 100, 1000]);
        const total = Math.min(length + 1, 64 * segment);
        putPeer(queue.table, queue.addTrain(total, segment), peer);
        model.push(...cut(total, segment));
      } else if (what < 3) {
        add(queue, length, peer);
        const isShorter = what === 2 && length > 0;
        if (isShorter) queue.shorten(length - 1);
        model.push(isShorter ? length - 1 : length);
      } else if (model.length > 0) {
        queue.removeOldest();
        model.shift();
      }
      assertEquals(queue.count, model.length);
      if (step % 10 === 0) assertEquals(lengths(queue), model);
    }
    assertEquals(queue.bytes, model.reduce((sum, each) => sum + each, 0));
    queue.clear();
  });
});
