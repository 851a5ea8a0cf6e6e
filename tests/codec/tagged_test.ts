import { assertEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { tagged } from "../../src/codec/tagged.ts";
import { FrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, bytesOfText, textOf } from "../buffer/balanced.ts";
import { assertFrames } from "./cuts.ts";

const frames = lengthPrefixed({ lengthBytes: 2 });

balanced("tagged() reads what it wrote, however it is cut", () => {
  using buffer = new LinkBuffer();
  const codec = tagged(frames);
  codec.encode(buffer, { id: 0, body: "" });
  codec.encode(buffer, { id: 2 ** 32 - 1, body: ["a", bytesOfText("b"), bufferOf("c")] });
  buffer.flush();
  const bytes = new Uint8Array(buffer.peek(buffer.length));
  assertEquals([...bytes.subarray(6, 12)], [0, 7, 255, 255, 255, 255]);
  const expected = [[0, ""], [2 ** 32 - 1, "abc"]];
  assertFrames(codec, bytes, expected, ({ id, body }) => [id, textOf(body)]);
  assertFrames(tagged(frames, { body: "sliced" }), bytes, expected, ({ id, body }) => {
    using slice = body;
    return [id, slice.readString(slice.length)];
  });
});

balanced("decode() gives bodies that outlive the buffer", () => {
  for (const kind of ["copied", "sliced"] as const) {
    const buffer = bufferOf("\0\x06\0\0\0\x05hi");
    const { id, body } = tagged(frames, { body: kind as "copied" }).decode(buffer)!;
    buffer.close();
    assertEquals(id, 5);
    if (body instanceof Uint8Array) assertEquals([body.buffer.byteLength, textOf(body)], [2, "hi"]);
    else (body as LinkBuffer).close();
  }
});

balanced("decode() throws for a message without a number, and consumes nothing", () => {
  for (const codec of [tagged(frames), tagged(frames, { body: "sliced" })]) {
    for (const text of ["\0\0", "\0\x03abc"]) {
      using buffer = bufferOf(text);
      const error = assertThrows(() => codec.decode(buffer), FrameError, "it has no id");
      assertEquals([error.fault, error.offset, buffer.length], ["malformed", 0, text.length]);
    }
  }
});

balanced("encode() refuses what is no number", () => {
  using buffer = new LinkBuffer();
  for (const id of [-1, 1.5, 2 ** 32, NaN]) {
    assertThrows(() => tagged(frames).encode(buffer, { id, body: "" }), RangeError, "its id is");
  }
  assertEquals(buffer.mallocLength, 0);
});
