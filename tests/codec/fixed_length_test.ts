import { assertEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { fixedLength } from "../../src/codec/fixed_length.ts";
import { balanced, bufferOf, bytesOfText, textOf } from "../buffer/balanced.ts";
import { assertFrames } from "./cuts.ts";

balanced("fixedLength() reads frames of one length, however they are cut", () => {
  assertFrames(fixedLength(5), bytesOfText("helloworldagain"), ["hello", "world", "again"], textOf);
});

balanced("needed() is that length", () => {
  using buffer = bufferOf("abc");
  const codec = fixedLength(5);
  assertEquals(codec.needed(buffer), 5);
  assertEquals(codec.decode(buffer), undefined);
  assertEquals(buffer.length, 3);
});

balanced("encode() refuses frames of another length", () => {
  using buffer = new LinkBuffer();
  const codec = fixedLength(5);
  codec.encode(buffer, "hello");
  for (const text of ["", "four", "sixsix"]) {
    assertThrows(() => codec.encode(buffer, text), RangeError, "all have 5");
  }
  assertEquals(buffer.mallocLength, 5);
});

balanced("fixedLength() refuses lengths that make no sense", () => {
  for (const count of [0, -1, 1.5, NaN, 2 ** 31]) {
    assertThrows(() => fixedLength(count), RangeError);
  }
});
