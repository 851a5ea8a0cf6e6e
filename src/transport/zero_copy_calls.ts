/**
 * Zero-copy sends under way: which numbers the kernel has not reported yet, and which blocks each of
 * them pins.
 *
 * ```text
 *        head ............................. next
 *   done      under way, or done out of order    the number of the next send that moves bytes
 * ```
 *
 * The numbers are the kernel's own: it counts a socket's zero-copy sends from 0, and only those that
 * moved bytes (Documentation/networking/msg_zerocopy). They wrap at 2^32.
 */
import type { Block } from "../buffer/block.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import { assert } from "../core/assert.ts";
import { ZERO_COPY_CALLS_MAX } from "../core/limits.ts";

const MASK = ZERO_COPY_CALLS_MAX - 1;

/** The sends of one connection, in a ring. */
export class ZeroCopyCalls {
  /** Bytes that are under way. */
  bytes = 0;
  #head: number;
  #next: number;
  /** Where in the stream each send begins. */
  readonly #starts = new Float64Array(ZERO_COPY_CALLS_MAX);
  readonly #lengths = new Uint32Array(ZERO_COPY_CALLS_MAX);
  readonly #isDone = new Uint8Array(ZERO_COPY_CALLS_MAX);
  readonly #blocks: Block[][] = [];

  /** None under way; `first` is the number of the first. */
  constructor(first = 0) {
    this.#head = first;
    this.#next = first;
  }

  /** The number under way, those included that are done while an earlier one is not. */
  get count(): number {
    return (this.#next - this.#head) >>> 0;
  }

  /** Up to where of the stream no byte is pinned; Infinity when none is. */
  get releasedTo(): number {
    return this.count === 0 ? Infinity : this.#starts[this.#head & MASK]!;
  }

  /** A send of `length` bytes from a node on, `start` bytes into the stream, was taken. */
  add(start: number, length: number, first: LinkNode): void {
    assert(this.count < ZERO_COPY_CALLS_MAX && length > 0, "a send that moved bytes has a place");
    const at = this.#next & MASK;
    this.#starts[at] = start;
    this.#lengths[at] = length;
    this.#isDone[at] = 0;
    this.#next = this.#next + 1 >>> 0;
    this.bytes += length;
    const pinned = this.#blocks[at] ??= [];
    let left = length;
    for (let node: LinkNode | null = first; left > 0; node = node!.next) {
      const part = Math.min(left, node!.readable);
      if (part > 0) pinned.push(node!.block!.pin());
      left -= part;
    }
  }

  /**
   * The kernel is done with `lo` to `hi`; `hi` is below `lo` across the wrap. How many of them were
   * under way: what was reported before, or never sent, counts for nothing.
   */
  complete(lo: number, hi: number): number {
    const span = (hi - lo) >>> 0;
    let count = 0;
    for (let id = this.#head; id !== this.#next; id = id + 1 >>> 0) {
      const at = id & MASK;
      if ((id - lo) >>> 0 > span || this.#isDone[at] === 1) continue;
      this.#isDone[at] = 1;
      this.bytes -= this.#lengths[at]!;
      this.#release(this.#blocks[at]!);
      count += 1;
    }
    while (this.#head !== this.#next && this.#isDone[this.#head & MASK] === 1) {
      this.#head = this.#head + 1 >>> 0;
    }
    return count;
  }

  #release(pinned: Block[]): void {
    for (const block of pinned) block.unpin();
    pinned.length = 0;
  }
}
