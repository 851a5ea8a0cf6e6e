/**
 * Files among the bytes of a stream: sendfile, and reading where the kernel has no sendfile.
 */
import { currentScope } from "../../ffi/context.ts";
import { constants } from "node:fs";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import { say } from "../core/config.ts";
import { ERRNO, NOT_READY } from "../core/errno.ts";
import { SendFileError, SystemError } from "../core/errors.ts";
import { FILE_BYTES_PER_EVENT_MAX, FILE_READ_BYTES } from "../core/limits.ts";
import { checkFunction, checkSignal, type Known, readOptions } from "../core/options.ts";
import { callBack, ignore } from "../core/promises.ts";
import { FileType, statOf } from "../net/descriptor.ts";
import { checkFileBytes, type FileUse, openFile } from "./open_file.ts";
import { send, sendBefore, sending, type Transport } from "./transport.ts";

/** Options of {@linkcode Connection.sendFile}. */
export interface SendFileOptions {
  /** Where it begins, in bytes. At the beginning unless given. */
  offset?: number;
  /** The number of bytes. All from `offset` to the end that the file has now unless given. */
  length?: number;
  /** Takes it back. */
  signal?: AbortSignal;
  /** Called now and then with the number of bytes that the kernel has taken so far. */
  onProgress?: (sentBytes: number) => void;
}

/** A writer that has room for files between its bytes. */
export interface FileWriter {
  /** Flushes what was written. */
  flush(options: { signal?: AbortSignal }): Promise<void>;
  /** Flushes what was written, and queues a file behind it. Resolves when it was sent. */
  flushFile(file: FileSending): Promise<void>;
  /** Takes a file back. */
  abandonFile(file: FileSending, reason: unknown): void;
}

