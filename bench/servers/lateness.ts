/**
 * The lateness of timers in a thread.
 */
import { quantile } from "../harness/statistics.ts";

/** The times of a kind of work, in milliseconds. */
export interface WorkReport {
  /** Files read, messages taken, answers fetched, ticks of a timer. */
  readonly units: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Sums up times, and forgets them. */
export function reportOf(times: number[]): WorkReport {
  const all = times.splice(0);
  const of = (fraction: number) => quantile(all, fraction);
  return { units: all.length, p50: of(0.5), p99: of(0.99), p999: of(0.999) };
}

/** Starts an interval and keeps its lateness: how much longer than the interval each tick took. */
export function watchTimer(milliseconds: number, times: number[] = []): number[] {
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    times.push(Math.max(0, now - last - milliseconds));
    last = now;
  }, milliseconds);
  return times;
}
