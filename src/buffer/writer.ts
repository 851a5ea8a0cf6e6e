/**
 * Writing: bytes in memory of our own, until `flush` publishes or sends them.
 */
import { config } from "../core/config.ts";
import { BLOCK_BYTES_MAX, COPY_BYTES_MAX, LINK_BYTES_MIN } from "../core/limits.ts";
import type { LinkChain } from "./link_chain.ts";
import type { LinkBuffer } from "./link_buffer.ts";
import { borrowedNode, linkedNode } from "./link_node.ts";
import { ChainReader, checkCount, type TextEncoding } from "./reader.ts";
import { slabOf } from "./slab.ts";

/**
 * Writes into memory of its own; only `flush` makes the bytes readable, or sends them. Counts of 0 or less
 * write nothing.
 */
export interface Writer {
  /** How many bytes were written since the last flush. */
  readonly mallocLength: number;
  /** False while so much is unsent that a producer had better wait for `flush()`. Writing never throws for it. */
  readonly isWritable: boolean;
  /**
   * Lends `count` bytes in one piece, to be filled before the next flush. Their content is undefined: fill all
   * of them, or give the rest back with `mallocAck`.
   *
   * @throws {ClosedError} The buffer or connection is closed; every method that writes throws it.
   */
  malloc(count: number): Uint8Array;
  /**
   * Keeps the first `count` bytes of everything written since the last flush and drops the rest, whatever
   * wrote them.
   *
   * @throws {RangeError} Less than `count` was written, or `count` is negative.
   */
  mallocAck(count: number): void;
  /** Writes text. How many bytes that was. */
  writeString(text: string, encoding?: TextEncoding): number;
  /**
   * Writes bytes. How many.
   *
   * Up to 4096 bytes are copied. A longer array is **borrowed** until it was flushed: do not change it before
   * (`copy: true` copies it instead). A view that a reader of ours lent is linked, not copied, and may be
   * released at once.
   */
  writeBinary(bytes: Uint8Array, options?: { copy?: boolean }): number;
  /** Writes one byte, 0 to 255. */
  writeByte(value: number): void;
  /** Writes an unsigned 8-bit integer. */
  writeUint8(value: number): void;
  /** Writes a signed 8-bit integer. */
  writeInt8(value: number): void;
  /** Writes an unsigned 16-bit integer, high byte first. */
  writeUint16BE(value: number): void;
  /** Writes an unsigned 16-bit integer, low byte first. */
  writeUint16LE(value: number): void;
  /** Writes a signed 16-bit integer, high byte first. */
  writeInt16BE(value: number): void;
  /** Writes a signed 16-bit integer, low byte first. */
  writeInt16LE(value: number): void;
  /** Writes an unsigned 32-bit integer, high byte first. */
  writeUint32BE(value: number): void;
  /** Writes an unsigned 32-bit integer, low byte first. */
  writeUint32LE(value: number): void;
  /** Writes a signed 32-bit integer, high byte first. */
  writeInt32BE(value: number): void;
  /** Writes a signed 32-bit integer, low byte first. */
  writeInt32LE(value: number): void;
  /** Writes an unsigned 64-bit integer, high byte first. */
  writeBigUint64BE(value: bigint): void;
  /** Writes an unsigned 64-bit integer, low byte first. */
  writeBigUint64LE(value: bigint): void;
  /** Writes a signed 64-bit integer, high byte first. */
  writeBigInt64BE(value: bigint): void;
  /** Writes a signed 64-bit integer, low byte first. */
  writeBigInt64LE(value: bigint): void;
  /** Writes an IEEE 754 number of 32 bits, high byte first. */
  writeFloat32BE(value: number): void;
  /** Writes an IEEE 754 number of 32 bits, low byte first. */
  writeFloat32LE(value: number): void;
  /** Writes an IEEE 754 number of 64 bits, high byte first. */
  writeFloat64BE(value: number): void;
  /** Writes an IEEE 754 number of 64 bits, low byte first. */
  writeFloat64LE(value: number): void;
  /** Writes an unsigned LEB128 integer. @throws {RangeError} It is not a whole number from 0 to 2^53 - 1. */
  writeVarint(value: number): void;
  /**
   * Inserts bytes before the last `remain` bytes written since the last flush. **Borrowed** until flushed,
   * however short.
   *
   * @throws {RangeError} Less than `remain` was written.
   */
  writeDirect(bytes: Uint8Array, remain?: number): void;
  /**
   * Moves all bytes of a buffer, flushed or not, to the end of this one: no copy. The buffer cannot be used
   * afterwards, unless it was empty.
   *
   * @throws {TypeError} It is no `LinkBuffer`, or was appended before.
   */
  append(buffer: LinkBuffer): void;
  /**
   * Publishes what was written. A connection's sends it, and resolves when the kernel has taken every byte; a
   * `LinkBuffer`'s makes it readable before it returns. A rejection that nobody looks at is no unhandled one.
   *
   * @throws {TimeoutError} A connection's bytes did not leave within `writeTimeoutMs`; they stay queued.
   */
  flush(options?: { signal?: AbortSignal }): Promise<void>;
}

