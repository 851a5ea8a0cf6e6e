/**
 * A token bucket: so many tokens a second, of which so many can be saved for a burst. It has no timer:
 * tokens are counted when somebody asks.
 */
import { checkNumber } from "./options.ts";

const MICROS_PER_SECOND = 1_000_000;

/** The speed at which tokens come, and the most that can be there. */
export interface Rate {
  /** Tokens a second. */
  readonly perSecond: number;
  /** The most that are there at once. */
  readonly burst: number;
}

/**
 * The rate of two options, `bytesPerSecond` and `bytesBurst` for `what` "bytes". Null without the
 * first; without the second a second's worth can be saved.
 *
 * @throws {RangeError} One is no whole number, or below 1.
 * @throws {TypeError} There is a burst without a rate.
 */
export function readRate(
  what: string,
  perSecond: number | undefined,
  burst: number | undefined,
): Rate | null {
  if (perSecond === undefined) {
    if (burst === undefined) return null;
    throw new TypeError(`Cannot set ${what}Burst without ${what}PerSecond: give both, or neither`);
  }
  checkNumber(`${what}PerSecond`, perSecond, 1, Infinity);
  if (burst !== undefined) checkNumber(`${what}Burst`, burst, 1, Infinity);
  return { perSecond, burst: burst ?? perSecond };
}

/** Tokens that come with time. */
export class TokenBucket {
  readonly #rate: Rate;
  /** The tokens at that time; below 0 when more were taken than there were. */
  #level: number;
  #atMicros: number;

  /** A full bucket. */
  constructor(rate: Rate, nowMicros: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#atMicros = nowMicros;
  }

  /** The tokens that are there by then. Time that goes back brings none. */
  level(nowMicros: number): number {
    const micros = nowMicros - this.#atMicros;
    if (micros > 0) {
      const { perSecond, burst } = this.#rate;
      this.#level = Math.min(burst, this.#level + micros * perSecond / MICROS_PER_SECOND);
      this.#atMicros = nowMicros;
    }
    return this.#level;
  }

  /** Takes tokens, even those that have not come yet: those are waited for the next time. */
  take(count: number): void {
    this.#level -= count;
  }

  /** The milliseconds after the last look until so many are there, if nobody takes any. */
  delayMs(count: number): number {
    return Math.max(0, (count - this.#level) * 1000 / this.#rate.perSecond);
  }
}
