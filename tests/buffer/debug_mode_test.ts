import { assertEquals, assertThrows } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { configure } from "../../src/core/config.ts";
import { balanced, bufferOf, textOf } from "./balanced.ts";

balanced("debug mode takes away what was lent when it is released", () => {
  configure({ debug: true });
  const buffer = bufferOf("hello, world");
  const lent = buffer.next(5);
  const peeked = buffer.peek(3);
  assertEquals([textOf(lent), textOf(peeked)], ["hello", ", w"]);
  buffer.release();
  assertEquals([lent.length, peeked.length], [0, 0]);
  assertThrows(() => buffer.writeBinary(lent), TypeError, "taken away");
  const other = new LinkBuffer();
  const view = buffer.next(7);
  other.append(bufferOf("x"));
  other.writeBinary(view);
  buffer.close();
  assertEquals(view.length, 0);
  other.flush();
  assertEquals(other.readString(8), "x, world");
  other.close();
});

balanced("debug mode takes away what was lent by a buffer that is appended", () => {
  configure({ debug: true });
  const other = bufferOf("hello");
  const lent = other.peek(5);
  const buffer = new LinkBuffer();
  buffer.append(other);
  assertEquals(lent.length, 0);
  buffer.close();
});

balanced("debug mode fills freed memory with a pattern", () => {
  configure({ debug: true });
  const block = blocks.take(1024);
  block.slab.bytes.fill(1, block.offset, block.offset + 1024);
  const { slab, offset } = block;
  block.release();
  assertEquals(slab.bytes[offset], 0xdb);
  assertEquals(slab.bytes[offset + 1023], 0xdb);
});
