/**
 * Targets of the fuzzer: each makes a case from random numbers, and throws when something is not so.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { FrameError, type LinkBuffer } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import type { Random } from "../support/random.ts";

/** Something that is fuzzed. */
export interface Target {
  /** Its name on the command line. */
  readonly name: string;
  /** The rule that holds, in a sentence. */
  readonly what: string;
  /** Why it cannot run here; null or absent when it can. */
  readonly absence?: string | null;
  /** One case. */
  readonly run: (random: Random) => void | Promise<void>;
  /** Ends what the cases have started. */
  readonly close?: () => Promise<void>;
}

/** The numbers near which things change: sizes of blocks and nodes, and powers of two. */
const EDGES = [0, 1, 2, 127, 128, 255, 256, 511, 512, 1024, 4096, 8192, 16384, 65536];

/** A count: mostly small, often near an edge. */
export function someCount(random: Random, most: number): number {
  const count = random.chance(0.7)
    ? random.below(Math.min(most, 20) + 1)
    : random.pick(EDGES) + random.below(5) - 2;
  return Math.max(0, Math.min(most, count));
}

/** So many bytes, each any. */
export function anyBytes(random: Random, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => random.below(256));
}

/** The same bytes with some of them changed, taken out, doubled or cut off. */
export function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  const list = [...bytes];
  for (let n = 1 + random.below(3); n > 0 && list.length > 0; n--) {
    const at = random.below(list.length);
    switch (random.below(6)) {
      case 0:
        list[at] = random.below(256);
        break;
      case 1:
        list[at]! ^= 1 << random.below(8);
        break;
      case 2:
        list.splice(at, 1 + random.below(4));
        break;
      case 3:
        list.splice(at, 0, ...list.slice(at, at + 1 + random.below(8)));
        break;
      case 4:
        list.length = at;
        break;
      default:
        list.splice(at, 0, random.pick([0, 10, 13, 0x30, 0x80, 0xff]));
    }
  }
  return Uint8Array.from(list);
}

/** Bytes one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Fails unless two arrays have the same bytes. */
export function assertBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  assertEquals([...actual], [...expected], what);
}

/** The error that a call throws; null when it does not. */
export function thrownBy(call: () => unknown): Error | null {
  try {
    call();
  } catch (error) {
    assert(error instanceof Error, `${error} is no Error`);
    return error;
  }
  return null;
}

/** A case after which as much native memory is in use as before. */
export function balanced(run: (random: Random) => void): (random: Random) => void {
  return (random) => {
    const before = blocks.counts().usedBytes;
    run(random);
    assertEquals(blocks.counts().usedBytes, before, "memory that is still in use");
  };
}

/** Fails unless a codec refuses again what it has refused, for one reason, and has consumed nothing. */
export function checkRefused(
  codec: { decode(from: LinkBuffer): unknown },
  buffer: LinkBuffer,
  { fault, offset }: FrameError,
): void {
  const { length } = buffer;
  const again = thrownBy(() => codec.decode(buffer));
  assert(again instanceof FrameError && again.fault === fault, "it is refused again");
  assertEquals([again.offset, buffer.length], [offset, length], "nothing is consumed");
}
