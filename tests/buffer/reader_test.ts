import { Buffer } from "node:buffer";
import { assertEquals, assertThrows } from "@std/assert";
import type { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { TextEncoding } from "../../src/buffer/reader.ts";
import {
  assertBytes,
  balanced,
  bufferOf,
  bytesOfText,
  cut,
  inPieces,
  sequence,
  textOf,
} from "./balanced.ts";

const MEMORIES = ["own", "borrowed"] as const;

// ---- views --------------------------------------------------------------------------------------

for (const memory of MEMORIES) {
  balanced(`next() and peek() across nodes, ${memory} memory (netpoll 28-32, 35)`, () => {
    const buffer = inPieces([sequence(15), sequence(7, 15)], memory);
    assertBytes(buffer.next(13), sequence(13));
    assertBytes(buffer.peek(4), sequence(4, 13));
    assertBytes(buffer.peek(3), sequence(3, 13));
    assertBytes(buffer.peek(5), sequence(5, 13));
    const lent = buffer.peek(6);
    assertBytes(lent, sequence(6, 13));
    assertBytes(buffer.next(8), sequence(8, 13));
    buffer.skip(1);
    assertEquals(buffer.length, 0);
    assertBytes(lent, sequence(6, 13)); // until release()
    buffer.close();
  });

  balanced(`every cut of a message reads the same, ${memory} memory`, () => {
    const bytes = sequence(40);
    for (let at = 0; at <= 40; at++) {
      const buffer = inPieces(cut(bytes, at), memory);
      assertBytes(buffer.peek(40), bytes);
      assertBytes(buffer.next(10), bytes.subarray(0, 10));
      assertBytes(buffer.readBinary(10), bytes.subarray(10, 20));
      const target = new Uint8Array(10);
      assertEquals(buffer.readInto(target), 10);
      assertBytes(target, bytes.subarray(20, 30));
      assertEquals(buffer.readString(10, "latin1"), textOf(bytes.subarray(30)));
      buffer.close();
    }
  });
}

balanced("next() lends a window that shows no neighbour (netpoll 67)", () => {
  const buffer = bufferOf("abcdef");
  const lent = buffer.next(2);
  assertEquals(textOf(lent), "ab");
  assertEquals(lent[2], undefined);
  assertEquals(textOf(lent.subarray(0, 10)), "ab");
  buffer.close();
});

balanced("readBinary() is a copy that outlives everything", () => {
  const buffer = bufferOf("hello");
  const own = buffer.readBinary(5);
  buffer.close();
  bufferOf(new Uint8Array(4096)).close();
  assertEquals(textOf(own), "hello");
});

balanced("readInto() and indexOf() refuse an array whose memory is gone", () => {
  using buffer = bufferOf("abc");
  const gone = new Uint8Array(5);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  assertThrows(() => buffer.readInto(gone), TypeError, "taken away");
  assertThrows(() => buffer.indexOf(gone), TypeError, "taken away");
  assertEquals([buffer.readInto(new Uint8Array(0)), buffer.length], [0, 3]);
});

balanced("readInto() takes what there is, as much as fits (netpoll 71-73)", () => {
  const buffer = inPieces([sequence(16), sequence(8, 16), sequence(8, 24)], "own");
  const target = new Uint8Array(10);
  assertEquals(buffer.readInto(target), 10);
  assertBytes(target, sequence(10));
  assertEquals(buffer.length, 22);
  const more = new Uint8Array(16);
  assertEquals(buffer.readInto(more), 16); // the rest of the first node, the second, a part of the third
  assertBytes(more, sequence(16, 10));
  assertEquals(buffer.readInto(more), 6);
  assertBytes(more.subarray(0, 6), sequence(6, 26));
  assertEquals(buffer.readInto(more), 0);
  assertEquals(buffer.readInto(new Uint8Array(0)), 0);
  buffer.close();
});

balanced("readInto() leaves what was peeked until release() (netpoll 74-76)", () => {
  const buffer = inPieces([sequence(8), sequence(8, 8), sequence(8, 16)], "own");
  const peeked = buffer.peek(8);
  assertEquals(buffer.readInto(new Uint8Array(20)), 20);
  assertBytes(peeked, sequence(8));
  buffer.release();
  assertBytes(buffer.next(4), sequence(4, 20));
  buffer.close();
});

// ---- delimiters ---------------------------------------------------------------------------------

balanced("indexOf() in pieces of 1002 bytes, a thousand times (netpoll 77)", () => {
  const line = sequence(1002).fill(0x61);
  line[500] = line[1001] = 0x0a;
  const buffer = inPieces(Array.from({ length: 1000 }, () => line), "own");
  for (let i = 0; i < 1000; i += 37) {
    const at = i * 1002;
    assertEquals(buffer.indexOf(0x0a, at), at + 500);
    assertEquals(buffer.indexOf(0x0a, at + 500), at + 500);
    assertEquals(buffer.indexOf(0x0a, at + 501), at + 1001);
  }
  assertEquals(buffer.indexOf(0x0a, 1_001_999), 1_001_999);
  assertEquals(buffer.indexOf(0x0a, 1_002_000), -1);
  buffer.close();
});

balanced("until() lends up to and including the delimiter, else keeps all (netpoll 83)", () => {
  const buffer = bufferOf("ab\ncd");
  assertEquals(textOf(buffer.until(0x0a)), "ab\n");
  assertEquals(buffer.length, 2);
  assertThrows(() => buffer.until(0x0a), RangeError, "waitUntil it first");
  assertEquals(buffer.readString(2), "cd");
  buffer.close();
});

const utf8 = (text: string) => new TextEncoder().encode(text);

balanced("a delimiter may be a text, of one byte or several", () => {
  const buffer = inPieces([utf8("a: é\r\n\r\nb")], "own");
  assertEquals([buffer.indexOf(":"), buffer.indexOf("é"), buffer.indexOf("\r\n", 6)], [1, 3, 7]);
  assertEquals(buffer.until("\r\n\r\n"), utf8("a: é\r\n\r\n"));
  assertThrows(() => buffer.until("\n"), RangeError, "waitUntil it first");
  assertThrows(() => buffer.until(""), RangeError, "no bytes");
  assertEquals(buffer.readString(1), "b");
  buffer.close();
});

balanced("peekString() is what readString() reads next, in one node and across nodes", () => {
  for (const pieces of [["héllo, "], ["h", "éllo", ", "], ["x".repeat(300), "é"]]) {
    const buffer = inPieces(pieces.map(utf8), "own");
    const { length } = buffer;
    assertEquals(buffer.peekString(length), pieces.join(""));
    assertEquals(buffer.peekString(1, "latin1"), pieces[0]!.slice(0, 1));
    assertEquals(buffer.length, length);
    assertEquals(buffer.readString(length), pieces.join(""));
    buffer.close();
  }
});

for (const memory of MEMORIES) {
  balanced(`a delimiter of several bytes may lie across nodes anywhere, ${memory} memory`, () => {
    const bytes = bytesOfText("one\r\r\n\r\ntwo\r\n\r\n");
    const delimiter = bytesOfText("\r\n\r\n");
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const pieces = [bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)];
        const buffer = inPieces(pieces, memory);
        assertEquals(buffer.indexOf(delimiter), 4);
        assertEquals(buffer.indexOf(delimiter, 5), 11);
        assertEquals(buffer.indexOf(delimiter, 12), -1);
        assertEquals(textOf(buffer.until(delimiter)), "one\r\r\n\r\n");
        assertEquals(textOf(buffer.until(delimiter)), "two\r\n\r\n");
        buffer.close();
      }
    }
  });
}

