/**
 * Shutting down: once, and within a time.
 */
import { checkOptions, checkSignal, type Known, show } from "../core/options.ts";

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

/** The runtime's timers take a longer time for 1 ms. */
export const TIMER_MS_MAX = 0x7fff_ffff;

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
}
