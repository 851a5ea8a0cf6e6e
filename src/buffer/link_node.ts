/**
 * Nodes: windows on a block, or on the user's own array, of which chains are made.
 *
 * ```text
 *   start ....... read ........ flushed ........ malloced ........ end
 *         used          to read         being filled         free
 * ```
 */
import { assert } from "../core/assert.ts";
import { byteCount, plainView } from "../core/bytes.ts";
import { NODES_SPARE_MAX, WRITE_BLOCK_BYTES_MAX, WRITE_BLOCK_BYTES_MIN } from "../core/limits.ts";
import type { Block } from "./block.ts";

/** A window on memory, in exactly one chain. All positions count from the beginning of `bytes`. */
export class LinkNode {
  /** The block it stands on, or null when it stands on a borrowed array. */
  block: Block | null = null;
  /** A view of the user's own array, borrowed until it is sent. */
  array: Uint8Array | null = null;
  /** The begin of the window. */
  start = 0;
  /** Before it, bytes were read. */
  read = 0;
  /** Before it, bytes are published. */
  flushed = 0;
  /** Before it, bytes were handed out to be written. */
  malloced = 0;
  /**
   * The end of the window. A window on bytes that belong to others too ends where its bytes end.
   */
  end = 0;
  /** The memory that it keeps from other use: blocks count whole. */
  heldBytes = 0;
  /** True if what is free is this node's to fill; bytes that others may read too are not. */
  fills = false;
  /** The next node of the chain. */
  next: LinkNode | null = null;

  /** The memory that the positions count in. */
  get bytes(): Uint8Array {
    return this.block !== null ? this.block.slab.bytes : this.#borrowed();
  }

  /** True if its bytes are gone: a borrowed array was transferred, or its buffer shrunk. */
  get isTaken(): boolean {
    return this.array !== null && byteCount(this.array) < this.malloced;
  }

  #borrowed(): Uint8Array {
    this.checkThere();
    return this.array!;
  }

  /** Throws when its bytes are gone. */
  checkThere(): void {
    if (!this.isTaken) return;
    throw new TypeError(
      "Cannot use bytes that were taken away: their array was transferred, or its buffer shrunk, " +
        "while it was borrowed",
    );
  }

  /** Published bytes that nobody read yet. */
  get readable(): number {
    return this.flushed - this.read;
  }

  /** Bytes written since the last flush. */
  get pending(): number {
    return this.malloced - this.flushed;
  }

  /** Bytes that may still be written. */
  get free(): number {
    return this.end - this.malloced;
  }

  /** A view of bytes of this node. */
  lend(offset: number, length: number): Uint8Array {
    if (this.block !== null) return this.block.lend(offset, length);
    const array = this.#borrowed();
    return new Uint8Array(array.buffer, array.byteOffset + offset, length);
  }

  /** Publishes all that was written. */
  publish(): void {
    this.flushed = this.malloced;
    if (this.block !== null && this.block.published < this.flushed) {
      this.block.published = this.flushed;
    }
  }

  /** The order of the positions; the last line of each method that moves one. */
  check(): void {
    const { start, read, flushed, malloced, end } = this;
    const isOrdered = start <= read && read <= flushed && flushed <= malloced && malloced <= end;
    assert(isOrdered, "start <= read <= flushed <= malloced <= end");
  }
}

let spare: LinkNode | null = null;
let spareCount = 0;

/** The number of nodes that are kept to be used again. */
export function spareNodeCount(): number {
  return spareCount;
}

function take(start: number, end: number): LinkNode {
  const node = spare ?? new LinkNode();
  if (spare !== null) {
    spare = node.next;
    spareCount -= 1;
    node.next = null;
  }
  node.fills = false;
  node.start = start;
  node.read = start;
  node.flushed = start;
  node.end = end;
  return node;
}

/** An empty node on a block that nobody else stands on; the node takes over its reference. */
export function emptyNode(block: Block): LinkNode {
  const node = (block.node ??= homeNode(block)) as LinkNode;
  const { offset } = block;
  node.read = offset;
  node.flushed = offset;
  node.malloced = offset;
  node.start = offset;
  node.end = offset + block.capacity;
  node.fills = true;
  return node;
}

/** The size of the block behind a node: much that leaves together lies in few pieces. */
export function bytesBehind(node: LinkNode | null): number {
  if (node === null || !node.fills) return WRITE_BLOCK_BYTES_MIN;
  const twice = 2 * (node.end - node.start);
  return Math.min(Math.max(twice, WRITE_BLOCK_BYTES_MIN), WRITE_BLOCK_BYTES_MAX);
}

/** A node that stays with its block: what is the same each time is set once. */
function homeNode(block: Block): LinkNode {
  const node = new LinkNode();
  node.block = block;
  node.heldBytes = block.capacity;
  return node;
}

/** A node on bytes `start` to `end` of a block that others stand on too: written, not flushed. */
export function linkedNode(block: Block, start: number, end: number): LinkNode {
  const node = take(start, end);
  node.block = block.retain();
  node.heldBytes = block.capacity;
  node.malloced = end;
  return node;
}

/** A node on the user's own array, written but not flushed. */
export function borrowedNode(array: Uint8Array): LinkNode {
  const count = byteCount(array);
  const node = take(0, count);
  // A view of our own: the user's array is his to give any properties.
  node.array = plainView(array);
  // Noted, not asked for later: a user may detach the array although it is borrowed.
  node.heldBytes = count;
  node.malloced = count;
  return node;
}

/** Another window on bytes `start` to `end` of a node's memory, written but not flushed. */
export function windowNode(node: LinkNode, start: number, end: number): LinkNode {
  if (node.block !== null) return linkedNode(node.block, start, end);
  const window = take(start, end);
  window.array = node.array;
  window.heldBytes = node.heldBytes;
  window.malloced = end;
  return window;
}

/** The memory that a node adds to that of a neighbour: none if both stand on the same block. */
export function heldBeside(neighbour: LinkNode | null, node: LinkNode): number {
  if (neighbour === null) return node.heldBytes;
  const isSame = neighbour.block === node.block && neighbour.array === node.array;
  return isSame ? 0 : node.heldBytes;
}

/** Gives a node, and its share of the memory, back. */
export function freeNode(node: LinkNode): void {
  const { block } = node;
  node.next = null;
  if (block !== null) block.release();
  if (block !== null && block.node === node) return;
  node.block = null;
  node.array = null;
  if (spareCount === NODES_SPARE_MAX) return;
  node.next = spare;
  spare = node;
  spareCount += 1;
}
