/**
 * Writing: bytes in memory of our own, until `flush` publishes or sends them.
 */
import { PIECE_BYTES_MAX } from "../core/limits.ts";
import { checkOptions, checkSignal, show } from "../core/options.ts";
import { showAs } from "../core/inspect.ts";
import { countToWrite, insertedNode, nodeOf } from "./array_node.ts";
import { Chained, chainOf } from "./chained.ts";
import { writeLatin1 } from "./latin1.ts";
import type { LinkChain } from "./link_chain.ts";
import type { LinkBuffer, TextEncoding, Writer } from "./contract.ts";
import { checkCount, isOneByte } from "./reader.ts";
import { move } from "./undo.ts";

export type { Writer } from "./contract.ts";

// Short text is encoded faster in a loop than by a call (Deno: 6 ns for 10 characters against 130).
const LOOP_CHARACTERS_MAX = 24;
// Deno's latin1Write takes longer than a loop (64 characters: 650 ns against 90), and Bun's hardly less.
const LATIN1_LOOP_CHARACTERS_MAX = 100;
const UTF8_BYTES_PER_CHARACTER = 3; // of UTF-16; a pair of surrogates makes four
const FLUSH_OPTIONS = { signal: 1 };
const WRITE_OPTIONS = { copy: "boolean" };

/** Throws unless a flush can be given up by it. */
export function checkFlush(options: { signal?: AbortSignal }): void {
  checkOptions("flush", options, FLUSH_OPTIONS);
  checkSignal("flush", options.signal);
}

/** Text is encoded in pieces, so that no string needs a block three times its length. */
const TEXT_PIECE_CHARACTERS = 64 * 1024;

// The place of a number that `ChainWriter.#number` made room for.
let numbers: DataView = new DataView(new ArrayBuffer(0));

/**
 * The length of a piece of text from `from` on that does not cut a pair of surrogates in
 * two.
 */
function pieceEnd(text: string, from: number): number {
  const end = Math.min(text.length, from + TEXT_PIECE_CHARACTERS);
  const isPair = end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800;
  return isPair ? end - 1 : end;
}

/** Writes text whose characters are all of one byte; -1, and nothing written, when one is not. */
function writeShort(chain: LinkChain, text: string, most: number): number {
  const count = text.length;
  if (count === 0) return 0;
  const node = chain.room(count);
  const { bytes } = node;
  const at = node.malloced;
  for (let i = 0; i < count; i++) {
    const code = text.charCodeAt(i);
    if (code > most) return -1;
    bytes[at + i] = code;
  }
  chain.written(count);
  return count;
}

/**
 * Makes room for a number of `count` bytes. `numbers` takes it at the position returned. What is
 * no number would be converted there, by code of its own that may do anything to the writer.
 */
function roomFor(
  chain: LinkChain,
  count: number,
  value: number | bigint,
  like: number | bigint = 0,
): number {
  if (chain.writeBan !== null) chain.checkWritable();
  if (typeof value !== typeof like) {
    throw new TypeError(`Cannot write ${show(value)} as a ${typeof like}`);
  }
  const node = chain.room(count);
  numbers = node.block!.slab.view;
  return node.malloced;
}

/**
 * {@linkcode Writer} over a chain, but for what `flush` means.
 *
 * @internal
 */
export abstract class ChainWriter extends Chained implements Writer {
  abstract get isWritable(): boolean;
  abstract flush(options?: { signal?: AbortSignal }): Promise<void>;

  released(): Promise<void> {
    return Promise.resolve();
  }

  get mallocLength(): number {
    return chainOf(this).pending;
  }

  malloc(count: number): Uint8Array {
    const chain = chainOf(this);
    chain.checkWritable();
    checkCount("malloc", count);
    if (count <= 0) return new Uint8Array(0);
    if (count > PIECE_BYTES_MAX) {
      throw new RangeError(`Cannot malloc ${count} bytes: at most ${PIECE_BYTES_MAX}`);
    }
    const node = chain.room(count);
    const at = node.malloced;
    chain.written(count);
    // Not the block's kept view: who fills it and who reads it must not be handed the same object.
    return new Uint8Array(node.bytes.buffer, at, count);
  }

  mallocAck(count: number): void {
    const chain = chainOf(this);
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
    const chain = chainOf(this);
    chain.checkWritable();
    if (typeof text !== "string") throw new TypeError("Cannot write what is no string as text");
    const isLatin1 = isOneByte(encoding);
    if (text.length <= (isLatin1 ? LATIN1_LOOP_CHARACTERS_MAX : LOOP_CHARACTERS_MAX)) {
      const written = writeShort(chain, text, isLatin1 ? 0xff : 0x7f);
      if (written >= 0) return written;
    }
    let total = 0;
    for (let from = 0; from < text.length;) {
      const end = pieceEnd(text, from);
      const most = isLatin1 ? end - from : (end - from) * UTF8_BYTES_PER_CHARACTER;
      const node = chain.room(most);
      const piece = end - from === text.length ? text : text.slice(from, end);
      const count = isLatin1
        ? writeLatin1(node.block!.slab.bytes, node.malloced, piece)
        : node.block!.slab.bytes.write(piece, node.malloced, most, encoding);
      chain.written(count);
      total += count;
      from = end;
    }
    return total;
  }