/** A piece of a file, whose descriptor is ours to close. */
interface Piece {
  readonly fd: number;
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

const SEND_FILE_OPTIONS: Known<SendFileOptions> = {
  offset: 1,
  length: 1,
  signal: 1,
  onProgress: 1,
};

const TWO_32 = 2 ** 32;

const SENT: FileUse = {
  call: "send",
  flags: constants.O_RDONLY,
  permit: (path) => host.checkRead(path),
};

/** The size of a file. Throws for what is no file. */
function sizeOf(fd: number, name: string): number {
  const { type, bytes } = statOf(fd, "send", name);
  if (type === FileType.DIRECTORY) throw new SystemError("send", ERRNO.EISDIR, name);
  if (type !== FileType.REGULAR) throw new SystemError("send", ERRNO.ESPIPE, name);
  return bytes;
}

function measure(fd: number, name: string, options: SendFileOptions): [number, number] {
  const size = sizeOf(fd, name);
  const { offset = 0 } = options;
  const { length = Math.max(0, size - offset) } = options;
  if (offset + length <= size) return [offset, length];
  throw new RangeError(`Cannot send ${length} bytes at ${offset} of ${name}: it has ${size}`);
}

function openPiece(source: string | number, options: SendFileOptions): Piece {
  // A file may be queued for longer than its sender waits for it (`writeTimeoutMs`).
  const { fd, name } = openFile(source, SENT);
  try {
    const [offset, length] = measure(fd, name, options);
    return { fd, name, offset, length };
  } catch (error) {
    native.close(fd);
    throw error;
  }
}

/** Does the work of {@linkcode Connection.sendFile}. */
export function sendFile(
  writer: FileWriter,
  source: string | number,
  options: SendFileOptions,
): Promise<number> {
  const sent = queueFile(writer, source, options);
  // As with flush(): who does not await it learns of the failure otherwise.
  sent.catch(ignore);
  return sent;
}

/** Runs up to its first `await` within the call: whatever is written next stands behind the file. */
async function queueFile(
  writer: FileWriter,
  source: string | number,
  options: SendFileOptions,
): Promise<number> {
  const read = readOptions("sendFile", options, SEND_FILE_OPTIONS);
  const { signal, onProgress } = read;
  checkSignal("sendFile", signal);
  if (onProgress !== undefined) checkFunction("onProgress", onProgress);
  for (const name of ["offset", "length"] as const) {
    if (read[name] !== undefined) checkFileBytes("send", name, read[name]);
  }
  signal?.throwIfAborted();
  const piece = openPiece(source, read);
  if (piece.length === 0) {
    native.close(piece.fd);
    await writer.flush({ signal });
    return 0;
  }
  const scope = currentScope();
  let failure: { readonly error: unknown } | null = null;
  let isOver = false;
  const onFailed = (error: unknown) => {
    if (isOver) return say("error", `onProgress of a file that was sent failed: ${error}`);
    failure ??= { error };
    writer.abandonFile(file, error);
  };
  const tell = () => callBack(() => scope(onProgress!, file.sentBytes, undefined), onFailed);
  const file: FileSending = new FileSending(piece, onProgress === undefined ? null : tell);
  const onAbort = () => writer.abandonFile(file, signal!.reason);
  signal?.addEventListener("abort", onAbort);
  try {
    await writer.flushFile(file);
    if (failure !== null) throw (failure as { error: unknown }).error; // it failed with the last bytes
    return piece.length;
  } finally {
    isOver = true;
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Whether sendfile says by this that the stream is broken; of others it does not say whose they are. */
function isOfStream(errno: number): boolean {
  return errno === ERRNO.EPIPE || errno === ERRNO.ECONNRESET || errno === ERRNO.ETIMEDOUT;
}

/** A piece of a file on its way. To its writer it is a flush with an outcome of its own. */
export class FileSending {
  /** Before it, so many bytes of the chain leave. */
  at = 0;
  /** It is done when so many bytes were sent in all. */
  target = 0;
  /** Since when nothing of it has left, in microseconds. */
  since = 0;
  /** Bytes that the kernel has taken. */
  sentBytes = 0;
  /** Why it cannot be sent any further. */
  failure: SendFileError | null = null;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  readonly #piece: Piece;
  readonly #tell: (() => void) | null;
  #isTelling = false;
  #isClosed = false;
  /** Bytes that were read and not sent yet, where the kernel cannot send the file by itself. */
  #copied: LinkChain | null = null;

  /** A piece that is to be sent; `tell` is called in a task of its own when some of it has left. */
  constructor(piece: Piece, tell: (() => void) | null) {
    this.#piece = piece;
    this.#tell = tell;
    ({ promise: this.promise, resolve: this.resolve, reject: this.reject } = Promise
      .withResolvers<void>());
    this.promise.catch(ignore);
  }

  /** Bytes that the kernel has not taken yet. */
  get unsentBytes(): number {
    return this.#piece.length - this.sentBytes;
  }

  /** Sends once. Bytes, `-errno` of the stream, or 0 and a `failure`. */
  send(io: Transport, to: number): number {
    const count = this.#copied === null
      ? this.#sendFile(io, to)
      : this.#sendCopy(io, to, this.#copied);
    if (count > 0) this.#advance(count);
    if (count === 0) this.failure ??= this.#cut("it ended", undefined);
    if (count >= 0 || count === NOT_READY || this.#copied !== null || isOfStream(-count)) {
      return count;
    }
    // Some file systems have no sendfile (EINVAL); of what else went wrong a read and a send say
    // whether it was the file or the stream.
    this.#copied = new LinkChain();
    return this.send(io, to);
  }

  #sendFile(io: Transport, to: number): number {
    const most = Math.min(this.unsentBytes, FILE_BYTES_PER_EVENT_MAX);
    const at = this.#piece.offset + this.sentBytes;
    const count = io.sendFile(to, this.#piece.fd, at, most);
    sending.wasShort = count < most;
    return count;
  }

  #sendCopy(io: Transport, to: number, copied: LinkChain): number {
    if (copied.length === 0) {
      const room = this.#room(copied);
      if (room === null) return -ERRNO.ENOMEM; // not now, as when the kernel has none
      const count = this.#read(copied, room);
      if (count < 0) this.failure = this.#cut("", new SystemError("read", -count));
      if (count <= 0) return 0;
    }
    return send(io, to, copied);
  }

  /** Room for what is read next; null when no memory is left. */
  #room(copied: LinkChain): LinkNode | null {
    const most = Math.min(this.unsentBytes, FILE_READ_BYTES);
    try {
      return copied.room(most, most);
    } catch (error) {
      if (error instanceof SystemError) return null;
      throw error;
    }
  }

  #read(copied: LinkChain, node: LinkNode): number {
    const most = Math.min(this.unsentBytes, FILE_READ_BYTES);
    const at = this.#piece.offset + this.sentBytes;
    const { fd } = this.#piece;
    const slab = node.block!.slab.id;
    const count = native.pread(fd, slab, node.malloced, most, at >>> 0, at / TWO_32 >>> 0);
    copied.received(Math.max(0, count));
    return count;
  }

