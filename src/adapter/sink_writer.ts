/**
 * A writer to any sink of bytes: what was flushed goes there, in order.
 */
import { chainOf } from "../buffer/chained.ts";
import { forgetOwner, reclaimFrom } from "../buffer/dropped.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import { ChainWriter, type Writer } from "../buffer/writer.ts";
import { NetpollError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, WRITE_BUFFER_BYTES_MAX } from "../core/limits.ts";
import { withSignal } from "../core/signal.ts";

/** Where bytes go. */
export interface ByteSink {
  /**
   * Takes bytes, **owned** by the sink from then on. A number that it returns, or resolves to, is how
   * many of them it took: it is called again with the rest.
   */
  write(bytes: Uint8Array): unknown;
  /** Nothing more comes. */
  close?(): unknown;
}

/** A {@linkcode Writer} to a sink. */
export interface SinkWriter extends Writer, AsyncDisposable {
  /**
   * Waits until what was flushed has been written, then closes the sink, if that can be closed.
   * What was written and not flushed is dropped. Rejects when closing the sink fails.
   */
  close(): Promise<void>;
}

const RESOLVED: Promise<void> = Promise.resolve();

function ignore(): void {}

/**
 * Writes to any sink of bytes as to a connection: `flush` resolves when the sink has taken
 * everything that was flushed before. What it gets are copies, **owned** by it. When the sink fails,
 * every flush rejects with its error, and whatever writes throws it.
 *
 * @example
 * ```ts
 * import { writerTo } from "@netpoll/netpoll";
 *
 * const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
 * const writer = writerTo(writable);
 * writer.writeString("hello");
 * const flushed = writer.flush();
 * console.log((await readable.getReader().read()).value?.length); // 5
 * await flushed;
 * ```
 */
export function writerTo(sink: ByteSink | WritableStream<Uint8Array>): SinkWriter {
  return new PushingWriter(sink instanceof WritableStream ? sink.getWriter() : sink);
}

class PushingWriter extends ChainWriter implements SinkWriter {
  readonly #sink: ByteSink;
  /** The last flush. It rejects, and with it each later one, when the sink has failed. */
  #last: Promise<void> = RESOLVED;
  #hasFailed = false;
  #closing: Promise<void> | null = null;

  constructor(sink: ByteSink, chain: LinkChain = new LinkChain()) {
    super(chain);
    this.#sink = sink;
    reclaimFrom(this, chain);
  }

  get isWritable(): boolean {
    return chainOf(this).writeBan === null && chainOf(this).heldBytes <= WRITE_BUFFER_BYTES_MAX;
  }

  override released(): Promise<void> {
    return this.#last.catch(ignore);
  }

  flush(options?: { signal?: AbortSignal }): Promise<void> {
    const chain = chainOf(this);
    if (!this.#hasFailed) {
      chain.checkWritable();
      chain.publish();
      if (chain.length === 0) return RESOLVED;
      const target = chain.total + chain.length;
      this.#last = this.#last.then(() => this.#push(target));
      this.#last.catch(ignore); // who does not await a flush learns of the failure from the next call
    }
    return withSignal(this.#last, options?.signal);
  }

  /** Writes to the sink until so many bytes went there in all. */
  async #push(target: number): Promise<void> {
    const chain = chainOf(this);
    while (chain.total < target) {
      const count = Math.min(target - chain.total, BYTES_PER_EVENT_MAX);
      // A copy: a stream hands its pieces on, and nobody says when the last reader is done with
      // them.
      const bytes = new Uint8Array(count);
      try {
        chain.copyOut(bytes, 0, count);
        await this.#write(bytes);
      } catch (error) {
        this.#fail(error);
        throw error;
      }
      chain.consume(count);
      chain.release();
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let left = bytes; left.length > 0;) {
      const taken = await this.#sink.write(left);
      if (typeof taken !== "number" || taken >= left.length) return;
      if (!(taken > 0)) throw new NetpollError(`Cannot write: the sink took ${taken} bytes`);
      left = left.subarray(taken);
    }
  }

  #fail(error: unknown): void {
    this.#hasFailed = true;
    forgetOwner(chainOf(this));
    chainOf(this).close({ error: () => error as Error, message: "" });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const chain = chainOf(this);
    chain.writeBan ??= CLOSED; // what is flushed still leaves
    await this.#last.catch(ignore);
    if (this.#hasFailed) return;
    forgetOwner(chain);
    chain.close(CLOSED);
    await this.#sink.close?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
