/**
 * Blocks: the pieces of slabs that nodes stand on, counted by reference, and the pool they come
 * from.
 */
import { setTimeout } from "node:timers";
import { assert } from "../core/assert.ts";
import { config } from "../core/config.ts";
import { SystemError } from "../core/errors.ts";
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  LARGE_KEEP_BYTES_MAX,
  PIECE_BYTES_MAX,
  SLAB_BYTES,
  SLAB_IDLE_MS,
} from "../core/limits.ts";
import { Slab } from "./slab.ts";

/** The byte that fills freed memory in debug mode. */
const POISON = 0xdb;

/** A piece of a slab, of a power of two bytes. */
export class Block {
  /** The slab that it is a piece of. */
  readonly slab: Slab;
  /** The offset in the slab at which it begins. */
  readonly offset: number;
  /** Its size in bytes. */
  readonly capacity: number;
  /** The number of its list while it is free: its capacity is 2^size KiB. */
  readonly size: number;
  /** Up to where in the slab its bytes were published, and so may be linked rather than copied. */
  published = 0;
  /** Nodes, copies and pins that stand on it; 0 while it is free. */
  references = 0;
  /** Zero-copy sends from it that are under way: the kernel reads it until they complete. */
  pins = 0;
  /** The next free block of its size. */
  next: Block | null = null;
  /** The node that fills it, made once and used again whenever the block is taken to be filled. */
  node: { readonly block: Block | null } | null = null;

  #lent: Uint8Array | null = null;
  #lentOffset = 0;
  #lentLength = 0;

  /** A free block at `offset` of a slab. */
  constructor(slab: Slab, offset: number, capacity: number) {
    this.slab = slab;
    this.offset = offset;
    this.capacity = capacity;
    this.size = classOf(capacity);
    slab.setBlock(offset, this);
  }

  /** One more stands on it. */
  retain(): this {
    assert(this.references > 0, "only a block in use is shared");
    this.references += 1;
    return this;
  }

  /** One fewer stands on it; with the last, it goes back to the pool. */
  release(): void {
    const { references, pins } = this;
    assert(
      references > (pins > 0 ? 1 : 0),
      "a block is not released twice, nor while it is pinned",
    );
    this.references = references - 1;
    if (references === 1) blocks.give(this);
  }

  /** The kernel sends from it: **pinned** until as many completions have come as sends. */
  pin(): this {
    if (this.pins === 0) blocks.pinnedBytes += this.capacity;
    this.pins += 1;
    return this.retain();
  }

  /** A send from it has completed. */
  unpin(): void {
    assert(this.pins > 0, "a block is not unpinned more often than pinned");
    this.pins -= 1;
    if (this.pins === 0) blocks.pinnedBytes -= this.capacity;
    this.release();
  }

  /**
   * A view of `length` bytes at `offset` of the slab. The last one is kept: a connection that reads
   * messages of one size makes no garbage, for a view costs more than all else that a read does.
   */
  lend(offset: number, length: number): Uint8Array {
    const last = this.#lent;
    if (
      last !== null && this.#lentOffset === offset && this.#lentLength === length &&
      last.length === length // detached views are empty
    ) return last;
    const view = new Uint8Array(this.slab.bytes.buffer, offset, length);
    this.#lent = view;
    this.#lentOffset = offset;
    this.#lentLength = length;
    return view;
  }

  /** Forgets the view that was lent, with the buffer that it keeps alive. */
  forgetView(): void {
    this.#lent = null;
  }
}

function classOf(bytes: number): number {
  return bytes <= BLOCK_BYTES_MIN ? 0 : 32 - Math.clz32((bytes - 1) / BLOCK_BYTES_MIN | 0);
}

/** The size of the block that is taken for `bytes`. */
export function blockBytes(bytes: number): number {
  return BLOCK_BYTES_MIN * 2 ** classOf(bytes);
}

/** The counts of a pool, for tests and metrics. */
export interface PoolCounts {
  /** Bytes of blocks in use. */
  usedBytes: number;
  /** Blocks in use. */
  usedCount: number;
  /** Slabs ever mapped; they are never unmapped. */
  slabCount: number;
  /** Slabs whose memory JavaScript can reach, the others having given their pages back. */
  wrappedCount: number;
  /** The bytes of these. */
  wrappedBytes: number;
}

/**
 * The blocks of a thread. Free blocks of each size form a list, last in first out, because the
 * memory used last is the warmest. A size that has none splits a larger block; a slab that stayed
 * idle for a while is made whole again and gives its pages back.
 */
export class BlockPool {
  /** Bytes of blocks that are pinned. */
  pinnedBytes = 0;
  readonly #free: (Block | null)[] = new Array(classOf(PIECE_BYTES_MAX) + 1).fill(null);
  readonly #slabs: Slab[] = [];
  /** Slabs that are retired: mapped, but without pages, blocks or buffer. By size class. */
  readonly #retired: Slab[][] = [];
  #isTrimPlanned = false;

