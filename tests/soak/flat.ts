/**
 * Whether something that is measured again and again stays where it is.
 */

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * How much a series grows from its begin to its end: the median of all slopes between two of its
 * values (Theil 1950, Sen 1968), which a few wild ones do not move.
 */
export function growth(values: readonly number[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < values.length; i++) {
    for (let j = i + 1; j < values.length; j++) slopes.push((values[j]! - values[i]!) / (j - i));
  }
  return slopes.length === 0 ? 0 : median(slopes) * (values.length - 1);
}

/** The first part of a soak warms up: caches fill, code is compiled. */
const WARM_UP_SHARE = 0.3;
/** Resident memory may grow by so much of itself: heaps breathe, and the kernel counts in steps. */
export const RESIDENT_SHARE_MAX = 0.05;
/** A small process is mostly runtime. */
const RESIDENT_BYTES_MIN = 8 * 1024 * 1024;
/**
 * A shorter run says nothing about memory: the heaps of three threads, and the slabs of blocks that were held at
 * once, find their number for minutes. What we hold is counted, and judged however short the run is.
 */
export const MEMORY_SECONDS_MIN = 600;
const MEMORY: readonly string[] = ["residentBytes", "slabs"];

/** What is counted: the same at each pause, but for memory. */
interface Counted {
  readonly residentBytes: number;
  readonly slabs: number;
}

/** The counts of a run of so many seconds that grow, in words; nothing where all is flat. */
export function growing<T extends Counted>(samples: readonly T[], seconds: number): string[] {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const found: string[] = [];
  for (const name of Object.keys(warm[0] ?? {}) as (keyof T & string)[]) {
    if (MEMORY.includes(name) && seconds < MEMORY_SECONDS_MIN) continue;
    const values = warm.map((sample) => sample[name] as number);
    const grown = growth(values);
    const most = name === "residentBytes"
      ? Math.max(RESIDENT_BYTES_MIN, RESIDENT_SHARE_MAX * median(values))
      : 0.5;
    if (grown <= most) continue;
    found.push(`${name} grew by ${grown.toFixed(1)}, from ${values[0]} to ${values.at(-1)}`);
  }
  return found;
}
