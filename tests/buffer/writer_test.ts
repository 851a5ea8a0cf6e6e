import { Buffer } from "node:buffer";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import {
  assertBytes,
  balanced,
  bufferOf,
  bytesOfText,
  inPieces,
  sequence,
  textOf,
} from "./balanced.ts";

/** Everything that was written, as text; the buffer is closed. */
function written(buffer: LinkBuffer): string {
  buffer.flush();
  const text = buffer.readString(buffer.length, "latin1");
  buffer.close();
  return text;
}

// ---- malloc -------------------------------------------------------------------------------------

balanced("mallocAck() keeps the first bytes of all that was written (netpoll 9, 34, 62)", () => {
  const buffer = new LinkBuffer();
  buffer.malloc(1024).set(sequence(1024));
  buffer.malloc(8192).set(sequence(8192, 1024)); // in another node
  buffer.mallocAck(1028);
  assertEquals(buffer.mallocLength, 1028);
  buffer.flush();
  assertBytes(buffer.next(1028), sequence(1028));
  buffer.malloc(4);
  buffer.mallocAck(0);
  buffer.flush();
  assertEquals(buffer.length, 0);
  buffer.close();
});

balanced("mallocAck() cuts whatever wrote: text, numbers, borrowed, inserted, appended", () => {
  for (let kept = 0; kept <= 22; kept++) {
    const buffer = bufferOf("before");
    buffer.writeString("abcd");
    buffer.writeDirect(bytesOfText("EFGH"), 2);
    buffer.append(bufferOf("ijkl"));
    buffer.writeUint16BE(0x6d6e);
    buffer.writeDirect(bytesOfText("opqr"));
    buffer.append(inPieces([bytesOfText("st"), bytesOfText("uv")], "own"));
    buffer.mallocAck(kept);
    buffer.writeString("!");
    assertEquals(written(buffer), "before" + "abEFGHcdijklmnopqrstuv".slice(0, kept) + "!");
  }
});

balanced("mallocAck() of more than was written is a RangeError (netpoll 63)", () => {
  const buffer = new LinkBuffer();
  buffer.malloc(4).set(bytesOfText("abcd"));
  assertThrows(() => buffer.mallocAck(5), RangeError, "4 were written");
  assertThrows(() => buffer.mallocAck(-1), RangeError);
  assertEquals(written(buffer), "abcd");
});

balanced("mallocAck(0) of a buffer without bytes gives its memory back", () => {
  const before = blocks.counts().usedBytes;
  const buffer = new LinkBuffer();
  buffer.malloc(100_000);
  buffer.mallocAck(0);
  assertEquals(blocks.counts().usedBytes, before);
  buffer.close();
});

balanced("mallocAck() never lets published bytes that others hold be filled anew", () => {
  const other = bufferOf(sequence(6000));
  const third = new LinkBuffer();
  third.writeBinary(other.peek(5000)); // linked
  third.flush();
  const buffer = new LinkBuffer();
  buffer.append(other);
  buffer.mallocAck(10);
  buffer.writeBinary(new Uint8Array(4000).fill(0xee));
  buffer.flush();
  assertBytes(third.next(5000), sequence(5000));
  assertBytes(buffer.next(10), sequence(10));
  assertEquals(buffer.readByte(), 0xee);
  third.close();
  buffer.close();
});

balanced("malloc() lends a window that shows no neighbour (netpoll 53, 67)", () => {
  const buffer = new LinkBuffer();
  const first = buffer.malloc(4);
  const second = buffer.malloc(4);
  assertEquals([first.length, second.length], [4, 4]);
  second.fill(0x62);
  first.fill(0x61);
  assertEquals(written(buffer), "aaaabbbb");
  const array = sequence(16);
  const other = new LinkBuffer();
  other.writeBinary(array.subarray(0, 9));
  other.writeString("x");
  other.close();
  assertBytes(array, sequence(16));
});

balanced("malloc() above 1 GiB is a RangeError, and 1 GiB is not", () => {
  const buffer = bufferOf("a");
  for (const count of [2 ** 30 + 1, 2 ** 31, 2 ** 32, 2 ** 53]) {
    assertThrows(() => buffer.malloc(count), RangeError, "at most 1073741824");
  }
  const view = buffer.malloc(2 ** 30); // its pages are not there before they are touched
  assertEquals(view.length, 2 ** 30);
  view[2 ** 30 - 1] = 7;
  buffer.mallocAck(0);
  assertEquals(written(buffer), "a");
});

balanced("short writes pack into one node (netpoll 79)", () => {
  const before = blocks.counts().usedBytes;
  const buffer = new LinkBuffer();
  for (let i = 0; i < 100; i++) buffer.writeBinary(sequence(100, i));
  assert(blocks.counts().usedBytes - before <= 3 * 4096);
  buffer.close();
});

