/**
 * Many requests at once over one connection, answered in any order.
 */
import { LinkBuffer } from "../buffer/link_buffer.ts";
import { checkCodec, type Codec } from "../codec/codec.ts";
import { encodeWhole } from "../codec/frame_input.ts";
import type { Tagged } from "../codec/tagged.ts";
import type { Connection } from "../connection/connection.ts";
import type { Errand } from "../connection/leaving.ts";
import { writeSide } from "../connection/connection_writer.ts";
import { insideOf, type SocketConnection } from "../connection/socket_connection.ts";
import { counts } from "../core/counts.ts";
import { showAs } from "../core/inspect.ts";
import {
  BusyError,
  ClosedError,
  EofError,
  TimeoutError,
  TornFrameError,
  UnansweredError,
} from "../core/errors.ts";
import { MESSAGES_PER_TASK, REQUESTS_PENDING_MAX } from "../core/limits.ts";
import {
  checkNumber,
  checkOptions,
  checkSignal,
  checkTimeout,
  type Known,
} from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import { settlesWithin } from "../poll/settles_within.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { turn } from "../poll/turn.ts";
import { LazyFlush } from "./lazy_flush.ts";

/** The options for all requests. */
export interface MultiplexerOptions {
  /** The number of requests that may be without an answer; 65536 unless given. */
  pendingMax?: number;
  /** The time in milliseconds that an answer may take, unless a request says otherwise; 0 for ever. */
  timeoutMs?: number;
}

/** The options of one request. */
export interface RequestOptions {
  /** The time in milliseconds that the answer may take, from `request` on; 0 for ever. */
  timeoutMs?: number;
  /** Gives the request up, with the signal's reason. */
  signal?: AbortSignal;
}

/** The options of {@linkcode Multiplexer.drain}. */
export interface MultiplexerDrainOptions {
  /** The time in milliseconds to wait for the answers; 0 for ever, unless given. */
  timeoutMs?: number;
  /** Ends the wait, with the signal's reason. */
  signal?: AbortSignal;
}

/** The result of {@linkcode Multiplexer.drain}. */
export interface MultiplexerDrainResult {
  /** Requests that had no answer when the time was over. They still wait for one. */
  unansweredCount: number;
}

const DRAIN_OPTIONS: Known<MultiplexerDrainOptions> = { timeoutMs: 1, signal: 1 };
const MULTIPLEXER_OPTIONS: Known<MultiplexerOptions> = { pendingMax: 1, timeoutMs: 1 };
const REQUEST_OPTIONS: Known<RequestOptions> = { timeoutMs: 1, signal: 1 };

const ID_MAX = 2 ** 32 - 1;

/** A request without an answer. */
class Pending<In, Out> implements TimerOwner {
  readonly result: PromiseWithResolvers<In> = Promise.withResolvers<In>();
  readonly message: Tagged<Out>;
  /** Bytes that were written before it; Infinity until it is. */
  startBytes = Infinity;
  readonly #options: RequestOptions;
  readonly #forget: (pending: Pending<In, Out>) => void;
  #timer: Timer | null = null;
  /** Made only for a request that has a signal. */
  readonly #onAbort: (() => void) | null = null;

