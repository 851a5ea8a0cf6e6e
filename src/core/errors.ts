/**
 * One class for each thing that a caller does differently.
 */
import { describe, nameOf } from "./errno.ts";

/**
 * The base of every error that the peer, the kernel or a deadline caused.
 *
 * @example
 * ```ts
 * import { createListener, NetpollError } from "@netpoll/netpoll";
 *
 * try {
 *   createListener("unix", "/nowhere/server.sock");
 * } catch (error) {
 *   if (!(error instanceof NetpollError)) throw error;
 * }
 * ```
 */
export class NetpollError extends Error {
  /** The name of the class. */
  override name = "NetpollError";
  /**
   * The IP address, or the path, that it is about: what was dialled, what was to be listened on, or the
   * peer of a datagram or handshake. Undefined where it is about none.
   */
  declare readonly address?: string;
  /** The port of that address. */
  declare readonly port?: number;
}

/** The reason why netpoll cannot run. */
export type LoadReason = "runtime" | "platform" | "permission" | "library";

/**
 * netpoll cannot run here, and the `import` of it fails: this is neither Deno nor Bun
 * (`"runtime"`), neither Linux nor a processor that it is built for (`"platform"`), `--allow-ffi`
 * is missing (`"permission"`), or no libnetpoll.so is there that fits this version (`"library"`).
 * Its message says what to do. Where the import failed, the class is not there either: ask for the
 * name.
 *
 * @example
 * ```ts
 * const netpoll = await import("@netpoll/netpoll").catch((error) => {
 *   if (error.name !== "LoadError") throw error;
 *   console.warn(error.reason, error.message);
 *   return null; // do without
 * });
 * console.log(netpoll === null ? "without netpoll" : "with netpoll");
 * ```
 */
export class LoadError extends NetpollError {
  /** The name of the class. */
  override name = "LoadError";
  /** The reason. */
  readonly reason: LoadReason;

  /** An error that says why netpoll cannot run, and what to do. */
  constructor(reason: LoadReason, message: string) {
    super(`Cannot load netpoll: ${message}`);
    this.reason = reason;
  }
}

/**
 * The connection, or the buffer, was closed by us: stop using it.
 *
 * @example
 * ```ts
 * import { ClosedError, socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * await a.close();
 * await b.close();
 * try {
 *   b.writer.writeString("too late");
 * } catch (error) {
 *   console.log(error instanceof ClosedError); // true
 * }
 * ```
 */
export class ClosedError extends NetpollError {
  /** The name of the class. */
  override name = "ClosedError";
}

/**
 * The peer ended its side. What arrived before is still readable; under half-close our writer lives
 * on. `cause` is the {@linkcode SystemError} when it ended by a reset rather than in order.
 *
 * @example
 * ```ts
 * import { EofError, socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.writer.writeString("half");
 * await a.writer.flush();
 * await a.closeWrite();
 * try {
 *   await b.reader.wait(8);
 * } catch (error) {
 *   if (!(error instanceof EofError)) throw error;
 *   console.log(b.reader.readString(b.reader.length)); // "half": what came is still there
 * }
 * await a.close();
 * await b.close();
 * ```
 */
export class EofError extends ClosedError {
  /** The name of the class. */
  override name = "EofError";
}

/**
 * The connection of a request ended before its answer came. `sent` says whether any byte of it had
 * left: if not, the other side has not seen it, and it can be sent again; if so, nobody knows whether it
 * was done. `cause` is the {@linkcode SystemError} of a reset, as of every `EofError`.
 *
 * @example
 * ```ts
 * import { UnansweredError } from "@netpoll/netpoll";
 * import { type Multiplexer } from "@netpoll/netpoll/mux";
 *
 * export async function ask(client: Multiplexer<Uint8Array, string>): Promise<Uint8Array | null> {
 *   try {
 *     return await client.request("a question");
 *   } catch (error) {
 *     if (!(error instanceof UnansweredError) || error.sent) throw error;
 *     return null; // it was never sent: ask somebody else
 *   }
 * }
 * ```
 */
export class UnansweredError extends EofError {
  /** The name of the class. */
  override name = "UnansweredError";
  /** Whether any byte of the request was given to the kernel. */
  readonly sent: boolean;
  /** `"ERR_UNANSWERED"` for one that was sent, else `"ERR_NOT_SENT"`. */
  readonly code: "ERR_UNANSWERED" | "ERR_NOT_SENT";

  /** An error for a request that was sent, or not, because of what ended the connection. */
  constructor(sent: boolean, reason: unknown) {
    const why = reason instanceof Error ? reason.message : String(reason);
    const what = sent
      ? "The request was sent and has no answer"
      : "The request was not sent and can be repeated";
    super(`${what}: ${why}`, { cause: reason instanceof EofError ? reason.cause : reason });
    this.sent = sent;
    this.code = sent ? "ERR_UNANSWERED" : "ERR_NOT_SENT";
  }
}

