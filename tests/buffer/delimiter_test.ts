import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type Delimiter, delimiterBytes } from "../../src/buffer/delimiter.ts";
import { balanced, bufferOf, inPieces, sequence } from "./balanced.ts";

test("delimiterBytes() is the byte, or the bytes themselves", () => {
  assertEquals([...delimiterBytes(0)], [0]);
  assertEquals([...delimiterBytes(255)], [255]);
  const bytes = sequence(3);
  assertEquals(delimiterBytes(bytes), bytes);
});

test("delimiterBytes() of a text are its UTF-8, the next time too, and after another text", () => {
  for (const text of ["\r\n", "\r\n", "é–😀", "\ud800", "\n", "\r\n"]) {
    assertEquals(delimiterBytes(text), new TextEncoder().encode(text));
  }
});

test("delimiterBytes() refuses what is no byte, and no bytes", () => {
  for (const byte of [-1, 256, 1.5, NaN]) assertThrows(() => delimiterBytes(byte), RangeError);
  assertThrows(() => delimiterBytes(new Uint8Array(0)), RangeError, "no bytes");
  assertThrows(() => delimiterBytes(""), RangeError, "no bytes");
  for (const other of [10n, null, undefined, [10], new DataView(new ArrayBuffer(1))]) {
    assertThrows(() => delimiterBytes(other as unknown as Delimiter), TypeError, "a text");
  }
});

balanced("find() meets a delimiter that is longer than the nodes it lies in", () => {
  const bytes = sequence(100);
  const buffer = inPieces(Array.from(bytes, (_, i) => bytes.slice(i, i + 1)), "own");
  assertEquals(buffer.indexOf(bytes.subarray(17, 60)), 17);
  assertEquals(buffer.indexOf(bytes.subarray(17, 60), 18), -1);
  assertEquals(buffer.indexOf(sequence(101)), -1);
  buffer.close();
});

balanced("find() is not misled by a beginning that does not go on", () => {
  const buffer = inPieces([
    new Uint8Array([1, 1, 1]),
    new Uint8Array([1, 2, 1]),
    new Uint8Array([1, 2]),
  ], "own");
  assertEquals(buffer.indexOf(new Uint8Array([1, 2])), 3);
  assertEquals(buffer.indexOf(new Uint8Array([1, 1, 2])), 2);
  assertEquals(buffer.indexOf(new Uint8Array([2, 1, 1, 2])), 4);
  buffer.close();
});

balanced("find() finds nothing in an empty buffer", () => {
  const buffer = bufferOf("");
  assertEquals(buffer.indexOf(0), -1);
  buffer.close();
});
