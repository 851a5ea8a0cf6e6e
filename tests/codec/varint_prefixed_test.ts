import { assertEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { varintPrefixed } from "../../src/codec/varint_prefixed.ts";
import { FrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, bytesOfText, sequence, textOf } from "../buffer/balanced.ts";
import { assertFrames, assertSurvives, someBytes } from "./cuts.ts";

balanced("varintPrefixed() reads what it wrote, however it is cut", () => {
  const codec = varintPrefixed();
  using buffer = new LinkBuffer();
  const texts = ["", "a", "x".repeat(127), "y".repeat(128)];
  for (const text of texts) codec.encode(buffer, text);
  buffer.flush();
  assertFrames(codec, new Uint8Array(buffer.peek(buffer.length)), texts, textOf);
});

balanced("varintPrefixed() reads lengths that are longer than need be, as protobuf does", () => {
  assertFrames(varintPrefixed(), bytesOfText("\x82\x80\x80\x80\0hi"), ["hi"], textOf);
});

balanced("needed() grows with what is known of the length", () => {
  const codec = varintPrefixed();
  using buffer = new LinkBuffer();
  assertEquals(codec.needed(buffer), 1);
  for (const [byte, needed] of [[0x80, 2], [0x80, 3], [0x01, 3 + 16384]] as const) {
    buffer.writeByte(byte);
    buffer.flush();
    assertEquals(codec.needed(buffer), needed);
  }
});

balanced("decode() throws for what is too long, and consumes nothing", () => {
  using long = bufferOf(bytesOfText("\xff\xff\xff\xff\x7f"));
  const error = assertThrows(() => varintPrefixed().decode(long), FrameError, "frameBytesMax");
  assertEquals([error.fault, error.offset, long.length], ["too-long", 0, 5]);
  using endless = bufferOf(bytesOfText("\x80\x80\x80\x80\x80\x01"));
  const malformed = assertThrows(() => varintPrefixed().decode(endless), FrameError, "5 bytes");
  assertEquals([malformed.fault, malformed.offset, endless.length], ["malformed", 4, 6]);
});

balanced("decode() of hostile bytes throws FrameError or nothing", () => {
  const codec = varintPrefixed({ frameBytesMax: 200 });
  assertSurvives(codec, (random) => someBytes(random, random.below(200), "\x01\x05\x81\xff"));
});

balanced("encode() leaves nothing of a frame that it refuses", () => {
  const codec = varintPrefixed({ frameBytesMax: 130 });
  using buffer = new LinkBuffer();
  codec.encode(buffer, sequence(128));
  assertThrows(() => codec.encode(buffer, sequence(129)), RangeError, "131 bytes");
  assertEquals(buffer.mallocLength, 130);
});