  /**
   * Takes a block of at least `bytes` bytes. Its content is whatever it was: never show it to a
   * peer.
   *
   * @throws {RangeError} More than `PIECE_BYTES_MAX`: the caller asked for too much in one piece.
   * @throws {SystemError} No memory is left.
   */
  take(bytes: number): Block {
    if (bytes > PIECE_BYTES_MAX) {
      throw new RangeError(`Cannot hold ${bytes} bytes in one piece: at most ${PIECE_BYTES_MAX}`);
    }
    const size = classOf(bytes);
    const block = this.#free[size] ?? this.#make(size);
    this.#free[size] = block.next;
    block.next = null;
    const { slab } = block;
    slab.usedBytes += block.capacity;
    block.references = 1;
    block.published = block.offset;
    return block;
  }

  /** Takes a block as `take` does; null when no memory is left. */
  takeIfAny(bytes: number): Block | null {
    try {
      return this.take(bytes);
    } catch (error) {
      if (error instanceof SystemError) return null;
      throw error;
    }
  }

  /** Takes a block back. Called by {@linkcode Block.release} only. */
  give(block: Block): void {
    const { slab } = block;
    if (config.debug) {
      slab.bytes.fill(POISON, block.offset, block.offset + block.capacity);
    }
    slab.usedBytes -= block.capacity;
    this.#link(block);
    if (slab.usedBytes > 0) return;
    if (block.capacity > LARGE_KEEP_BYTES_MAX) this.#retire(slab);
    else if (this.#slabs.length > 1 && !this.#isTrimPlanned) this.#planTrim();
  }

  /** The counts of the pool. Looks at every block. */
  counts(): PoolCounts {
    const wrappedCount = this.#slabs.length;
    let slabCount = wrappedCount;
    for (const slabs of this.#retired) slabCount += slabs?.length ?? 0;
    const counts = { usedBytes: 0, usedCount: 0, slabCount, wrappedCount, wrappedBytes: 0 };
    for (const slab of this.#slabs) {
      counts.wrappedBytes += slab.byteLength;
      counts.usedBytes += slab.usedBytes;
      for (const block of slab.blocks() as Iterable<Block>) {
        if (block.references > 0) counts.usedCount += 1;
      }
    }
    return counts;
  }

  /**
   * Gives back the pages of every idle slab but one, which the next burst will want: that is made
   * whole again.
   */
  trim(): void {
    const idle = this.#slabs.filter((slab) => slab.usedBytes === 0);
    const kept = idle.find((slab) => slab.byteLength === SLAB_BYTES);
    for (const slab of idle) if (slab !== kept) this.#retire(slab);
    if (kept === undefined || kept.blockAt(0)!.capacity === SLAB_BYTES) return;
    this.#dissolve(kept);
    this.#link(new Block(kept, 0, SLAB_BYTES));
  }

  #planTrim(): void {
    this.#isTrimPlanned = true;
    setTimeout(() => {
      this.#isTrimPlanned = false;
      this.trim();
    }, SLAB_IDLE_MS).unref();
  }

  /** A free block of a class that has none: half of a larger one, or a new slab. */
  #make(size: number): Block {
    if (size > classOf(BLOCK_BYTES_MAX)) return this.#addSlab(BLOCK_BYTES_MIN * 2 ** size);
    let larger = size + 1;
    while (larger <= classOf(SLAB_BYTES) && !this.#free[larger]) larger += 1;
    let block = this.#free[larger] ?? this.#addSlab(SLAB_BYTES);
    while (block.size > size) block = this.#split(block);
    return block;
  }

  #addSlab(bytes: number): Block {
    const retired = this.#retired[classOf(bytes)]?.pop();
    const slab = retired ?? Slab.map(bytes);
    if (!slab.isWrapped) slab.wrap();
    this.#slabs.push(slab);
    const block = new Block(slab, 0, bytes);
    this.#link(block);
    return block;
  }

  /**
   * Makes two free blocks of the first one of its size; the first of them, which is the first of
   * its size.
   */
  #split(block: Block): Block {
    assert(this.#free[block.size] === block, "the first of a size is split");
    this.#free[block.size] = block.next;
    const half = block.capacity / 2;
    this.#link(new Block(block.slab, block.offset + half, half));
    const first = new Block(block.slab, block.offset, half);
    this.#link(first);
    return first;
  }

  /** Takes all blocks of an idle slab away. */
  #dissolve(slab: Slab): void {
    const sizes = new Set<number>();
    for (const block of slab.blocks() as Iterable<Block>) {
      assert(block.references === 0, "an idle slab has only free blocks");
      sizes.add(block.size);
      block.forgetView();
    }
    for (const size of sizes) this.#free[size] = without(this.#free[size]!, slab);
    slab.forgetBlocks();
  }

  #retire(slab: Slab): void {
    this.#dissolve(slab);
    slab.retire();
    this.#slabs.splice(this.#slabs.indexOf(slab), 1);
    (this.#retired[classOf(slab.byteLength)] ??= []).push(slab);
  }

  #link(block: Block): void {
    block.next = this.#free[block.size]!;
    this.#free[block.size] = block;
  }
}

/** A list without the blocks of one slab. */
function without(list: Block | null, slab: Slab): Block | null {
  let first: Block | null = null;
  let last: Block | null = null;
  for (let block = list; block !== null; block = block.next) {
    if (block.slab === slab) continue;
    if (last === null) first = block;
    else last.next = block;
    last = block;
  }
  if (last !== null) last.next = null;
  return first;
}

/** The pool of this thread. */
export const blocks: BlockPool = new BlockPool();
