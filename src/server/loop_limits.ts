/**
 * The limits of a server: for each of its listeners, for each connection, and for the memory of all.
 */
import {
  checkBetween,
  type ConnectionLimits,
  type ConnectionRates,
  connectionRates,
} from "../connection/connection_limits.ts";
import { checkNumber, type Known, readOptions, show } from "../core/options.ts";
import { type Rate, readRate } from "../core/token_bucket.ts";

/** Whom too much memory holds back. */
export type MemoryPolicy = "pause" | "refuse";

/**
 * The bounds of a server's speed and memory. Nobody is refused: a peer that is too fast waits, its
 * connections in the kernel's queue and its bytes in the kernel's buffers.
 *
 * @example
 * ```ts
 * import { EventLoop } from "@netpoll/netpoll";
 *
 * const loop = new EventLoop(({ reader }) => reader.skip(reader.length), {
 *   limits: {
 *     acceptsPerSecond: 2_000,
 *     requestsPerSecond: 50_000,
 *     memoryBytesMax: 256 << 20,
 *     connection: { requestsPerSecond: 100, bytesPerSecondMin: 500, graceMs: 10_000 },
 *   },
 * });
 * await loop.shutdown();
 * ```
 */
export interface LoopLimits {
  /** Connections that are accepted a second, for each listener. Any number unless given. */
  acceptsPerSecond?: number;
  /** Those that are accepted at once after a silence. A second's worth unless given. */
  acceptsBurst?: number;
  /** Bytes received a second by all connections of a listener. Any number unless given. */
  bytesPerSecond?: number;
  /** Those that are received at once after a silence. A second's worth unless given. */
  bytesBurst?: number;
  /** Calls of the handler a second for all connections of a listener. Any number unless given. */
  requestsPerSecond?: number;
  /** Those that are made at once after a silence. A second's worth unless given. */
  requestsBurst?: number;
  /**
   * The most bytes that the connections may hold together: received and not released, flushed and not
   * sent. Any number unless given.
   */
  memoryBytesMax?: number;
  /**
   * Whom it holds back above that. "pause": connections that hold more than their part are not read,
   * and if that does not help, the largest are closed. "refuse": new connections wait in the kernel's
   * queue. "pause" unless given.
   */
  memoryPolicy?: MemoryPolicy;
  /** The bounds of each connection's speed. */
  connection?: ConnectionLimits;
}

const LOOP_LIMITS: Known<LoopLimits> = {
  acceptsPerSecond: 1,
  acceptsBurst: 1,
  bytesPerSecond: 1,
  bytesBurst: 1,
  requestsPerSecond: 1,
  requestsBurst: 1,
  memoryBytesMax: 1,
  memoryPolicy: 1,
  connection: 1,
};

/** The limits of a server, checked. */
export interface LoopRates {
  readonly accepts: Rate | null;
  readonly bytes: Rate | null;
  readonly requests: Rate | null;
  readonly memory: { readonly bytesMax: number; readonly policy: MemoryPolicy } | null;
  readonly connection: ConnectionRates | null;
}

function readMemory({ memoryBytesMax, memoryPolicy = "pause" }: LoopLimits): LoopRates["memory"] {
  if (memoryPolicy !== "pause" && memoryPolicy !== "refuse") {
    throw new TypeError(
      `Cannot set memoryPolicy to ${show(memoryPolicy)}: it is "pause" or "refuse"`,
    );
  }
  if (memoryBytesMax === undefined) return null;
  return {
    bytesMax: checkNumber("memoryBytesMax", memoryBytesMax, 1, Infinity),
    policy: memoryPolicy,
  };
}

/**
 * The limits of a server that follow from a user's.
 *
 * @throws {RangeError} A number is none that means anything, or two contradict each other.
 * @throws {TypeError} They are no object, one has another name, or one means nothing alone.
 */
export function loopRates(limits: LoopLimits | undefined): LoopRates | null {
  if (limits === undefined) return null;
  const read = readOptions("limits", limits, LOOP_LIMITS);
  if (read.memoryPolicy !== undefined && read.memoryBytesMax === undefined) {
    throw new TypeError("Cannot set memoryPolicy without memoryBytesMax: give both, or neither");
  }
  const bytes = readRate("bytes", read.bytesPerSecond, read.bytesBurst);
  const connection = connectionRates(read.connection, "limits.connection");
  if (bytes !== null && connection?.least != null) checkBetween(connection.least, bytes);
  return {
    accepts: readRate("accepts", read.acceptsPerSecond, read.acceptsBurst),
    bytes,
    requests: readRate("requests", read.requestsPerSecond, read.requestsBurst),
    memory: readMemory(read),
    connection,
  };
}

/** Throws when one connection alone may hold more than all of them together. */
export function checkMemory(rates: LoopRates | null, readBufferBytesMax: number): void {
  const bytesMax = rates?.memory?.bytesMax ?? Infinity;
  if (bytesMax >= readBufferBytesMax) return;
  throw new RangeError(
    `Cannot set memoryBytesMax to ${bytesMax}: readBufferBytesMax is ${readBufferBytesMax}, and one ` +
      "connection alone could hold more; set that lower",
  );
}

/**
 * The part of one thread in the limits of several. Those of a connection hold in each.
 *
 * @throws {RangeError} The limits contradict each other once they are divided.
 */
export function partOf(limits: LoopLimits, count: number): LoopLimits {
  const read: Record<string, unknown> = { ...readOptions("limits", limits, LOOP_LIMITS) };
  for (const [name, value] of Object.entries(read)) {
    if (typeof value === "number") read[name] = Math.max(1, Math.floor(value / count));
  }
  try {
    loopRates(read);
  } catch (error) {
    if (!(error instanceof RangeError) || count === 1) throw error;
    throw new RangeError(
      `Cannot divide limits over ${count} pollers, raise them: of each, ${error.message}`,
    );
  }
  return read;
}
