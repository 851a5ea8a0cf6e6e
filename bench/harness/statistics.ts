/**
 * Statistics of rounds.
 */

/**
 * The value that a fraction of all values do not exceed, between neighbours where it falls between.
 */
export function quantile(values: readonly number[], fraction: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The mean, for what is too coarse in one round. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Values with neighbours in time: each divided by the other of its round. */
export function ratios(values: readonly number[], bases: readonly number[]): number[] {
  return values.map((value, round) => value / bases[round]!);
}

/** A figure and how far its rounds are apart. */
export interface Spread {
  readonly median: number;
  /** A quarter of the rounds is below. */
  readonly low: number;
  /** A quarter is above. */
  readonly high: number;
}

/** The median and the middle half. */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75) };
}
