import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { ClosedError } from "../../src/core/errors.ts";
import { assertBytes, balanced, bufferOf, bytesOfText, inPieces, sequence } from "./balanced.ts";

balanced("LinkBuffer() is empty and holds no memory (netpoll 1)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = new LinkBuffer();
  assertEquals([buffer.length, buffer.mallocLength, buffer.isWritable], [0, 0, true]);
  assertEquals(blocks.counts().usedBytes, before);
  buffer.close();
});

balanced("next() on an empty buffer is a RangeError (netpoll 2)", () => {
  const buffer = new LinkBuffer();
  assertThrows(() => buffer.next(10), RangeError, "0 are readable; wait(10) first");
  buffer.close();
});

balanced("malloc() is not readable before flush(), which makes it so (netpoll 3, 4)", () => {
  const buffer = new LinkBuffer();
  assertEquals(buffer.malloc(128).length, 128);
  assertEquals([buffer.length, buffer.mallocLength], [0, 128]);
  assertThrows(() => buffer.peek(10), RangeError);
  buffer.flush();
  assertEquals([buffer.length, buffer.mallocLength], [128, 0]);
  buffer.close();
});

balanced("next(), peek() and skip() move only what they read (netpoll 5, 6, 11)", () => {
  const buffer = bufferOf(sequence(1124));
  assertBytes(buffer.next(28), sequence(28));
  assertEquals(buffer.length, 1096);
  assertBytes(buffer.peek(90), sequence(90, 28));
  assertEquals(buffer.length, 1096);
  buffer.skip(1024);
  assertEquals(buffer.length, 72);
  assertBytes(buffer.next(72), sequence(72, 1052));
  buffer.close();
});

balanced("release() gives back what was read, and nothing before it does (netpoll 7, 81)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = inPieces([sequence(4096), sequence(4096)], "own");
  assertEquals(blocks.counts().usedBytes - before, 8192);
  buffer.skip(5000);
  assertEquals(blocks.counts().usedBytes - before, 8192);
  buffer.release();
  assertEquals(blocks.counts().usedBytes - before, 4096);
  buffer.skip(3192);
  buffer.release();
  assertEquals(blocks.counts().usedBytes, before);
  buffer.close();
});

balanced("writeBinary() takes 1 byte to 10 MB (netpoll 12)", () => {
  const buffer = new LinkBuffer();
  let sum = 0;
  for (let count = 1; count <= 10_000_000; count *= 10) {
    assertEquals(buffer.writeBinary(sequence(count)), count);
    sum += count;
  }
  buffer.flush();
  assertEquals(buffer.length, sum);
  for (let count = 1; count <= 10_000_000; count *= 10) {
    assertBytes(buffer.readBinary(count), sequence(count));
  }
  buffer.close();
});

for (const count of [0, -1, -2, -3, -4]) {
  balanced(`every operation on ${count} bytes is an empty one (netpoll 16-26)`, () => {
    const buffer = new LinkBuffer();
    assertEquals(buffer.malloc(count).length, 0);
    assertEquals(buffer.writeString(""), 0);
    assertEquals(buffer.writeBinary(new Uint8Array(0)), 0);
    buffer.writeDirect(new Uint8Array(0), count);
    buffer.append(new LinkBuffer());
    if (count === 0) buffer.mallocAck(count);
    else assertThrows(() => buffer.mallocAck(count), RangeError);
    buffer.flush();
    assertEquals(buffer.next(count).length, 0);
    assertEquals(buffer.peek(count).length, 0);
    buffer.skip(count);
    assertEquals(buffer.readString(count), "");
    assertEquals(buffer.peekString(count), "");
    assertEquals(buffer.readBinary(count).length, 0);
    const slice = buffer.slice(count);
    assertEquals(slice.length, 0);
    slice.close();
    buffer.release();
    assertEquals([buffer.length, buffer.mallocLength], [0, 0]);
    buffer.close();
  });
}

balanced("what is no whole number is a TypeError and changes nothing", () => {
  const buffer = bufferOf("hello");
  for (const count of [NaN, 1.5, -0.5, Infinity, -Infinity, "2" as unknown as number]) {
    assertThrows(() => buffer.next(count), TypeError);
    assertThrows(() => buffer.peek(count), TypeError);
    assertThrows(() => buffer.skip(count), TypeError);
    assertThrows(() => buffer.readString(count), TypeError);
    assertThrows(() => buffer.peekString(count), TypeError);
    assertThrows(() => buffer.readBinary(count), TypeError);
    assertThrows(() => buffer.slice(count), TypeError);
    assertThrows(() => buffer.malloc(count), TypeError);
    assertThrows(() => buffer.mallocAck(count), TypeError);
    assertThrows(() => buffer.writeDirect(sequence(1), count), TypeError);
    assertThrows(() => buffer.indexOf(1, count), TypeError);
    assertThrows(() => new LinkBuffer(count), TypeError);
  }
  assertEquals([buffer.length, buffer.mallocLength], [5, 0]);
  assertEquals(buffer.readString(5), "hello");
  buffer.close();
});

