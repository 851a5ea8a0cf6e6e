/**
 * The settings of a connection: deadlines and bounds.
 */
import {
  CLOSE_TIMEOUT_MS,
  MESSAGE_BYTES_MAX,
  READ_BUFFER_BYTES_MAX,
  WRITE_BUFFER_BYTES_MAX,
} from "../core/limits.ts";
import { checkNumber, checkTimeout } from "../core/options.ts";
import { checkZeroCopy, type ZeroCopyMode } from "../transport/zero_copy.ts";
import {
  type ConnectionLimits,
  type ConnectionRates,
  connectionRates,
} from "./connection_limits.ts";

/** Options of `close` of a connection. */
export interface CloseOptions {
  /**
   * The most time in all until the peer has everything, in milliseconds; 0 drops what the kernel
   * has not taken. Unless given, as long as the peer takes some within each `closeTimeoutMs`.
   */
  timeoutMs?: number;
}

/** The result of `close` of a connection. */
export interface CloseResult {
  /** Bytes that were flushed and dropped: the peer did not acknowledge them, and saw a reset. */
  unsentBytes: number;
}

/**
 * Deadlines in milliseconds, 0 for none, and bounds in bytes.
 *
 * @example Of a server: for each of its connections
 * ```ts
 * import { EventLoop } from "@netpoll/netpoll";
 *
 * const loop = new EventLoop(({ reader }) => reader.skip(reader.length), {
 *   readTimeoutMs: 10_000,
 *   writeTimeoutMs: 10_000,
 *   idleTimeoutMs: 60_000,
 *   messageBytesMax: 1 << 20,
 * });
 * await loop.shutdown();
 * ```
 */
export interface ConnectionOptions {
  /** The longest time of one `wait`. None unless given. */
  readTimeoutMs?: number;
  /** The longest time of one `flush`. None unless given. */
  writeTimeoutMs?: number;
  /**
   * The connection is closed when no byte moves either way for so long, and up to a 64th longer.
   * None unless given.
   */
  idleTimeoutMs?: number;
  /**
   * The longest life of the connection: then nothing new is begun, and it closes when what is under
   * way has finished (docs/CONNECTION.md has the table). Any age unless given.
   */
  lifetimeMs?: number;
  /**
   * The longest time for which the peer may take nothing once the connection closes, by whatever
   * it does. While the peer takes some, however little, closing takes as long as it takes; 0 is for
   * ever. 5000 unless given.
   */
  closeTimeoutMs?: number;
  /**
   * The bound of unread input, in bytes of blocks, at which reading pauses; it goes on below
   * half. A pending `wait` for more raises it for as long as it waits. 1 MiB unless given.
   */
  readBufferBytesMax?: number;
  /**
   * The bound of unsent output at which `writer.isWritable` is false: then a handler is not
   * called, and nothing read for it, until below half. 4 MiB unless given.
   */
  writeBufferBytesMax?: number;
  /** The most that `wait` waits for. 128 MiB unless given. */
  messageBytesMax?: number;
  /** Whether large flushes leave from our memory without a copy (MSG_ZEROCOPY). Off unless given. */
  zeroCopy?: ZeroCopyMode;
  /** The bounds of its speed. None unless given. */
  limits?: ConnectionLimits;
}

/** Why a connection has ended. */
export type CloseReason =
  /** The peer has ended its side, and all that it had sent was served. */
  | "peer"
  /** This program has closed it. */
  | "local"
  /** The peer has reset it, or the network is broken. */
  | "lost"
  /** This program has reset it. */
  | "reset"
  /** A callback failed, or TLS or a bound did. */
  | "error"
  /** A deadline has passed. */
  | "timeout"
  /** Its server shut down. */
  | "shutdown"
  /** Its descriptor was given away. */
  | "detached";

/** The end of a connection, for its callbacks and for `netpoll:connection:close`. */
export interface ConnectionEnd {
  /** Why it has ended. */
  reason: CloseReason;
  /** The error that has ended it; not there where there was none. */
  error?: unknown;
}

/** Bytes with which a connection begins. */
export interface Unread {
  /**
   * Of `Connection.fromFd`: bytes that somebody else has received from it and not used. They are read
   * before all others, and copied.
   */
  unread?: Uint8Array;
}

type Bounds = Required<Omit<ConnectionOptions, "limits">>;

/** All of them, checked. */
export type ConnectionSettings = Readonly<Bounds & { limits: ConnectionRates | null }>;

/** The settings unless a user says otherwise; their names are those of the options. */
export const DEFAULTS: ConnectionSettings = {
  readTimeoutMs: 0,
  writeTimeoutMs: 0,
  idleTimeoutMs: 0,
  lifetimeMs: 0,
  closeTimeoutMs: CLOSE_TIMEOUT_MS,
  readBufferBytesMax: READ_BUFFER_BYTES_MAX,
  writeBufferBytesMax: WRITE_BUFFER_BYTES_MAX,
  messageBytesMax: MESSAGE_BYTES_MAX,
  zeroCopy: "off",
  limits: null,
};

function checkNumeric(name: string, value: number): number {
  return name.endsWith("Ms") ? checkTimeout(name, value) : checkNumber(name, value, 1, Infinity);
}

/**
 * The settings that follow from a user's options.
 *
 * @throws {RangeError} A number is none that means anything.
 * @throws {TypeError} `zeroCopy` is none of its modes, or `limits` has what it must not have.
 */
export function settings(options: ConnectionOptions): ConnectionSettings {
  const merged = { ...DEFAULTS, limits: connectionRates(options.limits) };
  for (const name of Object.keys(DEFAULTS) as (keyof ConnectionOptions)[]) {
    const value = options[name];
    if (value === undefined || name === "limits") continue;
    if (name === "zeroCopy") merged.zeroCopy = checkZeroCopy(value as ZeroCopyMode);
    else merged[name] = checkNumeric(name, value as number);
  }
  return merged;
}

/** Whether there is any deadline to watch over. */
export function hasDeadlines(settings: ConnectionSettings): boolean {
  const { readTimeoutMs, writeTimeoutMs, idleTimeoutMs, lifetimeMs } = settings;
  return readTimeoutMs > 0 || writeTimeoutMs > 0 || idleTimeoutMs > 0 || lifetimeMs > 0;
}
