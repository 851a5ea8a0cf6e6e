/**
 * The memory that the simulated kernel maps.
 */
import { machine } from "./machine.ts";

/** Memory that outlives schedules: to make it costs more than a schedule. */
const spareSlabs = new Map<number, Uint8Array[]>();

/** The slabs of one schedule. */
export class Memory {
  readonly slabs: Uint8Array[] = [];

  /** The number of a new slab. */
  map(bytes: number): number {
    this.slabs.push(spareSlabs.get(bytes)?.pop() ?? new Uint8Array(bytes));
    return this.slabs.length - 1;
  }

  /** The schedule is over. */
  forget(): void {
    for (const slab of this.slabs.splice(0)) {
      const spare = spareSlabs.get(slab.length) ?? [];
      spareSlabs.set(slab.length, spare);
      spare.push(slab);
    }
  }

  /** A piece of a slab. */
  piece(slab: number, offset: number, length: number): Uint8Array {
    const memory = this.slabs[slab]!;
    if (offset + length > memory.length) machine.violate("a piece lies outside of its slab");
    return memory.subarray(offset, offset + length);
  }

  /** The pieces of a table of triplets. */
  pieces(table: Uint32Array, count: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      pieces.push(this.piece(table[3 * i]!, table[3 * i + 1]!, table[3 * i + 2]!));
    }
    return pieces;
  }

  /** The first place of a needle in a piece, or -1. */
  find(slab: number, offset: number, length: number, needle: Uint8Array, bytes: number): number {
    const piece = this.piece(slab, offset, length);
    for (let at = piece.indexOf(needle[0]!); at >= 0; at = piece.indexOf(needle[0]!, at + 1)) {
      if (at + bytes > length) return -1;
      let same = 1;
      while (same < bytes && piece[at + same] === needle[same]) same += 1;
      if (same === bytes) return at;
    }
    return -1;
  }
}
