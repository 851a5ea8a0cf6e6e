import { assert, assertEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { FrameInput } from "../../src/codec/codec.ts";
import { delimited, lines } from "../../src/codec/delimited.ts";
import { FrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, bytesOfText, textOf } from "../buffer/balanced.ts";
import { seededRandom } from "../support/random.ts";
import { assertFrames, assertSurvives, decodeAll, someBytes } from "./cuts.ts";

balanced("lines() end with LF or CR LF, however they are cut", () => {
  const bytes = bytesOfText("one\r\ntwo\n\n\r\na\rb\r\r\nlast\n");
  assertFrames(lines(), bytes, ["one", "two", "", "", "a\rb\r", "last"], textOf);
});

balanced("lines({ strip: false }) keep their ends", () => {
  const bytes = bytesOfText("one\r\ntwo\n\n");
  assertFrames(lines({ strip: false }), bytes, ["one\r\n", "two\n", "\n"], textOf);
});

balanced("delimited() by one byte, however it is cut", () => {
  assertFrames(delimited(0), bytesOfText("one\0\0two\0"), ["one", "", "two"], textOf);
  const kept = delimited(0, { strip: false });
  assertFrames(kept, bytesOfText("one\0\0"), ["one\0", "\0"], textOf);
});

balanced("delimited() by several bytes that resemble what is before them", () => {
  const delimiter = bytesOfText("aab");
  assertFrames(delimited(delimiter), bytesOfText("aaaabaabxaab"), ["aa", "", "x"], textOf);
  const boundary = delimited(bytesOfText("\r\n--x\r\n"));
  const bytes = bytesOfText("\r\n--\r\n--x\r\npart\r\n\r\n--x\r\n");
  assertFrames(boundary, bytes, ["\r\n--", "part\r\n"], textOf);
});

balanced("delimited() by a text, of one byte or several", () => {
  assertFrames(delimited("|"), bytesOfText("one||two|"), ["one", "", "two"], textOf);
  const bytes = new TextEncoder().encode("é-oneé–é–");
  assertFrames(delimited("é–"), bytes, ["é-one", ""], (frame) => new TextDecoder().decode(frame));
  assertThrows(() => delimited(""), RangeError, "no bytes");
});

balanced("delimited() keeps its delimiter when the caller's array changes", () => {
  const delimiter = bytesOfText("|");
  const codec = delimited(delimiter);
  delimiter[0] = 0;
  using buffer = bufferOf("a|");
  assertEquals(textOf(codec.decode(buffer)!), "a");
});

balanced("decode() throws when the delimiter does not come in time, and consumes nothing", () => {
  const codec = lines({ frameBytesMax: 4 });
  for (const text of ["abcd", "abcd\n", "abcdefgh\n"]) {
    using buffer = bufferOf(text);
    const error = assertThrows(() => codec.decode(buffer), FrameError, "frameBytesMax is 4");
    assertEquals([error.fault, error.offset, buffer.length], ["too-long", 4, text.length]);
  }
  using buffer = bufferOf("abc\nd");
  assertEquals(decodeAll(codec, buffer, textOf), ["abc"]);
});

balanced("decode() of hostile bytes throws FrameError or nothing", () => {
  const make = (few: string) => (random: Parameters<typeof someBytes>[0]) =>
    someBytes(random, random.below(300), few);
  assertSurvives(lines({ frameBytesMax: 40 }), make("\r\nabcdefghijkl"));
  assertSurvives(delimited(bytesOfText("aab"), { frameBytesMax: 40 }), make("aaaab"));
});

balanced("one codec serves many streams, each of which is somewhere else", () => {
  const codec = lines();
  const streams = Array.from({ length: 5 }, () => new LinkBuffer());
  const text = "first line\nsecond line\n";
  const frames = streams.map(() => [] as unknown[]);
  for (let i = 0; i < text.length; i++) {
    for (const [k, stream] of streams.entries()) {
      stream.writeString(text[i]! + (i === k ? "!" : ""));
      stream.flush();
      frames[k]!.push(...decodeAll(codec, stream, textOf));
    }
  }
  assertEquals(frames[0], ["f!irst line", "second line"]);
  assertEquals(frames[4], ["first! line", "second line"]);
  for (const stream of streams) stream.close();
});

balanced("what was searched is forgotten when the stream was read otherwise", () => {
  const codec = lines();
  using buffer = bufferOf("abc");
  assertEquals(codec.decode(buffer), undefined);
  assertEquals(buffer.readString(2), "ab");
  buffer.writeString("d\nrest");
  buffer.flush();
  assertEquals(textOf(codec.decode(buffer)!), "cd");
  const other = delimited(0x74);
  assertEquals(codec.decode(buffer), undefined); // and by another codec, too
  assertEquals(textOf(other.decode(buffer)!), "res");
});

balanced("encode() of lines() refuses what decode() would give back without its last byte", () => {
  const ends: FrameInput[] = ["a\r", "\r", bytesOfText("a\r"), ["a", "\r"], ["\r", ""]];
  for (
    const make of [
      () => ["a\r", bufferOf("")],
      () => bufferOf("a\r"),
      ...ends.map((e) => () => e),
    ]
  ) {
    using buffer = new LinkBuffer();
    const frame = make() as FrameInput;
    assertThrows(() => lines().encode(buffer, frame), RangeError, 'ends with "\\r"');
    assertEquals(buffer.mallocLength, 0);
    lines({ ending: "\r\n" }).encode(buffer, frame);
    buffer.flush();
    const wire = buffer.readString(buffer.length);
    assert(wire.endsWith("\r\r\n"), wire);
  }
  // Bytes are read as they were written, whether a frame is refused or not.
  const random = seededRandom(process.env["SEED"]);
  const codec = lines();
  for (let run = 0; run < 2000; run++) {
    const text = Array.from({ length: random.below(4) }, () => random.pick(["a", "\r", "\n"])).join(
      "",
    );
    using buffer = new LinkBuffer();
    try {
      codec.encode(buffer, text);
    } catch (error) {
      assert(error instanceof RangeError && /\n|\r$/.test(text), text);
      continue;
    }
    buffer.flush();
    assertEquals(textOf(codec.decode(buffer)!), text);
    buffer.release();
  }
});

balanced("encode() ends frames, and leaves nothing of one that it refuses", () => {
  using buffer = new LinkBuffer();
  lines().encode(buffer, "one");
  lines({ ending: "\r\n" }).encode(buffer, ["t", bytesOfText("w"), bufferOf("o")]);
  const { mallocLength } = buffer;
  assertThrows(() => lines().encode(buffer, "a\nb"), RangeError, "contains the delimiter");
  assertThrows(() => lines().encode(buffer, bytesOfText("\n")), RangeError);
  const twice = delimited(bytesOfText("aa"));
  for (const text of ["xa", "xaay", "aa"]) {
    assertThrows(() => twice.encode(buffer, text), RangeError, "contains the delimiter");
  }
  assertThrows(() => twice.encode(buffer, ["xa", "ay"]), RangeError);
  assertThrows(() => lines({ frameBytesMax: 3 }).encode(buffer, "abc"), RangeError, "4 bytes");
  assertEquals(buffer.mallocLength, mallocLength);
  buffer.flush();
  assertEquals(buffer.readString(buffer.length), "one\ntwo\r\n");
});

balanced("delimited() and lines() refuse what makes no sense", () => {
  assertThrows(() => delimited(new Uint8Array(0)), RangeError);
  assertThrows(() => delimited(256), RangeError);
  assertThrows(() => lines({ ending: "\r" as "\n" }), RangeError);
  assertThrows(() => lines({ frameBytesMax: 0 }), RangeError);
});
