/**
 * Bytes that lay in several nodes and were copied together to be lent in one piece, until the next
 * release.
 */
import type { Block } from "./block.ts";

/** The copies of one chain. A chain whose messages lie in one node each has none. */
export class Gathering {
  /** The blocks that hold them. */
  readonly copies: Block[] = [];
  /** The last of them begins with so many bytes that are still unread, */
  peekedBytes = 0;
  /** at this position of its slab. */
  peekedAt = 0;

  /** The last copy, if it holds the next unread bytes and has room for `count` of them. */
  reusable(count: number): Block | null {
    const last = this.copies[this.copies.length - 1];
    if (last === undefined || this.peekedBytes === 0) return null;
    return this.peekedAt + count <= last.offset + last.capacity ? last : null;
  }

  /** Copies go on in another block. */
  add(copy: Block): void {
    this.copies.push(copy);
    this.peekedBytes = 0;
    this.peekedAt = copy.offset;
  }

  /** The chain has read `count` bytes. */
  consume(count: number): void {
    this.peekedBytes = Math.max(0, this.peekedBytes - count);
    this.peekedAt += count;
  }

  /** The memory that they hold. */
  get heldBytes(): number {
    return this.copies.reduce((sum, copy) => sum + copy.capacity, 0);
  }

  /** Gives them back. */
  release(): void {
    for (const copy of this.copies) copy.release();
  }
}
