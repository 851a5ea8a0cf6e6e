/**
 * The reading side of a connection: what arrived, and waiting for more.
 */
import { type Ban, type LinkChain, RECEIVED } from "../buffer/link_chain.ts";
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
import { byteCount } from "../core/bytes.ts";
import { BusyError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, UNTIL_BYTES_MAX, WAITS_PER_EVENT_MAX } from "../core/limits.ts";
import { checkOptions, checkSignal } from "../core/options.ts";
import { RESOLVED } from "../core/promises.ts";
import { turn } from "../poll/turn.ts";
import { Stop } from "./lifecycle.ts";
import type { ConnectionSettings } from "./settings.ts";
import type { FileReader, FileReceiving } from "../transport/receive_file.ts";
import { FIRST_SIZE, type ReadSize } from "../transport/read_size.ts";
import { receive, receiving, type Transport } from "../transport/transport.ts";

/** The connection, as its reader needs it. */
export interface ReaderOwner {
  /** Received bytes. */
  readonly input: LinkChain;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** The calls that receive. */
  readonly io: Transport;
  /** Why no more bytes come, once that is so. */
  readonly readEnd: Ban | null;
  /** Why nothing is read: bits of {@linkcode Stop}. With FULL it wants to hear of releases. */
  readonly stops: number;
  /** Somebody begins to wait for bytes. */
  onWait(): void;
  /** The wait is over; whoever waited goes on. */
  onWaitEnd(): void;
  /** Somebody waits for what is there, and the turn's time is over: calls `settle` soon. */
  onPutOff(): void;
  /** Memory was given back. */
  onRelease(): void;
  /** A message is done with, and no other has begun. */
  onMessageEnd(): void;
  /** A frame was served, of one with limits. Whether the next one has to wait for its turn. */
  onFrame?(): boolean;
}

/** A wait that is under way. */
interface Waiting {
  /** The number of bytes that are wanted; 0 for a delimiter. */
  readonly count: number;
  /** The delimiter that is wanted, or null for a count. */
  readonly delimiter: Uint8Array | null;
  /** The number of bytes that may come before the delimiter. */
  readonly maxBytes: number;
  /** The search for the delimiter so far: bytes are not searched again. */
  search: Search | null;
  /** The bytes are there: it waits for the next turn only. */
  readonly isPutOff: boolean;
  /** The file to which the bytes go, or null: they stay here. */
  readonly file: FileReceiving | null;
  readonly promise: Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  /** Made only for a wait that has a signal. */
  readonly onAbort: (() => void) | null;
}

/** A reader as its connection sees it. Users see no more than {@linkcode Reader}. */
export interface ReadSide {
  /** Whether somebody waits. */
  isWaiting(reader: ConnectionReader): boolean;
  /** Whether somebody waits for bytes that have not come. */
  isLacking(reader: ConnectionReader): boolean;
  /** Whether bytes go to a file. */
  isFilling(reader: ConnectionReader): boolean;
  /** The way for bytes to a file. */
  forFiles(reader: ConnectionReader): FileReader;
  /** The most bytes that are received for one event. */
  eventBytes(reader: ConnectionReader): number;
  /** A handler's call took so long for so many bytes. */
  learnTime(reader: ConnectionReader, bytes: number, micros: number): void;
  /** Receives once. Bytes, 0 at the end of the stream, or `-errno`. */
  receive(reader: ConnectionReader, fd: number): number;
  /** Bytes came, or the end did: ends the wait if it is met, or can no longer be. */
  settle(reader: ConnectionReader): void;
  /** Ends a wait with an error. */
  fail(reader: ConnectionReader, error: unknown): void;
  /** A message is done with, and no other has begun. */
  endMessage(reader: ConnectionReader): void;
  /** A frame was served. Whether the next one has to wait. */
  endFrame(reader: ConnectionReader): boolean;
}

/** The one way to the inside of a reader. */
export let readSide: ReadSide;

