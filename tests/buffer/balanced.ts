/**
 * Tests that give back all memory, and the buffers they need.
 */
import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { blocks } from "../../src/buffer/block.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { configure } from "../../src/core/config.ts";

/** A test after which every block is back in the pool; O(n) invariants are checked all along. */
export function balanced(name: string, body: () => void | Promise<void>): void {
  test(name, async () => {
    const before = blocks.counts();
    configure({ verify: true });
    try {
      await body();
    } finally {
      configure({ verify: false, debug: false });
    }
    const after = blocks.counts();
    assertEquals(after.usedBytes, before.usedBytes, "bytes of blocks in use");
    assertEquals(after.usedCount, before.usedCount, "blocks in use");
  });
}

/** Bytes that differ from their neighbours. */
export function sequence(count: number, from = 0): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, (_, i) => (from + i) % 251);
}

/** The bytes of ASCII text. */
export function bytesOfText(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

/** ASCII text of bytes. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** A buffer with readable bytes. */
export function bufferOf(bytes: Uint8Array | string): LinkBuffer {
  const buffer = new LinkBuffer();
  if (typeof bytes === "string") buffer.writeString(bytes);
  else buffer.writeBinary(bytes, { copy: true });
  buffer.flush();
  return buffer;
}

/**
 * A buffer whose readable bytes lie in several nodes, on blocks of our own or on borrowed arrays.
 */
export function inPieces(pieces: readonly Uint8Array[], memory: "own" | "borrowed"): LinkBuffer {
  const buffer = new LinkBuffer();
  for (const piece of pieces) {
    if (memory === "borrowed") buffer.writeDirect(piece);
    else buffer.append(bufferOf(piece));
  }
  buffer.flush();
  return buffer;
}

/** Bytes cut in two. */
export function cut(bytes: Uint8Array, at: number): Uint8Array[] {
  return [bytes.slice(0, at), bytes.slice(at)];
}

/** Compares, and says where bytes differ first rather than all of them. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array): void {
  assertEquals(actual.length, expected.length, "length");
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== actual[i]);
  assertEquals(actual[at], expected[at], `byte ${at}`);
}
