/**
 * Connections as users see them. A `Connection` has one field, which is private: its inside, a
 * `SocketConnection`. So a user reaches what is declared here, and nothing else.
 */
import type { Duplex } from "node:stream";
import { INSPECT, showAs } from "../core/inspect.ts";
import type { Reader } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import type { StreamAddress } from "../net/address.ts";
import type { ConnectionMetrics } from "./connection_metrics.ts";
import type { ReceiveFileOptions } from "../transport/receive_file.ts";
import type { SendFileOptions } from "../transport/send_file.ts";
import type {
  CloseOptions,
  CloseResult,
  ConnectionEnd,
  ConnectionOptions,
  Unread,
} from "./settings.ts";
import type { TlsClientOptions, TlsServerOptions } from "../tls/options.ts";
import type { TlsRole } from "../transport/start_tls.ts";
import type { TlsInfo } from "../transport/tls_info.ts";
import type { ProxyInfo } from "../transport/proxied.ts";
import type { ZeroCopyCounts, ZeroCopyMode } from "../transport/zero_copy.ts";

/** Answers what a connection receives. Called when there are bytes to read, once at a time. */
export type RequestHandler<C> = (connection: Connection, context: C) => void | Promise<void>;

/**
 * Functions that are called in a connection's life, in this order; close callbacks come last.
 */
export interface Callbacks<C> {
  /**
   * Before anything is read: the context that the other callbacks get. Synchronous, and without
   * I/O.
   */
  onPrepare?: (connection: Connection) => C;
  /**
   * The connection is there. Its result is the context from then on. `onRequest` waits until it has
   * settled.
   */
  onConnect?: (connection: Connection, context: C) => C | Promise<C>;
  /** There are bytes to read. */
  onRequest?: RequestHandler<C> | null;
  /** The peer has ended or reset it, as `end` says. A running `onRequest` goes on meanwhile. */
  onDisconnect?: (connection: Connection, context: C, end: ConnectionEnd) => void | Promise<void>;
  /**
   * A callback failed; its connection is closed. Without it one line goes to `configure({ log })`.
   */
  onError?: (error: unknown, connection: Connection) => void;
}

/** Called when all is over, with what `netpoll:connection:close` says: the reason and the error. */
export type CloseCallback = (connection: Connection, end: ConnectionEnd) => void;

/** Options of {@linkcode Connection.fromFd} and {@linkcode Connection.fromDuplex}. */
export interface FromFdOptions<C = undefined>
  extends ConnectionOptions, Unread, Omit<Callbacks<C>, "onPrepare"> {}

/** All that a connection forwards to its inside. */
export type Inside = Omit<Connection, typeof Symbol.asyncDispose | "startTls"> & {
  /** The text of `console.log`. */
  [INSPECT](): string;
  /** Both overloads in one. */
  startTls(role: TlsRole, options: true | TlsClientOptions | TlsServerOptions): Promise<void>;
};

/** Makes the connection that users see of an inside. */
export let faceOf: (inside: Inside) => Connection;
/** The inside of a connection; null for anything else, a forged one included. */
export let insideIfAny: (connection: unknown) => Inside | null;

/** `Connection.fromFd`. It makes an inside, so from_fd.ts has it: imports point down. */
export type FromFd = <C = undefined>(fd: number, options?: FromFdOptions<C>) => Connection;

/** `Connection.fromDuplex`, which is from_duplex.ts's for the same reason. */
export type FromDuplex = <C = undefined>(duplex: Duplex, options?: FromFdOptions<C>) => Connection;

let fromFd: FromFd;
let fromDuplex: FromDuplex;

/** Sets what `Connection.fromFd` and `Connection.fromDuplex` call. */
export function setMakers(makers: { fromFd: FromFd; fromDuplex: FromDuplex }): void {
  ({ fromFd, fromDuplex } = makers);
}

