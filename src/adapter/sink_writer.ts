/**
 * A writer to any sink of bytes: what was flushed goes there, in order.
 */
import { chainOf } from "../buffer/chained.ts";
import { forgetOwner, reclaimFrom } from "../buffer/dropped.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import { ChainWriter, checkFlush, type Writer } from "../buffer/writer.ts";
import { NetpollError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, WRITE_BUFFER_BYTES_MAX } from "../core/limits.ts";
import { show } from "../core/options.ts";
import { withSignal } from "../core/signal.ts";
import { ignore, RESOLVED } from "../core/promises.ts";
import type { ByteSink } from "./contract.ts";
import { isNodeWritable, NodeSink, type NodeWritable } from "./node_sink.ts";

export type { ByteSink };

/** A {@linkcode Writer} to a sink. */
export interface SinkWriter extends Writer, AsyncDisposable {
  /**
   * Waits until what was flushed has been written, then closes the sink, if that can be closed.
   * Bytes that were written and not flushed are dropped. A Node stream is ended by `end()`, a
   * `WritableStream` is unlocked, and of what has `closeWrite()` the other side goes on. Rejects when
   * closing the sink fails.
   */
  close(): Promise<void>;
}

/**
 * Writes to any sink of bytes as to a connection: `flush` resolves when the sink has taken
 * everything that was flushed before: a Node stream (a socket of node:net or node:tls) when its
 * callback says that the bytes have left. What it gets are copies, **owned** by it. When the sink
 * fails, every flush rejects with its error, and whatever writes throws it.
 *
 * @example
 * ```ts
 * import { writerTo } from "@netpoll/netpoll/adapter";
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
  return new PushingWriter(sinkOf(sink));
}

function sinkOf(sink: ByteSink | WritableStream<Uint8Array>): ByteSink {
  if (sink instanceof WritableStream) return new StreamSink(sink.getWriter());
  if (typeof (sink as ByteSink | null)?.write !== "function") {
    throw new TypeError(
      `Cannot write to ${show(sink)}: it is no WritableStream, no stream of Node, and has no write`,
    );
  }
  return isNodeWritable(sink) ? new NodeSink(sink as NodeWritable) : sink;
}

/** A `WritableStream`, which is unlocked when it is over. */
class StreamSink implements ByteSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>) {
    this.#writer = writer;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#writer.write(bytes);
    } catch (error) {
      this.#writer.releaseLock();
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#writer.close();
    } finally {
      this.#writer.releaseLock();
    }
  }
}

class PushingWriter extends ChainWriter implements SinkWriter {
  readonly #sink: ByteSink;
  /** The last flush. It rejects, and with it each later one, when the sink has failed. */
  #last: Promise<void> = RESOLVED;
  /** The bytes that have left in all when the last flush resolves. */
  #target = 0;
  #released: Promise<void> | null = RESOLVED;
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
    return this.#released ??= this.#last.catch(ignore);
  }

  flush(options?: { signal?: AbortSignal }): Promise<void> {
    if (options !== undefined) checkFlush(options);
    const chain = chainOf(this);
    if (!this.#hasFailed) {
      chain.checkWritable();
      chain.publish();
      if (chain.length === 0) return RESOLVED;
      const target = chain.total + chain.length;
      if (target > this.#target) this.#pushLater(target);
    }
    return withSignal(this.#last, options?.signal);
  }

  /** A flush that has nothing new shares the promise of the last one, however often it is asked for. */
  #pushLater(target: number): void {
    this.#target = target;
    this.#last = this.#last.then(() => this.#push(target));
    this.#last.catch(ignore); // who does not await a flush learns of the failure from the next call
    this.#released = null;
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
      const canWait = taken === 0 && this.#sink.drained !== undefined;
      if (!(taken > 0) && !canWait) {
        throw new NetpollError(`Cannot write: the sink took ${taken} bytes`);
      }
      left = left.subarray(taken);
      await this.#sink.drained?.();
    }
  }

  #fail(error: unknown): void {
    this.#hasFailed = true;
    forgetOwner(chainOf(this));
    chainOf(this).close({ error: () => error as Error, message: "" });
  }

  close(): Promise<void> {
    if (this.#closing === null) {
      this.#closing = this.#close();
      this.#closing.catch(ignore); // as of a flush, nobody need hear of it
    }
    return this.#closing;
  }

  async #close(): Promise<void> {
    const chain = chainOf(this);
    chain.writeBan ??= CLOSED; // what is flushed still leaves
    await this.#last.catch(ignore);
    if (this.#hasFailed) return;
    forgetOwner(chain);
    chain.close(CLOSED);
    await (this.#sink.closeWrite ?? this.#sink.close)?.call(this.#sink);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