/** An operation that can run into a deadline. */
export type TimeoutOperation =
  | "read"
  | "write"
  | "dial"
  | "acquire"
  | "handshake"
  | "header"
  | "idle"
  | "lifetime"
  | "rate"
  | "request";

const SLOW: Readonly<Record<TimeoutOperation, string>> = {
  read: "What was waited for did not come within",
  write: "What was flushed did not leave within",
  dial: "The connection was not there within",
  acquire: "No connection of the pool was free within",
  handshake: "The TLS handshake did not finish within",
  header: "The PROXY header did not come within",
  idle: "Nothing moved for",
  lifetime: "The connection is older than",
  rate: "The peer was slower than bytesPerSecondMin for",
  request: "The answer did not come within",
};

/**
 * A deadline passed. Nothing was consumed, and the connection goes on: try again, or close it.
 *
 * @example
 * ```ts
 * import { socketPair, TimeoutError } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * b.readTimeoutMs = 20;
 * try {
 *   await b.reader.wait(1);
 * } catch (error) {
 *   if (!(error instanceof TimeoutError)) throw error;
 *   console.log(error.operation, b.isActive); // "read" true
 * }
 * await a.close();
 * await b.close();
 * ```
 */
export class TimeoutError extends NetpollError {
  /** The name of the class. */
  override name = "TimeoutError";
  /** The operation that took too long. */
  readonly operation: TimeoutOperation;

  /** An error that says which operation missed a deadline of how many milliseconds. */
  constructor(operation: TimeoutOperation, timeoutMs: number, options?: ErrorOptions) {
    super(`${SLOW[operation]} ${timeoutMs} ms`, options);
    this.operation = operation;
  }
}

/**
 * A connection has closed with bytes that were flushed and that the peer did not take in time. They
 * were dropped, and the peer saw a reset: what it has is not the whole. `closed` rejects with it.
 *
 * @example
 * ```ts
 * import { socketPair, UnsentError } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * b.pauseRead();
 * a.writer.writeBinary(new Uint8Array(8 << 20));
 * void a.writer.flush();
 * await a.close({ timeoutMs: 20 });
 * const error = await a.closed.catch((error) => error);
 * console.log(error instanceof UnsentError && error.unsentBytes > 0); // true
 * await b.close();
 * ```
 */
export class UnsentError extends NetpollError {
  /** The name of the class. */
  override name = "UnsentError";
  /** The number of bytes that were flushed and not acknowledged by the peer. */
  readonly unsentBytes: number;

  /** An error that says how many bytes were dropped, and for want of what. */
  constructor(unsentBytes: number, limit: string, options?: ErrorOptions) {
    super(`Cannot send ${unsentBytes} bytes that were flushed: ${limit}`, options);
    this.unsentBytes = unsentBytes;
  }
}

/** The fault of a frame. */
export type FrameFault = "malformed" | "too-long" | "truncated";

/**
 * The peer sent what is no frame of the protocol (`"malformed"`), one above the codec's maximum
 * (`"too-long"`), or ended its side within one (`"truncated"`). Nothing was consumed; as nobody can
 * know where the next frame begins, the connection is of no use any more.
 *
 * @example
 * ```ts
 * import { FrameError, LinkBuffer } from "@netpoll/netpoll";
 * import { lines } from "@netpoll/netpoll/codec";
 *
 * const buffer = new LinkBuffer();
 * buffer.writeString("a line that is too long\n");
 * buffer.flush();
 * try {
 *   lines({ frameBytesMax: 10 }).decode(buffer);
 * } catch (error) {
 *   if (!(error instanceof FrameError)) throw error;
 *   console.log(error.fault, error.offset, buffer.length); // "too-long" 10 24
 * }
 * buffer.close();
 * ```
 */
export class FrameError extends NetpollError {
  /** The name of the class. */
  override name = "FrameError";
  /** The fault. */
  readonly fault: FrameFault;
  /** Its place, counted from the next unread byte, with which the frame begins. */
  readonly offset: number;

  /** An error about the byte at an offset of a frame. */
  constructor(fault: FrameFault, offset: number, message: string, options?: ErrorOptions) {
    super(`${message} (at byte ${offset} of the frame)`, options);
    this.fault = fault;
    this.offset = offset;
  }
}

/**
 * A frame failed after a part of it had been flushed: whatever is written next, the peer takes for
 * the rest of it. Its `cause` is what failed.
 *
 * @internal
 */
export class TornFrameError extends NetpollError {
  /** The name of the class. */
  override name = "TornFrameError";

  /** An error because of another. */
  constructor(cause: unknown) {
    const message =
      "Cannot take back a frame that failed: a part of it was flushed; close the connection";
    super(message, { cause });
  }
}

