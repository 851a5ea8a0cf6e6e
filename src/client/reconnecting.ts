/**
 * reconnecting: a Multiplexer that lives on when its connection ends.
 */
import { checkCodec, type Codec } from "../codec/codec.ts";
import type { Tagged } from "../codec/tagged.ts";
import { say } from "../core/config.ts";
import { showAs } from "../core/inspect.ts";
import { BusyError, ClosedError, TimeoutError, UnansweredError } from "../core/errors.ts";
import { fullJitter } from "../core/jitter.ts";
import { RECONNECT_MS, REQUESTS_PENDING_MAX, RETRY_BUDGET, RETRY_RATIO } from "../core/limits.ts";
import {
  checkFunction,
  checkNumber,
  checkSignal,
  checkTimeout,
  type Known,
  readOptions,
  show,
} from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import {
  Multiplexer,
  type MultiplexerDrainOptions,
  type MultiplexerDrainResult,
  type RequestOptions,
} from "../mux/multiplexer.ts";
import { settlesWithin } from "../poll/settles_within.ts";
import { ConnectionPool } from "./pool.ts";
import type { Lease } from "./pool/lease.ts";
import { nowMs, type PoolSource } from "./pool/maker.ts";
import type { PoolDialOptions } from "./pool/options.ts";
import { WaitQueue } from "./pool/wait_queue.ts";

/** Whether there is a connection, one is being made, or none is wanted any more. */
export type ReconnectingState = "connecting" | "connected" | "waiting" | "closed";

/** The options of {@linkcode reconnecting}. */
export interface ReconnectingOptions {
  /** The requests without an answer, and of those that wait for a connection; 65536 unless given. */
  pendingMax?: number;
  /** The time in milliseconds that an answer may take, waits and repeats included; 0 for ever. */
  timeoutMs?: number;
  /** The longest first pause after a failure, in milliseconds; 100 unless given. It doubles. */
  backoffMs?: number;
  /** The longest pause, in milliseconds; 30 000 unless given. */
  backoffMsMax?: number;
  /** Repeats of sent requests, as a part of all requests; 0.1 unless given. */
  retryRatio?: number;
  /** The most repeats in reserve, and those that there are at first; 1000 unless given, 0 for none. */
  retryBudget?: number;
  /** The options of dial, where addresses are given. */
  dial?: PoolDialOptions;
  /** Hears of each change of the state, and of the error that caused it, if one did. */
  onStateChange?: (state: ReconnectingState, error: unknown) => void;
}

/** The options of one request of a {@linkcode Reconnecting}. */
export interface ReconnectingRequestOptions extends RequestOptions {
  /** It may be done twice: it is repeated when its connection ends before its answer has come. */
  idempotent?: boolean;
}

const OPTIONS: Known<ReconnectingOptions> = {
  pendingMax: 1,
  timeoutMs: 1,
  backoffMs: 1,
  backoffMsMax: 1,
  retryRatio: 1,
  retryBudget: 1,
  dial: 1,
  onStateChange: 1,
};
const REQUEST_OPTIONS: Known<ReconnectingRequestOptions> = {
  timeoutMs: 1,
  signal: 1,
  idempotent: "boolean",
};

/** Repeats that are allowed: each request adds a part of one, each repeat takes one. */
class Budget {
  readonly #ratio: number;
  readonly #most: number;
  #tokens: number;

  constructor({ retryRatio, retryBudget }: { retryRatio: number; retryBudget: number }) {
    this.#ratio = retryRatio;
    this.#tokens = this.#most = retryBudget;
  }

  add(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#ratio);
  }

  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/**
 * A {@linkcode Multiplexer} over one connection after the other; {@linkcode reconnecting} makes it.
 *
 * @example
 * ```ts
 * import { type FrameInput, lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { tagged } from "@netpoll/netpoll/mux";
 * import { reconnecting } from "@netpoll/netpoll/client";
 * import type { Reconnecting } from "@netpoll/netpoll/client";
 *
 * const codec = tagged(lengthPrefixed());
 * const client: Reconnecting<Uint8Array, FrameInput> = reconnecting("127.0.0.1:1", codec);
 * console.log(client.state, client.isActive); // "connecting" true
 * await client.close();
 * console.log(client.state, client.isActive); // "closed" false
 * ```
 */
export class Reconnecting<In, Out> implements AsyncDisposable {
  readonly #codec: Codec<Tagged<In>, Tagged<Out>>;
  readonly #pool: ConnectionPool;
  readonly #ownsPool: boolean;
  readonly #options: Required<Omit<ReconnectingOptions, "dial" | "onStateChange">>;
  readonly #onStateChange: ((state: ReconnectingState, error: unknown) => void) | undefined;
  readonly #budget: Budget;
  readonly #waiting = new WaitQueue<Multiplexer<In, Out>>("request");
  readonly #ending = new AbortController();
  readonly #closed = Promise.withResolvers<unknown>();
  #mux: Multiplexer<In, Out> | null = null;
  #state: ReconnectingState = "connecting";
  /** Requests without an answer, those that wait for a connection included. */
  #pendingCount = 0;
  #isDraining = false;
  #answered: PromiseWithResolvers<void> | null = null;

