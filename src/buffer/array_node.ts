/**
 * Arrays that are written: which of them are linked, borrowed or copied.
 */
import { bufferOf, isFixed, offsetOf, plainView, presentCount } from "../core/bytes.ts";
import { config } from "../core/config.ts";
import { BLOCK_BYTES_MIN, COPY_BYTES_MAX, LINK_BYTES_MIN } from "../core/limits.ts";
import { type Block, blocks } from "./block.ts";
import type { LinkChain } from "./link_chain.ts";
import { borrowedNode, linkedNode, type LinkNode } from "./link_node.ts";
import { slabOf } from "./slab.ts";

// Half of the smallest block: no shorter view is ever linked.
const LINK_PART_BYTES_MIN = BLOCK_BYTES_MIN / 2;

/**
 * An array whose bytes may move, vanish, or be written by another thread must be copied. So must
 * all in debug mode, where `release()` takes away what was lent.
 */
function canBorrow(bytes: Uint8Array): boolean {
  return isFixed(bufferOf(bytes)) && !config.debug;
}

/**
 * The number of bytes to write. A value that is no byte array is a bug of the caller, and so is one
 * that was taken away.
 */
export function countToWrite(bytes: Uint8Array): number {
  return presentCount(bytes, "write");
}

/**
 * A node on the memory of a view that a reader of ours lent, or null when it has to be copied: what
 * `malloc` lent may still change, and what was given back is somebody else's. Below `bytesMin` it
 * must be half of its block: copying 1 KiB costs 16 ns, less than a node, and a sliver would keep a
 * whole block from being used.
 */
function linkedTo(bytes: Uint8Array, length: number, bytesMin: number): LinkNode | null {
  const byteOffset = offsetOf(bytes);
  const block = slabOf(bufferOf(bytes))?.blockAt(byteOffset) as Block | undefined;
  if (block === undefined || block.references === 0) return null;
  if (length < bytesMin && length * 2 < block.capacity) return null;
  const end = byteOffset + length;
  return end > block.published ? null : linkedNode(block, byteOffset, end);
}

/** A node on a copy in memory of ours. */
function copiedNode(bytes: Uint8Array, count: number): LinkNode {
  const block = blocks.take(count);
  block.slab.bytes.set(bytes, block.offset);
  const node = linkedNode(block, block.offset, block.offset + count);
  block.release();
  return node;
}

/** A node on the user's own array, when it is long enough and may be borrowed. */
function borrowedIn(chain: LinkChain, bytes: Uint8Array, length: number): LinkNode | null {
  if (length <= COPY_BYTES_MAX || !chain.borrows || !canBorrow(bytes)) return null;
  // Memory of ours that cannot be linked is not the user's either.
  return slabOf(bufferOf(bytes)) === undefined ? borrowedNode(bytes) : null;
}

/** A node on the bytes of an array, linked or borrowed; null when copying them is right, or cheaper. */
export function nodeOf(chain: LinkChain, bytes: Uint8Array, length: number): LinkNode | null {
  if (length < LINK_PART_BYTES_MIN) return null;
  return linkedTo(bytes, length, LINK_BYTES_MIN) ?? borrowedIn(chain, bytes, length);
}

/** A node on the bytes of an array that stand between others: linked or borrowed, however short. */
export function insertedNode(chain: LinkChain, bytes: Uint8Array, length: number): LinkNode {
  const isOurs = slabOf(bufferOf(bytes)) !== undefined;
  // Memory of ours is not borrowed: it would be given back while it is in the chain.
  const linked = isOurs ? linkedTo(bytes, length, 1) : null;
  if (linked !== null) return linked;
  // A copy has the length that the plain view was made with, though a shared buffer may grow.
  const plain = plainView(bytes);
  if (!chain.borrows) return copiedNode(plain, length);
  return borrowedNode(!isOurs && canBorrow(bytes) ? plain : new Uint8Array(plain));
}