// ---- binary -------------------------------------------------------------------------------------

balanced("writeBinary() copies up to 4096 bytes and borrows more (netpoll 65, 66)", () => {
  for (
    const [count, isCopied] of [[1, true], [4096, true], [4097, false], [
      2 ** 20 + 1,
      false,
    ]] as const
  ) {
    const bytes = sequence(count);
    const buffer = new LinkBuffer();
    assertEquals(buffer.writeBinary(bytes), count);
    buffer.flush();
    bytes[count - 1] = 0xee;
    buffer.skip(count - 1);
    assertEquals(buffer.readByte() !== 0xee, isCopied, `${count}`);
    buffer.close();
  }
});

balanced("writeBinary() with copy: true copies, whatever the length", () => {
  for (const count of [4097, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 5]) {
    const bytes = sequence(count);
    const buffer = new LinkBuffer();
    buffer.writeBinary(bytes, { copy: true });
    buffer.flush();
    bytes.fill(0xee);
    assertBytes(buffer.readBinary(count), sequence(count));
    buffer.close();
  }
});

balanced("writeBinary() and writeDirect() copy resizable and shared memory", () => {
  const buffers = [
    new ArrayBuffer(5000, { maxByteLength: 10_000 }),
    new SharedArrayBuffer(5000),
  ];
  for (const memory of buffers) {
    const bytes = new Uint8Array(memory);
    bytes.set(sequence(5000));
    const buffer = new LinkBuffer();
    buffer.writeBinary(bytes);
    buffer.writeDirect(bytes);
    buffer.flush();
    bytes.fill(0xee);
    if (memory instanceof ArrayBuffer) memory.resize(0);
    assertBytes(buffer.readBinary(5000), sequence(5000));
    assertBytes(buffer.readBinary(5000), sequence(5000));
    buffer.close();
  }
});

balanced("writeBinary() of a part of an array writes that part", () => {
  const array = sequence(10_000);
  const buffer = new LinkBuffer();
  buffer.writeBinary(array.subarray(10, 20));
  buffer.writeBinary(array.subarray(100, 9000));
  buffer.writeBinary(Buffer.from(array.buffer, 9000, 1000));
  buffer.flush();
  assertBytes(buffer.next(10), array.subarray(10, 20));
  assertBytes(buffer.next(8900), array.subarray(100, 9000));
  assertBytes(buffer.next(1000), array.subarray(9000));
  buffer.close();
});

balanced("what is no Uint8Array, or no string, is a TypeError and writes nothing", () => {
  const buffer = new LinkBuffer();
  for (
    const value of ["text", 5, null, undefined, [1, 2], new ArrayBuffer(8), new Float64Array(4)]
  ) {
    assertThrows(() => buffer.writeBinary(value as unknown as Uint8Array), TypeError);
    assertThrows(() => buffer.writeDirect(value as unknown as Uint8Array), TypeError);
    if (typeof value !== "string") {
      assertThrows(() => buffer.writeString(value as unknown as string), TypeError);
    }
  }
  assertThrows(() => buffer.writeUint32BE(1n as unknown as number), TypeError);
  assertThrows(() => buffer.writeBigInt64BE(1 as unknown as bigint), TypeError);
  assertEquals(buffer.mallocLength, 0);
  buffer.close();
});

balanced("writeBinary() of bytes that were transferred is a TypeError", () => {
  const bytes = sequence(100);
  structuredClone(bytes, { transfer: [bytes.buffer] });
  const buffer = new LinkBuffer();
  assertThrows(() => buffer.writeBinary(bytes), TypeError, "taken away");
  buffer.close();
});

// ---- linking ------------------------------------------------------------------------------------

/** True when writing a lent view of `count` bytes of a block of `capacity` takes no memory. */
function isLinked(count: number, capacity: number): boolean {
  const input = new LinkBuffer();
  input.malloc(capacity).set(sequence(capacity));
  input.flush();
  const output = new LinkBuffer();
  const before = blocks.counts().usedBytes;
  assertEquals(output.writeBinary(input.next(count)), count);
  const isLinked = blocks.counts().usedBytes === before;
  output.flush();
  input.release();
  input.close();
  bufferOf(new Uint8Array(capacity)).close(); // would overwrite memory that is not held
  assertBytes(output.next(count), sequence(count));
  output.close();
  return isLinked;
}

