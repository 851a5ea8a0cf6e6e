import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { writeLatin1 } from "../../src/buffer/latin1.ts";

const EVERY = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");

test("writeLatin1() writes the low byte of each character, and nothing beside", () => {
  const texts = ["", "x", "x".repeat(1000), EVERY, "\xe9".repeat(999), `${"x".repeat(999)}\xe9`];
  for (const text of [...texts, "\u0141\u0142", "\ud83d", "\u{1f600}"]) {
    const bytes = Buffer.alloc(text.length + 20, 0x2e);
    assertEquals(writeLatin1(bytes, 10, text), text.length);
    const low = [...Array(text.length).keys()].map((i) => text.charCodeAt(i) & 0xff);
    assertEquals([...bytes.subarray(10, 10 + text.length)], low);
    const around = bytes.toString("latin1", 0, 10) + bytes.toString("latin1", 10 + text.length);
    assertEquals(around, ".".repeat(20));
  }
});
