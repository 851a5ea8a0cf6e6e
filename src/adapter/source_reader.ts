/**
 * A reader over any source of bytes: what `wait` needs is fetched from it, no more.
 */
import { chainOf } from "../buffer/chained.ts";
import { forgetOwner, reclaimFrom } from "../buffer/dropped.ts";
import { CLOSED, LinkChain, RECEIVED } from "../buffer/link_chain.ts";
import { ChainReader } from "../buffer/link_buffer.ts";
import {
  checkCount,
  checkMaxBytes,
  type Delimiter,
  delimiterBytes,
  type Reader,
  WAIT_OPTIONS,
  WAIT_UNTIL_OPTIONS,
} from "../buffer/reader.ts";
import { continued, type Search } from "../buffer/search.ts";
import { presentCount } from "../core/bytes.ts";
import { BusyError, EofError } from "../core/errors.ts";
import { MESSAGE_BYTES_MAX, UNTIL_BYTES_MAX } from "../core/limits.ts";
import { withSignal } from "../core/signal.ts";
import { checkOptions, checkSignal, show } from "../core/options.ts";
import { ignore, RESOLVED } from "../core/promises.ts";
import type { ByteReader, ByteSource, Pieces } from "./contract.ts";
import { isNodeReadable, NodePieces } from "./node_source.ts";

export type { ByteReader, ByteSource };

/** A {@linkcode Reader} over a source. */
export interface SourceReader extends Reader, AsyncDisposable {
  /**
   * Gives all memory back and tells the source that no more is wanted. Everything that reads throws
   * `ClosedError` from then on, and so does a wait that is under way.
   *
   * A `ReadableStream` is cancelled and unlocked; a Node stream is destroyed, but if it is a Duplex
   * that can still be written to, what it receives from then on is dropped instead. A `ByteReader`
   * stays open, and its owner's. Resolves when the source has ended; an async generator ends where it
   * yields next.
   */
  close(): Promise<void>;
}

/** The bytes that a {@linkcode ByteReader} is asked for at once. */
const PIECE_BYTES = 64 * 1024;

/**
 * Reads from any source of bytes as from a connection: `wait` and `waitUntil` fetch from it what
 * they need.
 *
 * The pieces are copied: the source may use its arrays again. When it ends, waits reject with
 * `EofError` and what came stays readable; when it fails, they reject with its own error.
 *
 * @example
 * ```ts
 * import { readerFrom } from "@netpoll/netpoll/adapter";
 *
 * const reader = readerFrom(new Blob(["one\ntwo\n"]).stream());
 * const length = await reader.waitUntil(0x0a);
 * console.log(reader.readString(length)); // "one\n"
 * await reader.close();
 * ```
 */
export function readerFrom(source: ByteSource): SourceReader {
  return new PulledReader(piecesOf(source));
}

function piecesOf(source: ByteSource): Pieces {
  if (source instanceof ReadableStream) {
    const reader = source.getReader();
    const end = async (isOver: boolean) => {
      try {
        if (!isOver) await reader.cancel();
      } finally {
        reader.releaseLock();
      }
    };
    return { next: () => reader.read(), end };
  }
  if (typeof source === "object" && source !== null) {
    if (isNodeReadable(source)) return new NodePieces(source);
    if (isByteReader(source)) return piecesRead(source);
  }
  if (typeof source?.[Symbol.asyncIterator] !== "function") {
    throw new TypeError(
      `Cannot read ${show(source)}: it is no ReadableStream, and no async iterable of bytes`,
    );
  }
  const iterator = source[Symbol.asyncIterator]();
  return { next: () => iterator.next(), end: (isOver) => isOver ? undefined : iterator.return?.() };
}

function isByteReader(source: AsyncIterable<Uint8Array> | ByteReader): source is ByteReader {
  return !(Symbol.asyncIterator in source) && typeof source.read === "function";
}

function piecesRead(source: ByteReader): Pieces {
  const into = new Uint8Array(PIECE_BYTES);
  const next = async () => {
    const count = await source.read(into);
    return count === null ? { done: true } : { value: into.subarray(0, count) };
  };
  return { next, end: () => {} };
}

