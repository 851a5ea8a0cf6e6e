/**
 * Readers, writers and buffers as users see them.
 */
import type { Delimiter } from "./delimiter.ts";

/** The encoding of text. */
export type TextEncoding = "utf-8" | "latin1";

/**
 * Reads what is there, without waiting. A read of more bytes than there are throws a `RangeError`
 * and consumes nothing; a count of 0 or less reads nothing.
 *
 * Views are **lent**: memory of the buffer itself, valid until `release()`. Never write to them,
 * and never hand them, or their `buffer`, to another thread or to a call that outlives the handler:
 * `readBinary` copies.
 */
export interface BufferReader {
  /** The number of bytes that can be read. */
  readonly length: number;
  /**
   * Lends the next `count` bytes and reads past them: a view, not a copy, valid until `release()`.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable; `wait(count)` first.
   */
  next(count: number): Uint8Array;
  /**
   * Lends the next `count` bytes without reading past them. Valid until `release()`.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  peek(count: number): Uint8Array;
  /**
   * Reads past `count` bytes.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  skip(count: number): void;
  /**
   * Lends the bytes up to and including the delimiter, and reads past them. Valid until
   * `release()`.
   *
   * @throws {RangeError} The delimiter is not there; `waitUntil(delimiter)` first.
   */
  until(delimiter: Delimiter): Uint8Array;
  /**
   * The first place of the delimiter at or after `from`, counted from the next byte; -1 when it is
   * not there.
   */
  indexOf(delimiter: Delimiter, from?: number): number;
  /**
   * Reads `count` bytes as text. Owned: a string of its own. Invalid UTF-8 becomes U+FFFD, and a
   * byte order mark is text like any other.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  readString(count: number, encoding?: TextEncoding): string;
  /**
   * The next `count` bytes as text, without reading past them. Owned, as by `readString`.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  peekString(count: number, encoding?: TextEncoding): string;
  /**
   * Reads a copy of `count` bytes. Owned: yours for as long as you like.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  readBinary(count: number): Uint8Array;
  /**
   * Copies what is there into `target`, as much as fits. How many bytes that was.
   *
   * @throws {TypeError} It is no `Uint8Array`, or its memory was taken away.
   */
  readInto(target: Uint8Array): number;
  /** An alias of `readUint8`, by netpoll's name. @throws {RangeError} No byte is readable. */
  readByte(): number;
  /** Reads an unsigned 8-bit integer: a byte. @throws {RangeError} No byte is readable. */
  readUint8(): number;
  /** Reads a signed 8-bit integer. @throws {RangeError} No byte is readable. */
  readInt8(): number;
  /** Reads an unsigned 16-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readUint16BE(): number;
  /** Reads an unsigned 16-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readUint16LE(): number;
  /** Reads a signed 16-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readInt16BE(): number;
  /** Reads a signed 16-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readInt16LE(): number;
  /** Reads an unsigned 32-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readUint32BE(): number;
  /** Reads an unsigned 32-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readUint32LE(): number;
  /** Reads a signed 32-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readInt32BE(): number;
  /** Reads a signed 32-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readInt32LE(): number;
  /** Reads an unsigned 64-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readBigUint64BE(): bigint;
  /** Reads an unsigned 64-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readBigUint64LE(): bigint;
  /** Reads a signed 64-bit integer, high byte first. @throws {RangeError} Too few bytes. */
  readBigInt64BE(): bigint;
  /** Reads a signed 64-bit integer, low byte first. @throws {RangeError} Too few bytes. */
  readBigInt64LE(): bigint;
  /** Reads an IEEE 754 number of 32 bits, high byte first. @throws {RangeError} Too few bytes. */
  readFloat32BE(): number;
  /** Reads an IEEE 754 number of 32 bits, low byte first. @throws {RangeError} Too few bytes. */
  readFloat32LE(): number;
  /** Reads an IEEE 754 number of 64 bits, high byte first. @throws {RangeError} Too few bytes. */
  readFloat64BE(): number;
  /** Reads an IEEE 754 number of 64 bits, low byte first. @throws {RangeError} Too few bytes. */
  readFloat64LE(): number;
  /**
   * Reads an unsigned LEB128 integer, as protocol buffers write them, up to
   * `Number.MAX_SAFE_INTEGER`.
   *
   * @throws {RangeError} It is not there in full, or it is larger or longer (8 bytes); nothing is
   * consumed.
   */
  readVarint(): number;
  /**
   * Takes the next `count` bytes out as a buffer of their own that shares the memory: no copy.
   * Owned: it outlives this buffer's `release()`, and is given back by its own `close()`. It can be
   * read, not written.
   *
   * @throws {RangeError} Fewer than `count` bytes are readable.
   */
  slice(count: number): LinkBuffer;
  /** Gives back the memory of all that was read: what `next`, `peek` and `until` lent is over. */
  release(): void;
}

/**
 * Waits for bytes, and reads them.
 *
 * @example A length, and as many bytes
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.writer.writeUint16BE(5);
 * a.writer.writeString("hello");
 * await a.writer.flush();
 * await b.reader.wait(2);
 * const length = b.reader.readUint16BE();
 * await b.reader.wait(length);
 * console.log(b.reader.readString(length)); // "hello"
 * b.reader.release();
 * await Promise.all([a.close(), b.close()]);
 * ```
 */