balanced("indexOf() looks only at what is readable", () => {
  const buffer = bufferOf("abc");
  buffer.writeString("\n");
  buffer.skip(1);
  assertEquals(buffer.indexOf(0x0a), -1);
  assertEquals(buffer.indexOf(bytesOfText("c\n")), -1);
  assertEquals(buffer.indexOf(0x61), -1);
  buffer.flush();
  assertEquals(buffer.indexOf(0x0a), 2);
  assertEquals(buffer.indexOf(bytesOfText("c\n")), 1);
  assertEquals(buffer.indexOf(0x62, -5), 0);
  buffer.close();
});

// ---- numbers ------------------------------------------------------------------------------------

const NUMBERS: readonly [kind: string, bytes: number, values: readonly (number | bigint)[]][] = [
  ["Uint8", 1, [0, 1, 127, 128, 255]],
  ["Int8", 1, [0, 1, -1, 127, -128]],
  ["Uint16", 2, [0, 1, 258, 32767, 32768, 65535]],
  ["Int16", 2, [0, -1, 258, 32767, -32768]],
  ["Uint32", 4, [0, 1, 16909060, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
  ["Int32", 4, [0, -1, 16909060, 2 ** 31 - 1, -(2 ** 31)]],
  ["BigUint64", 8, [0n, 1n, 72623859790382856n, 2n ** 63n, 2n ** 64n - 1n]],
  ["BigInt64", 8, [0n, -1n, 72623859790382856n, 2n ** 63n - 1n, -(2n ** 63n)]],
  ["Float32", 4, [0, -0, 1.5, -1.5, Infinity, NaN, 1.401298464324817e-45]],
  ["Float64", 8, [0, -0, Math.PI, -Infinity, NaN, Number.MAX_VALUE, Number.MIN_VALUE]],
];

type NumberReader = Record<string, () => number | bigint>;
type NumberWriter = Record<string, (value: number | bigint) => void>;

for (const [kind, count, values] of NUMBERS) {
  for (const order of count === 1 ? [""] : ["BE", "LE"]) {
    balanced(`read${kind}${order}() reads what write${kind}${order}() wrote, at every cut`, () => {
      for (const value of values) checkNumber(kind, order, count, value);
    });
  }
}

function checkNumber(kind: string, order: string, count: number, value: number | bigint): void {
  const bytes = new Uint8Array(count);
  const view = new DataView(bytes.buffer) as unknown as Record<
    string,
    (at: number, value: number | bigint, isLittle: boolean) => void
  >;
  view[`set${kind}`]!(0, value, order === "LE");
  const written = bufferOf("");
  (written as unknown as NumberWriter)[`write${kind}${order}`]!(value);
  written.flush();
  assertBytes(written.peek(count), bytes);
  assertEquals(readNumber(written, kind + order), value);
  written.close();
  for (const memory of MEMORIES) {
    for (let at = 0; at <= count; at++) {
      const buffer = inPieces(cut(bytes, at), memory);
      assertEquals(readNumber(buffer, kind + order), value);
      assertEquals(buffer.length, 0);
      buffer.close();
    }
    const short = inPieces(cut(bytes.subarray(1), 1), memory);
    assertThrows(() => readNumber(short, kind + order), RangeError);
    assertEquals(short.length, count - 1);
    short.close();
  }
}

function readNumber(buffer: LinkBuffer, kind: string): number | bigint {
  return (buffer as unknown as NumberReader)[`read${kind}`]!();
}

balanced("readByte() is readUint8()", () => {
  const buffer = bufferOf(new Uint8Array([7, 255]));
  assertEquals([buffer.readByte(), buffer.readUint8()], [7, 255]);
  assertThrows(() => buffer.readByte(), RangeError);
  buffer.close();
});

balanced("readVarint() reads what writeVarint() wrote, at every cut", () => {
  const values = [
    0,
    1,
    127,
    128,
    300,
    16383,
    16384,
    2 ** 31,
    2 ** 32,
    2 ** 49 - 1,
    2 ** 49,
    2 ** 53 - 1,
  ];
  for (const value of values) {
    const whole = bufferOf("");
    whole.writeVarint(value);
    whole.flush();
    const bytes = whole.readBinary(whole.length);
    whole.close();
    assertEquals(bytes.length, Math.ceil(value.toString(2).length / 7), `${value}`);
    for (let at = 0; at <= bytes.length; at++) {
      const buffer = inPieces([...cut(bytes, at), sequence(3)], at % 2 === 0 ? "own" : "borrowed");
      assertEquals(buffer.readVarint(), value);
      assertEquals(buffer.length, 3);
      buffer.close();
    }
    const short = bufferOf(bytes.subarray(0, -1));
    assertThrows(() => short.readVarint(), RangeError);
    assertEquals(short.length, bytes.length - 1);
    short.close();
  }
});

balanced("readVarint() refuses what is too large or too long, and consumes nothing", () => {
  const tooLarge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]; // 2^53
  const tooLong = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
  for (const bytes of [tooLarge, tooLong, Array(10).fill(0xff)]) {
    const buffer = bufferOf(new Uint8Array(bytes));
    assertThrows(() => buffer.readVarint(), RangeError, "larger than 9007199254740991");
    assertEquals(buffer.length, bytes.length);
    buffer.close();
  }
  const padded = bufferOf(new Uint8Array([0x81, 0x80, 0x00])); // 1, in more bytes than it needs
  assertEquals(padded.readVarint(), 1);
  padded.close();
});

// ---- text ---------------------------------------------------------------------------------------

const TEXTS = ["hello", "grüße", "€uro", "a🙂b€c", "\ufeffbom", "\0\x7f\x80", "日本語".repeat(200)];

for (const memory of MEMORIES) {
  balanced(`readString() of UTF-8 in one piece and at every cut, ${memory} memory`, () => {
    for (const text of TEXTS) {
      const bytes = new Uint8Array(Buffer.from(text));
      for (let at = 0; at <= bytes.length; at += bytes.length > 100 ? 37 : 1) {
        const buffer = inPieces(cut(bytes, at), memory);
        assertEquals(buffer.readString(bytes.length), text);
        assertEquals(buffer.length, 0);
        buffer.close();
      }
    }
  });
}

balanced("readString() holds no copy of text that lay across nodes", () => {
  const buffer = inPieces([bytesOfText("a".repeat(5)), bytesOfText("b".repeat(5))], "own");
  assertEquals(buffer.readString(8), "aaaaabbb");
  assertEquals(textOf(buffer.next(2)), "bb");
  buffer.close();
});

balanced("readString() replaces what is no UTF-8, short or long", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const broken = [
    [0xff],
    [0x61, 0xc3],
    [0xe2, 0x82, 0x61],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x9f, 0x99],
    [0xc0, 0xaf],
  ];
  for (const bytes of broken) {
    for (const before of [0, 300]) {
      const whole = new Uint8Array([...new Uint8Array(before).fill(0x61), ...bytes]);
      const buffer = bufferOf(whole);
      assertEquals(buffer.readString(whole.length), decoder.decode(whole));
      buffer.close();
    }
  }
});

balanced("readString() of latin1 is a character a byte", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  for (const memory of MEMORIES) {
    const buffer = inPieces(cut(bytes, 100), memory);
    assertEquals(buffer.readString(50, "latin1"), textOf(bytes.subarray(0, 50)));
    assertEquals(buffer.readString(206, "latin1"), textOf(bytes.subarray(50)));
    buffer.close();
  }
});

balanced("an encoding we do not know is a TypeError, and nothing is read or written", () => {
  const buffer = bufferOf("hello");
  assertThrows(() => buffer.readString(5, "hex" as TextEncoding), TypeError, "hex");
  assertThrows(() => buffer.writeString("aa", "hex" as TextEncoding), TypeError, "hex");
  assertEquals([buffer.length, buffer.mallocLength], [5, 0]);
  buffer.close();
});
