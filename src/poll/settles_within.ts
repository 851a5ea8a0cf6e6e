/**
 * Waiting for something that others bring about, for so long.
 */
import { withSignal } from "../core/signal.ts";
import { threadPoller } from "./thread_poller.ts";
import { Timer } from "./timer_wheel.ts";

/** The reason of a wait that takes too long. */
const LATE: unique symbol = Symbol("late");

/**
 * Whether a promise resolves within so many milliseconds; 0 is for ever. Rejects with the signal's
 * reason, and leaves nothing behind.
 */
export async function settlesWithin(
  promise: Promise<void>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const ending = new AbortController();
  const timer = new Timer({ onTimer: () => ending.abort(LATE) }, true);
  const onAbort = () => ending.abort(signal!.reason);
  if (timeoutMs > 0) threadPoller().setTimer(timer, timeoutMs);
  signal?.addEventListener("abort", onAbort);
  try {
    await withSignal(promise, ending.signal);
    return true;
  } catch (error) {
    if (error !== LATE) throw error;
    return false;
  } finally {
    threadPoller().cancelTimer(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
