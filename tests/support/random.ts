/**
 * Random numbers that come again: a test that failed runs the same with the seed it printed.
 */

/** Numbers from a seed. */
export interface Random {
  /** The number to start from for the same sequence. */
  readonly seed: number;
  /** A number from 0 to below 1. */
  next(): number;
  /** A whole number from 0 to below `bound`. */
  below(bound: number): number;
  /** True when something happens that does so with this probability. */
  chance(probability: number): boolean;
  /** One of several. */
  pick<T>(of: readonly T[]): T;
}

/** Numbers from a seed as it was given; a new one unless given. */
export function seededRandom(given?: string | number): Random {
  const seed = Number(given ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  // SplitMix32 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
  let state = seed;
  const next = () => {
    state = state + 0x9e3779b9 >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ mixed >>> 16, 0x85ebca6b);
    mixed = Math.imul(mixed ^ mixed >>> 13, 0xc2b2ae35);
    return ((mixed ^ mixed >>> 16) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    seed,
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (of) => of[below(of.length)]!,
  };
}
