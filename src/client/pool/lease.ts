/**
 * Leases: a connection of a pool in somebody's hands.
 */
import { showAs } from "../../core/inspect.ts";
import type { Connection } from "../../connection/connection.ts";

/** A connection that is lent. */
export interface Lent {
  /** The connection. */
  readonly connection: Connection;
}

/** The pool, as a lease needs it. */
export interface Lender {
  /** A connection comes back; with an error, it is of no use any more. */
  takeBack(lent: Lent, failure: { readonly error: unknown } | null): void;
}

/**
 * A connection of a {@linkcode ConnectionPool}, until it is released.
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
 * await using pool = new ConnectionPool(listener.address);
 * {
 *   using lease = await pool.acquire({ timeoutMs: 1000 });
 *   const { reader, writer } = lease.connection;
 *   writer.writeString("hello");
 *   await writer.flush();
 *   await reader.wait(5);
 *   console.log(reader.readString(5)); // "hello"
 * } // here it goes back
 * await pool.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export class Lease implements Disposable {
  readonly #lender: Lender;
  #lent: Lent | null;

  /** @internal */
  constructor(lender: Lender, lent: Lent) {
    this.#lender = lender;
    this.#lent = lent;
  }

  /**
   * The connection.
   *
   * @throws {TypeError} It was released: somebody else may have it.
   */
  get connection(): Connection {
    if (this.#lent !== null) return this.#lent.connection;
    throw new TypeError("Cannot use the connection of a lease after release(): acquire another");
  }

  /** Whether it was released. */
  get isReleased(): boolean {
    return this.#lent === null;
  }

  /**
   * Gives the connection back; what its reader has lent is given back, too. It is closed, and not
   * used again, when it is not as it was: closed or ended by its peer, with bytes that are unread,
   * not flushed or not sent, with a wait under way, paused, or with a handler. With an error it is
   * closed whatever its state; a {@linkcode NetpollError} counts as a failure of the address, unless
   * it is the program's own doing: a `BusyError`, the `ClosedError` of a connection that it closed
   * itself, or the deadline of another `acquire`.
   *
   * Give an error for a question that was not answered in full: the answer may come later, and whoever
   * has the connection by then would take it for his.
   *
   * @throws {TypeError} It was released before.
   */
  release(error?: unknown): void {
    if (this.#lent === null) throw new TypeError("Cannot release a lease twice");
    const lent = this.#lent;
    this.#lent = null;
    this.#lender.takeBack(lent, error === undefined ? null : { error });
  }

  /** Gives the connection back, unless that was done before. For `using`. */
  [Symbol.dispose](): void {
    if (this.#lent !== null) this.release();
  }
}

showAs(Lease.prototype, "Lease", ["isReleased"]);