balanced("reading too much consumes nothing, whatever reads", () => {
  const buffer = bufferOf("abc");
  const reads = [
    () => buffer.next(4),
    () => buffer.peek(4),
    () => buffer.skip(4),
    () => buffer.readString(4),
    () => buffer.peekString(4),
    () => buffer.readBinary(4),
    () => buffer.slice(4),
    () => buffer.readUint32BE(),
    () => buffer.readBigInt64LE(),
    () => buffer.readFloat64BE(),
    () => buffer.until(0x0a),
    () => buffer.until(bytesOfText("cd")),
    () => buffer.next(2 ** 53),
  ];
  for (const read of reads) {
    assertThrows(read, RangeError);
    assertEquals(buffer.length, 3);
  }
  assertEquals(buffer.readString(3), "abc");
  buffer.close();
});

balanced("flush() of more than a block is all of it (netpoll 36)", () => {
  const buffer = bufferOf(sequence(8192 + 7));
  assertEquals(buffer.length, 8199);
  buffer.close();
});

balanced("flush() twice is harmless, and goes on where it was (netpoll 52)", () => {
  const buffer = bufferOf(sequence(4));
  buffer.flush();
  assertEquals(buffer.length, 4);
  buffer.skip(2);
  buffer.flush();
  buffer.malloc(2).set([8, 9]);
  buffer.flush();
  assertEquals([...buffer.next(4)], [2, 3, 8, 9]);
  buffer.close();
});

balanced("LinkBuffer(bytes) begins with a block of that size (netpoll 51, 68, 69)", () => {
  const before = blocks.counts().usedBytes;
  for (const [bytes, held] of [[0, 0], [-1, 0], [1, 4096], [4097, 8192], [5000, 8192]] as const) {
    const buffer = new LinkBuffer(bytes);
    assertEquals(blocks.counts().usedBytes - before, held, `${bytes}`);
    buffer.close();
  }
  const large = new LinkBuffer(8 * 1024 * 1024 + 5);
  large.malloc(8 * 1024 * 1024 + 5);
  large.flush();
  assertEquals(large.next(8 * 1024 * 1024 + 5).length, 8 * 1024 * 1024 + 5);
  large.close();
  assertThrows(() => new LinkBuffer(2 ** 30 + 1), RangeError, "at most 1073741824");
});

balanced("slice() shares bytes, and each gives back its own part (netpoll 37, 38, 40)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = bufferOf(sequence(8199));
  const held = blocks.counts().usedBytes;
  buffer.next(5);
  const slice = buffer.slice(4);
  assertEquals([slice.length, buffer.length], [4, 8190]);
  assertEquals(blocks.counts().usedBytes, held);
  buffer.skip(8190);
  buffer.release();
  assertEquals(blocks.counts().usedBytes, held); // the slice stands on the block
  assertBytes(slice.next(4), sequence(4, 5));
  assertThrows(() => slice.next(1), RangeError); // (netpoll 41)
  slice.release();
  assertEquals(blocks.counts().usedBytes, before);
  slice.close();
  buffer.close();
});

for (const memory of ["own", "borrowed"] as const) {
  balanced(
    `slice() of a slice outlives both parents' close(), ${memory} memory (netpoll 42)`,
    () => {
      const buffer = inPieces([sequence(1500), sequence(2500, 1500)], memory);
      const half = buffer.slice(4000);
      const first = half.slice(2000);
      assertEquals([first.length, half.length, buffer.length], [2000, 2000, 0]);
      const second = half.slice(2000);
      buffer.close();
      half.close();
      bufferOf(new Uint8Array(100_000)).close(); // would overwrite what is not held
      assertBytes(first.readBinary(2000), sequence(2000));
      assertBytes(second.readBinary(2000), sequence(2000, 2000));
      first.close();
      second.close();
    },
  );
}