  /** @internal */
  constructor(
    source: PoolSource | readonly PoolSource[] | ConnectionPool,
    codec: Codec<Tagged<In>, Tagged<Out>>,
    options: ReconnectingOptions,
  ) {
    const [firstMs, lastMs] = RECONNECT_MS;
    const {
      pendingMax = REQUESTS_PENDING_MAX,
      timeoutMs = 0,
      backoffMs = firstMs,
      backoffMsMax = lastMs,
      retryRatio = RETRY_RATIO,
      retryBudget = RETRY_BUDGET,
      dial,
      onStateChange,
    } = readOptions("reconnecting", options, OPTIONS);
    this.#options = {
      pendingMax: checkNumber("pendingMax", pendingMax, 1, Infinity),
      timeoutMs: checkTimeout("timeoutMs", timeoutMs),
      backoffMs: checkNumber("backoffMs", backoffMs, 1, Infinity),
      backoffMsMax: checkNumber("backoffMsMax", backoffMsMax, backoffMs, Infinity),
      retryRatio: checkRatio(retryRatio),
      retryBudget: checkNumber("retryBudget", retryBudget, 0, Infinity),
    };
    if (onStateChange !== undefined) checkFunction("onStateChange", onStateChange);
    if (dial !== undefined && source instanceof ConnectionPool) {
      throw new TypeError("Cannot set dial of reconnecting: the pool that is given has its own");
    }
    this.#onStateChange = onStateChange;
    this.#budget = new Budget(this.#options);
    this.#codec = codec;
    this.#ownsPool = !(source instanceof ConnectionPool);
    // One connection at a time, which lives as long as it can; nothing waits for it but this.
    this.#pool = source instanceof ConnectionPool
      ? source
      : new ConnectionPool(source, { max: 1, lifetimeMs: 0, timeoutMs: 0, dial });
    queueMicrotask(() => void this.#run());
  }

  /** Whether there is a connection, one is being made, or none is wanted any more. */
  get state(): ReconnectingState {
    return this.#state;
  }

