/**
 * The chain of nodes behind every reader and writer: four cursors, and what may move each of them.
 *
 * ```text
 *   head ......... reading ......... flushing ......... writing
 *        read, lent        readable           being written
 * ```
 *
 * A chain without nodes has four nulls and holds no memory.
 */
import { assert } from "../core/assert.ts";
import { byteCount, copyInto, plainView } from "../core/bytes.ts";
import { config } from "../core/config.ts";
import { ClosedError } from "../core/errors.ts";
import { BLOCK_BYTES_MAX } from "../core/limits.ts";
import { type Block, blocks } from "./block.ts";
import { Gathering } from "./gathering.ts";
import {
  bytesBehind,
  emptyNode,
  freeNode,
  heldBeside,
  type LinkNode,
  windowNode,
} from "./link_node.ts";
import { takeBack, track } from "./tracked.ts";

/** The reason why a chain may not be used in some way; the text is the error's message. */
export type Ban = { readonly error: (message: string) => Error; readonly message: string };

/** A buffer was closed. */
export const CLOSED: Ban = {
  error: (message) => new ClosedError(message),
  message: "Cannot read or write after close()",
};
/** A buffer was given to `append`. */
export const MOVED: Ban = {
  error: (message) => new TypeError(message),
  message: "Cannot use a buffer after its bytes were appended to another",
};
/** The chain of a reader, which is filled by who receives. */
export const RECEIVED: Ban = {
  error: (message) => new TypeError(message),
  message: "Cannot write to a reader",
};
/** A buffer is a slice. */
export const SLICE: Ban = {
  error: (message) => new TypeError(message),
  message: "Cannot write to a slice: its bytes belong to the buffer that it was taken from",
};

/** A codec's knowledge of a message that has not come in full: no byte is looked at twice. */
export interface Unfinished {
  /** The codec that knows it. */
  readonly knower: unknown;
  /** The begin of the message: bytes read in all before it. */
  readonly begins: number;
}

/** A step that is due when bytes that are being written are taken back. */
export interface Undo {
  /** They are taken back now. */
  undo(): void;
  /** Pending bytes from this one on were dropped, or lie elsewhere. */
  disturb(from: number): void;
}

/** Bytes up to which a loop copies faster than a call, with the view that it needs. */
const LOOP_BYTES_MAX = 16;

function copyFew(from: Uint8Array, at: number, to: Uint8Array, toAt: number, count: number): void {
  for (let i = 0; i < count; i++) to[toAt + i] = from[at + i]!;
}

/** A list of nodes with its cursors. */
export class LinkChain {
  /** The first node that is held; before `reading` lie nodes whose bytes may be lent. */
  head: LinkNode | null = null;
  /** The node whose bytes are read next. */
  reading: LinkNode | null = null;
  /** The last node with published bytes. */
  flushing: LinkNode | null = null;
  /** The last node. */
  writing: LinkNode | null = null;
  /** Published bytes that nobody read yet. */
  length = 0;
  /** Bytes written since the last flush. */
  pending = 0;
  /** Memory held, in bytes: blocks count whole, and once for neighbours that share one. */
  heldBytes = 0;
  /** Bytes read since the last release: the size of a message, as its reader sees it. */
  consumed = 0;
  /** Bytes read in all. */
  total = 0;
  /** Bytes of its stream that were never read from it: they were moved past it, or dropped. */
  bypassed = 0;
  /** A codec's knowledge of the bytes that are read next, or null. */
  unfinished: Unfinished | null = null;
  /** The reason why nothing may be written any more, or null. */
  writeBan: Ban | null = null;
  /** The reason why nothing may be read any more, or null. */
  readBan: Ban | null = null;
  /** True if users' own arrays are linked when they are written; else they are copied. */
  borrows = true;
  /** The number of attempts to write that are under way, one in the other; see undo.ts. */
  attemptCount = 0;
  /** The steps that they undo when they fail; null if none ever did anything but write. */
  undos: Undo[] | null = null;
  #gathering: Gathering | null = null;

  /** Throws when reading is over for good. */
  checkReadable(): void {
    if (this.readBan !== null) throw this.readBan.error(this.readBan.message);
  }