balanced("a slice cannot be written: a TypeError (netpoll 43)", () => {
  const buffer = bufferOf("hello");
  const slice = buffer.slice(2);
  const writes = [
    () => slice.malloc(1),
    () => slice.mallocAck(0),
    () => slice.writeBinary(sequence(1)),
    () => slice.writeString("a"),
    () => slice.writeByte(1),
    () => slice.writeUint32BE(1),
    () => slice.writeVarint(1),
    () => slice.writeDirect(sequence(1)),
    () => slice.append(buffer),
    () => slice.flush(),
  ];
  for (const write of writes) assertThrows(write, TypeError, "slice");
  assertEquals(slice.readString(2), "he");
  slice.close();
  buffer.close();
});

balanced("slice() takes no more memory than it shares, however many there are", () => {
  const buffer = bufferOf(sequence(4000));
  const held = blocks.counts().usedBytes;
  const slices = Array.from({ length: 100 }, () => buffer.slice(40));
  assertEquals(blocks.counts().usedBytes, held);
  buffer.close();
  for (const [i, slice] of slices.entries()) {
    assertBytes(slice.next(40), sequence(40, 40 * i));
    slice.close();
  }
});

balanced("append() moves bytes in order, as unflushed ones (netpoll 45, 46, 47)", () => {
  const buffer = new LinkBuffer();
  buffer.writeString("ab");
  buffer.append(bufferOf("cd"));
  buffer.writeString("ef");
  assertEquals([buffer.length, buffer.mallocLength], [0, 6]);
  buffer.flush();
  assertEquals(buffer.readString(6), "abcdef");

  const flushed = bufferOf(sequence(100));
  flushed.writeBinary(sequence(100, 100));
  buffer.append(flushed);
  assertEquals([buffer.length, buffer.mallocLength], [0, 200]); // (46) netpoll: 100 and 100
  buffer.flush();
  assertBytes(buffer.next(200), sequence(200));
  buffer.close();
});

balanced("append() of a part that was read moves the rest", () => {
  const other = inPieces([sequence(10), sequence(10, 10), sequence(10, 20)], "own");
  const lent = other.next(15);
  assertEquals(lent.length, 15);
  const buffer = new LinkBuffer();
  buffer.append(other);
  assertEquals(buffer.mallocLength, 15);
  buffer.flush();
  assertBytes(buffer.readBinary(15), sequence(15, 15));
  buffer.close();
});

balanced("append() of an empty buffer leaves it usable (netpoll 48)", () => {
  const buffer = new LinkBuffer();
  const other = new LinkBuffer(100);
  buffer.append(other);
  other.writeString("still");
  other.flush();
  assertEquals(other.readString(5), "still");
  other.close();
  buffer.close();
});

balanced("a buffer that was appended is over: a TypeError (netpoll 49)", () => {
  const buffer = new LinkBuffer();
  const other = bufferOf("hello");
  buffer.append(other);
  assertEquals([other.length, other.mallocLength], [0, 0]);
  assertThrows(() => other.next(1), TypeError, "appended");
  assertThrows(() => other.writeByte(1), TypeError, "appended");
  assertThrows(() => other.flush(), TypeError, "appended");
  assertThrows(() => buffer.append(other), TypeError, "appended");
  other.release();
  other.close();
  assertThrows(() => other.next(1), ClosedError);
  buffer.flush();
  assertEquals(buffer.readString(5), "hello");
  buffer.close();
});

balanced("append() of what is no LinkBuffer, or of itself, is a TypeError (netpoll 50)", () => {
  const buffer = bufferOf("hello");
  for (const other of [null, undefined, 1, "a", {}, sequence(3), buffer]) {
    assertThrows(() => buffer.append(other as LinkBuffer), TypeError, "not another LinkBuffer");
  }
  const closed = new LinkBuffer();
  closed.close();
  assertThrows(() => buffer.append(closed), ClosedError);
  assertEquals(buffer.readString(5), "hello");
  buffer.close();
});

balanced("append() of a slice keeps the bytes of the parent apart", () => {
  const parent = bufferOf("hello world");
  const buffer = new LinkBuffer();
  buffer.append(parent.slice(5));
  buffer.writeString("!");
  buffer.flush();
  assertEquals(parent.readString(6), " world");
  assertEquals(buffer.readString(6), "hello!");
  parent.close();
  buffer.close();
});

balanced("peek() that grows keeps few copies (netpoll 78)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = inPieces(Array.from({ length: 100 }, (_, i) => sequence(8192, i)), "own");
  const held = blocks.counts().usedBytes - before;
  for (let i = 0; i < 10; i++) buffer.peek(8192);
  assertEquals(blocks.counts().usedBytes - before, held);
  const first = buffer.peek(8193);
  const more = blocks.counts().usedBytes;
  for (let i = 0; i < 1024; i++) assertStrictEquals(buffer.peek(8193), first);
  assertEquals(blocks.counts().usedBytes, more);
  for (let count = 8194; count < 16384; count += 11) buffer.peek(count);
  assertEquals(blocks.counts().usedBytes, more); // within the same copy
  for (let count = 16384; count < 100_000; count += 501) buffer.peek(count);
  assert(blocks.counts().usedBytes - before <= held + 16384 + 32768 + 65536 + 131072);
  buffer.skip(1);
  buffer.release();
  assertEquals(blocks.counts().usedBytes - before, held);
  buffer.close();
});

