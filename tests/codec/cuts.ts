/**
 * Cuts bytes in every way that a network may cut them.
 */
import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { Codec } from "../../src/codec/codec.ts";
import { FrameError } from "../../src/core/errors.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { bufferOf } from "../buffer/balanced.ts";

/** The place of pieces in memory: in one node, in one each, or in the user's own arrays. */
export const MEMORIES = ["packed", "nodes", "borrowed"] as const;
export type Memory = typeof MEMORIES[number];

/** Adds bytes to a buffer. */
export function feed(buffer: LinkBuffer, bytes: Uint8Array, memory: Memory): void {
  if (memory === "packed") buffer.writeBinary(bytes, { copy: true });
  else if (memory === "nodes") buffer.append(bufferOf(bytes));
  else buffer.writeDirect(bytes.slice());
  buffer.flush();
}

/** All frames that are there, each made plain before it is given back. */
export function decodeAll<T>(
  codec: Codec<T, never>,
  buffer: LinkBuffer,
  plain: (frame: T) => unknown,
): unknown[] {
  const frames: unknown[] = [];
  for (let frame; (frame = codec.decode(buffer)) !== undefined;) {
    frames.push(plain(frame));
    buffer.release();
  }
  return frames;
}

/** The frames of pieces that come one after the other. */
export function decodePieces<T>(
  codec: Codec<T, never>,
  pieces: readonly Uint8Array[],
  memory: Memory,
  plain: (frame: T) => unknown,
): unknown[] {
  using buffer = new LinkBuffer();
  const frames = pieces.flatMap((piece) => {
    feed(buffer, piece, memory);
    const decoded = decodeAll(codec, buffer, plain);
    if (buffer.length > 0 && codec.needed !== undefined) {
      assert(codec.needed(buffer) > buffer.length, "more is needed than is there");
    }
    return decoded;
  });
  assertEquals(buffer.length, 0, "unread");
  return frames;
}

/** Bytes in pieces of random lengths. */
export function randomPieces(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const most = random.pick([1, 2, 5, 40, bytes.length]);
  for (let at = 0; at < bytes.length;) {
    const count = 1 + random.below(most);
    pieces.push(bytes.slice(at, at + count));
    at += count;
  }
  return pieces;
}

/** Decodes bytes whole, cut at every place, byte by byte, and at random; all must come to this. */
export function assertFrames<T>(
  codec: Codec<T, never>,
  bytes: Uint8Array,
  expected: readonly unknown[],
  plain: (frame: T) => unknown,
): void {
  const random = seededRandom(process.env["SEED"]);
  const ways: Uint8Array[][] = [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))];
  for (let at = 1; at < bytes.length; at++) ways.push([bytes.slice(0, at), bytes.slice(at)]);
  for (let i = 0; i < 50; i++) ways.push(randomPieces(bytes, random));
  for (const memory of MEMORIES) {
    for (const pieces of ways) {
      const lengths = pieces.map((piece) => piece.length);
      const frames = decodePieces(codec, pieces, memory, plain);
      assertEquals(frames, [...expected], `SEED=${random.seed}, ${memory}, pieces ${lengths}`);
    }
  }
}

/** Whatever bytes come: frames, or a `FrameError` after which everything is where it was. */
export function assertSurvives<T>(
  codec: Codec<T, never>,
  makeBytes: (random: Random) => Uint8Array,
): void {
  const random = seededRandom(process.env["SEED"]);
  let errorCount = 0;
  for (let run = 0; run < 400; run++) {
    using buffer = new LinkBuffer();
    const memory = random.pick(MEMORIES);
    for (const piece of randomPieces(makeBytes(random), random)) {
      feed(buffer, piece, memory);
      try {
        decodeAll(codec, buffer, () => 0);
      } catch (error) {
        assert(error instanceof FrameError, `SEED=${random.seed}: ${error}`);
        assertRepeats(codec, buffer, error);
        errorCount += 1;
        break;
      }
    }
  }
  assert(errorCount > 0, "none of the bytes was hostile");
}

/** The stream is where it was: the same error comes again, of the same bytes. */
function assertRepeats<T>(codec: Codec<T, never>, buffer: LinkBuffer, error: FrameError): void {
  const { length } = buffer;
  assert(error.offset <= length, `offset ${error.offset} of ${length}`);
  for (let i = 0; i < 2; i++) {
    try {
      codec.decode(buffer);
      throw new Error("decoded what it had refused");
    } catch (again) {
      assert(again instanceof FrameError, String(again));
      assertEquals([again.fault, again.offset], [error.fault, error.offset]);
      assertEquals(buffer.length, length, "nothing is consumed");
    }
  }
}

/** So many bytes, some of them from a few. */
export function someBytes(random: Random, count: number, few: string): Uint8Array {
  return Uint8Array.from(
    { length: count },
    () => random.chance(0.8) ? few.charCodeAt(random.below(few.length)) : random.below(256),
  );
}
