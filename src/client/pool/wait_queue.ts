/**
 * Those who wait for a connection of a pool: in the order in which they came, each of which may give
 * up.
 */
import { counts } from "../../core/counts.ts";
import { TimeoutError } from "../../core/errors.ts";
import { ignore } from "../../core/promises.ts";
import { threadPoller } from "../../poll/thread_poller.ts";
import { Timer, type TimerOwner } from "../../poll/timer_wheel.ts";

/** The queue, as somebody in it needs it. */
interface Queue<T> {
  /** Takes out somebody who gives up. */
  remove(waiter: Waiter<T>): void;
  /** The operation that takes too long. */
  readonly operation: "acquire" | "request";
  /** Why nothing was there in time, if anything is known. */
  readonly cause: unknown;
}

/** Somebody who waits. */
export class Waiter<T> implements TimerOwner {
  readonly #settling = Promise.withResolvers<T>();
  readonly #queue: Queue<T>;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: (() => void) | null = null;
  #timer: Timer | null = null;
  /** When the wait began, in milliseconds. */
  readonly sinceMs: number;
  /** Neighbours in the queue. */
  previous: Waiter<T> | null = null;
  /** The one who came next. */
  next: Waiter<T> | null = null;

  /** Somebody who begins to wait: for so long, 0 for ever, or until the signal. */
  constructor(
    queue: Queue<T>,
    nowMs: number,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal | undefined },
  ) {
    this.#queue = queue;
    this.sinceMs = nowMs;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
    // Nothing else may keep the process until it has heard.
    if (timeoutMs > 0) threadPoller().setTimer(this.#timer = new Timer(this, true), timeoutMs);
    if (signal !== undefined) {
      this.#onAbort = () => this.#giveUp(signal.reason);
      signal.addEventListener("abort", this.#onAbort);
    }
  }

  /** Settles when the wait is over. */
  get promise(): Promise<T> {
    return this.#settling.promise;
  }

  onTimer(): void {
    const { operation, cause } = this.#queue;
    counts.timeouts[operation] += 1;
    const options = cause === undefined ? undefined : { cause };
    this.#giveUp(new TimeoutError(operation, this.#timeoutMs, options));
  }

  #giveUp(reason: unknown): void {
    this.#queue.remove(this);
    this.reject(reason);
  }

  /** Gets it. One that is given up or was served before is in no queue any more. */
  resolve(value: T): void {
    this.#end();
    this.#settling.resolve(value);
  }

  /** Gets nothing. */
  reject(reason: unknown): void {
    this.#end();
    this.#settling.reject(reason);
  }

  #end(): void {
    if (this.#timer !== null) threadPoller().cancelTimer(this.#timer);
    if (this.#onAbort !== null) this.#signal!.removeEventListener("abort", this.#onAbort);
  }
}

/** First come, first served. */
export class WaitQueue<T> implements Queue<T> {
  readonly operation: "acquire" | "request";
  #first: Waiter<T> | null = null;
  #last: Waiter<T> | null = null;
  #count = 0;
  /** Those who gave up: their time was over, or their signal said so. */
  givenUpCount = 0;
  /** The last failure, which a wait that is too long tells of. */
  cause: unknown;

  readonly #onGiveUp: () => void;

  /** Nobody waits yet, for what an error calls by this name. `onGiveUp` hears when somebody gives up. */
  constructor(operation: "acquire" | "request", onGiveUp: () => void = ignore) {
    this.operation = operation;
    this.#onGiveUp = onGiveUp;
  }

  /** The number of those who wait. */
  get count(): number {
    return this.#count;
  }

  /** Somebody begins to wait, behind all others. */
  add(nowMs: number, options: { timeoutMs: number; signal: AbortSignal | undefined }): Waiter<T> {
    const waiter = new Waiter<T>(this, nowMs, options);
    waiter.previous = this.#last;
    if (this.#last === null) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#count += 1;
    return waiter;
  }

  /** Takes out who has waited longest; null for nobody. */
  shift(): Waiter<T> | null {
    const waiter = this.#first;
    if (waiter !== null) this.#unlink(waiter);
    return waiter;
  }

  remove(waiter: Waiter<T>): void {
    this.givenUpCount += 1;
    this.#unlink(waiter);
    this.#onGiveUp();
  }

  #unlink(waiter: Waiter<T>): void {
    if (waiter.previous === null) this.#first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) this.#last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.previous = waiter.next = null;
    this.#count -= 1;
  }
}
