/**
 * Chance, where many clients must not do the same thing at the same time.
 */

/** The source of chance; a test puts a seeded one in its place. */
export const chance: { next: () => number } = { next: Math.random };

/** A time that doubles with each try, from the first to the last. */
function doubled(tries: number, firstMs: number, lastMs: number): number {
  return Math.min(lastMs, firstMs * 2 ** Math.min(tries, 52));
}

/**
 * The time before a try: anything up to one that doubles, so that the tries of many clients spread
 * out evenly ("full jitter").
 */
export function fullJitter(tries: number, firstMs: number, lastMs: number): number {
  return chance.next() * doubled(tries, firstMs, lastMs);
}

/** As fullJitter, but no less than half of the whole: for a time that is a rest, too. */
export function halfJitter(tries: number, firstMs: number, lastMs: number): number {
  return (0.5 + chance.next() / 2) * doubled(tries, firstMs, lastMs);
}
