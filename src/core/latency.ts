/**
 * The histograms of this thread, as long as `configure({ measure: true })` holds.
 */
import { Histogram, type HistogramMetrics, mergeHistograms } from "./histogram.ts";

/** Times of a thread. */
export interface LatencyMetrics {
  /** Calls of handlers until they have settled, with the receiving of the bytes that they are for. */
  handler: HistogramMetrics;
  /** From when the poller learned of bytes until it turned to them. */
  wait: HistogramMetrics;
  /** Turns that had something to do, from the first event to their end. */
  turn: HistogramMetrics;
  /** From a turn to the next while traffic goes on: how long the runtime had the thread. */
  gap: HistogramMetrics;
}

/** The histograms; null while nothing is measured. */
export let latency: Readonly<Record<keyof LatencyMetrics, Histogram>> | null = null;

/** Begins to measure, from nothing, or ends it. */
export function measureLatency(on: boolean): void {
  if (on === (latency !== null)) return;
  latency = on
    ? {
      handler: new Histogram(),
      wait: new Histogram(),
      turn: new Histogram(),
      gap: new Histogram(),
    }
    : null;
}

function each(read: (name: keyof LatencyMetrics) => HistogramMetrics): LatencyMetrics {
  return { handler: read("handler"), wait: read("wait"), turn: read("turn"), gap: read("gap") };
}

/** The times so far; null while nothing is measured. */
export function latencyMetrics(): LatencyMetrics | null {
  const of = latency;
  return of === null ? null : each((name) => of[name].snapshot());
}

/** The times of several threads; null where none of them measures. */
export function mergeLatency(all: readonly (LatencyMetrics | null)[]): LatencyMetrics | null {
  const some = all.filter((one) => one !== null);
  return some.length === 0 ? null : each((name) => mergeHistograms(some.map((one) => one[name])));
}