  /** Throws when writing is over for good. */
  checkWritable(): void {
    if (this.writeBan !== null) throw this.writeBan.error(this.writeBan.message);
  }

  // ---- writing ----------------------------------------------------------------------------------

  /**
   * The last node, with at least `count` bytes free; a new one, of at least `bytesMin`, if need be.
   */
  room(count: number, bytesMin?: number): LinkNode {
    const tail = this.writing;
    if (tail !== null && tail.free >= count) return tail;
    const node = emptyNode(blocks.take(Math.max(count, bytesMin ?? bytesBehind(tail))));
    this.link(node);
    return node;
  }

  /** Adds a node at the end. What it has written counts as written by this chain. */
  link(node: LinkNode): void {
    const tail = this.writing;
    if (tail === null) {
      this.head = node;
      this.reading = node;
      this.flushing = node;
      this.heldBytes += node.heldBytes;
    } else {
      tail.next = node;
      this.heldBytes += heldBeside(tail, node);
    }
    this.writing = node;
    this.pending += node.pending;
  }

  /** Counts `count` more bytes of the last node as written: of the one that `room` gave. */
  written(count: number): void {
    const node = this.writing!;
    node.malloced += count;
    this.pending += count;
    node.check();
  }

  /** Writes a copy of bytes. Short ones pack into one node, long ones take several. */
  copyIn(bytes: Uint8Array, count = byteCount(bytes)): void {
    if (count <= BLOCK_BYTES_MAX) return this.#copyPiece(bytes, count);
    const plain = plainView(bytes);
    for (let from = 0; from < count; from += BLOCK_BYTES_MAX) {
      const piece = plain.subarray(from, from + BLOCK_BYTES_MAX);
      this.#copyPiece(piece, piece.length);
    }
  }