/** Only this file can construct a connection: nobody else has this. */
const KEY = Symbol("key");

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
export class Connection implements AsyncDisposable {
  static {
    faceOf = (inside) => new Connection(KEY, inside);
    insideIfAny = (connection) =>
      typeof connection === "object" && connection !== null && #inside in connection
        ? connection.#inside
        : null;
    showAs(this.prototype, "Connection", (connection) => connection.#inside[INSPECT]());
  }

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
   * @throws {TypeError} It is no whole number from 0 to 2^31 - 1, a socket without a stream, or the
   * kernel's for something else (an epoll set, an eventfd), or a connection of this thread has it.
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
  static fromFd<C = undefined>(fd: number, options: FromFdOptions<C> = {}): Connection {
    return fromFd(fd, options);
  }

  /**
   * Makes a connection of a stream of the runtime: a socket of `node:net` or `node:tls`, or any other
   * Duplex of bytes. docs/DUPLEX.md says what each runtime does not do for such a stream.
   *
   * The stream is the connection's from now on. It is read as fast as the connection is, it takes
   * what is flushed until it is full, and it is ended, or destroyed, when the connection closes. Its
   * bytes are copied, both ways. Its errors are heard here: what it fails with is the `cause` of the
   * `EofError` that ends a wait, unless the kernel has a number for it. `fd` is -1, `tls` null, and
   * `detach()` throws; `unsentBytes` counts what the stream has not passed on, at most.
   *
   * `flush()` resolves when the stream has taken the bytes, and a flush of more than 64 KiB when the
   * stream has passed them on. While somebody waits with a deadline the process does not end; whether
   * it does otherwise is the stream's business.
   *
   * @throws {TypeError} It is no Duplex, one of objects or of text, or a connection has it.
   *
   * @example
   * ```ts
   * import { Connection } from "@netpoll/netpoll";
   * import { PassThrough } from "node:stream";
   *
   * const echo = Connection.fromDuplex(new PassThrough());
   * echo.writer.writeString("hello");
   * await echo.writer.flush();
   * await echo.reader.wait(5);
   * console.log(echo.reader.readString(5)); // "hello"
   * await echo.close();
   * ```
   */
  static fromDuplex<C = undefined>(duplex: Duplex, options: FromFdOptions<C> = {}): Connection {
    return fromDuplex(duplex, options);
  }

  readonly #inside: Inside;

  private constructor(key: typeof KEY, inside: Inside) {
    if (key !== KEY) {
      throw new TypeError(
        "Cannot construct a Connection: an EventLoop, dial, socketPair, Connection.fromFd and fromDuplex make them",
      );
    }
    this.#inside = inside;
  }

  /** Reads what the peer sent. */
  get reader(): Reader {
    return this.#inside.reader;
  }

  /** Writes to the peer. */
  get writer(): Writer {
    return this.#inside.writer;
  }

  /** True until it is closed, or reset. The peer's end of sending leaves it true. */
  get isActive(): boolean {
    return this.#inside.isActive;
  }

  /** The descriptor; -1 once it is closed. */
  get fd(): number {
    return this.#inside.fd;
  }

  /**
   * The TLS of it: version, cipher, names, the peer's certificate. Null without TLS, and after close
   * unless it was asked for before.
   */
  get tls(): TlsInfo | null {
    return this.#inside.tls;
  }

  /**
   * Goes on with TLS, where a protocol begins without it (STARTTLS): resolves when the handshake is
   * done. All that was written must have been flushed. Unread bytes are taken for the beginning of
   * TLS: a peer may have sent its first message already, and bytes that were not protected are never
   * read as if they had been. Until then neither side reads or writes. A client gives `serverName`.
   * When it fails, the connection is reset.
   *
   * Give the same options object for many connections: what is made of it is kept.
   *
   * @throws {TlsError} The peer is not trusted, or both have nothing in common.
   * @throws {TimeoutError} It took longer than `handshakeTimeoutMs`.
   * @throws {BusyError} Bytes wait to be sent, or somebody waits for some.
   * @throws {LoadError} OpenSSL 3 is not installed.
   */
  startTls(role: "client", options: true | TlsClientOptions): Promise<void>;
  /** Does so as a server. */
  startTls(role: "server", options: TlsServerOptions): Promise<void>;
  startTls(role: TlsRole, options: true | TlsClientOptions | TlsServerOptions): Promise<void> {
    return this.#inside.startTls(role, options);
  }

  /** Where this end is. Known after close, too. */
  get localAddress(): StreamAddress {
    return this.#inside.localAddress;
  }

  /** Where the other end is. Known after close, too. */
  get remoteAddress(): StreamAddress {
    return this.#inside.remoteAddress;
  }

  /**
   * The proxy that it came through, and what that has said of its client (`proxyProtocol` of
   * {@linkcode createListener}); null for a peer that is none. The two addresses above are the client's then.
   */
  get proxy(): ProxyInfo | null {
    return this.#inside.proxy;
  }

  /**
   * Resolves when it is closed; rejects when a reset or an error ended it, or flushed bytes were
   * dropped. Never an unhandled rejection.
   *
   * A callback may await it: where nothing new comes any more, it resolves when only that callback
   * has kept the connection open for a second.
   *
   * A reaction (`then`, `await`, `Promise.race`) stays in memory until the connection is closed:
   * JavaScript cannot take it back. For each of many messages use `addCloseCallback`.
   */
  get closed(): Promise<void> {
    return this.#inside.closed;
  }

  /**
   * The longest time of one `wait`, in milliseconds; 0 for ever. A change holds for a wait under way.
   */
  get readTimeoutMs(): number {
    return this.#inside.readTimeoutMs;
  }

  set readTimeoutMs(timeoutMs: number) {
    this.#inside.readTimeoutMs = timeoutMs;
  }

  /**
   * The longest time of one `flush`, in milliseconds; 0 for ever. A change holds for a flush under
   * way.
   */
  get writeTimeoutMs(): number {
    return this.#inside.writeTimeoutMs;
  }

  set writeTimeoutMs(timeoutMs: number) {
    this.#inside.writeTimeoutMs = timeoutMs;
  }

  /** It is closed when no byte moves either way for so long, in milliseconds; 0 for never. */
  get idleTimeoutMs(): number {
    return this.#inside.idleTimeoutMs;
  }

  set idleTimeoutMs(timeoutMs: number) {
    this.#inside.idleTimeoutMs = timeoutMs;
  }

  /**
   * When flushes leave without a copy. A change holds for what is flushed from now on.
   *
   * @throws {TypeError} It is set to what is no mode.
   */
  get zeroCopy(): ZeroCopyMode {
    return this.#inside.zeroCopy;
  }

  set zeroCopy(mode: ZeroCopyMode) {
    this.#inside.zeroCopy = mode;
  }

  /** Counts of zero copy so far, and why it does nothing if it does not. Known after close, too. */
  get zeroCopyCounts(): ZeroCopyCounts {
    return this.#inside.zeroCopyCounts;
  }

  /** Whether nothing is read: after `pauseRead()`, or while a bound of what is held is exceeded. */
  get isReadPaused(): boolean {
    return this.#inside.isReadPaused;
  }

  /** Sets who answers what comes in. With bytes unread already, it is called soon. */
  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    this.#inside.setOnRequest(handler);
  }