  #advance(count: number): void {
    this.sentBytes += count;
    const tell = this.#tell;
    if (tell === null || this.#isTelling) return;
    this.#isTelling = true;
    // Never within a call of the user's own, such as a flush.
    queueMicrotask(() => {
      this.#isTelling = false;
      tell();
    });
  }

  #cut(why: string, cause: unknown): SendFileError {
    const { name, length } = this.#piece;
    const reason = cause instanceof Error ? cause.message : why;
    const message =
      `Cannot send more of ${name} than ${this.sentBytes} of ${length} bytes: ${reason}`;
    return new SendFileError(message, this.sentBytes, { cause });
  }

  /** The error of the stream when the file is taken back. */
  takenBack(reason: unknown): SendFileError {
    return this.failure ?? this.#cut("it was taken back", reason);
  }

  /** Gives back what it holds. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#copied?.close(CLOSED);
    native.close(this.#piece.fd);
  }
}

/** The files of a writer, each with its place among the bytes of the chain. */
export class FileQueue {
  readonly #files: FileSending[] = [];
  #isCorked = false;
  /** Bytes of files that were sent, or given up. */
  doneBytes = 0;
  /** Bytes of files that are still to be sent. */
  unsentBytes = 0;

  /** The number of files that are still to be sent. */
  get count(): number {
    return this.#files.length;
  }

  /** Queues a file behind so many bytes of the chain in all. */
  add(file: FileSending, at: number): void {
    file.at = at;
    this.unsentBytes += file.unsentBytes;
    file.target = at + this.doneBytes + this.unsentBytes;
    this.#files.push(file);
  }

  /** Sends once: of the first file, or of the bytes before it. Bytes, `-errno`, or 0: it failed. */
  send(io: Transport, fd: number, chain: LinkChain): number {
    const file = this.#files[0];
    if (file === undefined) return send(io, fd, chain);
    const before = file.at - chain.total;
    if (before > 0) return sendBefore(io, fd, chain, before);
    const count = file.send(io, fd);
    if (count <= 0) return count;
    this.doneBytes += count;
    this.unsentBytes -= count;
    this.#cork(io, fd, file.unsentBytes > 0);
    if (file.unsentBytes === 0) this.remove(file);
    return count;
  }

  /**
   * While a file is under way full packets only leave. Otherwise every acknowledgement pushes out
   * whatever stands at the end of the queue, and each such scrap wakes the peer: over loopback 20
   * packets a MiB in place of 15, and 1.4 times the CPU.
   */
  #cork(io: Transport, fd: number, isUnderWay: boolean): void {
    if (this.#isCorked === isUnderWay) return;
    this.#isCorked = isUnderWay;
    io.cork(fd, isUnderWay);
  }

  /** Bytes have left, or the peer took some: the first file has its time anew. */
  progress(atMicros: number): void {
    const file = this.#files[0];
    if (file !== undefined && file.sentBytes > 0) file.since = Math.max(file.since, atMicros);
  }

  /** The file that failed. */
  get failed(): FileSending {
    return this.#files[0]!;
  }

  /** Takes a file out of the queue and closes it. Whether it was there. */
  remove(file: FileSending): boolean {
    const index = this.#files.indexOf(file);
    if (index < 0) return false;
    this.#files.splice(index, 1);
    this.doneBytes += file.unsentBytes;
    this.unsentBytes -= file.unsentBytes;
    file.close();
    return true;
  }

  /** Closes all files: nothing is sent any more. */
  close(): void {
    for (const file of this.#files.splice(0)) file.close();
    this.unsentBytes = 0;
  }
}