  #copyPiece(bytes: Uint8Array, count: number): void {
    if (count === 0) return;
    const node = this.room(count);
    node.bytes.set(bytes, node.malloced);
    this.written(count);
  }

  /** Publishes what was written: it can be read, or sent. */
  publish(): void {
    let node = this.flushing;
    if (node === null || this.pending === 0) return;
    node.publish();
    while (node !== this.writing) {
      node = node.next!;
      node.publish();
    }
    this.flushing = node;
    this.length += this.pending;
    this.pending = 0;
    if (config.verify) this.verify();
  }

  /** True if what was written since the last flush lies in memory that nobody else sees or changes. */
  get isPendingOwn(): boolean {
    let node = this.flushing;
    // Windows and borrowed arrays are never filled: their memory is somebody else's as well.
    while (node !== null && node.fills) node = node.next;
    return node === null;
  }

  /** Drops all that was written since the last flush but its first `count` bytes. */
  truncate(count: number): void {
    assert(0 <= count && count <= this.pending, "only what was written can be dropped");
    this.disturb(count);
    let node = this.flushing;
    if (node === null) return;
    let left = count;
    while (left > node.pending) {
      left -= node.pending;
      node = node.next!;
    }
    if (left < node.pending) this.#cut(node, left);
    this.pending = count;
    this.#dropAfter(node);
    // Without bytes and without lent views nothing need be held.
    if (this.length === 0 && count === 0 && this.consumed === 0) this.#freeAll();
    if (config.verify) this.verify();
  }

  /** Pending bytes from this one on are no longer where an attempt has put them. */
  disturb(from: number): void {
    if (this.undos !== null) { for (const undo of this.undos) undo.disturb(from); }
  }

  /** Drops what a node has written but its first `kept` bytes. */
  #cut(node: LinkNode, kept: number): void {
    node.malloced = node.flushed + kept;
    // Bytes that were published once (append makes them unpublished again) may be linked elsewhere:
    // they are not written over.
    const { block } = node;
    if (block !== null && node.malloced < block.published) node.fills = false;
    if (!node.fills) node.end = node.malloced;
  }

  #dropAfter(last: LinkNode): void {
    let before = last;
    for (let node = last.next; node !== null; before = node, node = node.next) {
      this.heldBytes -= heldBeside(before, node);
    }
    let node = last.next;
    last.next = null;
    this.writing = last;
    while (node !== null) {
      const { next } = node;
      freeNode(node);
      node = next;
    }
  }

  /** Inserts a node before the last `remain` bytes written since the last flush. */
  insert(inserted: LinkNode, remain: number): void {
    assert(remain <= this.pending, "an insertion lies in what was written since the last flush");
    if (remain === 0) return this.link(inserted);
    this.disturb(this.pending - remain);
    let node = this.flushing!;
    let before = this.pending - remain;
    while (before > node.pending) {
      before -= node.pending;
      node = node.next!;
    }
    if (before < node.pending) this.#split(node, node.flushed + before);
    const after = node.next!; // it has some of the `remain` bytes
    this.heldBytes += heldBeside(node, inserted) + heldBeside(inserted, after) -
      heldBeside(node, after);
    inserted.next = after;
    node.next = inserted;
    this.pending += inserted.pending;
    if (config.verify) this.verify();
  }

  /**
   * Makes two nodes of one: the second gets what was written from `at` on, and the right to write
   * more.
   */
  #split(node: LinkNode, at: number): void {
    const rest = windowNode(node, at, node.malloced);
    rest.end = node.end;
    rest.fills = node.fills;
    node.malloced = at;
    node.end = at;
    node.fills = false;
    rest.next = node.next;
    node.next = rest;
    if (this.writing === node) this.writing = rest;
  }

  /** Takes over all bytes of another chain, read ones excepted, as written and not flushed. */
  take(other: LinkChain): void {
    other.bypassed += other.length;
    other.release();
    let node = other.head;
    other.#forget();
    while (node !== null) {
      const { next } = node;
      node.next = null;
      node.start = node.read;
      node.flushed = node.read;
      if (node.pending > 0) this.link(node);
      else freeNode(node);
      node = next;
    }
    if (config.verify) this.verify();
  }

  // ---- receiving --------------------------------------------------------------------------------

  /**
   * Publishes `count` bytes that were received into the node that `room` gave; one that got none is
   * given back.
   */
  received(count: number): void {
    const node = this.writing!;
    if (count > 0 && this.pending === 0 && node === this.flushing) {
      node.malloced += count;
      node.publish();
      node.check();
      this.length += count;
    } else if (count > 0) {
      this.written(count);
      this.publish();
    } else if (this.length === 0 && this.pending === 0 && this.consumed === 0) {
      this.release();
    }
  }

  // ---- reading ----------------------------------------------------------------------------------

  /** The node with the next unread byte; with none, the last one that is published, or null. */
  front(): LinkNode | null {
    let node = this.reading;
    while (node !== null && node.read === node.flushed && node !== this.flushing) {
      node = node.next;
    }
    this.reading = node;
    return node;
  }

  /** Counts `count` bytes as read. */
  consume(count: number): void {
    assert(count <= this.length, "only what is there can be read");
    if (count === 0) return;
    this.length -= count;
    this.consumed += count;
    this.total += count;
    if (this.#gathering !== null) this.#gathering.consume(count);
    let node = this.reading!;
    let end = node.read + count;
    while (end > node.flushed) {
      end -= node.flushed;
      node.read = node.flushed;
      node = node.next!;
      end += node.read;
    }
    node.read = end;
    this.reading = node;
    if (config.verify) this.verify();
  }

  /** Lends the next `count` bytes, of those that are there, without reading them. */
  lend(count: number): Uint8Array {
    const node = this.front()!;
    if (node.readable >= count) return track(this, node.lend(node.read, count));
    const gathering = this.#gathering ??= new Gathering();
    return track(this, this.#gather(gathering, count).lend(gathering.peekedAt, count));
  }

  /**
   * A block with a copy of the next `count` bytes. One that is there already is used, or filled
   * further.
   */
  #gather(gathering: Gathering, count: number): Block {
    let copy = gathering.reusable(count);
    if (copy === null) {
      // Blocks double from size to size, so a peek that grows byte by byte rarely copies everything
      // again.
      copy = blocks.take(count);
      gathering.add(copy);
      this.heldBytes += copy.capacity;
    }
    const have = gathering.peekedBytes;
    if (have < count) {
      this.copyOut(copy.slab.bytes, gathering.peekedAt + have, count - have, have);
      gathering.peekedBytes = count;
      copy.published = gathering.peekedAt + count;
    }
    return copy;
  }

  /** Copies `count` unread bytes, those after the first `skip`, into a target. */
  copyOut(target: Uint8Array, at: number, count: number, skip = 0): void {
    let node = this.front();
    for (; skip > 0 && skip >= node!.readable; node = node!.next) skip -= node!.readable;
    for (; count > 0; node = node!.next, skip = 0) {
      const from = node!.read + skip;
      const part = Math.min(count, node!.flushed - from);
      if (part <= LOOP_BYTES_MAX) copyFew(node!.bytes, from, target, at, part);
      else copyInto(target, node!.lend(from, part), at);
      at += part;
      count -= part;
    }
  }

  /** Moves the next `count` bytes to a chain that shares their memory. */
  share(count: number, into: LinkChain): void {
    let node = this.front();
    for (let left = count; left > 0; node = node!.next) {
      const part = Math.min(left, node!.readable);
      if (part > 0) into.link(windowNode(node!, node!.read, node!.read + part));
      left -= part;
    }
    into.publish();
    this.consume(count);
  }

  /** Gives back the memory of all that was read: what was lent is no longer the reader's. */
  release(): void {
    if (this.length === 0 && this.pending === 0) this.#freeAll();
    else this.#freeUntil(this.front());
    this.consumed = 0;
    if (this.#gathering !== null) this.#releaseCopies(this.#gathering);
    takeBack(this);
    if (config.verify) this.verify();
  }

  /** Gives back everything, and says why from now on nothing can be done. */
  close(ban: Ban): void {
    this.bypassed += this.length;
    this.readBan = ban;
    this.writeBan = ban;
    this.unfinished = null;
    this.#freeAll();
    this.length = 0;
    this.pending = 0;
    this.release();
  }

  #freeUntil(last: LinkNode | null): void {
    let node = this.head;
    while (node !== null && node !== last) {
      const { next } = node;
      this.heldBytes -= heldBeside(next, node);
      freeNode(node);
      node = next;
    }
    this.head = last;
  }

  #freeAll(): void {
    const { head } = this;
    if (head !== null && head === this.writing) {
      this.heldBytes -= head.heldBytes;
      this.head = null;
      freeNode(head);
    } else {
      this.#freeUntil(null);
    }
    this.reading = null;
    this.flushing = null;
    this.writing = null;
  }

  /** The nodes are somebody else's now. */
  #forget(): void {
    this.head = null;
    this.reading = null;
    this.flushing = null;
    this.writing = null;
    this.length = 0;
    this.pending = 0;
    this.heldBytes = 0;
    this.consumed = 0;
    this.unfinished = null;
    this.readBan = MOVED;
    this.writeBan = MOVED;
  }

  #releaseCopies(gathering: Gathering): void {
    this.heldBytes -= gathering.heldBytes;
    gathering.release();
    this.#gathering = null;
  }

  /** The order of the cursors, and that the counts are those of the nodes. O(n). */
  verify(): void {
    let [length, pending, heldBytes, seen] = [0, 0, 0, 0];
    let before: LinkNode | null = null;
    for (let node = this.head; node !== null; before = node, node = node.next) {
      node.check();
      if (node === this.reading) assert(seen++ === 0, "head <= reading");
      if (node === this.flushing) assert(seen++ === 1, "reading <= flushing");
      if (node === this.writing) assert(seen++ === 2 && node.next === null, "flushing <= writing");
      if (seen > 0) length += node.readable;
      pending += node.pending;
      heldBytes += heldBeside(before, node);
    }
    heldBytes += this.#gathering?.heldBytes ?? 0;
    assert(seen === 3 || this.head === null, "all cursors are in the chain");
    assert(length === this.length && pending === this.pending, "the counts are those of the nodes");
    assert(heldBytes === this.heldBytes, "what is held is what the nodes hold");
  }
}