export interface Reader extends BufferReader {
  /**
   * Waits until `count` bytes are readable. Resolves at once when they are.
   *
   * @throws {EofError} The peer ended its side before so many came; what did come is still
   * readable.
   * @throws {ClosedError} The connection was closed by us.
   * @throws {TimeoutError} They did not come within `readTimeoutMs`; nothing was consumed.
   * @throws {BusyError} Another wait is under way.
   * @throws {RangeError} `count` is above `messageBytesMax`.
   */
  wait(count: number, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Waits until a delimiter is readable. Resolves to how many bytes there are up to its end: read
   * them with `next`.
   *
   * @throws {RangeError} `maxBytes` (1 MiB unless given, `messageBytesMax` at most) bytes came
   * without it; nothing was consumed.
   * @throws {TypeError} `maxBytes` is no whole number.
   * @throws {EofError} As {@linkcode Reader.wait}, and likewise its other errors.
   */
  waitUntil(
    delimiter: Delimiter,
    options?: { maxBytes?: number; signal?: AbortSignal },
  ): Promise<number>;
}

/**
 * Writes into memory of its own; only `flush` makes the bytes readable, or sends them. Counts of 0
 * or less write nothing.
 */
export interface Writer {
  /** The number of bytes that were written since the last flush. */
  readonly mallocLength: number;
  /**
   * False while so much is unsent that a producer had better wait for `flush()`. Writing never
   * throws for it.
   */
  readonly isWritable: boolean;
  /**
   * Lends `count` bytes in one piece, to be filled before the next flush. Their content is
   * undefined: fill all of them, or give the rest back with `mallocAck`.
   *
   * @throws {RangeError} `count` is above 1 GiB.
   * @throws {ClosedError} The buffer or connection is closed; every method that writes throws it.
   */
  malloc(count: number): Uint8Array;
  /**
   * Keeps the first `count` bytes of everything written since the last flush and drops the rest,
   * whatever wrote them.
   *
   * @throws {RangeError} Less than `count` was written, or `count` is negative.
   */
  mallocAck(count: number): void;
  /**
   * Writes text. How many bytes that was. Half a pair of surrogates becomes U+FFFD; in latin1, of a
   * character above U+00FF the low byte is written.
   */
  writeString(text: string, encoding?: TextEncoding): number;
  /**
   * Writes bytes. How many.
   *
   * Up to 4096 bytes are copied. A longer array is **borrowed** until the flush has finished, and
   * by a `LinkBuffer` until it was read and released: do not change it before (`copy: true` copies
   * it instead). Resizable and shared memory is always copied. A view that a reader of ours lent is
   * linked, not copied, and may be released at once.
   *
   * @throws {TypeError} It is no `Uint8Array`, or was released (in debug mode).
   */
  writeBinary(bytes: Uint8Array, options?: { copy?: boolean }): number;
  /** An alias of `writeUint8`, by netpoll's name. */
  writeByte(value: number): void;
  /**
   * Writes an unsigned 8-bit integer: a byte. What is out of range wraps, here and below, as in a
   * `DataView`.
   */
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
  /**
   * Writes an unsigned LEB128 integer.
   *
   * @throws {RangeError} It is not a whole number from 0 to 2^53 - 1.
   */
  writeVarint(value: number): void;
  /**
   * Inserts bytes before the last `remain` bytes written since the last flush. **Borrowed**,
   * however short, and for as long as by `writeBinary`.
   *
   * @throws {RangeError} Less than `remain` was written, or `remain` is negative.
   */
  writeDirect(bytes: Uint8Array, remain?: number): void;
  /**
   * Moves all bytes of a buffer, flushed or not, to the end of this one: no copy. The buffer cannot
   * be used afterwards, unless it was empty.
   *
   * @throws {TypeError} It is no `LinkBuffer`, or was appended before.
   */
  append(buffer: LinkBuffer): void;
  /**
   * Publishes what was written. A `LinkBuffer`'s makes it readable before it returns. A
   * connection's sends it, and resolves when the kernel has taken every byte. While the connection
   * holds unread input, it resolves at once: the bytes leave together with those of the next
   * answers, in this turn at the latest (docs/CONNECTION.md). A rejection that nobody looks at is no
   * unhandled one.
   *
   * @throws {TimeoutError} A connection's bytes did not leave within `writeTimeoutMs`; they stay
   * queued.
   */
  flush(options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Resolves when the memory of everything that was flushed by now is free again: nothing of it is
   * queued, **borrowed** or **pinned**. With zero copy that is when the peer has acknowledged it;
   * without, when the kernel has taken it. It has no deadline, and never rejects: what is given up is
   * free as well.
   */
  released(): Promise<void>;
}

/**
 * Bytes in linked pieces of native memory: written at one end, published by `flush`, read at the
 * other, without a copy in between.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 *
 * const buffer = new LinkBuffer();
 * buffer.writeUint16BE(5);
 * buffer.writeString("hello");
 * buffer.flush();
 * const length = buffer.readUint16BE();
 * console.log(buffer.readString(length)); // "hello"
 * buffer.close();
 * ```
 */
export interface LinkBuffer extends BufferReader, Writer, Disposable {
  /** Always true: a buffer has no peer that could be slow. */
  readonly isWritable: boolean;
  /** Makes readable what was written, before it returns. */
  flush(): Promise<void>;
  /**
   * Gives all memory back. Everything but `close`, `release`, `length` and `mallocLength` throws
   * `ClosedError` from then on. What is dropped without `close()` is given back whenever the
   * collector gets to it.
   */
  close(): void;
}

/** Makes buffers; the interface of the same name says what they do. */
export let LinkBuffer: {
  /**
   * An empty buffer. Its first block has at least `bytes` bytes; without a number, or with 0 or
   * less, it takes memory when it is first written to.
   *
   * @throws {RangeError} `bytes` is above 1 GiB.
   */
  new (bytes?: number): LinkBuffer;
  /** The prototype of all buffers. */
  readonly prototype: LinkBuffer;
};

/** Sets what makes buffers: link_buffer.ts, which imports what a buffer consists of. */
export function setLinkBuffer(constructor: typeof LinkBuffer): void {
  LinkBuffer = constructor;
}