class PulledReader extends ChainReader implements SourceReader {
  readonly #pieces: Pieces;
  /**
   * The piece that is being fetched. It outlives the wait that asked for it, if that is aborted.
   */
  #pulling: PromiseWithResolvers<void> | null = null;
  #isWaiting = false;
  #closing: Promise<void> | null = null;
  /** The reason why no more comes. */
  #end: { readonly error: unknown } | null = null;

  constructor(pieces: Pieces, chain: LinkChain = new LinkChain()) {
    super(chain);
    chain.writeBan = RECEIVED;
    this.#pieces = pieces;
    reclaimFrom(this, chain);
  }

  wait(count: number, options?: { signal?: AbortSignal }): Promise<void> {
    const chain = chainOf(this);
    if (count <= chain.length && Number.isInteger(count) && chain.readBan === null) return RESOLVED;
    return this.#waitFor(count, options);
  }

  async #waitFor(count: number, options: { signal?: AbortSignal } | undefined): Promise<void> {
    checkOptions("wait", options, WAIT_OPTIONS);
    checkSignal("wait", options?.signal);
    checkCount("wait for", count);
    if (count > MESSAGE_BYTES_MAX) {
      throw new RangeError(
        `Cannot wait for ${count} bytes: messageBytesMax is ${MESSAGE_BYTES_MAX}`,
      );
    }
    await this.#fill(() => count <= chainOf(this).length, options?.signal);
  }

  async waitUntil(
    delimiter: Delimiter,
    options?: { maxBytes?: number; signal?: AbortSignal },
  ): Promise<number> {
    checkOptions("waitUntil", options, WAIT_UNTIL_OPTIONS);
    checkSignal("waitUntil", options?.signal);
    const { maxBytes: most = UNTIL_BYTES_MAX } = options ?? {};
    const maxBytes = checkMaxBytes(most, MESSAGE_BYTES_MAX);
    const bytes = new Uint8Array(delimiterBytes(delimiter)); // the caller's may change meanwhile
    let length = -1;
    let search: Search | null = null;
    await this.#fill(() => {
      const chain = chainOf(this);
      chain.checkReadable();
      search = chain.length === 0 ? null : continued(search, bytes, chain);
      const at = search === null ? -1 : search.find(chain, bytes);
      length = at + bytes.length;
      if (at >= 0 && length <= maxBytes) return true;
      if (chain.length < maxBytes) return false;
      throw new RangeError(
        `Cannot wait for a delimiter any longer: ${maxBytes} bytes came without it`,
      );
    }, options?.signal);
    return length;
  }

  /** Fetches pieces until there is enough. */
  async #fill(isEnough: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    if (this.#isWaiting) {
      throw new BusyError("Cannot wait for bytes: another wait of this reader is under way");
    }
    this.#isWaiting = true;
    try {
      for (;;) {
        chainOf(this).checkReadable();
        if (isEnough()) return;
        if (this.#end !== null) throw this.#end.error;
        await withSignal(this.#pull(), signal);
      }
    } finally {
      this.#isWaiting = false;
    }
  }

  /** Fetches one piece, unless that is under way. Never rejects; ends when the reader is closed. */
  #pull(): Promise<void> {
    if (this.#pulling === null) {
      this.#pulling = Promise.withResolvers<void>();
      void this.#fetch();
    }
    return this.#pulling.promise;
  }

  async #fetch(): Promise<void> {
    try {
      const { done, value } = await this.#pieces.next();
      if (done === true) throw new EofError("Cannot read more: the source has ended");
      if (!(value instanceof Uint8Array)) {
        throw new TypeError("Cannot read from a source whose pieces are no Uint8Array");
      }
      presentCount(value, "read");
      if (chainOf(this).readBan === null) {
        chainOf(this).copyIn(value);
        chainOf(this).publish();
      }
    } catch (error) {
      this.#end = { error };
    } finally {
      this.#pulling?.resolve();
      this.#pulling = null;
    }
  }

  close(): Promise<void> {
    if (this.#closing === null) {
      forgetOwner(chainOf(this));
      chainOf(this).close(CLOSED);
      this.#pulling?.resolve();
      this.#closing = this.#endSource();
      this.#closing.catch(ignore); // nobody need hear of it
    }
    return this.#closing;
  }

  async #endSource(): Promise<void> {
    await this.#pieces.end(this.#end !== null);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
