/**
 * Shutting down: once, and within a time.
 */
import { ClosedError } from "../core/errors.ts";
import { TIMER_MS_MAX, WORKER_GRACE_MS } from "../core/limits.ts";
import { checkOptions, checkSignal, type Known, show } from "../core/options.ts";
import { afterMs } from "./patience.ts";

/** The options of {@linkcode EventLoop.shutdown}. */
export interface ShutdownOptions {
  /**
   * The time in milliseconds for running requests, and for peers to take what was flushed. As long
   * as they take unless given; a peer that takes nothing has `closeTimeoutMs`.
   */
  timeoutMs?: number;
  /** Cuts what is left as soon as it is aborted. */
  signal?: AbortSignal;
}

/** The result of {@linkcode EventLoop.shutdown}. */
export interface ShutdownResult {
  /**
   * Connections that were cut: busy when the time was over, or with flushed bytes that the peer did
   * not take.
   */
  cut: number;
}

const SHUTDOWN_OPTIONS: Known<ShutdownOptions> = { timeoutMs: 1, signal: 1 };

/** The time that a shutdown may take. Throws unless it is a time. */
export function shutdownMs(options: ShutdownOptions): number {
  checkOptions("shutdown", options, SHUTDOWN_OPTIONS);
  checkSignal("shutdown", options.signal);
  const { timeoutMs = Infinity } = options;
  if (typeof timeoutMs !== "number") {
    throw new TypeError(`Cannot shut down within ${show(timeoutMs)}: it is no number`);
  }
  if (timeoutMs >= 0) return timeoutMs;
  throw new RangeError(
    `Cannot shut down within ${timeoutMs}: it is a number of milliseconds, 0 or more`,
  );
}

/** The shutdown of one server, which happens once. */
export class Shutdown {
  /** The result, as soon as the shutdown has begun. */
  result: Promise<ShutdownResult> | null = null;

  /**
   * Begins; when it has begun already it is the same shutdown still, whatever the options.
   *
   * @throws {RangeError} As a rejection: `timeoutMs` is no time. Nothing has begun then.
   */
  begin(options: ShutdownOptions, run: () => Promise<ShutdownResult>): Promise<ShutdownResult> {
    if (this.result !== null) return this.result;
    try {
      shutdownMs(options);
    } catch (error) {
      return Promise.reject(error);
    }
    const { promise, resolve, reject } = Promise.withResolvers<ShutdownResult>();
    // First of all: what runs may ask for it again.
    this.result = promise;
    run().then(resolve, reject);
    return promise;
  }

  /** Throws for an action of a cluster that has begun to shut down. */
  check(action: string): void {
    if (this.result === null) return;
    throw new ClosedError(`Cannot ${action}: the cluster was shut down`);
  }
}

/** A Worker that can be drained. */
export interface Drainable {
  /** Lets it serve what it has, within a time. How many connections were cut then. */
  drain(timeoutMs: number): Promise<number>;
  /** Cuts what is left. */
  cut(): void;
  /** Ends it. An error, if it had not ended by itself. */
  expire(): Error | null;
}

/**
 * Drains Workers, and waits no longer than it may take: one that does not answer in time never will,
 * and is ended. How many connections were cut.
 */
export async function drainWithin<W extends Drainable>(
  workers: readonly W[],
  options: ShutdownOptions,
  onExpired: (error: Error, worker: W) => void,
): Promise<number> {
  const timeoutMs = shutdownMs(options);
  const drained = workers.map((worker) => worker.drain(timeoutMs));
  let giveUp = () => {};
  const expireIn = (ms: number) => {
    giveUp();
    giveUp = afterMs(ms, () => {
      for (const worker of workers) {
        const error = worker.expire();
        if (error !== null) onExpired(error, worker);
      }
    });
  };
  const cut = () => {
    for (const worker of workers) worker.cut();
    expireIn(WORKER_GRACE_MS);
  };
  if (timeoutMs + WORKER_GRACE_MS <= TIMER_MS_MAX) expireIn(timeoutMs + WORKER_GRACE_MS);
  if (options.signal?.aborted) cut();
  options.signal?.addEventListener("abort", cut);
  try {
    return (await Promise.all(drained)).reduce((sum, count) => sum + count, 0);
  } finally {
    giveUp();
    options.signal?.removeEventListener("abort", cut);
  }
}
