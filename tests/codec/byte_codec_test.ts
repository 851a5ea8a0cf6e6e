import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { checkOption } from "../../src/codec/byte_codec.ts";
import { lines } from "../../src/codec/delimited.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { configure } from "../../src/core/config.ts";
import { ClosedError, FrameError } from "../../src/core/errors.ts";
import {
  assertBytes,
  balanced,
  bufferOf,
  bytesOfText,
  inPieces,
  sequence,
  textOf,
} from "../buffer/balanced.ts";

balanced("decode() lends the memory of the buffer: no copy, until release()", () => {
  const codec = lengthPrefixed();
  using buffer = bufferOf("\0\0\0\x05hello");
  const all = buffer.peek(9);
  const frame = codec.decode(buffer)!;
  assertEquals(frame.buffer === all.buffer, true);
  assertEquals(frame.byteOffset, all.byteOffset + 4);
});

balanced("decode() lends a borrowed body that follows its header in another node", () => {
  const body = sequence(10_000);
  using buffer = new LinkBuffer();
  lengthPrefixed().encode(buffer, body);
  buffer.flush();
  const frame = lengthPrefixed().decode(buffer)!;
  assertEquals(frame.buffer === body.buffer, true);
  assertBytes(frame, body);
});

balanced("decode() copies what lies in several nodes, once", () => {
  const frame = bytesOfText("\0\0\0\x0aabcdefghij");
  using buffer = inPieces([frame.slice(0, 7), frame.slice(7)], "own");
  assertEquals(textOf(lengthPrefixed().decode(buffer)!), "abcdefghij");
  assertEquals(buffer.length, 0);
});

balanced("slice() takes a frame out as a buffer of its own", () => {
  const codec = lines();
  const buffer = bufferOf("one\r\n\r\nthree\r\nrest");
  const slices = [codec.slice(buffer)!, codec.slice(buffer)!, codec.slice(buffer)!];
  assertEquals(codec.slice(buffer), undefined);
  assertEquals(buffer.length, 4);
  buffer.close();
  assertEquals(slices.map((each) => each.readString(each.length)), ["one", "", "three"]);
  for (const slice of slices) slice.close();
});

balanced("frameBytes() is how long the next frame is, and -1 while it is not there", () => {
  using buffer = bufferOf("three\r\nrest");
  assertEquals(lines().frameBytes(buffer), 5);
  assertEquals(lines({ strip: false }).frameBytes(buffer), 7);
  lines().decode(buffer);
  assertEquals(lines().frameBytes(buffer), -1);
  assertEquals(buffer.length, 4);
});

balanced("slice() throws as decode() does, and consumes nothing", () => {
  using buffer = bufferOf(bytesOfText("\0\0\0\xff"));
  const codec = lengthPrefixed({ frameBytesMax: 100 });
  assertInstanceOf(assertThrows(() => codec.slice(buffer)), FrameError);
  assertEquals(buffer.readString(1), "\0");
});

balanced("in debug mode a frame is taken away by release()", () => {
  configure({ debug: true });
  for (const pieces of [["\0\0\0\x05hello"], ["\0\0\0\x05he", "llo"]]) {
    using buffer = inPieces(pieces.map(bytesOfText), "own");
    const frame = lengthPrefixed().decode(buffer)!;
    assertEquals(textOf(frame), "hello");
    buffer.release();
    assertEquals(frame.length, 0);
  }
});

balanced("decode() of a closed buffer throws ClosedError, and of anything else TypeError", () => {
  const buffer = bufferOf("abc");
  buffer.close();
  assertThrows(() => lines().decode(buffer), ClosedError);
  assertThrows(() => lines().decode({} as LinkBuffer), TypeError, "no reader");
  assertThrows(() => lines().decode(null as unknown as LinkBuffer), TypeError);
});

balanced("encode() takes bytes, text and buffers, which it moves, as one frame", () => {
  const codec = lengthPrefixed({ lengthBytes: 1 });
  using buffer = new LinkBuffer();
  const unflushed = new LinkBuffer();
  unflushed.writeString("cd");
  codec.encode(buffer, [bytesOfText("ab"), unflushed, "é"]);
  assertThrows(() => unflushed.writeString("x"), TypeError, "appended to another");
  codec.encode(buffer, []);
  buffer.flush();
  assertEquals(new TextDecoder().decode(codec.decode(buffer)), "abcdé");
  assertEquals(codec.decode(buffer)?.length, 0);
});

balanced("encode() leaves nothing of what is no frame", () => {
  using buffer = new LinkBuffer();
  for (const wrong of [null, 5, {}, ["a", null], [["a"]]]) {
    for (const codec of [lengthPrefixed(), lines(), lengthPrefixed({ stripBytes: 0 })]) {
      assertThrows(() => codec.encode(buffer, wrong as string), TypeError, "no Uint8Array");
    }
  }
  assertEquals(buffer.mallocLength, 0);
});

balanced("checkOption() is the value, or a RangeError that names it", () => {
  assertEquals(checkOption("size", 3, 1, 3), 3);
  for (const value of [0, 4, 1.5, NaN, "2" as unknown as number]) {
    assertThrows(() => checkOption("size", value, 1, 3), RangeError, "size is");
  }
});
