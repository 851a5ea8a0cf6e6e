/**
 * Limits of a connection beside its deadlines and bounds: how fast it may be, and how slow.
 */
import { SLOW_GRACE_MS } from "../core/limits.ts";
import { checkNumber, checkTimeout, type Known, readOptions } from "../core/options.ts";
import { type Rate, readRate } from "../core/token_bucket.ts";
import type { Ration } from "../poll/ration.ts";

/**
 * The bounds of one connection's speed. A peer that is too fast is not read until it is its turn
 * again: nothing is lost, TCP holds the peer back. A peer that is too slow is closed.
 *
 * @example
 * ```ts
 * import { EventLoop } from "@netpoll/netpoll";
 *
 * const loop = new EventLoop(({ reader }) => reader.skip(reader.length), {
 *   limits: {
 *     acceptsPerSecond: 5_000,
 *     connection: { bytesPerSecond: 1 << 20, requestsPerSecond: 100, bytesPerSecondMin: 500 },
 *   },
 * });
 * await loop.shutdown();
 * ```
 */
export interface ConnectionLimits {
  /** Bytes that are received a second. Any number unless given. */
  bytesPerSecond?: number;
  /** Bytes that are received at once after a silence. A second's worth unless given. */
  bytesBurst?: number;
  /** Calls of the handler a second. Any number unless given. */
  requestsPerSecond?: number;
  /** Calls that are made at once after a silence. A second's worth unless given. */
  requestsBurst?: number;
  /**
   * The least bytes a second of a peer that owes some: while a message is there in part, or the peer
   * does not take what was flushed. Below that the connection is closed with a `TimeoutError` whose
   * `operation` is "rate". Any number unless given.
   */
  bytesPerSecondMin?: number;
  /** The time over which that is judged. 5000 unless given. */
  graceMs?: number;
}

/** The names of {@linkcode ConnectionLimits}. */
const CONNECTION_LIMITS: Known<ConnectionLimits> = {
  bytesPerSecond: 1,
  bytesBurst: 1,
  requestsPerSecond: 1,
  requestsBurst: 1,
  bytesPerSecondMin: 1,
  graceMs: 1,
};

/** The least rate of a peer that owes bytes, and the time over which it is judged. */
export interface LeastRate {
  readonly bytesPerSecondMin: number;
  readonly graceMs: number;
}

/** The limits of a connection, checked. */
export interface ConnectionRates {
  readonly bytes: Rate | null;
  readonly requests: Rate | null;
  readonly least: LeastRate | null;
}

/** The memory of many connections, as one of them sees it. */
export interface MemoryAccount {
  /** So much more is held, or so much less. */
  add(bytes: number): void;
  /** The bytes that one may receive that holds so many. */
  roomBeside(heldBytes: number): number;
}

/** The limits that many connections have together. */
export interface SharedLimits {
  readonly bytes: Ration | null;
  readonly requests: Ration | null;
  readonly memory: MemoryAccount | null;
}

function readLeast({ bytesPerSecondMin, graceMs }: ConnectionLimits): LeastRate | null {
  if (bytesPerSecondMin === undefined) {
    if (graceMs === undefined) return null;
    throw new TypeError(
      "Cannot set graceMs without bytesPerSecondMin: it is judged over that time",
    );
  }
  checkNumber("bytesPerSecondMin", bytesPerSecondMin, 1, Infinity);
  if (graceMs !== undefined && checkTimeout("graceMs", graceMs) === 0) {
    throw new RangeError("Cannot set graceMs to 0: no rate can be judged over no time");
  }
  return { bytesPerSecondMin, graceMs: graceMs ?? SLOW_GRACE_MS };
}

/**
 * The limits of a connection that follow from a user's; null when they limit nothing.
 *
 * @throws {RangeError} A number is none that means anything, or two contradict each other.
 * @throws {TypeError} They are no object, one has another name, or one means nothing alone.
 */
export function connectionRates(
  limits: ConnectionLimits | undefined,
  name = "limits",
): ConnectionRates | null {
  if (limits === undefined) return null;
  const read = readOptions(name, limits, CONNECTION_LIMITS);
  const bytes = readRate("bytes", read.bytesPerSecond, read.bytesBurst);
  const requests = readRate("requests", read.requestsPerSecond, read.requestsBurst);
  const least = readLeast(read);
  if (least !== null && bytes !== null) checkBetween(least, bytes);
  return bytes === null && requests === null && least === null ? null : { bytes, requests, least };
}

/** Throws when nobody can be as fast as he must, and as slow. */
export function checkBetween({ bytesPerSecondMin }: LeastRate, { perSecond }: Rate): void {
  if (bytesPerSecondMin <= perSecond) return;
  throw new RangeError(
    `Cannot set bytesPerSecondMin to ${bytesPerSecondMin}: bytesPerSecond is ${perSecond}, ` +
      "and nobody could be as fast",
  );
}