// Short text is encoded faster in a loop than by a call (Deno: 6 ns for 10 characters against 130).
const LOOP_CHARACTERS_MAX = 24;
const UTF8_BYTES_PER_CHARACTER = 3; // of UTF-16; a pair of surrogates makes four
/** Text is encoded in pieces, so that no string needs a block three times its length. */
const TEXT_PIECE_CHARACTERS = 64 * 1024;

// Where a number goes that `ChainWriter.#number` made room for.
let numbers: DataView = new DataView(new ArrayBuffer(0));

/** An array whose bytes may move, vanish, or be written by another thread must be copied. */
function canBorrow(bytes: Uint8Array): boolean {
  const { buffer } = bytes;
  return buffer instanceof ArrayBuffer && !buffer.resizable;
}

/** How many characters a piece of text from `from` on has, without cutting a pair of surrogates in two. */
function pieceEnd(text: string, from: number): number {
  const end = Math.min(text.length, from + TEXT_PIECE_CHARACTERS);
  const isPair = end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800;
  return isPair ? end - 1 : end;
}

/**
 * {@linkcode Writer} over a chain, but for what `flush` means.
 *
 * @internal
 */
export abstract class ChainWriter extends ChainReader implements Writer {
  readonly #chain: LinkChain;

  /** A writer of a chain. */
  constructor(chain: LinkChain) {
    super(chain);
    this.#chain = chain;
  }

  abstract get isWritable(): boolean;
  abstract flush(options?: { signal?: AbortSignal }): Promise<void>;

  get mallocLength(): number {
    return this.#chain.pending;
  }

  malloc(count: number): Uint8Array {
    const chain = this.#chain;
    chain.checkWritable();
    checkCount("malloc", count);
    if (count <= 0) return new Uint8Array(0);
    const node = chain.room(count);
    const at = node.malloced;
    chain.written(node, count);
    // Not the block's kept view: who fills it and who reads it must not be handed the same object.
    return new Uint8Array(node.bytes.buffer, at, count);
  }

  mallocAck(count: number): void {
    const chain = this.#chain;
    chain.checkWritable();
    checkCount("keep", count);
    if (count < 0 || count > chain.pending) {
      throw new RangeError(
        `Cannot keep ${count} bytes: ${chain.pending} were written since the last flush`,
      );
    }
    chain.truncate(count);
  }

  writeString(text: string, encoding: TextEncoding = "utf-8"): number {
    const chain = this.#chain;
    chain.checkWritable();
    if (text.length <= LOOP_CHARACTERS_MAX) {
      const written = this.#writeShort(text, encoding === "latin1" ? 0xff : 0x7f);
      if (written >= 0) return written;
    }
    let total = 0;
    for (let from = 0; from < text.length;) {
      const end = pieceEnd(text, from);
      const most = encoding === "latin1" ? end - from : (end - from) * UTF8_BYTES_PER_CHARACTER;
      const node = chain.room(most);
      const piece = end - from === text.length ? text : text.slice(from, end);
      const count = node.block!.slab.bytes.write(piece, node.malloced, most, encoding);
      chain.written(node, count);
      total += count;
      from = end;
    }
    return total;
  }