  writeBinary(bytes: Uint8Array, options?: { copy?: boolean }): number {
    if (options !== undefined) checkOptions("writeBinary", options, WRITE_OPTIONS);
    const chain = chainOf(this);
    if (chain.writeBan !== null) chain.checkWritable();
    const length = countToWrite(bytes);
    if (length === 0) return 0;
    const node = options?.copy === true ? null : nodeOf(chain, bytes, length);
    if (node !== null) {
      chain.link(node);
      return length;
    }
    chain.copyIn(bytes, length);
    return length;
  }

  writeByte(value: number): void {
    this.writeUint8(value);
  }

  writeUint8(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 1, value);
    numbers.setUint8(at, value);
    chain.written(1);
  }

  writeInt8(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 1, value);
    numbers.setInt8(at, value);
    chain.written(1);
  }

  writeUint16BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 2, value);
    numbers.setUint16(at, value);
    chain.written(2);
  }

  writeUint16LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 2, value);
    numbers.setUint16(at, value, true);
    chain.written(2);
  }

  writeInt16BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 2, value);
    numbers.setInt16(at, value);
    chain.written(2);
  }

  writeInt16LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 2, value);
    numbers.setInt16(at, value, true);
    chain.written(2);
  }

  writeUint32BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setUint32(at, value);
    chain.written(4);
  }

  writeUint32LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setUint32(at, value, true);
    chain.written(4);
  }

  writeInt32BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setInt32(at, value);
    chain.written(4);
  }

  writeInt32LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setInt32(at, value, true);
    chain.written(4);
  }

  writeBigUint64BE(value: bigint): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value, 0n);
    numbers.setBigUint64(at, value);
    chain.written(8);
  }

  writeBigUint64LE(value: bigint): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value, 0n);
    numbers.setBigUint64(at, value, true);
    chain.written(8);
  }

  writeBigInt64BE(value: bigint): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value, 0n);
    numbers.setBigInt64(at, value);
    chain.written(8);
  }

  writeBigInt64LE(value: bigint): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value, 0n);
    numbers.setBigInt64(at, value, true);
    chain.written(8);
  }

  writeFloat32BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setFloat32(at, value);
    chain.written(4);
  }

  writeFloat32LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 4, value);
    numbers.setFloat32(at, value, true);
    chain.written(4);
  }

  writeFloat64BE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value);
    numbers.setFloat64(at, value);
    chain.written(8);
  }

  writeFloat64LE(value: number): void {
    const chain = chainOf(this);
    const at = roomFor(chain, 8, value);
    numbers.setFloat64(at, value, true);
    chain.written(8);
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
    const chain = chainOf(this);
    chain.checkWritable();
    const length = countToWrite(bytes);
    checkCount("insert before the last", remain);
    if (length === 0) return;
    if (remain < 0 || remain > chain.pending) {
      throw new RangeError(
        `Cannot insert before the last ${remain} bytes: ${chain.pending} were written since the last flush`,
      );
    }
    chain.insert(insertedNode(chain, bytes, length), remain);
  }

  append(buffer: LinkBuffer): void {
    const chain = chainOf(this);
    chain.checkWritable();
    const other = chainToMove(buffer, chain);
    if (other.length + other.pending > 0) move(chain, other, buffer);
  }
}

showAs(ChainWriter.prototype, "Writer", ["mallocLength", "isWritable"]);

// See reader.ts: LinkBuffer tells us how to get at its chain; null for what is no LinkBuffer.
let bufferChain: (buffer: LinkBuffer) => LinkChain | null;

/** For link_buffer.ts, once: how to get at a buffer's chain. */
export function setChainAccess(access: (buffer: LinkBuffer) => LinkChain | null): void {
  bufferChain = access;
}

/** Returns whether something is a `LinkBuffer`, without running code of its own. */
export function isLinkBuffer(value: unknown): value is LinkBuffer {
  return typeof value === "object" && value !== null && bufferChain(value as LinkBuffer) !== null;
}

/**
 * The chain of a buffer whose bytes shall be moved to another chain; null for a writer's of the
 * user's own.
 *
 * @throws {TypeError} It is no other `LinkBuffer`, was moved, or its bytes were taken away.
 * @throws {ClosedError} It was closed.
 */
export function chainToMove(buffer: LinkBuffer, to: LinkChain | null): LinkChain {
  const chain = isLinkBuffer(buffer) ? bufferChain(buffer) : null;
  if (chain === null || chain === to) {
    throw new TypeError("Cannot append: it is not another LinkBuffer");
  }
  chain.checkReadable();
  for (let node = chain.front(); node !== null; node = node.next) node.checkThere();
  return chain;
}