  /** Whether requests are taken: nobody drains or closes it. There need be no connection. */
  get isActive(): boolean {
    return this.#state !== "closed" && !this.#isDraining;
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Resolves when it is closed, with the reason. Never rejects. */
  get closed(): Promise<unknown> {
    return this.#closed.promise;
  }

  /** The number of requests without an answer, those that wait for a connection included. */
  get pendingCount(): number {
    return this.#pendingCount;
  }

  /**
   * Sends a request, as soon as there is a connection. Resolves to the answer's body.
   *
   * When its connection ends, a request that was not sent is sent over the next one. One that was sent
   * and has no answer rejects, for nobody knows whether it was done, unless it is `idempotent`: then it
   * is repeated, as far as the budget of repeats allows. The deadline holds for all of that together.
   * A body that can be written only once, such as a `LinkBuffer`, is not sent again: the request rejects
   * then, and `sent` says which it was.
   *
   * @throws {UnansweredError} It was sent, and its connection has ended: `sent` is true. Or it was not,
   * and cannot be written again. This and the others as rejections.
   * @throws {TimeoutError} No answer came within `timeoutMs`; its `cause` is why there was no connection.
   * @throws {BusyError} `pendingMax` requests have no answer.
   * @throws {ClosedError} It was drained or closed.
   * @throws {Error} Deno's `NotCapable`, and mistakes of a function that makes connections: no later
   * try can do better.
   */
  async request(body: Out, options: ReconnectingRequestOptions = {}): Promise<In> {
    const read = readOptions("request", options, REQUEST_OPTIONS);
    const { timeoutMs = this.#options.timeoutMs, signal, idempotent = false } = read;
    checkSignal("request", signal);
    checkTimeout("timeoutMs", timeoutMs);
    signal?.throwIfAborted();
    if (!this.isActive) throw closedError();
    if (this.#pendingCount >= this.#options.pendingMax) {
      throw new BusyError(`Cannot request: ${this.#pendingCount} requests have no answer`);
    }
    this.#budget.add();
    this.#pendingCount += 1;
    try {
      return await this.#ask(body, { timeoutMs, signal, idempotent });
    } catch (error) {
      // It knows the time of its last try only, unless it is the user's own.
      if (!(error instanceof TimeoutError) || error === signal?.reason) throw error;
      throw new TimeoutError("request", timeoutMs, { cause: error.cause });
    } finally {
      this.#pendingCount -= 1;
      if (this.#pendingCount === 0) this.#answered?.resolve();
    }
  }

  async #ask(
    body: Out,
    { timeoutMs, signal, idempotent }: {
      timeoutMs: number;
      signal: AbortSignal | undefined;
      idempotent: boolean;
    },
  ): Promise<In> {
    const endMs = timeoutMs === 0 ? Infinity : nowMs() + timeoutMs;
    let lost: UnansweredError | null = null;
    for (;;) {
      if (this.#isClosed) throw closedError();
      const leftMs = endMs === Infinity ? 0 : Math.max(1, endMs - nowMs());
      const mux = this.#mux?.isActive
        ? this.#mux
        : await this.#waiting.add(nowMs(), { timeoutMs: leftMs, signal }).promise;
      try {
        const ms = endMs === Infinity ? 0 : Math.max(1, endMs - nowMs());
        return await mux.request(body, { timeoutMs: ms, signal });
      } catch (error) {
        // One whose connection has just reached the end of its life was not sent either.
        // A body that can be written once only, such as a LinkBuffer, cannot be sent again.
        if (lost !== null && error instanceof TypeError) throw lost;
        if (error instanceof UnansweredError) lost = error;
        const isNotSent = error instanceof UnansweredError
          ? !error.sent
          : error instanceof ClosedError && !this.#isClosed;
        if (isNotSent) continue;
        const isLost = error instanceof UnansweredError && !this.#isClosed;
        if (!isLost || !idempotent || !this.#budget.take()) throw error;
      }
    }
  }

  // ---- connecting -------------------------------------------------------------------------------

  #setState(state: ReconnectingState, error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = state;
    if (this.#onStateChange === undefined) return;
    // It may be an async function: what that rejects with must not end the process either.
    const tell = async () => await this.#onStateChange!(state, error);
    queueMicrotask(() => {
      tell().catch((failure) => say("error", `onStateChange of reconnecting failed: ${failure}`));
    });
  }

  /** Connects, again and again. */
  async #run(): Promise<void> {
    for (let tries = 0; this.#state !== "closed";) {
      this.#setState("connecting", this.#waiting.cause);
      try {
        const lease = await this.#pool.acquire({ timeoutMs: 0, signal: this.#ending.signal });
        const { reason, wasShort } = await this.#use(lease);
        this.#waiting.cause = reason;
        tries = wasShort ? tries + 1 : 0;
        if (!wasShort) continue;
      } catch (error) {
        this.#waiting.cause = error;
        if (!this.#pool.isActive) return void this.close();
        if (isMistake(error)) this.#rejectWaiting(error);
        tries += 1;
      }
      if (this.#ending.signal.aborted) return;
      this.#setState("waiting", this.#waiting.cause);
      await this.#pause(tries - 1);
    }
  }

  #rejectWaiting(error: unknown): void {
    for (let waiter; (waiter = this.#waiting.shift()) !== null;) waiter.reject(error);
  }

  /** Sends requests over a connection until it ends: why it did, and whether that was soon. */
  async #use(lease: Lease): Promise<{ reason: unknown; wasShort: boolean }> {
    const { pendingMax, backoffMs } = this.#options;
    const sinceMs = nowMs();
    try {
      const mux = new Multiplexer(lease.connection, this.#codec, { pendingMax });
      this.#mux = mux;
      this.#setState("connected");
      for (let waiter; mux.isActive && (waiter = this.#waiting.shift()) !== null;) {
        waiter.resolve(mux);
      }
      const reason = await mux.closed;
      // One that ends at once has failed as if there were none.
      const wasShort = nowMs() - sinceMs < backoffMs;
      if (wasShort && !this.#ending.signal.aborted) lease.release(reason);
      return { reason, wasShort };
    } finally {
      lease[Symbol.dispose]();
      this.#mux = null;
    }
  }

  async #pause(tries: number): Promise<void> {
    const { backoffMs, backoffMsMax } = this.#options;
    const pauseMs = fullJitter(tries, backoffMs, backoffMsMax);
    // Nothing resolves it: it ends with the time, or with the client.
    await settlesWithin(new Promise(ignore), Math.max(1, pauseMs), this.#ending.signal)
      .catch(ignore);
  }

  // ---- the end ----------------------------------------------------------------------------------

  /**
   * Takes no new request, and waits until those that were begun have their answers, or have failed.
   * `close()` it then.
   *
   * @throws {Error} The reason of the signal (as a rejection).
   */
  async drain(options: MultiplexerDrainOptions = {}): Promise<MultiplexerDrainResult> {
    const read = readOptions("drain", options, { timeoutMs: 1, signal: 1 });
    checkSignal("drain", read.signal);
    const timeoutMs = checkTimeout("timeoutMs", read.timeoutMs ?? 0);
    read.signal?.throwIfAborted();
    this.#isDraining = true;
    if (this.#pendingCount === 0) return { unansweredCount: 0 };
    this.#answered ??= Promise.withResolvers<void>();
    await settlesWithin(this.#answered.promise, timeoutMs, read.signal);
    return { unansweredCount: this.#pendingCount };
  }

  /**
   * Closes it, and its connection; a pool that was given stays its user's. Requests without an answer
   * reject with `ClosedError`. Never rejects, and may be called again.
   */
  async close(): Promise<void> {
    const error = closedError();
    this.#setState("closed", error);
    this.#ending.abort(error);
    this.#rejectWaiting(error);
    await this.#mux?.close();
    if (this.#ownsPool) await this.#pool.close();
    this.#closed.resolve(error);
  }

  /** Closes it as `close()` does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close().catch(ignore);
  }
}

showAs(Reconnecting.prototype, "Reconnecting", ["state", "pendingCount"]);

function closedError(): ClosedError {
  return new ClosedError("Cannot request: the client was closed, or is drained");
}

/** Whether no later try can do better: the program is wrong, or may not go there. */
function isMistake(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError ||
    (error as Error | undefined)?.name === "NotCapable";
}

function checkRatio(ratio: number): number {
  if (typeof ratio === "number" && ratio >= 0 && ratio <= 1) return ratio;
  throw new RangeError(`Cannot set retryRatio to ${show(ratio)}: it is a number from 0 to 1`);
}

/**
 * Makes a client that sends requests as a {@linkcode Multiplexer} does, and connects again when its
 * connection ends: at once if that has lived for a while, else after a pause by chance that doubles.
 * Requests wait meanwhile, as long as their deadline lets them. The client keeps the process until it
 * is closed.
 *
 * The source is an address, several, a function that makes a connection, or a
 * {@linkcode ConnectionPool}, of which it has one connection. Of several addresses those that fail are
 * left alone for a while. A connection is kept as long as it lives, also when a better address is back:
 * the next one may go there.
 *
 * @throws {TypeError} An address, the codec or an option is malformed.
 * @throws {RangeError} A number is out of range.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { responder, tagged } from "@netpoll/netpoll/mux";
 * import { reconnecting } from "@netpoll/netpoll/client";
 *
 * const codec = tagged(lengthPrefixed());
 * const listener = createListener("unix:@reconnecting-example");
 * const loop = new EventLoop(responder(codec, (body) => body));
 * const served = loop.serve(listener);
 *
 * const client = reconnecting(() => dial("unix:@reconnecting-example"), codec, { timeoutMs: 5000 });
 * const answer = await client.request("hello", { idempotent: true });
 * console.log(new TextDecoder().decode(answer)); // "hello"
 * await client.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export function reconnecting<In, Out>(
  source: PoolSource | readonly PoolSource[] | ConnectionPool,
  codec: Codec<Tagged<In>, Tagged<Out>>,
  options: ReconnectingOptions = {},
): Reconnecting<In, Out> {
  checkCodec("reconnecting", codec);
  return new Reconnecting(source, codec, options);
}
