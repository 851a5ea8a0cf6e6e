/**
 * Long text as latin1.
 */
import type { Buffer } from "node:buffer";

const encoder = new TextEncoder();

/**
 * Writes the low byte of each character, for which there is room. How many those are.
 *
 * ASCII, as most text is, is the same in UTF-8, which Deno writes 60 times as fast (64 KiB: 1.5 µs
 * against 100).
 */
export function writeLatin1(bytes: Buffer, at: number, text: string): number {
  const { length } = text;
  const room = new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
  if (encoder.encodeInto(text, room).read < length) bytes.write(text, at, length, "latin1");
  return length;
}
