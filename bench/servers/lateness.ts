/**
 * How late the timers of a thread are.
 */
import { quantile } from "../harness/statistics.ts";

const TIMER_MS = [1, 10];

/** What is told of a timer, in milliseconds. */
export interface Lateness {
  readonly timerMs: number;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** How late an interval's calls come, one after another: what is late is not made up for. */
function watchTimer(milliseconds: number): number[] {
  const lateness: number[] = [];
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    lateness.push(Math.max(0, now - last - milliseconds));
    last = now;
  }, milliseconds);
  return lateness;
}

/** Starts timers in this thread, and returns a function: how late they were since its last call. */
export function watchTimers(): () => Lateness[] {
  const watched = TIMER_MS.map(watchTimer);
  return () =>
    watched.map((lateness, i) => {
      const all = lateness.splice(0);
      const of = (fraction: number) => quantile(all, fraction);
      return {
        timerMs: TIMER_MS[i]!,
        count: all.length,
        p50: of(0.5),
        p99: of(0.99),
        p999: of(0.999),
      };
    });
}