  constructor(
    message: Tagged<Out>,
    options: RequestOptions,
    forget: (pending: Pending<In, Out>) => void,
  ) {
    this.message = message;
    this.#options = options;
    this.#forget = forget;
    const { signal } = options;
    if (signal !== undefined) {
      this.#onAbort = () => this.reject(signal.reason);
      signal.addEventListener("abort", this.#onAbort);
    }
    const { timeoutMs = 0 } = options;
    if (timeoutMs > 0) threadPoller().setTimer(this.#timer = new Timer(this), timeoutMs);
  }

  onTimer(): void {
    counts.timeouts.request += 1;
    this.reject(new TimeoutError("request", this.#options.timeoutMs!));
  }

  resolve(answer: In): void {
    this.#settle();
    this.result.resolve(answer);
  }

  reject(reason: unknown): void {
    this.#settle();
    this.result.reject(reason);
  }

  #settle(): void {
    this.#forget(this);
    if (this.#onAbort !== null) this.#options.signal!.removeEventListener("abort", this.#onAbort);
    if (this.#timer !== null) threadPoller().cancelTimer(this.#timer);
  }
}

/**
 * Sends requests over one connection, and gives each its answer, in whatever order they come.
 *
 * Requests carry a number, and so do their answers: the codec's messages are `{ id, body }`, with
 * bodies that outlive `release()`, as `tagged` makes them. The connection's reader belongs to the
 * multiplexer from now on: nothing else may read. While too much is unsent, requests wait for their
 * turn. What one turn asks is flushed together, when the code that asks has returned.
 *
 * When the connection ends, requests without an answer reject with why: an `UnansweredError`, which
 * is an `EofError` (its `cause` says whether it was a reset) and says whether the request had been
 * `sent`; `ClosedError` after `close()`; or the `FrameError` of what is no message, after which the
 * connection is closed. Whether the other side had seen what was sent, nobody can know.
 *
 * A connection that has reached its `lifetimeMs` takes no new request: `request` rejects with a
 * `ClosedError` whose `cause` is the `TimeoutError` of the lifetime. It closes when all that were
 * begun have their answers.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { Multiplexer, responder, tagged } from "@netpoll/netpoll/mux";
 *
 * const codec = tagged(lengthPrefixed());
 * const listener = createListener("unix", "@multiplexer-example");
 * const loop = new EventLoop(responder(codec, (body) => body));
 * const served = loop.serve(listener);
 *
 * const client = new Multiplexer(await dial("unix", "@multiplexer-example"), codec);
 * const answers = await Promise.all(["one", "two"].map((text) => client.request(text)));
 * console.log(answers.map((body) => new TextDecoder().decode(body))); // ["one", "two"]
 * await client.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export class Multiplexer<In, Out> implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #codec: Codec<Tagged<In>, Tagged<Out>>;
  readonly #pendingMax: number;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending<In, Out>>();
  readonly #flush: LazyFlush;
  readonly #forget = (pending: Pending<In, Out>) => {
    this.#pending.delete(pending.message.id);
    this.#unsent.delete(pending);
    if (this.#pending.size > 0) return;
    this.#answered?.resolve();
    this.#socket.onErrandEnd();
  };
  /** The connection, as the one that it tells when its requests have their answers. */
  readonly #socket: SocketConnection<unknown>;
  /** Requests that wait until what was written before has left. */
  readonly #unsent = new Set<Pending<In, Out>>();
  #isSending = false;
  /** A request is being written: one that a getter of its body makes is not written into it. */
  #isEncoding = false;
  #nextId = 0;
  #strayCount = 0;
  /** The reason why no request is taken any more. */
  #end: { readonly error: unknown } | null = null;
  /** Resolves when no request is without an answer; made for `drain`. */
  #answered: PromiseWithResolvers<void> | null = null;
  readonly #closed = Promise.withResolvers<unknown>();

  /**
   * Sends requests over a connection, which it closes when it is closed.
   *
   * @throws {RangeError} An option is out of range.
   * @throws {TypeError} It is given what is no connection, or no codec.
   */
  constructor(
    connection: Connection,
    codec: Codec<Tagged<In>, Tagged<Out>>,
    options: MultiplexerOptions = {},
  ) {
    checkOptions("Multiplexer", options, MULTIPLEXER_OPTIONS);
    checkCodec("Multiplexer", codec);
    const { pendingMax = REQUESTS_PENDING_MAX, timeoutMs = 0 } = options;
    checkNumber("pendingMax", pendingMax, 1, Infinity);
    checkTimeout("timeoutMs", timeoutMs);
    this.#socket = insideOf(connection, "multiplex");
    this.#connection = connection;
    this.#codec = codec;
    this.#pendingMax = pendingMax;
    this.#timeoutMs = timeoutMs;
    this.#flush = new LazyFlush(connection.writer);
    this.#socket.keepFor(this.#errand());
    this.#read().catch((error) => this.#fail(error));
  }

  /** Requests that were begun are finished, also when the connection has reached its lifetime. */
  #errand(): Errand {
    const pending = this.#pending;
    return {
      get isUnderWay() {
        return pending.size > 0;
      },
      onLeave: (error) => this.#end ??= { error },
    };
  }

  /** Whether requests are taken: the connection is there, and nobody drains or closes it. */
  get isActive(): boolean {
    return this.#end === null && this.#connection.isActive;
  }

  /**
   * Resolves, once no answer can come any more, with the reason: an `EofError` or `FrameError`, or the
   * `ClosedError` of `close()`. Never rejects.
   */
  get closed(): Promise<unknown> {
    return this.#closed.promise;
  }

  /** The number of requests without an answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** The number of answers that nobody waited for: too late, or never asked for. */
  get strayCount(): number {
    return this.#strayCount;
  }

  /**
   * Sends a request. Resolves to the answer's body. The request's own body is borrowed until then.
   *
   * A request that is given up, by its signal or its deadline, is not sent if it had to wait. If it
   * was sent, its answer is read and dropped; the other side does not hear of it. One that the codec
   * refuses to write rejects with what it threw, and nothing of it is sent.
   *
   * @throws {TimeoutError} No answer came within `timeoutMs`. This and the others as rejections.
   * @throws {BusyError} `pendingMax` requests have no answer: await some of them first.
   * @throws {UnansweredError} The connection has ended; `sent` says whether the request had left.
   * @throws {ClosedError} The multiplexer was closed or drained, or the connection's life is over.
   */
  request(body: Out, options?: RequestOptions): Promise<In> {
    const { timeoutMs = this.#timeoutMs, signal } = options ?? {};
    try {
      checkOptions("request", options, REQUEST_OPTIONS);
      checkSignal("request", signal);
      checkTimeout("timeoutMs", timeoutMs);
      signal?.throwIfAborted();
      if (this.#end !== null) {
        const { error } = this.#end;
        throw error instanceof EofError ? new UnansweredError(false, error) : error;
      }
      if (this.#pending.size >= this.#pendingMax) {
        throw new BusyError(`Cannot request: ${this.#pendingMax} requests have no answer`);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    const id = this.#takeId();
    const pending = new Pending<In, Out>({ id, body }, { timeoutMs, signal }, this.#forget);
    this.#pending.set(id, pending);
    const isTurn = !this.#isSending && !this.#isEncoding;
    if (isTurn && this.#connection.writer.isWritable) this.#send(pending);
    else this.#sendLater(pending);
    return pending.result.promise;
  }

  /** A number that no pending request has. */
  #takeId(): number {
    do this.#nextId = this.#nextId === ID_MAX ? 0 : this.#nextId + 1; while (
      this.#pending.has(this.#nextId)
    );
    return this.#nextId;
  }

  #send(pending: Pending<In, Out>): void {
    this.#isEncoding = true;
    const { writer } = this.#socket;
    const queuedBytes = writeSide.unsentBytes(writer) + writer.mallocLength;
    pending.startBytes = writeSide.sentBytes(writer) + queuedBytes;
    try {
      encodeWhole(this.#codec, this.#connection.writer, pending.message);
      this.#flush.plan();
    } catch (error) {
      pending.reject(error);
      if (error instanceof TornFrameError) this.#fail(error);
    } finally {
      this.#isEncoding = false;
    }
  }

  #sendLater(pending: Pending<In, Out>): void {
    this.#unsent.add(pending);
    if (this.#isSending) return;
    this.#isSending = true;
    // It fails when the connection has ended, which ends the requests too.
    this.#sendAll().catch(ignore);
  }

  async #sendAll(): Promise<void> {
    await null; // not within another request
    try {
      while (this.#unsent.size > 0) {
        await this.#connection.writer.flush().catch(ignoreTimeout);
        this.#sendSome();
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** Sends what waits, until too much is unsent again. */
  #sendSome(): void {
    for (const pending of this.#unsent) {
      if (!this.#connection.writer.isWritable) return;
      this.#unsent.delete(pending);
      this.#send(pending);
    }
  }

  // ---- answers ----------------------------------------------------------------------------------

  async #read(): Promise<never> {
    const { reader } = this.#connection;
    const codec = this.#codec;
    for (;;) {
      let count = 0;
      for (let message; (message = codec.decode(reader)) !== undefined;) {
        this.#settle(message);
        reader.release();
        // Those who asked go on, and when the turn's time is over by then, others have theirs.
        const isFull = ++count % MESSAGES_PER_TASK === 0;
        if ((isFull || turn.step()) && reader.length > 0) await reader.wait(0);
      }
      const needed = codec.needed?.(reader) ?? 0;
      // Requests have deadlines of their own: that nothing came is no reason to end.
      await reader.wait(Math.max(needed, reader.length + 1)).catch(ignoreTimeout);
    }
  }

  #settle({ id, body }: Tagged<In>): void {
    const pending = this.#pending.get(id);
    if (pending !== undefined) return pending.resolve(body);
    this.#strayCount += 1;
    if (body instanceof LinkBuffer) body.close();
  }

  /** No answer comes any more. With `isClosing` because of `close()`: whoever asked knows why. */
  #fail(error: unknown, isClosing = false): void {
    this.#end ??= { error };
    this.#unsent.clear();
    // Of what was written the kernel has taken so much, and what it has may have arrived.
    const sentBytes = writeSide.sentBytes(this.#socket.writer);
    for (const pending of [...this.#pending.values()]) {
      const isSent = pending.startBytes < sentBytes;
      const isPlain = isClosing || (isSent && !(error instanceof ClosedError));
      pending.reject(isPlain ? error : new UnansweredError(isSent, error));
    }
    this.#closed.resolve(error);
    void this.#connection.close();
  }

  /**
   * Takes no new request, and waits until those that were begun have their answers, or have failed.
   * The connection stays open: `close()` it then.
   *
   * @throws {Error} The reason of the signal (as a rejection).
   */
  async drain(options: MultiplexerDrainOptions = {}): Promise<MultiplexerDrainResult> {
    checkOptions("drain", options, DRAIN_OPTIONS);
    checkSignal("drain", options.signal);
    const timeoutMs = checkTimeout("timeoutMs", options.timeoutMs ?? 0);
    options.signal?.throwIfAborted();
    this.#end ??= { error: new ClosedError("Cannot request: the multiplexer is drained") };
    if (this.#pending.size === 0) return { unansweredCount: 0 };
    this.#answered ??= Promise.withResolvers<void>();
    await settlesWithin(this.#answered.promise, timeoutMs, options.signal);
    return { unansweredCount: this.#pending.size };
  }

  /**
   * Closes the connection. Requests without an answer reject with `ClosedError`. Never rejects, and
   * may be called again.
   */
  async close(): Promise<void> {
    this.#fail(new ClosedError("Cannot go on: the multiplexer was closed"), true);
    await this.#connection.close();
  }

  /** Closes it as `close()` does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

showAs(Multiplexer.prototype, "Multiplexer", ["isActive", "pendingCount", "strayCount"]);

function ignoreTimeout(error: unknown): void {
  if (!(error instanceof TimeoutError)) throw error;
}
