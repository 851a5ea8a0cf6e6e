/**
 * Runs the cases of a target: seed by seed, for a time.
 */
import { seededRandom } from "../support/random.ts";
import type { Target } from "./target.ts";

/** What came of the cases. */
export interface Ran {
  /** The number of cases that ran. */
  readonly count: number;
  /** The case that failed, which ended it. */
  readonly failure: { readonly seed: number; readonly error: unknown } | null;
}

/** Runs at most so many cases, for at most so many seconds, each with the next seed. */
export async function runFor(
  { run, close }: Target,
  firstSeed: number,
  most: number,
  seconds: number,
): Promise<Ran> {
  const end = performance.now() + 1000 * seconds;
  let count = 0;
  try {
    do {
      const seed = (firstSeed + count) >>> 0;
      count += 1;
      try {
        await run(seededRandom(seed));
      } catch (error) {
        return { count, failure: { seed, error } };
      }
    } while (count < most && performance.now() < end);
    return { count, failure: null };
  } finally {
    await close?.();
  }
}
