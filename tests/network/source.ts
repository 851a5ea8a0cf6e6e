/**
 * The bytes that are sent: as many as one likes, from a seed, so that each end can make them.
 */
import { createHash, type Hash } from "node:crypto";
import { Buffer } from "node:buffer";
import { AssertionError } from "@std/assert";
import type { Connection } from "../../mod.ts";
import { type Random, seededRandom } from "../support/random.ts";

const BASE_BYTES = 1024 * 1024;
/** Each MiB begins elsewhere in the base: none is like another. */
const STEP_BYTES = 7919;
const PIECE_BYTES_MAX = 256 * 1024;

/** By seed: the last two, for two streams cross. */
const bases = new Map<number, Uint8Array>();

/** So many bytes from a seed, twice: each part of it that is not longer lies in one piece. */
function baseOf(seed: number): Uint8Array {
  const known = bases.get(seed);
  if (known !== undefined) return known;
  const base = new Uint8Array(2 * BASE_BYTES);
  const random = seededRandom(seed);
  const words = new Uint32Array(base.buffer, 0, BASE_BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = random.below(2 ** 32);
  base.copyWithin(BASE_BYTES, 0, BASE_BYTES);
  if (bases.size === 2) bases.clear();
  bases.set(seed, base);
  return base;
}

/** A stream of bytes from a seed. */
export class Source {
  /** How many were made. */
  count = 0;
  readonly #base: Uint8Array;

  /** From the first byte. */
  constructor(seed: number) {
    this.#base = baseOf(seed);
  }

  /** Makes the next bytes, as many as there is room for. */
  fill(room: Uint8Array): void {
    for (let at = 0; at < room.length;) {
      const block = Math.floor(this.count / BASE_BYTES);
      const offset = this.count % BASE_BYTES;
      const from = (block * STEP_BYTES + offset) % BASE_BYTES;
      const length = Math.min(room.length - at, BASE_BYTES - offset);
      room.set(this.#base.subarray(from, from + length), at);
      at += length;
      this.count += length;
    }
  }

  /** The next bytes. */
  take(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    this.fill(bytes);
    return bytes;
  }
}

/** Compares what comes with what a source makes, and hashes it. */
export class Sink {
  /** How many bytes came. */
  count = 0;
  readonly #source: Source;
  readonly #hash: Hash = createHash("sha256");

  /** Expects the bytes of this seed. */
  constructor(seed: number) {
    this.#source = new Source(seed);
  }

  /** Takes the next bytes. */
  add(bytes: Uint8Array): void {
    const expected = this.#source.take(bytes.length);
    if (Buffer.compare(bytes, expected) !== 0) {
      const at = expected.findIndex((byte, i) => byte !== bytes[i]);
      throw new AssertionError(`byte ${this.count + at} is ${bytes[at]}, not ${expected[at]}`);
    }
    this.#hash.update(bytes);
    this.count += bytes.length;
  }

  /** The SHA-256 of all. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}

/** The SHA-256 of so many bytes of a seed. */
export function digestOf(seed: number, count: number): string {
  const source = new Source(seed);
  const hash = createHash("sha256");
  for (let left = count; left > 0; left -= BASE_BYTES) {
    hash.update(source.take(Math.min(left, BASE_BYTES)));
  }
  return hash.digest("hex");
}

/** Sends so many bytes of a seed, in pieces of any length. */
export async function send(
  { writer }: Connection,
  seed: number,
  count: number,
  random: Random = seededRandom(seed),
): Promise<void> {
  const source = new Source(seed);
  while (source.count < count) {
    const most = random.chance(0.2) ? 1000 : PIECE_BYTES_MAX;
    source.fill(writer.malloc(Math.min(1 + random.below(most), count - source.count)));
    await writer.flush();
  }
}

/** Receives so many bytes of a seed, and fails at the first that is another. Their SHA-256. */
export async function receive(
  { reader }: Connection,
  seed: number,
  count: number,
): Promise<string> {
  const sink = new Sink(seed);
  while (sink.count < count) {
    await reader.wait(1);
    sink.add(reader.next(Math.min(reader.length, count - sink.count)));
    reader.release();
  }
  return sink.digest();
}
