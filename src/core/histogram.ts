/**
 * A histogram of times, laid out as HdrHistogram is (hdrhistogram.org): the slots are as wide as a
 * 64th of what they count at most, from a tenth of a microsecond up to seven minutes, in one array.
 */

/** The resolution: a tenth of a microsecond. */
const UNITS_PER_MICRO = 10;
/** The longest time; longer ones count as this. */
const UNITS_MAX = 2 ** 32 - 1;
/** Values of so many bits have a slot each. With each bit more the slots are twice as wide. */
const EXACT_BITS = 7;
const HALF_BITS = EXACT_BITS - 1;
const VALUE_BITS = 32;
const SLOTS = (VALUE_BITS - EXACT_BITS + 2) << HALF_BITS;
const SUM_AT = SLOTS;
const MAX_AT = SLOTS + 1;

/** The slot of a value. */
function slotOf(units: number): number {
  const shift = Math.max(0, VALUE_BITS - EXACT_BITS - Math.clz32(units));
  return (shift << HALF_BITS) + (units >>> shift);
}

/** The largest value of a slot. */
function endOf(slot: number): number {
  const shift = Math.max(0, (slot >>> HALF_BITS) - 1);
  return (slot - (shift << HALF_BITS) + 1) * 2 ** shift - 1;
}

/** Times, as `metrics()` tells of them. */
export interface HistogramMetrics {
  /** The number of times that were counted. */
  count: number;
  /** Their sum, in microseconds. */
  sumMicros: number;
  /** The longest, in microseconds. */
  maxMicros: number;
  /** Half of them were no longer than this, in microseconds. Percentiles are 1.6 % too long at most. */
  p50Micros: number;
  /** 90 % were no longer. */
  p90Micros: number;
  /** 99 % were no longer. */
  p99Micros: number;
  /** 99.9 % were no longer. */
  p999Micros: number;
  /** The count of each length: by the most microseconds that fall under it, as text. */
  buckets: Record<string, number>;
}

/** Counts times. */
export class Histogram {
  /** The counts of the slots, and behind them the sum and the longest time. */
  readonly #counts = new Float64Array(SLOTS + 2);

  /** Counts a time. Allocates nothing. */
  record(micros: number): void {
    const rounded = micros * UNITS_PER_MICRO + 0.5;
    let units = 0; // of what is less than nothing, and of NaN
    if (rounded > 0) units = rounded < UNITS_MAX ? rounded >>> 0 : UNITS_MAX;
    const counts = this.#counts;
    counts[slotOf(units)]! += 1;
    counts[SUM_AT]! += units;
    if (units > counts[MAX_AT]!) counts[MAX_AT] = units;
  }

  /** The counts so far. */
  snapshot(): HistogramMetrics {
    const buckets: Record<string, number> = {};
    for (const [slot, count] of this.#counts.subarray(0, SLOTS).entries()) {
      if (count > 0) buckets[endOf(slot) / UNITS_PER_MICRO] = count;
    }
    return describe(
      buckets,
      this.#counts[SUM_AT]! / UNITS_PER_MICRO,
      this.#counts[MAX_AT]! / UNITS_PER_MICRO,
    );
  }
}

/** The buckets with a count, the shortest first. */
function sorted(buckets: Record<string, number>): [micros: number, count: number][] {
  return Object.entries(buckets)
    .map(([micros, count]): [number, number] => [Number(micros), count])
    .sort(([a], [b]) => a - b);
}

function describe(
  buckets: Record<string, number>,
  sumMicros: number,
  maxMicros: number,
): HistogramMetrics {
  const entries = sorted(buckets);
  const count = entries.reduce((sum, [, each]) => sum + each, 0);
  const at = (percent: number) => Math.min(find(entries, count, percent), maxMicros);
  return {
    count,
    sumMicros,
    maxMicros,
    p50Micros: at(50),
    p90Micros: at(90),
    p99Micros: at(99),
    p999Micros: at(99.9),
    buckets,
  };
}

/** The time that so many percent do not exceed; 0 where there is none. */
function find(entries: [number, number][], count: number, percent: number): number {
  // The small excess of a sum of decimals is no element more: 99.9 % of 1000 are 999.
  let left = Math.max(1, Math.ceil(count * percent / 100 - 1e-9));
  for (const [micros, each] of entries) if ((left -= each) <= 0) return micros;
  return 0;
}

/** Several histograms as one. */
export function mergeHistograms(all: readonly HistogramMetrics[]): HistogramMetrics {
  const buckets: Record<string, number> = {};
  let [sumMicros, maxMicros] = [0, 0];
  for (const each of all) {
    sumMicros += each.sumMicros;
    maxMicros = Math.max(maxMicros, each.maxMicros);
    for (const [micros, count] of Object.entries(each.buckets)) {
      buckets[micros] = (buckets[micros] ?? 0) + count;
    }
  }
  return describe(buckets, sumMicros, maxMicros);
}

/**
 * The time that `percent` of those counted between two snapshots did not exceed, in microseconds;
 * since the beginning without the earlier one, and 0 where there was none.
 *
 * @throws {RangeError} `percent` is not from 0 to 100.
 *
 * @example
 * ```ts
 * import { configure } from "@netpoll/netpoll";
 * import { metrics, percentileMicros } from "@netpoll/netpoll/metrics";
 *
 * configure({ measure: true });
 * const before = metrics().latency!.handler;
 * const now = metrics().latency!.handler;
 * console.log(percentileMicros(99, now, before)); // 0
 * configure({ measure: false });
 * ```
 */
export function percentileMicros(
  percent: number,
  of: HistogramMetrics,
  since?: HistogramMetrics,
): number {
  if (!(percent >= 0 && percent <= 100)) {
    throw new RangeError(`Cannot look for the percentile ${percent}: it is from 0 to 100`);
  }
  // A Worker that was replaced begins again: what is less than before counts as nothing.
  const entries = sorted(of.buckets).map(([micros, count]): [number, number] => [
    micros,
    Math.max(0, count - (since?.buckets[micros] ?? 0)),
  ]);
  const count = entries.reduce((sum, [, each]) => sum + each, 0);
  return Math.min(find(entries, count, percent), of.maxMicros);
}
