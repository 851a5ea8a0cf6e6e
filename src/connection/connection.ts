/**
 * Connections as users see them, and those over descriptors that come from elsewhere.
 */
import { currentScope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import type { Reader } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { checkOptions, type Known } from "../core/options.ts";
import type { Address } from "../net/address.ts";
import { closeOriginal, isDescriptor } from "../net/descriptor.ts";
import { getOption, INT_MAX, Option } from "../net/socket.ts";
import { threadPoller } from "../poll/poller_pool.ts";
import { CALLBACKS, type Callbacks, checkCallbacks, type CloseCallback } from "./callbacks.ts";
import type { ConnectionMetrics } from "./connection_metrics.ts";
import type { SendFileOptions } from "./send_file.ts";
import {
  type ConnectionOptions,
  type ConnectionSettings,
  DEFAULTS,
  settings,
  type ZeroCopyMode,
} from "./settings.ts";
import { SocketConnection } from "./socket_connection.ts";
import { fileTransport, onlyWay, socketTransport, type Transport } from "./transport.ts";
import type { ZeroCopyCounts } from "./zero_copy.ts";

/** How {@linkcode Connection.close} closes. */
export interface CloseOptions {
  /**
   * How long it may take in all until the peer has everything, in milliseconds; 0 drops what the
   * kernel has not taken. Unless given, as long as the peer takes some within each
   * `closeTimeoutMs`.
   */
  timeoutMs?: number;
}

/** How a connection ended. */
export interface CloseResult {
  /** Bytes that were flushed and dropped: the peer did not acknowledge them, and saw a reset. */
  unsentBytes: number;
}

/**
 * One end of a byte stream.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.writer.writeString("ping");
 * await a.writer.flush();
 * await b.reader.wait(4);
 * console.log(b.reader.readString(4), b.isActive); // "ping" true
 * b.reader.release();
 * const { unsentBytes } = await a.close({ timeoutMs: 1000 });
 * console.log(unsentBytes); // 0
 * await b.close();
 * ```
 */
export interface Connection extends AsyncDisposable {
  /** What the peer sent. */
  readonly reader: Reader;
  /** What to send to the peer. */
  readonly writer: Writer;
  /** True until it is closed, or reset. The peer's end of sending leaves it true. */
  readonly isActive: boolean;
  /** The descriptor; -1 once it is closed. */
  readonly fd: number;
  /** Where this end is. Known after close, too. */
  readonly localAddress: Address;
  /** Where the other end is. Known after close, too. */
  readonly remoteAddress: Address;
  /**
   * Resolves when it is closed; rejects when a reset or an error ended it, or flushed bytes were
   * dropped. Never an unhandled rejection.
   *
   * A callback may await it: where nothing new comes any more, it resolves when only that callback
   * has kept the connection open for a second.
   */
  readonly closed: Promise<void>;
  /**
   * How long one `wait` may take, in milliseconds; 0 for ever. A change holds for a wait under way.
   */
  readTimeoutMs: number;
  /**
   * How long one `flush` may take, in milliseconds; 0 for ever. A change holds for a flush under
   * way.
   */
  writeTimeoutMs: number;
  /** How long no byte may move either way before it is closed, in milliseconds; 0 for ever. */
  idleTimeoutMs: number;
  /**
   * When flushes leave without a copy. A change holds for what is flushed from now on.
   *
   * @throws {TypeError} It is set to what is no mode.
   */
  zeroCopy: ZeroCopyMode;
  /** What zero copy did so far, and why it does nothing if it does not. Known after close, too. */
  readonly zeroCopyCounts: ZeroCopyCounts;
  /** Whether nothing is read: after `pauseRead()`, or while a bound of what is held is exceeded. */
  readonly isReadPaused: boolean;
  /** Sets who answers what comes in. With bytes unread already, it is called soon. */
  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void;
  /**
   * Adds what is called when all is over, the last one added first. Called soon if it is over
   * already.
   */
  addCloseCallback(callback: CloseCallback): void;
  /**
   * Reads nothing more until `resumeRead()`: the peer is slowed down. What was received stays
   * readable.
   */
  pauseRead(): void;
  /** Reads again. */
  resumeRead(): void;
  /**
   * Flushes what was written, and sends a file behind it, by sendfile: its bytes never come here.
   * What is written afterwards follows it. The file is as long as it is at this moment; it is given
   * by its path, or by a descriptor, which stays the caller's and must stay open until this settles.
   *
   * `writeTimeoutMs` bounds how long nothing of it leaves. As with `flush()`, what is queued stays
   * queued then. The signal takes it back: if a part of it has left, the connection is reset.
   * Reading a file that is not in memory blocks the thread.
   *
   * Under Deno a path needs `--allow-read`; it is Deno that opens the file, so that those of `/proc`,
   * `/sys` and `/dev` need what they need there. A descriptor needs nothing.
   *
   * @returns How many bytes the kernel has taken: the length.
   * @throws {RangeError} The file is shorter than `offset` and `length` say. Nothing of it is sent.
   * @throws {Error} Deno's `NotCapable`: `Deno.open` would not be permitted that file either.
   * @throws {SystemError} It cannot be opened, or is no file (`code` is `"EISDIR"` or `"ESPIPE"`).
   * Nothing of it is sent, and the connection goes on.
   * @throws {SendFileError} It has become shorter, or cannot be read; `sentBytes` says how much was
   * sent. If that is more than nothing, the connection is reset.
   * @throws {ClosedError} The connection is closed, or the peer has reset it (`EofError`).
   *
   * @example
   * ```ts
   * import { socketPair } from "@netpoll/netpoll";
   * import { rmSync, writeFileSync } from "node:fs";
   *
   * writeFileSync("/tmp/netpoll_example.txt", "0123456789");
   * const [a, b] = socketPair();
   * a.writer.writeString("three digits: ");
   * console.log(await a.sendFile("/tmp/netpoll_example.txt", { offset: 2, length: 3 })); // 3
   * await b.reader.wait(17);
   * console.log(b.reader.readString(17)); // "three digits: 234"
   * await a.close();
   * await b.close();
   * rmSync("/tmp/netpoll_example.txt");
   * ```
   */
  sendFile(file: string | number, options?: SendFileOptions): Promise<number>;
  /**
   * Sends what was flushed, then ends our side: the peer reads an end. Reading goes on. Never
   * rejects. While it is piped the pipe does that, and this waits for it.
   */
  closeWrite(): Promise<void>;
  /**
   * Delivers what was flushed, then closes: resolves when the peer's kernel has acknowledged it.
   * What was written and not flushed is dropped, and so is what the peer sends meanwhile. Never
   * rejects. A connection that is piped is reset.
   *
   * When the peer takes nothing for `closeTimeoutMs`, or in all not everything in `timeoutMs`, what
   * the kernel has taken is left to it; anything else is dropped, the peer sees a reset, and `closed`
   * rejects with an {@linkcode UnsentError}.
   */
  close(options?: CloseOptions): Promise<CloseResult>;
  /** Closes at once and drops what is unsent: the peer sees a reset. */
  reset(): void;
  /**
   * Gives the descriptor away, open and non-blocking; this is closed then. What was received and
   * not read, or written and not sent, is lost. It is the caller's to close, by
   * `Connection.fromFd(fd).reset()` for one: Deno's `closeSync` closes only what Deno has opened.
   *
   * @throws {ClosedError} It is closed, or closing.
   * @throws {NetpollError} Zero-copy sends are under way; `await writer.released()` first.
   */
  detach(): number;
  /**
   * What it did so far, and what it has now: bytes, queues, the kernel's view of a TCP connection. A
   * snapshot that is yours; it costs a few microseconds. `console.log` of a connection draws it.
   *
   * @example
   * ```ts
   * import { socketPair } from "@netpoll/netpoll";
   *
   * const [a, b] = socketPair();
   * a.writer.writeString("hello");
   * await a.writer.flush();
   * console.log(a.metrics().sentBytes, a.metrics().unsent.bytes); // 5 0
   * await a.close();
   * await b.close();
   * ```
   */
  metrics(): ConnectionMetrics;
  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a connection over a descriptor is told. */
export interface FromFdOptions<C = undefined>
  extends ConnectionOptions, Omit<Callbacks<C>, "onPrepare"> {}

const { onPrepare: _, ...LATER_CALLBACKS } = CALLBACKS;
const FROM_FD_OPTIONS: Known<FromFdOptions> = { ...DEFAULTS, ...LATER_CALLBACKS };

const SOCK_STREAM = 1;

/** Throws unless bytes in order come and go through a descriptor. Whether it is a socket. */
function checkStream(fd: number): boolean {
  let type: number;
  try {
    type = getOption(fd, Option.TYPE);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOTSOCK") return false;
    throw error;
  }
  if (type !== SOCK_STREAM || getOption(fd, Option.ACCEPTS) !== 0) {
    throw new TypeError(`Cannot make a connection of descriptor ${fd}: it is no stream socket`);
  }
  return true;
}

/** Throws unless a descriptor can be watched, and is not yet. */
function checkFree(fd: number): void {
  const code = threadPoller().probe(fd);
  if (code === -ERRNO.EEXIST) {
    throw new TypeError(
      `Cannot make a connection of descriptor ${fd}: a connection of this thread has it`,
    );
  }
  check("watch a descriptor", code);
}

/** A connection over a descriptor of ours, which is ours to close when this throws. */
function connect<C>(
  fd: number,
  io: Transport,
  bounds: ConnectionSettings,
  callbacks: FromFdOptions<C>,
): SocketConnection<C> {
  const service = {
    poller: threadPoller(),
    callbacks,
    scope: currentScope(),
    settings: bounds,
    owner: null,
    io,
    isDialled: false,
  };
  const connection = new SocketConnection<C>(service, fd, { local: null, remote: null });
  const only = io === fileTransport ? onlyWay(fd) : null;
  if (only !== null) connection.limitTo(only);
  connection.start();
  return connection;
}

function fromFd<C = undefined>(fd: number, options: FromFdOptions<C> = {}): Connection {
  checkOptions("Connection.fromFd", options, FROM_FD_OPTIONS);
  checkCallbacks(options);
  const bounds = settings(options);
  if (!isDescriptor(fd)) {
    throw new TypeError(
      `Cannot make a connection of ${fd}: a descriptor is a whole number from 0 to ${INT_MAX}`,
    );
  }
  const io = checkStream(fd) ? socketTransport : fileTransport;
  checkFree(fd);
  // The original is as it was until nothing can fail any more: whoever opened it may have noted its
  // number, and what is set for the open file holds for all its descriptors.
  const ours = check("duplicate a descriptor", native.dup(fd));
  let connection: Connection | null = null;
  try {
    connection = connect(ours, io, bounds, options);
    check("make a descriptor non-blocking", native.adopt(ours));
  } catch (error) {
    connection?.detach();
    native.close(ours);
    throw error;
  }
  closeOriginal(fd);
  return connection;
}

/** Connections over descriptors that come from elsewhere: {@linkcode ConnectionFactory.fromFd}. */
export interface ConnectionFactory {
  /**
   * Makes a connection of an open descriptor of a byte stream: a socket of another library, one
   * that systemd or a parent passed on, or what can be polled besides (a pipe's end, a terminal).
   *
   * The connection owns the open file from now on, under a number of its own: `connection.fd`. The
   * number that was given is closed, by the runtime's `closeSync` where the runtime opened it, and
   * is not to be used or closed again; 0, 1 and 2 stay open. The open file is made non-blocking,
   * which whoever shares it (a child process, the other user of a terminal) sees as well. After an
   * error the descriptor is the caller's, and as it was.
   *
   * Do not give away what the runtime itself reads or writes: a socket of `node:net`, or
   * `process.stdin` in use. Under Deno, a file that `node:fs` opened is taken over in the thread that
   * opened it. No permission is asked for: who has a descriptor may use it (docs/SECURITY.md).
   *
   * @throws {TypeError} It is no whole number from 0 to 2^31 - 1, a socket without a stream, or a
   * connection of this thread has it.
   * @throws {SystemError} It is not open, or cannot be polled (`code` is `"EPERM"` for a file), or no
   * other descriptor is left.
   *
   * @example
   * ```ts
   * import { Connection, socketPair } from "@netpoll/netpoll";
   *
   * const [a, b] = socketPair();
   * const again = Connection.fromFd(a.detach());
   * again.writer.writeString("hello");
   * await again.writer.flush();
   * await b.reader.wait(5);
   * console.log(b.reader.readString(5)); // "hello"
   * await again.close();
   * await b.close();
   * ```
   */
  fromFd<C = undefined>(fd: number, options?: FromFdOptions<C>): Connection;
}

/** Makes connections of descriptors. */
export const Connection: ConnectionFactory = { fromFd };

/**
 * Two connections, each the peer of the other, without a network in between (socketpair(2)).
 *
 * @throws {SystemError} No descriptor is left.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.writer.writeString("ping");
 * await a.writer.flush();
 * await b.reader.wait(4);
 * console.log(b.reader.readString(4)); // "ping"
 * await a.close();
 * await b.close();
 * ```
 */
export function socketPair(): [Connection, Connection] {
  const pair = new Int32Array(2);
  const bounds = settings({});
  check("open a pair of sockets", native.socketpair(pair));
  let a: Connection | null = null;
  try {
    a = connect(pair[0]!, socketTransport, bounds, {});
    return [a, connect(pair[1]!, socketTransport, bounds, {})];
  } catch (error) {
    if (a === null) native.close(pair[0]!);
    else void a.close();
    native.close(pair[1]!);
    throw error;
  }
}