balanced("peek() and skip() in turns across nodes copy no byte twice", () => {
  const pieces = Array.from({ length: 8 }, (_, i) => sequence(100, 100 * i));
  const buffer = inPieces(pieces, "own");
  buffer.peek(800);
  const held = blocks.counts().usedBytes;
  for (let at = 0; at + 150 <= 800; at += 10) {
    assertBytes(buffer.peek(150), sequence(150, at));
    buffer.skip(10);
  }
  assertEquals(blocks.counts().usedBytes, held);
  buffer.close();
});

balanced("next() across nodes adds a copy that release() gives back (netpoll 80)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = inPieces([sequence(8192), sequence(4096)], "own");
  buffer.next(8200);
  assertEquals(blocks.counts().usedBytes - before, 8192 + 4096 + 16384);
  buffer.release();
  assertEquals(blocks.counts().usedBytes - before, 4096);
  buffer.close();
});

balanced("close() twice is fine; what comes after is a ClosedError (netpoll 82)", () => {
  const buffer = bufferOf("hello");
  buffer.writeString("unflushed");
  buffer.next(2);
  buffer.close();
  buffer.close();
  buffer.release();
  assertEquals([buffer.length, buffer.mallocLength], [0, 0]);
  const uses = [
    () => buffer.next(1),
    () => buffer.next(0),
    () => buffer.peek(1),
    () => buffer.skip(1),
    () => buffer.until(1),
    () => buffer.indexOf(1),
    () => buffer.readString(1),
    () => buffer.readBinary(1),
    () => buffer.readInto(sequence(1)),
    () => buffer.readByte(),
    () => buffer.readUint16BE(),
    () => buffer.readVarint(),
    () => buffer.slice(1),
    () => buffer.malloc(1),
    () => buffer.mallocAck(0),
    () => buffer.writeString("a"),
    () => buffer.writeBinary(sequence(1)),
    () => buffer.writeByte(1),
    () => buffer.writeUint16BE(1),
    () => buffer.writeVarint(1),
    () => buffer.writeDirect(sequence(1)),
    () => buffer.append(new LinkBuffer()),
    () => buffer.flush(),
  ];
  for (const use of uses) assertThrows(use, ClosedError, "after close()");
});

balanced("close() gives everything back: own, borrowed, copied, peeked, unflushed", () => {
  const before = blocks.counts().usedBytes;
  const buffer = inPieces([sequence(100), sequence(9000)], "own");
  buffer.writeDirect(sequence(3));
  buffer.writeBinary(sequence(10_000));
  buffer.malloc(70_000);
  buffer.next(150);
  buffer.peek(8000);
  assert(blocks.counts().usedBytes > before);
  buffer.close();
  assertEquals(blocks.counts().usedBytes, before);
});

balanced("using closes at the end of the block", () => {
  let kept: LinkBuffer;
  {
    using buffer = bufferOf("hello");
    kept = buffer;
  }
  assertThrows(() => kept.next(1), ClosedError);
});

balanced("70-byte frames written are the same read in 7-byte pieces (netpoll 84)", () => {
  const buffer = new LinkBuffer();
  let [written, read] = [0, 0];
  while (read < 70_000) {
    for (let i = 0; i < 3 && written < 70_000; i++, written += 70) {
      buffer.writeBinary(sequence(70, written));
      buffer.flush();
    }
    for (let i = 0; i < 25 && buffer.length >= 7; i++, read += 7) {
      assertBytes(buffer.next(7), sequence(7, read));
    }
    buffer.release();
  }
  buffer.close();
});

balanced("an echo through buffers does not grow the pool", () => {
  const [input, output] = [new LinkBuffer(), new LinkBuffer()];
  const message = sequence(6000);
  let slabCount = 0;
  for (let i = 0; i < 20_000; i++) {
    input.writeBinary(message, { copy: true });
    input.flush();
    output.writeBinary(input.next(6000)); // linked
    output.flush();
    input.release();
    assertEquals(output.next(6000)[5999], message[5999]);
    output.release();
    if (i === 10) slabCount = blocks.counts().slabCount;
  }
  assertEquals(blocks.counts().slabCount, slabCount);
  input.close();
  output.close();
});
