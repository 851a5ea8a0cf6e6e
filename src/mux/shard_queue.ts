/**
 * Writing to one connection from many places, in few system calls.
 */
import { currentScope, type Scope } from "../../ffi/context.ts";
import { LinkBuffer } from "../buffer/link_buffer.ts";
import { wholly } from "../buffer/undo.ts";
import type { Writer } from "../buffer/writer.ts";
import type { Connection } from "../connection/connection.ts";
import { insideOf } from "../connection/socket_connection.ts";
import { ClosedError } from "../core/errors.ts";
import { showAs } from "../core/inspect.ts";
import { checkFunction } from "../core/options.ts";
import { ignore, rejected, synchronous } from "../core/promises.ts";

/**
 * Gives what shall be written, when its turn has come; null for nothing. The buffer is the queue's
 * then.
 */
export type WriterGetter = () => LinkBuffer | null;

/** The getter of one `add`. */
interface Batch {
  readonly getters: readonly WriterGetter[];
  /** The async context of `add`, in which they are called. */
  readonly scope: Scope;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * netpoll's ShardQueue: what is added within a turn is written together and flushed once. Getters
 * are called when what was written before was flushed, so a peer that reads slowly makes
 * nobody build answers in advance.
 *
 * In Go its shards keep goroutines from waiting for one lock. A thread of JavaScript has none to
 * wait for: there is one queue here, and it keeps the order of all.
 *
 * @example
 * ```ts
 * import { LinkBuffer, socketPair } from "@netpoll/netpoll";
 * import { ShardQueue } from "@netpoll/netpoll/mux";
 *
 * const [a, b] = socketPair();
 * const queue = new ShardQueue(a);
 * const add = (text: string) =>
 *   queue.add(() => {
 *     const buffer = new LinkBuffer();
 *     buffer.writeString(text);
 *     return buffer;
 *   });
 * await Promise.all([add("one "), add("two")]);
 * await b.reader.wait(7);
 * console.log(b.reader.readString(7)); // "one two"
 * await queue.close();
 * await Promise.all([a.close(), b.close()]);
 * ```
 */
export class ShardQueue implements AsyncDisposable {
  readonly #connection: Connection;
  #waiting: Batch[] = [];
  #waitingCount = 0;
  /** The loop that writes, while there is something to write. */
  #running: Promise<void> | null = null;
  #isClosed = false;

  /** A queue that writes to a connection, which stays its user's. */
  constructor(connection: Connection) {
    insideOf(connection, "queue for");
    this.#connection = connection;
  }

  /** The number of getters that have not been called. */
  get length(): number {
    return this.#waitingCount;
  }

  /**
   * Queues what the getters will give, in this order. Resolves as the flush of all of it does.
   * A rejection that nobody looks at is no unhandled one.
   *
   * Rejects with what a getter threw (those after it are not called, and nothing of this call is
   * sent), or with why the connection could not be written to: getters that were not called then never are.
   * When a flush fails, for a `TimeoutError` too, the connection is closed, as in netpoll.
   *
   * @throws {ClosedError} The queue was closed (as a rejection).
   */
  add(...getters: WriterGetter[]): Promise<void> {
    if (this.#isClosed) return rejected(new ClosedError("Cannot add to a queue after close()"));
    for (const getter of getters) checkFunction("a getter of ShardQueue.add", getter);
    const batch: Batch = { getters, scope: currentScope(), ...Promise.withResolvers<void>() };
    batch.promise.catch(ignore);
    this.#waiting.push(batch);
    this.#waitingCount += getters.length;
    this.#running ??= this.#run();
    return batch.promise;
  }

  /**
   * Takes nothing more, and resolves when all that was added has been written, or could not be. The
   * connection stays open.
   *
   * @throws {ClosedError} It was called before (as a rejection).
   */
  close(): Promise<void> {
    if (this.#isClosed) return rejected(new ClosedError("Cannot close a queue twice"));
    this.#isClosed = true;
    return this.#running ?? Promise.resolve();
  }

  /** As `close()`, but without a complaint when it was called before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    await null; // not within add: what else is added in this turn goes along
    while (this.#waiting.length > 0) {
      const batches = this.#waiting;
      this.#waiting = [];
      this.#waitingCount = 0;
      const written = batches.filter((batch) => this.#write(batch));
      try {
        await this.#connection.writer.flush();
        for (const batch of written) batch.resolve();
      } catch (error) {
        for (const batch of written) batch.reject(error);
        void this.#connection.close();
      }
    }
    this.#running = null;
  }

  /** Writes what the getters give, all of it or nothing. Whether it did. */
  #write({ getters, scope, reject }: Batch): boolean {
    const { writer } = this.#connection;
    const buffers: LinkBuffer[] = [];
    try {
      for (const getter of getters) {
        // It throws when nothing can be written: then no getter is asked to build something.
        writer.malloc(0);
        const buffer = synchronous("a getter", scope(getter, undefined, undefined));
        if (buffer !== null) buffers.push(buffer);
      }
      wholly(appendAll, null, writer, buffers);
      return true;
    } catch (error) {
      for (const buffer of buffers) if (buffer instanceof LinkBuffer) buffer.close();
      reject(error);
      return false;
    }
  }
}

showAs(ShardQueue.prototype, "ShardQueue", ["length"]);

function appendAll(_by: null, writer: Writer, buffers: readonly LinkBuffer[]): void {
  for (const buffer of buffers) writer.append(buffer);
}