balanced("writeBinary() links lent views of 4 KiB or half of their block", () => {
  assertEquals(isLinked(4096, 1024 * 1024), true);
  assertEquals(isLinked(4095, 1024 * 1024), false);
  assertEquals(isLinked(2048, 4096), true);
  assertEquals(isLinked(2047, 4096), false);
  assertEquals(isLinked(4000, 8192), false);
  assertEquals(isLinked(70_000, 131072), true);
});

balanced("writeBinary() links a copy that next() made across nodes", () => {
  const input = inPieces([sequence(3000), sequence(3000, 3000)], "own");
  const output = new LinkBuffer();
  const view = input.next(6000);
  const before = blocks.counts().usedBytes;
  output.writeBinary(view);
  assertEquals(blocks.counts().usedBytes, before);
  output.flush();
  input.close();
  bufferOf(new Uint8Array(8192)).close();
  assertBytes(output.next(6000), sequence(6000));
  output.close();
});

balanced("writeBinary() never links what malloc() lent: it may still change", () => {
  const input = new LinkBuffer();
  const view = input.malloc(5000);
  view.set(sequence(5000));
  const output = new LinkBuffer();
  output.writeBinary(view);
  output.writeDirect(view);
  output.flush();
  view.fill(0xee);
  assertBytes(output.next(5000), sequence(5000));
  assertBytes(output.next(5000), sequence(5000));
  input.close();
  output.close();
});

balanced("writeBinary() never links memory that was released: it copies what is there", () => {
  const input = bufferOf(sequence(5000));
  const view = input.next(5000);
  input.close();
  const held = blocks.counts().usedBytes;
  const output = new LinkBuffer();
  output.writeBinary(view);
  assertEquals(output.mallocLength, 5000);
  assertEquals(blocks.counts().usedBytes, held + 8192); // a block of its own
  output.close();
});

balanced("writeDirect() of a lent view holds its memory, however short", () => {
  const input = bufferOf("hello");
  const output = new LinkBuffer();
  output.writeString("[]");
  output.writeDirect(input.next(5), 1);
  input.close();
  bufferOf(new Uint8Array(4096)).close();
  assertEquals(written(output), "[hello]");
});

balanced(
  "a view linked again and again is held once a neighbour (isWritable counts memory)",
  () => {
    const before = blocks.counts().usedBytes;
    const input = bufferOf(sequence(64 * 1024));
    const output = new LinkBuffer();
    for (let i = 0; i < 16; i++) output.writeBinary(input.next(4096));
    input.close();
    assertEquals(blocks.counts().usedBytes - before, 64 * 1024);
    output.flush();
    assertBytes(output.readBinary(64 * 1024), sequence(64 * 1024));
    output.close();
  },
);

// ---- inserting ----------------------------------------------------------------------------------

balanced("writeDirect() inserts before the last bytes written (netpoll 55-58)", () => {
  const insert = bytesOfText("XY");
  for (let remain = 0; remain <= 4; remain++) {
    const buffer = new LinkBuffer();
    buffer.writeString("abcd");
    buffer.writeDirect(insert, remain);
    assertEquals(buffer.mallocLength, 6);
    assertEquals(written(buffer), "abcd".slice(0, 4 - remain) + "XY" + "abcd".slice(4 - remain));
  }
  const empty = new LinkBuffer();
  empty.writeDirect(insert);
  assertEquals(written(empty), "XY");
});

balanced("writeDirect() never reaches into what was flushed", () => {
  const buffer = bufferOf("flushed");
  buffer.writeDirect(bytesOfText("a"));
  buffer.writeDirect(bytesOfText("b"), 1);
  buffer.writeString("cd");
  buffer.writeDirect(bytesOfText("-"), 2);
  buffer.writeDirect(bytesOfText("+"), 5);
  assertEquals(written(buffer), "flushed" + "+ba-cd");
});

balanced("writeDirect() of more than was written is a RangeError (netpoll 59)", () => {
  const buffer = bufferOf("flushed");
  buffer.writeString("abcd");
  assertThrows(() => buffer.writeDirect(sequence(1), 5), RangeError, "4 were written");
  assertThrows(() => buffer.writeDirect(sequence(1), -1), RangeError);
  assertEquals(written(buffer), "flushedabcd");
});

balanced("writeDirect() borrows, however short (netpoll 60)", () => {
  const buffer = new LinkBuffer();
  const bytes = bytesOfText("XY");
  buffer.writeDirect(bytes);
  bytes[0] = 0x5a;
  assertEquals(written(buffer), "ZY");
});

