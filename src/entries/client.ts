/**
 * Clients that last: {@linkcode ConnectionPool} keeps connections for many users,
 * {@linkcode reconnecting} keeps one alive. A single connection is made by `dial`, which belongs to
 * `@netpoll/netpoll`.
 *
 * @example
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 * import { ConnectionPool } from "@netpoll/netpoll/client";
 *
 * const listener = createListener("tcp", "127.0.0.1:0");
 * const loop = new EventLoop(({ reader, writer }) => {
 *   writer.writeBinary(reader.next(reader.length));
 *   void writer.flush();
 *   reader.release();
 * });
 * const served = loop.serve(listener);
 *
 * const pool = new ConnectionPool(listener.address, { max: 4 });
 * const answer = await pool.use(async ({ reader, writer }) => {
 *   writer.writeString("hello");
 *   await writer.flush();
 *   await reader.wait(5);
 *   return reader.readString(5);
 * });
 * console.log(answer); // "hello"
 * await pool.drain();
 * await loop.shutdown();
 * await served;
 * ```
 *
 * @module
 */
export {
  type AcquireOptions,
  ConnectionPool,
  type Lease,
  type PoolDialOptions,
  type PoolDrainOptions,
  type PoolDrainResult,
  type PoolMetrics,
  type PoolOptions,
  type PoolSource,
  type Probe,
} from "../client/pool.ts";
export type { PoolAddressMetrics, PoolCloseReason } from "../client/pool/metrics.ts";
export {
  Reconnecting,
  reconnecting,
  type ReconnectingOptions,
  type ReconnectingRequestOptions,
  type ReconnectingState,
} from "../client/reconnecting.ts";