  /**
   * Adds what is called when all is over, the last one added first. Called soon if it is over
   * already. A function that is added twice is called twice.
   *
   * @returns Takes the callback back, at any time: each is kept until it is called or taken back.
   */
  addCloseCallback(callback: CloseCallback): () => void {
    return this.#inside.addCloseCallback(callback);
  }

  /**
   * Reads nothing more until `resumeRead()`: the peer is slowed down. What was received stays
   * readable.
   */
  pauseRead(): void {
    this.#inside.pauseRead();
  }

  /** Reads again. */
  resumeRead(): void {
    this.#inside.resumeRead();
  }

  /**
   * Flushes what was written, and sends a file behind it, by sendfile: its bytes never come here.
   * Later writes follow it. The file is as long as it is at this moment; it is given by its path, or
   * by a descriptor, which stays the caller's and may be closed after the call.
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
  sendFile(file: string | number, options?: SendFileOptions): Promise<number> {
    return this.#inside.sendFile(file, options);
  }

  /**
   * Writes the next `bytes` bytes to a file: those that are here first, then what comes, by splice,
   * so that it never comes here. The file is given by its path, or by a descriptor, which stays the
   * caller's. Until then nobody else may read; `readTimeoutMs` bounds how long nothing comes. What
   * follows stays with the reader, and so does what was not written. A slow disk blocks the thread.
   *
   * Under Deno a path needs `--allow-write`. A descriptor needs nothing.
   *
   * @returns The number of bytes.
   * @throws {RangeError} `bytes` or `offset` is no whole number from 0 on.
   * @throws {SystemError} The file cannot be opened or written; nothing was received.
   * @throws {ReceiveFileError} It did not get all, and `writtenBytes` says how many; see `cause`.
   * @throws {BusyError} Somebody waits for bytes already.
   *
   * @example
   * ```ts
   * import { socketPair } from "@netpoll/netpoll";
   *
   * const [a, b] = socketPair();
   * a.writer.writeString("hello");
   * await a.writer.flush();
   * console.log(await b.receiveFile("/dev/null", 5)); // 5
   * await Promise.all([a.close(), b.close()]);
   * ```
   */
  receiveFile(file: string | number, bytes: number, options?: ReceiveFileOptions): Promise<number> {
    return this.#inside.receiveFile(file, bytes, options);
  }

  /**
   * Sends what was flushed, then ends our side: the peer reads an end. Reading goes on. Never
   * rejects. While it is piped the pipe does that, and this waits for it.
   */
  closeWrite(): Promise<void> {
    return this.#inside.closeWrite();
  }

  /**
   * Delivers what was flushed, then closes: resolves when the peer's kernel has acknowledged it.
   * It drops what was written and not flushed, and what the peer sends meanwhile. Never
   * rejects. A connection that is piped is reset.
   *
   * When the peer takes nothing for `closeTimeoutMs`, or in all not everything in `timeoutMs`, what
   * the kernel has taken is left to it; anything else is dropped, the peer sees a reset, and `closed`
   * rejects with an {@linkcode UnsentError}.
   */
  close(options?: CloseOptions): Promise<CloseResult> {
    return this.#inside.close(options);
  }

  /** Closes at once and drops what is unsent: the peer sees a reset. */
  reset(): void {
    this.#inside.reset();
  }

  /**
   * Gives the descriptor away, open and non-blocking; this is closed then. What was received and
   * not read, or written and not sent, is lost: read it before, for whoever goes on, who calls
   * `Connection.fromFd(fd, { unread })`. The caller closes it: {@linkcode closeDescriptor}.
   *
   * @throws {ClosedError} It is closed, or closing.
   * @throws {NetpollError} Zero-copy sends are under way; `await writer.released()` first.
   */
  detach(): number {
    return this.#inside.detach();
  }

  /**
   * Figures of it, so far and now: bytes, queues, the kernel's view of a TCP connection. A snapshot
   * that is yours; it costs a few microseconds. `console.log` of a connection draws it.
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
  metrics(): ConnectionMetrics {
    return this.#inside.metrics();
  }

  /** Calls `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
