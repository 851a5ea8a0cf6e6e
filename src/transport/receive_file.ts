/**
 * Bytes of a stream that go to a file: by splice through a pipe of the kernel, and by reading and
 * writing where the kernel cannot move them, or somebody looks at them.
 */
import { constants } from "node:fs";
import { currentScope, type Scope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { host } from "../../ffi/runtime.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { ReceiveFileError, SystemError } from "../core/errors.ts";
import { FILE_RECEIVE_BYTES, SPLICE_BYTES_MIN } from "../core/limits.ts";
import { checkFunction, checkSignal, type Known, readOptions } from "../core/options.ts";
import { synchronous } from "../core/promises.ts";
import { FileType, statOf } from "../net/descriptor.ts";
import { fileTransport, table } from "./descriptor.ts";
import { type KernelPipe, kernelPipes } from "./kernel_pipe.ts";
import { checkFileBytes, type FileUse, type OpenedFile, openFile } from "./open_file.ts";
import { FIRST_SIZE } from "./read_size.ts";
import { receive, receiving, type Transport } from "./transport.ts";

/** Options of {@linkcode Connection.receiveFile}. */
export interface ReceiveFileOptions {
  /**
   * Where the bytes go, in bytes from the beginning. A file that is given by its path is emptied
   * first, unless this is given.
   */
  offset?: number;
  /** Ends it. The bytes that have not come then stay the reader's. */
  signal?: AbortSignal;
  /**
   * Called with all bytes, piece by piece, when they have been written: for a hash of one's own. The
   * view is **lent** until the function returns, and one that returns a promise is refused. With it
   * the bytes are read and written, not spliced.
   */
  onBytes?: (bytes: Uint8Array) => void;
}

/** A reader whose next bytes can go to a file. */
export interface FileReader {
  /** Bytes that were received and not read. */
  readonly input: LinkChain;
  /** The calls that receive. */
  readonly io: Transport;
  /** Throws where nothing can be received, or somebody waits for bytes. */
  checkFill(): void;
  /** Gives the next bytes to a file, and closes it. Resolves when it has all. */
  fill(file: FileReceiving, signal: AbortSignal | undefined): Promise<void>;
}

const RECEIVE_FILE_OPTIONS: Known<ReceiveFileOptions> = { offset: 1, signal: 1, onBytes: 1 };
const TWO_32 = 2 ** 32;

const { O_WRONLY, O_CREAT, O_TRUNC } = constants;
const call = "receive";
const permit = (path: string) => host.checkWrite(path);
const NEW: FileUse = { call, flags: O_WRONLY | O_CREAT | O_TRUNC, permit };
const KEPT: FileUse = { call, flags: O_WRONLY | O_CREAT, permit };

/** Throws unless a file can be written at positions. */
function checkWritable({ fd, name }: OpenedFile): void {
  const { type } = statOf(fd, call, name);
  if (type === FileType.DIRECTORY) throw new SystemError(call, ERRNO.EISDIR, name);
  const isFile = type === FileType.REGULAR || type === FileType.BLOCKS || type === FileType.DEVICE;
  if (!isFile) throw new SystemError(call, ERRNO.ESPIPE, name);
  // It is told before anything is moved (writev(2)).
  check(call, native.writev(fd, table, 0), name);
}

function openTarget(target: string | number, isKept: boolean): OpenedFile {
  const file = openFile(target, isKept ? KEPT : NEW);
  try {
    checkWritable(file);
    return file;
  } catch (error) {
    native.close(file.fd);
    throw error;
  }
}

/** Does the work of {@linkcode Connection.receiveFile}, up to its first `await` within the call. */
export async function receiveFile(
  reader: FileReader,
  target: string | number,
  bytes: number,
  options: ReceiveFileOptions,
): Promise<number> {
  const read = readOptions("receiveFile", options, RECEIVE_FILE_OPTIONS);
  const { offset = 0, signal, onBytes } = read;
  checkSignal("receiveFile", signal);
  if (onBytes !== undefined) checkFunction("onBytes", onBytes);
  checkFileBytes(call, "bytes", bytes);
  checkFileBytes(call, "offset", offset);
  checkFileBytes(call, "an end at", offset + bytes);
  signal?.throwIfAborted();
  reader.checkFill(); // before the file is emptied
  const opened = openTarget(target, read.offset !== undefined);
  await reader.fill(new FileReceiving(opened, bytes, reader.input, reader.io, read), signal);
  return bytes;
}

/** A file that is being received. */
export class FileReceiving {
  /** Bytes of it in all. */
  readonly bytes: number;
  /** Bytes that the file has. */
  writtenBytes = 0;
  /** Why it cannot be written any further. An object, for users throw whatever they like. */
  failure: { readonly error: unknown } | null = null;
  readonly #file: OpenedFile;
  readonly #offset: number;
  readonly #scope: Scope;
  readonly #onBytes: ((bytes: Uint8Array) => void) | undefined;
  readonly #input: LinkChain;
  /** Bytes that were received and not written yet; the last of them may be the reader's. */
  readonly #received = new LinkChain();
  #canSplice: boolean;
  #hadBytes = 0;
  #isClosed = false;

  /** An open file, closed at the end, that is to get so many bytes of what comes to `input`. */
  constructor(
    file: OpenedFile,
    bytes: number,
    input: LinkChain,
    io: Transport,
    { offset = 0, onBytes }: ReceiveFileOptions,
  ) {
    this.bytes = bytes;
    this.#file = file;
    this.#offset = offset;
    this.#input = input;
    this.#canSplice = io.isPlain && onBytes === undefined && bytes >= SPLICE_BYTES_MIN;
    this.#onBytes = onBytes;
    this.#scope = currentScope();
    kernelPipes.enter();
  }

  /** Bytes that have not been written. */
  get missingBytes(): number {
    return this.bytes - this.writtenBytes;
  }

  /** Whether what is received next is to come here: it, or what stands before it, is to be written. */
  get isReceiving(): boolean {
    return this.missingBytes > 0 || this.#received.length > 0;
  }

  /** Whether it has more than when this was asked last. */
  hasMore(): boolean {
    const hadBytes = this.#hadBytes;
    this.#hadBytes = this.writtenBytes;
    return this.writtenBytes > hadBytes;
  }

  /** Receives once. Bytes, 0 at the end of the stream, or `-errno`. */
  receive(io: Transport, fd: number): number {
    if (this.#canSplice && this.#received.length === 0) {
      const count = this.#splice(fd);
      if (count !== -ERRNO.EINVAL) return count;
      this.#canSplice = false; // this kind of descriptor has no splice, or no pipe is left
    }
    const chain = this.#received;
    return receive(io, fd, chain, FIRST_SIZE, chain.length + FILE_RECEIVE_BYTES);
  }

  #splice(fd: number): number {
    const pipe = kernelPipes.take();
    if (pipe === null) return -ERRNO.EINVAL;
    try {
      const count = pipe.fill(fd, Math.min(this.missingBytes, receiving.most));
      if (count > 0) this.#drain(pipe);
      receiving.wasFilled = count >= SPLICE_BYTES_MIN;
      return count;
    } finally {
      kernelPipes.give(pipe);
    }
  }

  /** Moves what is in a pipe to the file. What the file does not take is read, to be written. */
  #drain(pipe: KernelPipe): void {
    while (pipe.heldBytes > 0) {
      const count = pipe.drainToFile(this.#file.fd, this.#offset + this.writtenBytes);
      if (count <= 0) break;
      this.writtenBytes += count;
      this.#input.total += count;
    }
    while (pipe.heldBytes > 0) {
      this.#canSplice = false; // writing says why, if it does not succeed where this did not
      const count = receive(
        fileTransport,
        pipe.reading,
        this.#received,
        FIRST_SIZE,
        pipe.heldBytes,
      );
      // Nothing can go on behind a gap: whoever receives resets the connection.
      if (count <= 0) throw new SystemError("read a pipe", count < 0 ? -count : ERRNO.EPIPE);
      pipe.copiedOut(count);
    }
  }

  /** Writes what the reader has. Its views of what it read before stay valid. */
  writeInput(): void {
    const isLending = this.#input.consumed > 0;
    this.#write(this.#input);
    if (!isLending) this.#input.release();
  }

  /** Writes what was received since. */
  writeReceived(): void {
    this.#write(this.#received);
    if (!this.#isClosed) this.#received.release();
  }

  /** Writes bytes of a chain, as many as are missing, and reads past them. */
  #write(chain: LinkChain): void {
    const { fd } = this.#file;
    while (chain.length > 0 && this.missingBytes > 0 && !this.#isClosed && this.failure === null) {
      const node = chain.front()!;
      const { read, bytes } = node;
      const most = Math.min(node.readable, this.missingBytes);
      const at = this.#offset + this.writtenBytes;
      const slab = node.block!.slab.id;
      const count = native.pwrite(fd, slab, read, most, at >>> 0, at / TWO_32 >>> 0);
      if (count <= 0) return this.#fail("write", count < 0 ? -count : ERRNO.EIO);
      this.writtenBytes += count;
      chain.consume(count);
      if (chain !== this.#input) this.#input.total += count;
      if (this.#onBytes !== undefined) this.#tell(bytes.subarray(read, read + count));
    }
  }

  /** Calls the user, who may end all of it. */
  #tell(view: Uint8Array): void {
    try {
      const result = this.#scope(this.#onBytes!, view, undefined);
      synchronous("onBytes", result, "the bytes are lent until it returns; use them before");
    } catch (error) {
      this.failure ??= { error };
    }
  }

  /** The error of a file that is not received to its end. */
  cut(cause: unknown): ReceiveFileError {
    const reason = cause instanceof Error ? cause.message : "it was ended";
    const message = `Cannot receive more of ${this.#file.name} than ${this.writtenBytes} of ` +
      `${this.bytes} bytes: ${reason}`;
    return new ReceiveFileError(message, this.writtenBytes, { cause });
  }

  /** Closes the file, unless it is closed: some file systems tell only then that a write failed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    kernelPipes.leave();
    this.#giveBack(this.#input);
    const code = native.close(this.#file.fd);
    if (code < 0) this.#fail("close", -code);
  }

  #fail(syscall: string, errno: number): void {
    this.failure ??= { error: this.cut(new SystemError(syscall, errno, this.#file.name)) };
  }

  /** Gives the bytes that it has not written to its reader, where somebody may still read them. */
  #giveBack(input: LinkChain): void {
    const chain = this.#received;
    if (chain.length === 0 || input.readBan !== null) {
      input.bypassed += chain.length;
      return chain.close(CLOSED);
    }
    input.take(chain);
    input.publish();
  }
}
