/**
 * The other side of a multiplexer: answers requests as they come, each as soon as it is ready.
 */
import { LinkBuffer } from "../buffer/link_buffer.ts";
import { checkCodec, type Codec } from "../codec/codec.ts";
import { encodeWhole } from "../codec/frame_input.ts";
import type { Tagged } from "../codec/tagged.ts";
import type { Connection } from "../connection/connection.ts";
import { endFrame, endMessage } from "../connection/connection_reader.ts";
import { insideOf } from "../connection/socket_connection.ts";
import { TimeoutError, TornFrameError } from "../core/errors.ts";
import { ANSWERS_RUNNING_MAX, MESSAGES_PER_TASK } from "../core/limits.ts";
import { checkFunction, checkNumber, checkOptions, type Known } from "../core/options.ts";
import { promiseOf, synchronous } from "../core/promises.ts";
import { turn } from "../poll/turn.ts";
import { LazyFlush } from "./lazy_flush.ts";
import { Request, type RequestContext, settle } from "./request.ts";

export type { RequestContext };

/**
 * Answers a request: with a body, or with `undefined` when there is nothing to say. The request's
 * body is lent until it returns, or first awaits, if the codec lends; `tagged` does not.
 */
export type Respond<In, Out> = (
  body: In,
  request: RequestContext,
) => Out | undefined | Promise<Out | undefined>;

/** The options of a responder. */
export interface ResponderOptions<Out> {
  /** Requests of one connection that run at once; 1024 unless given. The rest is not read. */
  runningMax?: number;
  /**
   * The answer to a request that failed. Without it the failure ends the connection, and goes to
   * the `onError` of its loop.
   */
  onError?: (error: unknown, request: RequestContext) => Out | undefined;
}

const RESPONDER_OPTIONS: Known<ResponderOptions<unknown>> = { runningMax: 1, onError: 1 };

/** The parts that all connections of a responder share. */
interface Responding<In, Out> {
  readonly codec: Codec<Tagged<In>, Tagged<Out>>;
  readonly respond: Respond<In, Out>;
  readonly runningMax: number;
  readonly onError: ((error: unknown, request: RequestContext) => Out | undefined) | undefined;
}

/**
 * A handler that answers the requests of a `Multiplexer`, or of any other client of the codec.
 *
 * Each request is answered when its `respond` has come to something: later ones may be first. A
 * connection whose client has ended its side, and a loop that shuts down, wait for what runs.
 *
 * @throws {RangeError} An option is out of range.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { Multiplexer, responder, tagged } from "@netpoll/netpoll/mux";
 *
 * const codec = tagged(lengthPrefixed());
 * const listener = createListener("unix", "@responder-example");
 * const loop = new EventLoop(responder(codec, async (body) => {
 *   await Promise.resolve();
 *   return ["you said ", body];
 * }));
 * const served = loop.serve(listener);
 *
 * await using client = new Multiplexer(await dial("unix", "@responder-example"), codec);
 * console.log(new TextDecoder().decode(await client.request("hello"))); // "you said hello"
 * await client.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export function responder<In, Out>(
  codec: Codec<Tagged<In>, Tagged<Out>>,
  respond: Respond<In, Out>,
  options: ResponderOptions<Out> = {},
): (connection: Connection) => void | Promise<void> {
  checkOptions("responder", options, RESPONDER_OPTIONS);
  checkCodec("responder", codec);
  checkFunction("the respond of responder", respond);
  const { runningMax = ANSWERS_RUNNING_MAX, onError } = options;
  if (onError !== undefined) checkFunction("onError", onError);
  checkNumber("runningMax", runningMax, 1, Infinity);
  const responding = { codec, respond, runningMax, onError };
  return (connection) => new Session(responding, connection).run();
}

/** One call of the handler: until nothing is left to be answered. */
class Session<In, Out> {
  readonly #responding: Responding<In, Out>;
  readonly #connection: Connection;
  readonly #flush: LazyFlush;
  #runningCount = 0;
  /** Every request that is there in full was begun. */
  #isStarved = false;
  /** There are more requests than there is time for. */
  #isTurnOver = false;
  /** The first failure that nobody answered for. */
  #failure: { readonly error: unknown } | null = null;
  /** Ends the wait that is under way: what it waits beside has changed. */
  #waking: AbortController | null = null;

  constructor(responding: Responding<In, Out>, connection: Connection) {
    insideOf(connection, "answer over");
    this.#responding = responding;
    this.#connection = connection;
    this.#flush = new LazyFlush(connection.writer);
  }