balanced("writeDirect() mixes with everything else between two flushes", () => {
  const buffer = new LinkBuffer();
  buffer.writeString("head");
  const length = buffer.malloc(2);
  buffer.writeBinary(bytesOfText("body"));
  buffer.writeDirect(bytesOfText("<"), 4);
  buffer.append(bufferOf("tail"));
  buffer.writeDirect(bytesOfText(">"), 4);
  length.set(bytesOfText("04"));
  buffer.writeByte(0x2e);
  assertEquals(written(buffer), "head04<body>tail.");
});

balanced("writeBinary() in two buffers of two bytes is two bytes in order (netpoll 44)", () => {
  const buffer = new LinkBuffer();
  buffer.append(bufferOf(new Uint8Array([2])));
  buffer.append(bufferOf(new Uint8Array([3])));
  buffer.flush();
  assertEquals([...buffer.next(2)], [2, 3]);
  buffer.close();
});

// ---- numbers and text ---------------------------------------------------------------------------

balanced("numbers that do not fit into what is free go to the next node", () => {
  for (let before = 4085; before <= 4096; before++) {
    const buffer = new LinkBuffer();
    buffer.writeBinary(sequence(before));
    buffer.writeBigUint64BE(0x0102030405060708n);
    buffer.writeUint16LE(0x0201);
    buffer.flush();
    buffer.skip(before);
    assertEquals([...buffer.next(10)], [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]);
    buffer.close();
  }
});

balanced("numbers out of range wrap, as in a DataView", () => {
  const buffer = new LinkBuffer();
  buffer.writeByte(256 + 65);
  buffer.writeUint16BE(-1);
  buffer.writeInt8(200);
  buffer.flush();
  assertEquals([...buffer.next(4)], [65, 255, 255, 200]);
  buffer.close();
});

balanced("writeVarint() refuses what is no whole number up to 2^53 - 1", () => {
  const buffer = new LinkBuffer();
  for (const value of [-1, 1.5, NaN, 2 ** 53, Infinity]) {
    assertThrows(() => buffer.writeVarint(value), RangeError);
  }
  assertEquals(buffer.mallocLength, 0);
  buffer.close();
});

const TEXTS = [
  "",
  "a",
  "exactly twenty-four char",
  "one more than twenty-four",
  "å",
  "€",
  "🙂",
  "ASCII and then ü",
  "🙂".repeat(12),
  "x".repeat(5000),
  "é€🙂".repeat(2000),
];

balanced("writeString() writes UTF-8 and says how many bytes", () => {
  for (const text of TEXTS) {
    const bytes = new Uint8Array(Buffer.from(text));
    const buffer = new LinkBuffer();
    buffer.writeString("<");
    assertEquals(buffer.writeString(text), bytes.length);
    buffer.writeString(">");
    buffer.flush();
    assertEquals(buffer.length, bytes.length + 2);
    buffer.skip(1);
    assertBytes(buffer.readBinary(bytes.length), bytes);
    buffer.close();
  }
});

balanced("writeString() replaces half a pair of surrogates, short or long", () => {
  const encoder = new TextEncoder();
  for (const half of ["\ud83d", "\ude42", "\ude42\ud83d"]) {
    for (const around of ["", "a", "a".repeat(40)]) {
      const text = around + half + around;
      const buffer = new LinkBuffer();
      const expected = encoder.encode(text);
      assertEquals(buffer.writeString(text), expected.length);
      buffer.flush();
      assertBytes(buffer.readBinary(expected.length), expected);
      buffer.close();
    }
  }
});

balanced("writeString() cuts long text into pieces, but no pair of surrogates", () => {
  const piece = 64 * 1024;
  for (const at of [piece - 2, piece - 1, piece, piece + 1, 2 * piece - 1]) {
    const text = "a".repeat(at) + "🙂" + "é".repeat(piece);
    const bytes = new Uint8Array(Buffer.from(text));
    const buffer = new LinkBuffer();
    assertEquals(buffer.writeString(text), bytes.length);
    buffer.flush();
    assertBytes(buffer.readBinary(bytes.length), bytes);
    buffer.close();
  }
  const half = "\ud83d".repeat(piece + 1); // no whole pair at the cut
  const buffer = new LinkBuffer();
  assertEquals(buffer.writeString(half), 3 * (piece + 1));
  buffer.close();
});

balanced("writeString() in latin1 is a byte a character, the low one", () => {
  for (
    const text of [
      "",
      "aé\xff",
      "€",
      "x".repeat(200_000),
      "grüße ".repeat(1000),
      "x\u0141".repeat(100_000),
    ]
  ) {
    const buffer = new LinkBuffer();
    assertEquals(buffer.writeString(text, "latin1"), text.length);
    buffer.flush();
    assertEquals(
      textOf(buffer.readBinary(text.length)),
      Buffer.from(text, "latin1").toString("latin1"),
    );
    buffer.close();
  }
});
