/**
 * Rations: a token bucket, and whoever waits for tokens of it, in their order. The one timer of a
 * ration is set only while somebody waits.
 */
import { type Rate, TokenBucket } from "../core/token_bucket.ts";
import { RATION_BURST_MS, RATION_MS } from "../core/limits.ts";
import { clock } from "./clock.ts";
import type { Poller } from "./poller.ts";
import { Timer, type TimerOwner } from "./timer_wheel.ts";

/** Waits for tokens. */
export interface Rationed {
  /** It is his turn to take some. */
  onTokens(): void;
}

/** Tokens that one, or many, may take. */
export class Ration implements TimerOwner {
  readonly #poller: Poller;
  readonly #bucket: TokenBucket;
  readonly #waiting = new Set<Rationed>();
  readonly #timer: Timer;
  /** As many tokens as one who waits is called for. */
  readonly share: number;

  /** A full ration. `keepsAlive`: whether the process stays alive while somebody waits. */
  constructor(poller: Poller, { perSecond, burst: given }: Rate, keepsAlive = false) {
    this.#poller = poller;
    // A bucket that is full before a timer has expired would lose tokens: timers are of milliseconds.
    const burst = Math.max(given, Math.ceil(perSecond * RATION_BURST_MS / 1000));
    this.#bucket = new TokenBucket({ perSecond, burst }, clock.now());
    this.#timer = new Timer(this, keepsAlive);
    this.share = Math.min(Math.ceil(burst / 2), Math.ceil(perSecond * RATION_MS / 1000));
  }

  /**
   * The tokens that may be taken now. Those who wait come first: while there are some, only one who
   * was called gets any, and no more than his share.
   */
  allowance(isCalled: boolean): number {
    if (this.#waiting.size === 0) return this.#bucket.level(this.#poller.clockMicros);
    if (!isCalled) return 0;
    return Math.min(this.share, this.#bucket.level(this.#poller.clockMicros));
  }

  /** Takes tokens, even those that have not come yet. */
  take(count: number): void {
    this.#bucket.take(count);
  }

  /** Calls somebody when it is his turn. */
  wait(who: Rationed): void {
    this.#waiting.add(who);
    if (this.#timer.isSet) return;
    this.#bucket.level(clock.now());
    this.#setTimer(1);
  }

  /** He does not wait any more. */
  leave(who: Rationed): void {
    this.#waiting.delete(who);
    if (this.#waiting.size === 0) this.#poller.cancelTimer(this.#timer);
  }

  #setTimer(shares: number): void {
    this.#poller.setTimer(this.#timer, this.#bucket.delayMs(shares * this.share));
  }

  onTimer(): void {
    const shares = Math.floor(this.#bucket.level(clock.now()) / this.share);
    const called = [...this.#waiting].slice(0, shares);
    for (const who of called) this.#waiting.delete(who);
    // Those who are called take theirs at once, or soon.
    if (this.#waiting.size > 0) this.#setTimer(called.length + 1);
    for (const who of called) who.onTokens();
  }
}

/** A ration of a rate; null where there is none. */
export function rationOf(poller: Poller, rate: Rate | null | undefined): Ration | null {
  return rate == null ? null : new Ration(poller, rate);
}

/** The part of one connection, or listener, in one or two rations: its own, and that of all. */
export class Claim implements Rationed {
  readonly #rations: readonly Ration[];
  readonly #onTokens: () => void;
  /** Fewer tokens than that are as good as none. */
  readonly #least: number;
  /** The ration that it waits for. */
  #waitsFor: Ration | null = null;
  /** Its turn has come, and it has not taken anything yet. */
  #isCalled = false;

  /**
   * `onTokens` is called when a wait is over. `isCoarse`: a few tokens are not worth a turn, a quarter
   * of what one is called for is.
   */
  constructor(rations: readonly Ration[], onTokens: () => void, isCoarse = false) {
    this.#rations = rations;
    this.#onTokens = onTokens;
    this.#least = isCoarse ? Math.max(1, Math.min(...rations.map(({ share }) => share)) / 4) : 1;
  }

  /** The tokens that may be taken now, of all of them; 0 for too few. */
  get allowance(): number {
    let least = Infinity;
    for (const ration of this.#rations) least = Math.min(least, ration.allowance(this.#isCalled));
    return least < this.#least ? 0 : Math.floor(least);
  }

  /** Takes tokens, even those that have not come yet. */
  take(count: number): void {
    this.#isCalled = false;
    for (const ration of this.#rations) ration.take(count);
  }

  /** Waits until there are tokens. */
  wait(): void {
    if (this.#waitsFor !== null) return;
    let shortest = this.#rations[0]!;
    for (const ration of this.#rations) {
      const isShorter = ration.allowance(this.#isCalled) < shortest.allowance(this.#isCalled);
      if (isShorter) shortest = ration;
    }
    this.#isCalled = false;
    this.#waitsFor = shortest;
    shortest.wait(this);
  }

  onTokens(): void {
    this.#waitsFor = null;
    this.#isCalled = true;
    // It may lack those of another one.
    if (this.allowance < 1) this.wait();
    else this.#onTokens();
  }

  /** Waits for nothing any more. */
  close(): void {
    this.#waitsFor?.leave(this);
    this.#waitsFor = null;
  }
}

/** A claim on those of some rations that there are; null when there is none. */
export function claimOn(
  rations: readonly (Ration | null)[],
  onTokens: () => void,
  isCoarse = false,
): Claim | null {
  const all = rations.filter((ration) => ration !== null);
  return all.length === 0 ? null : new Claim(all, onTokens, isCoarse);
}