  /** Answers what is there. A promise only when something is still to come. */
  run(): void | Promise<void> {
    this.#answerAll();
    if (this.#failure !== null || this.#runningCount > 0) return this.#goOn();
    // Another call does what this turn had no time for.
    return this.#isTurnOver || this.#isIdle ? undefined : this.#goOn();
  }

  get #isIdle(): boolean {
    return this.#runningCount === 0 && this.#connection.reader.length === 0;
  }

  async #goOn(): Promise<void> {
    const ended = await this.#serve().then(() => null, (error) => ({ error }));
    // Every request is answered, also when the client has ended its side.
    while (this.#runningCount > 0 && this.#failure === null) await this.#woken();
    this.#flush.now();
    const end = this.#failure ?? ended;
    if (end !== null) throw end.error;
  }

  async #serve(): Promise<void> {
    while (this.#failure === null && !this.#isIdle) {
      if (this.#isTurnOver) await this.#connection.reader.wait(0);
      else if (this.#isStarved) await this.#wait();
      else if (this.#runningCount === this.#responding.runningMax) await this.#woken();
      else await this.#connection.writer.flush(); // too much was unsent
      this.#answerAll();
    }
  }

  /** Starts to answer every request that is there, as far as there is room for it. */
  #answerAll(): void {
    const { reader, writer } = this.#connection;
    const { codec, runningMax } = this.#responding;
    this.#isStarved = false;
    this.#isTurnOver = false;
    const runningBefore = this.#runningCount;
    try {
      while (this.#failure === null && this.#runningCount < runningMax && writer.isWritable) {
        const message = codec.decode(reader);
        this.#isStarved = message === undefined;
        if (message === undefined) break;
        this.#answer(message);
        reader.release();
        const isFull = this.#runningCount - runningBefore === MESSAGES_PER_TASK;
        this.#isTurnOver = (endFrame(reader) || isFull || turn.step()) && reader.length > 0;
        if (this.#isTurnOver) break;
      }
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#flush.now();
  }

  #answer({ id, body }: Tagged<In>): void {
    const request = new Request(id, this.#connection);
    try {
      const answer = this.#responding.respond(body, request);
      const promise = promiseOf(answer);
      if (promise === null) return this.#write(request, answer as Out | undefined);
      this.#runningCount += 1;
      promise.then(
        (settled) => this.#end(() => this.#write(request, settled)),
        (error) => this.#end(() => this.#onError(request, error)),
      );
    } catch (error) {
      this.#onError(request, error);
    }
  }

  /** A request has settled. */
  #end(finish: () => void): void {
    finish();
    this.#runningCount -= 1;
    const hadRoom = this.#runningCount + 1 < this.#responding.runningMax;
    if (this.#runningCount === 0 || !hadRoom || this.#failure !== null) this.#wake();
  }

  #onError(request: Request, error: unknown): void {
    settle(request);
    const { onError } = this.#responding;
    try {
      if (onError === undefined) throw error;
      this.#send(request, synchronous("onError of responder", onError(error, request)));
    } catch (second) {
      this.#failure ??= { error: second };
    }
  }

  #write(request: Request, answer: Out | undefined): void {
    settle(request);
    try {
      this.#send(request, answer);
    } catch (error) {
      if (error instanceof TornFrameError) this.#failure ??= { error };
      else this.#onError(request, error);
    }
  }

  #send({ id }: RequestContext, body: Out | undefined): void {
    if (body === undefined) return;
    const { writer, isActive } = this.#connection;
    if (isActive) {
      encodeWhole(this.#responding.codec, writer, { id, body });
      this.#flush.plan();
    } else if (body instanceof LinkBuffer) {
      body.close();
    }
  }

  // ---- waiting ----------------------------------------------------------------------------------

  #wake(): void {
    this.#waking?.abort(WOKEN);
  }

  /** Waits until a request has settled that others wait for. */
  #woken(): Promise<void> {
    const { signal } = this.#waking = new AbortController();
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  /** Waits for more requests, or for those that run. */
  async #wait(): Promise<void> {
    const { codec } = this.#responding;
    const { reader } = this.#connection;
    if (reader.length === 0) endMessage(reader);
    const needed = Math.max(codec.needed?.(reader) ?? 0, reader.length + 1);
    const { signal } = this.#waking = new AbortController();
    try {
      await reader.wait(needed, { signal });
    } catch (error) {
      if (error === WOKEN) return;
      // Between two requests a client may take its time.
      if (!(error instanceof TimeoutError) || reader.length > 0) throw error;
    }
  }
}

/** The reason of a wait that we ended ourselves. */
const WOKEN: unique symbol = Symbol("woken");