/**
 * Two reads waited at once: fix the program. (Flushes queue; they never fail this way.)
 *
 * @example
 * ```ts
 * import { BusyError, socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * const first = b.reader.wait(1);
 * const second = await b.reader.wait(1).catch((error) => error);
 * console.log(second instanceof BusyError); // true
 * a.writer.writeByte(1);
 * await a.writer.flush();
 * await first;
 * await a.close();
 * await b.close();
 * ```
 */
export class BusyError extends NetpollError {
  /** The name of the class. */
  override name = "BusyError";
}

/**
 * A file could not be sent to its end: it has become shorter, or cannot be read. With `sentBytes`
 * above 0 the connection was reset, for its peer would take what follows for the rest of the file.
 *
 * @example
 * ```ts
 * import { type Connection, SendFileError } from "@netpoll/netpoll";
 *
 * export async function send(connection: Connection, path: string): Promise<void> {
 *   try {
 *     await connection.sendFile(path);
 *   } catch (error) {
 *     if (!(error instanceof SendFileError)) throw error;
 *     console.error(`${path} became shorter: ${error.sentBytes} bytes were sent`);
 *   }
 * }
 * ```
 */
export class SendFileError extends NetpollError {
  /** The name of the class. */
  override name = "SendFileError";
  /** The number of its bytes that the kernel has taken. */
  readonly sentBytes: number;

  /** An error that says how many bytes were sent. */
  constructor(message: string, sentBytes: number, options?: ErrorOptions) {
    super(message, options);
    this.sentBytes = sentBytes;
  }
}

/**
 * A file was not received to its end: the peer has ended or broken the stream, a deadline has passed,
 * the connection was closed, or the file takes no more. `cause` is the error that says which. While
 * the connection is open, what was not written can be read: the reader goes on with the byte behind
 * the last that was written.
 *
 * @example
 * ```ts
 * import { type Connection, ReceiveFileError } from "@netpoll/netpoll";
 *
 * export async function receive(connection: Connection, path: string, bytes: number): Promise<void> {
 *   try {
 *     await connection.receiveFile(path, bytes);
 *   } catch (error) {
 *     if (!(error instanceof ReceiveFileError)) throw error;
 *     console.error(`${path} has ${error.writtenBytes} of ${bytes} bytes`, error.cause);
 *   }
 * }
 * ```
 */
export class ReceiveFileError extends NetpollError {
  /** The name of the class. */
  override name = "ReceiveFileError";
  /** The number of its bytes that the file has. */
  readonly writtenBytes: number;

  /** An error that says how many bytes were written. */
  constructor(message: string, writtenBytes: number, options?: ErrorOptions) {
    super(message, options);
    this.writtenBytes = writtenBytes;
  }
}

/**
 * The kernel said no.
 *
 * @example
 * ```ts
 * import { dial, SystemError } from "@netpoll/netpoll";
 *
 * try {
 *   await dial("unix", "@nobody-listens-here");
 * } catch (error) {
 *   if (!(error instanceof SystemError)) throw error;
 *   console.log(error.code); // "ECONNREFUSED"
 * }
 * ```
 */
export class SystemError extends NetpollError {
  /** The name of the class. */
  override name = "SystemError";
  /** The system call that failed. */
  readonly syscall: string;
  /** The number of the error, positive. */
  readonly errno: number;
  /** Its name, like `"ECONNREFUSED"`. */
  readonly code: string;

  /** An error for a system call that failed with a (positive) number, at what it was about. */
  constructor(syscall: string, errno: number, subject = "", options?: ErrorOptions) {
    const about = subject === "" ? "" : ` ${subject}`;
    super(`Cannot ${syscall}${about}: ${describe(errno)} (${nameOf(errno)})`, options);
    this.syscall = syscall;
    this.errno = errno;
    this.code = nameOf(errno);
  }
}

/** The fault of a TLS connection. */
export type TlsReason = "certificate" | "hostname" | "protocol" | "alert" | "truncated";

/**
 * TLS failed: a certificate is not trusted or does not fit its key (`"certificate"`), or is for
 * another host (`"hostname"`); both sides have nothing in common, or one does not speak TLS
 * (`"protocol"`); the peer refused us (`"alert"`); or it ended without saying so, and what came may
 * not be the whole (`"truncated"`). Its `cause` has OpenSSL's words.
 *
 * @example
 * ```ts
 * import { dial, TlsError } from "@netpoll/netpoll";
 *
 * export async function reach(address: string): Promise<boolean> {
 *   try {
 *     await using connection = await dial("tcp", address, { tls: true, timeoutMs: 5000 });
 *     return connection.isActive;
 *   } catch (error) {
 *     if (!(error instanceof TlsError)) throw error;
 *     console.error(error.reason, error.message);
 *     return false;
 *   }
 * }
 * ```
 */
export class TlsError extends NetpollError {
  /** The name of the class. */
  override name = "TlsError";
  /** The fault. */
  readonly reason: TlsReason;

  /** An error that says what is wrong. */
  constructor(reason: TlsReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
