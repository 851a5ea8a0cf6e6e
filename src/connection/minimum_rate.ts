/**
 * The least rate of a peer that owes bytes: the rest of a message, or to take what was flushed. One
 * that owes nothing is not judged, and nothing is set for it.
 *
 * The time is counted in looks. One that comes late, since the thread was busy, counts as one all the
 * same: for as long as we do not listen nobody is too slow.
 */
import { counts } from "../core/counts.ts";
import { SLOW_LOOKS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import type { LeastRate } from "./connection_limits.ts";

/** The connection whose peer is judged. */
export interface RateOwner {
  /** The transport. A descriptor that is watched keeps the process alive by itself. */
  readonly io: { readonly isDescriptor: boolean };
  /** Whether a message is there in part, and nobody but the peer keeps the rest back. */
  readonly isPeerOwing: boolean;
  /** Whether flushed bytes wait for the peer. */
  readonly isPeerFull: boolean;
  /** Bytes that came, in all. */
  readonly receivedBytes: number;
  /** Those of them that belong to the message that is there in part. */
  readonly messageBytes: number;
  /** Bytes that the peer took, in all. */
  readonly takenBytes: number;
  /** Another number whenever a message is done with. */
  readonly answeredBytes: number;
  /** Takes what the kernel has. Whether it has more: then nobody waits for the peer. */
  lookForMore(): boolean;
  /** The peer was too slow over the whole time. */
  onSlow(least: LeastRate): void;
}

/** Bytes that moved one way while the peer owed some. */
class Span {
  #looks = 0;
  #bytes = 0;
  #message = 0;

  begin(bytes: number, message: number): void {
    this.#looks = 0;
    this.#bytes = bytes;
    this.#message = message;
  }

  /** A look. Whether fewer than `least` bytes moved in a whole span of them. */
  isSlow(isOwing: boolean, bytes: number, message: number, least: number): boolean {
    if (!isOwing || message !== this.#message) this.begin(bytes, message);
    else if (++this.#looks === SLOW_LOOKS) {
      if (bytes - this.#bytes < least) return true;
      this.begin(bytes, message);
    }
    return false;
  }
}

/** Judges the peer of one connection. */
export class MinimumRate implements TimerOwner {
  readonly #poller: Poller;
  readonly #owner: RateOwner;
  readonly #least: LeastRate;
  readonly #timer: Timer;
  readonly #incoming = new Span();
  readonly #outgoing = new Span();

  /** Judges nobody yet. */
  constructor(poller: Poller, owner: RateOwner, least: LeastRate) {
    this.#poller = poller;
    this.#owner = owner;
    this.#least = least;
    this.#timer = new Timer(this, !owner.io.isDescriptor);
  }

  get #isOwing(): boolean {
    return this.#owner.isPeerOwing || this.#owner.isPeerFull;
  }

  /** Something has changed: judges the peer from now on if it owes something. */
  look(): void {
    if (this.#timer.isSet || !this.#isOwing) return;
    const { receivedBytes, messageBytes, takenBytes, answeredBytes } = this.#owner;
    this.#incoming.begin(receivedBytes - messageBytes, answeredBytes);
    this.#outgoing.begin(takenBytes, 0);
    this.#setTimer();
  }

  #setTimer(): void {
    this.#poller.setTimer(this.#timer, this.#least.graceMs / SLOW_LOOKS);
  }

  onTimer(): void {
    const owner = this.#owner;
    const isHeldBack = owner.lookForMore();
    const { bytesPerSecondMin, graceMs } = this.#least;
    const least = bytesPerSecondMin * graceMs / 1000;
    const { receivedBytes, takenBytes, answeredBytes, isPeerOwing, isPeerFull } = owner;
    const isLate = isPeerOwing && !isHeldBack;
    const isSlow = this.#incoming.isSlow(isLate, receivedBytes, answeredBytes, least) ||
      this.#outgoing.isSlow(isPeerFull, takenBytes, 0, least);
    if (isSlow) {
      counts.timeouts.rate += 1;
      return owner.onSlow(this.#least);
    }
    if (isPeerOwing || isPeerFull) this.#setTimer();
  }

  /** Judges nobody any more. */
  close(): void {
    this.#poller.cancelTimer(this.#timer);
  }
}