  /** Writes text whose characters are all of one byte; -1, and nothing written, when one is not. */
  #writeShort(text: string, most: number): number {
    const count = text.length;
    if (count === 0) return 0;
    const node = this.#chain.room(count);
    const { bytes } = node;
    const at = node.malloced;
    for (let i = 0; i < count; i++) {
      const code = text.charCodeAt(i);
      if (code > most) return -1;
      bytes[at + i] = code;
    }
    this.#chain.written(node, count);
    return count;
  }

  writeBinary(bytes: Uint8Array, options?: { copy?: boolean }): number {
    const chain = this.#chain;
    chain.checkWritable();
    const { length } = bytes;
    if (length === 0) return 0;
    if (options?.copy !== true) {
      if (this.#tryLink(bytes)) return length;
      if (length > COPY_BYTES_MAX && !config.debug && this.#tryBorrow(bytes)) return length;
    }
    if (length <= COPY_BYTES_MAX) this.#copy(bytes);
    else this.#copyLong(bytes);
    return length;
  }

  /** Copies into one node: short writes pack. */
  #copy(bytes: Uint8Array): void {
    const node = this.#chain.room(bytes.length);
    node.bytes.set(bytes, node.malloced);
    this.#chain.written(node, bytes.length);
  }

  #copyLong(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += BLOCK_BYTES_MAX) {
      this.#copy(bytes.subarray(from, from + BLOCK_BYTES_MAX));
    }
  }

  /**
   * Links a view that a reader of ours lent. Not worth it for less than half of a block and 4 KiB: copying 1 KiB
   * costs 16 ns, less than a node, and a sliver would keep a whole block from being used.
   */
  #tryLink(bytes: Uint8Array): boolean {
    const { length } = bytes;
    if (length < 512) return false; // half of the smallest block
    const slab = slabOf(bytes.buffer);
    const block = slab?.blockAt(bytes.byteOffset);
    if (block === undefined || block.references === 0) return false;
    if (length < LINK_BYTES_MIN && length * 2 < block.capacity) return false;
    const end = bytes.byteOffset + length;
    if (end > block.published) return false; // what malloc lent may still change
    this.#chain.link(linkedNode(block, bytes.byteOffset, end));
    return true;
  }

  #tryBorrow(bytes: Uint8Array): boolean {
    // Memory of ours that cannot be linked is not the user's either.
    if (!canBorrow(bytes) || slabOf(bytes.buffer) !== undefined) return false;
    this.#chain.link(borrowedNode(bytes));
    return true;
  }

  writeByte(value: number): void {
    this.writeUint8(value);
  }

  /** Makes room for a number of `count` bytes. `numbers` takes it at the position returned. */
  #number(count: number): number {
    const chain = this.#chain;
    chain.checkWritable();
    const node = chain.room(count);
    const at = node.malloced;
    chain.written(node, count);
    numbers = node.block!.slab.view;
    return at;
  }

  writeUint8(value: number): void {
    const at = this.#number(1);
    numbers.setUint8(at, value);
  }

  writeInt8(value: number): void {
    const at = this.#number(1);
    numbers.setInt8(at, value);
  }

  writeUint16BE(value: number): void {
    const at = this.#number(2);
    numbers.setUint16(at, value);
  }

  writeUint16LE(value: number): void {
    const at = this.#number(2);
    numbers.setUint16(at, value, true);
  }

  writeInt16BE(value: number): void {
    const at = this.#number(2);
    numbers.setInt16(at, value);
  }

  writeInt16LE(value: number): void {
    const at = this.#number(2);
    numbers.setInt16(at, value, true);
  }

  writeUint32BE(value: number): void {
    const at = this.#number(4);
    numbers.setUint32(at, value);
  }

  writeUint32LE(value: number): void {
    const at = this.#number(4);
    numbers.setUint32(at, value, true);
  }

  writeInt32BE(value: number): void {
    const at = this.#number(4);
    numbers.setInt32(at, value);
  }

  writeInt32LE(value: number): void {
    const at = this.#number(4);
    numbers.setInt32(at, value, true);
  }

  writeBigUint64BE(value: bigint): void {
    const at = this.#number(8);
    numbers.setBigUint64(at, value);
  }

  writeBigUint64LE(value: bigint): void {
    const at = this.#number(8);
    numbers.setBigUint64(at, value, true);
  }

  writeBigInt64BE(value: bigint): void {
    const at = this.#number(8);
    numbers.setBigInt64(at, value);
  }

  writeBigInt64LE(value: bigint): void {
    const at = this.#number(8);
    numbers.setBigInt64(at, value, true);
  }

  writeFloat32BE(value: number): void {
    const at = this.#number(4);
    numbers.setFloat32(at, value);
  }

  writeFloat32LE(value: number): void {
    const at = this.#number(4);
    numbers.setFloat32(at, value, true);
  }

  writeFloat64BE(value: number): void {
    const at = this.#number(8);
    numbers.setFloat64(at, value);
  }

  writeFloat64LE(value: number): void {
    const at = this.#number(8);
    numbers.setFloat64(at, value, true);
  }

  writeVarint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(
        `Cannot write ${value} as a varint: it is a whole number from 0 to 2^53 - 1`,
      );
    }
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.writeUint8((value % 0x80) | 0x80);
    this.writeUint8(value);
  }

  writeDirect(bytes: Uint8Array, remain = 0): void {
    const chain = this.#chain;
    chain.checkWritable();
    checkCount("insert before the last", remain);
    if (remain > chain.pending) {
      throw new RangeError(
        `Cannot insert before the last ${remain} bytes: ${chain.pending} were written since the last flush`,
      );
    }
    if (bytes.length === 0 || remain < 0) return;
    chain.insert(borrowedNode(canBorrow(bytes) ? bytes : bytes.slice()), remain);
  }

  append(buffer: LinkBuffer): void {
    const chain = this.#chain;
    chain.checkWritable();
    const other = buffer == null ? null : chainOf(buffer);
    if (other === null || other === chain) {
      throw new TypeError("Cannot append: it is not another LinkBuffer");
    }
    other.checkReadable();
    if (other.length + other.pending > 0) chain.take(other);
  }
}

// See reader.ts: LinkBuffer tells us how to get at its chain; null for what is no LinkBuffer.
let chainOf: (buffer: LinkBuffer) => LinkChain | null;

/** For link_buffer.ts, once: how to get at a buffer's chain. */
export function setChainAccess(access: (buffer: LinkBuffer) => LinkChain | null): void {
  chainOf = access;
}