/** {@linkcode Reader} of a connection. */
export class ConnectionReader extends ChainReader implements Reader {
  static {
    readSide = {
      isWaiting: (reader) => reader.#waiting !== null,
      isLacking: (reader) => reader.#waiting !== null && !reader.#waiting.isPutOff,
      isFilling: (reader) => reader.#waiting !== null && reader.#waiting.file !== null,
      forFiles: (reader) => ({
        input: reader.#owner.input,
        io: reader.#owner.io,
        checkFill: () => reader.#checkFill(),
        fill: (file, signal) => reader.#fill(file, signal),
      }),
      eventBytes(reader) {
        const missing = (reader.#waiting?.count ?? 0) - reader.#owner.input.length;
        return Math.min(Math.max(reader.#size.eventBytes, missing), receiving.most);
      },
      learnTime: (reader, bytes, micros) => {
        reader.#size = reader.#size.learnTime(bytes, micros);
      },
      receive(reader, fd) {
        const { io, input } = reader.#owner;
        const waiting = reader.#waiting;
        const file = waiting === null ? null : waiting.file;
        if (file !== null && file.isReceiving) return file.receive(io, fd);
        const count = receive(io, fd, input, reader.#size, waiting === null ? 0 : waiting.count);
        if (count > 0) reader.#size = reader.#size.learn(count, receiving.wasFilled);
        return count;
      },
      settle(reader) {
        reader.#metCount = 0;
        const waiting = reader.#waiting;
        if (waiting !== null && !reader.#isRationed(waiting)) reader.#settle(waiting);
      },
      fail: (reader, error) => reader.#fail(error),
      endMessage: (reader) => reader.#owner.onMessageEnd(),
      endFrame: (reader) => reader.#owner.onFrame?.() === true,
    };
  }

  readonly #owner: ReaderOwner;
  #size: ReadSize = FIRST_SIZE;
  #waiting: Waiting | null = null;
  /** Waits that were met at once since bytes came. */
  #metCount = 0;

  /** A reader of what its connection receives. */
  constructor(owner: ReaderOwner) {
    super(owner.input);
    owner.input.writeBan = RECEIVED;
    this.#owner = owner;
  }

  wait(count: number, options?: { signal?: AbortSignal }): Promise<void> {
    const chain = this.#owner.input;
    // The usual case, and the only one that allocates nothing: the bytes are there.
    if (count <= chain.length && Number.isInteger(count) && chain.readBan === null) {
      const isFew = ++this.#metCount <= WAITS_PER_EVENT_MAX && count > 0;
      if (isFew || !this.#putsOff(count === 0)) return RESOLVED;
      return this.#putOff(count, null, 0) as Promise<void>;
    }
    try {
      checkOptions("wait", options, WAIT_OPTIONS);
      checkSignal("wait", options?.signal);
      this.#checkWait(count);
    } catch (error) {
      return Promise.reject(error);
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    return this.#begin(count, null, 0, options?.signal) as Promise<void>;
  }

  waitUntil(
    delimiter: Delimiter,
    options?: { maxBytes?: number; signal?: AbortSignal },
  ): Promise<number> {
    try {
      checkOptions("waitUntil", options, WAIT_UNTIL_OPTIONS);
      checkSignal("waitUntil", options?.signal);
      const { messageBytesMax } = this.#owner.settings;
      const { maxBytes: most = Math.min(UNTIL_BYTES_MAX, messageBytesMax) } = options ?? {};
      const maxBytes = checkMaxBytes(most, messageBytesMax);
      const bytes = delimiterBytes(delimiter);
      const at = this.indexOf(bytes);
      const end = at + byteCount(bytes);
      if (at >= 0 && end <= maxBytes) {
        if (++this.#metCount <= WAITS_PER_EVENT_MAX || !this.#putsOff(false)) {
          return Promise.resolve(end);
        }
        return this.#putOff(0, new Uint8Array(bytes), maxBytes) as Promise<number>;
      }
      this.#checkWait(this.length + 1);
      if (this.length >= maxBytes) throw tooLong(maxBytes);
      if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
      // A copy: the caller's array may change while we wait, and a single byte's is shared.
      return this.#begin(0, new Uint8Array(bytes), maxBytes, options?.signal) as Promise<number>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * True if a wait that is met has to wait for the next turn. One for no bytes is for a turn alone, and
   * a ration may have the next one come late.
   */
  #putsOff(isForTurn: boolean): boolean {
    const isRationed = isForTurn && (this.#owner.stops & Stop.RATIONED) !== 0;
    return (turn.step() || isRationed) && this.#waiting === null;
  }

  /** True if somebody waits for his turn alone, and a ration does not let it come. */
  #isRationed({ isPutOff, count, delimiter }: Waiting): boolean {
    const isForTurn = isPutOff && count === 0 && delimiter === null;
    return isForTurn && (this.#owner.stops & Stop.RATIONED) !== 0;
  }

  #putOff(count: number, delimiter: Uint8Array | null, maxBytes: number): Promise<unknown> {
    const promise = this.#begin(count, delimiter, maxBytes, undefined, true);
    this.#owner.onPutOff();
    return promise;
  }

  /** Throws when a wait for `count` bytes cannot succeed. */
  #checkWait(count: number): void {
    this.#owner.input.checkReadable();
    checkCount("wait for", count);
    if (count > this.#owner.settings.messageBytesMax) {
      throw new RangeError(
        `Cannot wait for ${count} bytes: messageBytesMax is ${this.#owner.settings.messageBytesMax}`,
      );
    }
    const { readEnd } = this.#owner;
    if (readEnd !== null) throw readEnd.error(readEnd.message);
    if (this.#waiting !== null) {
      throw new BusyError("Cannot wait for bytes: another wait of this connection is under way");
    }
  }

  #begin(
    count: number,
    delimiter: Uint8Array | null,
    maxBytes: number,
    signal: AbortSignal | undefined,
    isPutOff = false,
    file: FileReceiving | null = null,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = signal === undefined ? null : () => this.#fail(signal.reason);
    this.#waiting = {
      count,
      delimiter,
      maxBytes,
      search: null,
      isPutOff,
      file,
      promise,
      resolve,
      reject,
      signal,
      onAbort,
    };
    if (onAbort !== null) signal!.addEventListener("abort", onAbort);
    try {
      this.#owner.onWait();
    } catch (error) {
      this.#fail(error); // nobody would time it
    }
    return promise;
  }

  /** Ends the wait, without saying how. */
  #take(): Waiting | null {
    const waiting = this.#waiting;
    if (waiting === null) return null;
    this.#waiting = null;
    if (waiting.onAbort !== null) waiting.signal!.removeEventListener("abort", waiting.onAbort);
    waiting.file?.close();
    this.#owner.onWaitEnd();
    return waiting;
  }

  #settle(waiting: Waiting): void {
    if (waiting.file !== null) return this.#settleFile(waiting, waiting.file);
    if (waiting.delimiter !== null) this.#settleDelimiter(waiting, waiting.delimiter);
    else if (waiting.count <= this.#owner.input.length) this.#take()!.resolve(undefined);
    const { readEnd } = this.#owner;
    if (this.#waiting !== null && readEnd !== null) this.#fail(readEnd.error(readEnd.message));
  }

  #settleDelimiter(waiting: Waiting, delimiter: Uint8Array): void {
    const chain = this.#owner.input;
    if (chain.length === 0) return;
    waiting.search = continued(waiting.search, waiting, chain);
    const at = waiting.search.find(chain, delimiter);
    if (at >= 0 && at + delimiter.length <= waiting.maxBytes) {
      this.#take()!.resolve(at + delimiter.length);
    } else if (this.#owner.input.length >= waiting.maxBytes) {
      this.#take()!.reject(tooLong(waiting.maxBytes));
    }
  }

  #fail(error: unknown): void {
    const waiting = this.#take();
    if (waiting === null) return;
    const { file, signal } = waiting;
    const isAborted = signal !== undefined && signal.aborted && signal.reason === error;
    waiting.reject(file === null || isAborted ? error : file.cut(error));
  }

  // ---- files ---------------------------------------------------------------------------------

  /** Throws when no file can be received. One that is here already can, also behind the end. */
  #checkFill(): void {
    this.#owner.input.checkReadable();
    if (this.#waiting !== null) {
      throw new BusyError("Cannot receive a file: a wait of this connection is under way");
    }
  }

  #fill(file: FileReceiving, signal: AbortSignal | undefined): Promise<void> {
    const count = Math.min(file.bytes, BYTES_PER_EVENT_MAX);
    const promise = this.#begin(count, null, 0, signal, false, file) as Promise<void>;
    const waiting = this.#waiting;
    if (waiting === null) return promise; // nobody could time it
    file.writeInput();
    if (this.#waiting === waiting) this.#endFile(waiting, file);
    if ((this.#owner.stops & Stop.FULL) !== 0) this.#owner.onRelease();
    return promise;
  }

  #settleFile(waiting: Waiting, file: FileReceiving): void {
    file.writeReceived();
    // Its user may have closed it, when he was shown what was written.
    if (this.#waiting !== waiting || this.#endFile(waiting, file)) return;
    if (file.hasMore()) this.#owner.onWait(); // the time of a wait begins anew
  }

  /** Ends the wait for a file that is full, or cannot be. Whether it did. */
  #endFile(waiting: Waiting, file: FileReceiving): boolean {
    const { readEnd } = this.#owner;
    if (file.failure === null && file.missingBytes > 0) {
      if (readEnd === null) return false;
      this.#fail(readEnd.error(readEnd.message));
      return true;
    }
    this.#take();
    if (file.failure === null) waiting.resolve(undefined);
    else waiting.reject(file.failure.error);
    return true;
  }

  override release(): void {
    const owner = this.#owner;
    this.#size = this.#size.learnMessage(owner.input.consumed);
    owner.input.release();
    if ((owner.stops & Stop.FULL) !== 0) owner.onRelease();
  }
}

function tooLong(maxBytes: number): RangeError {
  return new RangeError(
    `Cannot wait for a delimiter any longer: ${maxBytes} bytes came without it`,
  );
}

/** Notes that a message has ended, and no other has begun. Codecs know that. */
export function endMessage(reader: Reader): void {
  if (reader instanceof ConnectionReader) readSide.endMessage(reader);
}

/**
 * Notes that a frame was served. Whether the next one has to wait for its turn, by `wait(0)`, since
 * the connection has limits.
 */
export function endFrame(reader: Reader): boolean {
  return reader instanceof ConnectionReader && readSide.endFrame(reader);
}
