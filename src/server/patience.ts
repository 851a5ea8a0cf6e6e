/**
 * The time that a Worker has to answer.
 */
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from "node:timers";
import { TIMER_MS_MAX } from "../core/limits.ts";

/** Turns of the runtime's loop after which whatever had come when a timer was due has been told. */
const TURNS = 2;

/**
 * Calls `action` when a time is over, and this thread has taken what came until then: it may have been
 * busy for longer than that, and runs timers before messages. The result gives the time up.
 */
export function afterMs(ms: number, action: () => void): () => void {
  let turns = 0;
  let immediate: ReturnType<typeof setImmediate> | undefined;
  const look = () => {
    if (turns === TURNS) return action();
    turns += 1;
    immediate = setImmediate(look);
  };
  const timer = setTimeout(look, Math.min(ms, TIMER_MS_MAX));
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
