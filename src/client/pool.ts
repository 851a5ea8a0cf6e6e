/**
 * ConnectionPool: connections to one address or several, lent to one user at a time.
 */
import type { Connection } from "../connection/connection.ts";
import { checkFunction } from "../core/options.ts";
import { showAs } from "../core/inspect.ts";
import { PoolCore } from "./pool/core.ts";
import type { Lease } from "./pool/lease.ts";
import type { PoolSource } from "./pool/maker.ts";
import type { PoolMetrics } from "./pool/metrics.ts";
import type {
  AcquireOptions,
  PoolDialOptions,
  PoolDrainOptions,
  PoolDrainResult,
  PoolOptions,
  Probe,
} from "./pool/options.ts";

export type {
  AcquireOptions,
  Lease,
  PoolDialOptions,
  PoolDrainOptions,
  PoolDrainResult,
  PoolMetrics,
  PoolOptions,
  PoolSource,
  Probe,
};

/**
 * Connections that are used again and again, each by one user at a time.
 *
 * While none is idle, `acquire` waits for the first that comes back or can be made, in the order of
 * the calls. One is made for each call that waits, up to `max`. When an address refuses, the others
 * are tried; when all do, one call that waits rejects with the reason. A connection that is made for
 * a call that was given up stays in the pool.
 *
 * Of several addresses the less busy one of two at random gets the next connection. One that fails
 * `ejectAfter` times in a row is left alone for a while, which grows; then one dial finds out whether it
 * is back. When all of them fail, all are tried.
 *
 * Idle connections keep the process alive, as any does, until `idleTimeoutMs` or `close()`; the pool
 * itself does not.
 *
 * @throws {TypeError} An address or an option is malformed.
 * @throws {RangeError} A number is out of range.
 *
 * @example
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 * import { ConnectionPool } from "@netpoll/netpoll/client";
 *
 * const loop = new EventLoop(({ reader, writer }) => {
 *   writer.writeBinary(reader.next(reader.length));
 *   void writer.flush();
 *   reader.release();
 * });
 * const listener = createListener("tcp", "127.0.0.1:0");
 * const served = loop.serve(listener);
 *
 * const pool = new ConnectionPool(listener.address, { max: 4, dial: { readTimeoutMs: 1000 } });
 * const answers = await Promise.all(["one", "two", "six"].map((text) =>
 *   pool.use(async ({ reader, writer }) => {
 *     writer.writeString(text);
 *     await writer.flush();
 *     await reader.wait(3);
 *     return reader.readString(3);
 *   })
 * ));
 * console.log(answers); // ["one", "two", "six"]
 *
 * await pool.drain({ timeoutMs: 1000 });
 * await loop.shutdown();
 * await served;
 * ```
 */
export class ConnectionPool implements AsyncDisposable {
  readonly #core: PoolCore;

  static {
    showAs(this.prototype, "ConnectionPool", (pool) => {
      const { size, idle, inUse, waiting, addresses } = pool.metrics();
      const { isActive } = pool;
      return {
        addresses: addresses.map((each) => each.address),
        isActive,
        size,
        idle,
        inUse,
        waiting,
      };
    });
  }

  /** A pool for an address, or for several that are all as good. */
  constructor(source: PoolSource | readonly PoolSource[], options: PoolOptions = {}) {
    this.#core = new PoolCore(source, options);
  }

  /** Connections: idle, in use, probed and on their way. */
  get size(): number {
    return this.#core.size;
  }

  /** Whether connections can be acquired: neither `drain` nor `close` was called. */
  get isActive(): boolean {
    return this.#core.isActive;
  }

  /**
   * Lends a connection, as soon as one is free and it is the caller's turn.
   *
   * @throws {TimeoutError} None was free in time; its `operation` is `"acquire"`, its `cause` the last
   * failure, if there was one. This and the others as rejections.
   * @throws {BusyError} `waitingMax` others wait.
   * @throws {ClosedError} The pool was drained or closed.
   * @throws {SystemError} No address could be connected to; and whatever else dial throws.
   */
  acquire(options?: AcquireOptions): Promise<Lease> {
    return this.#core.acquire(options);
  }

  /**
   * Lends a connection to a function, until it has settled. Its result is the function's.
   *
   * When the function fails, the connection is closed: nobody knows what is still to come on it.
   *
   * @throws {Error} What the function throws, and what `acquire` does. As rejections.
   */
  async use<T>(
    run: (connection: Connection) => T | Promise<T>,
    options?: AcquireOptions,
  ): Promise<T> {
    checkFunction("the function of ConnectionPool.use", run);
    const lease = await this.acquire(options);
    try {
      const result = await run(lease.connection);
      lease.release();
      return result;
    } catch (error) {
      if (!lease.isReleased) lease.release(error ?? new Error("it failed"));
      throw error;
    }
  }

  /**
   * Makes connections until there are so many, `min` unless given: the first users need not wait.
   *
   * @throws {RangeError} It is above `max`. This and the others as rejections.
   * @throws {ClosedError} The pool was drained or closed.
   * @throws {SystemError} One of them could not be made; and whatever else dial throws.
   */
  warmUp(count?: number): Promise<void> {
    return this.#core.warmUp(count);
  }

  /**
   * Lends to those who wait already, and to nobody else; closes every connection when it comes back.
   * Resolves when none is left. What is in use when the time is over is closed.
   */
  drain(options: PoolDrainOptions = {}): Promise<PoolDrainResult> {
    return this.#core.drain(options);
  }

  /**
   * Closes all connections, those in use too, and gives up what is under way: those who wait reject
   * with `ClosedError`. What was flushed still leaves. Never rejects, and may be called again.
   */
  close(): Promise<void> {
    return this.#core.close();
  }

  /** Closes it as `close()` does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The counts of the pool, at this moment. */
  metrics(): PoolMetrics {
    return this.#core.metrics();
  }
}
