/**
 * Between a close and its end: what was flushed leaves, and the peer takes it.
 *
 * A peer may be as slow as it likes, for as long as it takes something. An acknowledgement is no
 * event, so now and then the kernel is asked how much is left. Looks are counted and not the time
 * between them: a thread that was busy looks late, and charges nobody.
 */
import { BYTES_PER_EVENT_MAX, CLOSE_LOOKS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { Event, type Watcher } from "../poll/watcher.ts";
import { deliver, DELIVERED, dropInput, type Finishing } from "../transport/deliver.ts";
import { type ConnectionWriter, writeSide } from "./connection_writer.ts";

/** An endpoint that drains. */
export interface DrainOwner extends Finishing {
  readonly writer: ConnectionWriter;
  /** An error was reported. */
  onError(): void;
  /** Zero-copy sends have completed. */
  onCompletion(lo: number, hi: number, isCopied: boolean): void;
  /** The peer has taken everything. */
  onDelivered(): void;
  /** It broke while the last bytes were looked after, by what a call has found. */
  onBroken(): void;
  /** The peer has not taken everything in the time that it had, and `limit` says which. */
  onOverdue(limit: string): void;
  /** A bug: it is given up. */
  onFailure(error: unknown): void;
}

/** The time that the peer has. */
export interface DrainLimit {
  /** Nothing is taken for so long, in milliseconds; 0 for ever. */
  readonly stallMs: number;
  /** In all, in place of that, if somebody has said so. */
  readonly totalMs: number | undefined;
}

/** The wait of one connection that is closing. */
export class Draining implements Watcher, TimerOwner {
  readonly #owner: DrainOwner;
  readonly #poller: Poller;
  readonly #limit: DrainLimit;
  readonly #timer: Timer;
  /** Whether the peer has sent something meanwhile. */
  hasHeard = false;
  /** Bytes that the peer had taken when the kernel was asked last. */
  #takenBytes = 0;
  /** The number of looks since then that found no more. */
  #looks = 0;

  /** A wait that is to begin. */
  constructor(owner: DrainOwner, poller: Poller, limit: DrainLimit) {
    this.#owner = owner;
    this.#poller = poller;
    this.#limit = limit;
    this.#timer = new Timer(this, !owner.io.isDescriptor);
  }

  get fd(): number {
    return this.#owner.fd;
  }

  /** Begins: whatever happens to the descriptor is told here from now on. */
  begin(): void {
    this.#takenBytes = this.#taken();
    this.#owner.rewatch(this);
    this.#watch();
    try {
      this.#setTimer();
    } catch {
      queueMicrotask(() =>
        this.#owner.isOpen && this.#owner.onOverdue("no descriptor is left for a timer")
      );
    }
  }

  /** Watches for what there is to do. */
  #watch(): void {
    const owner = this.#owner;
    const isBlocked = writeSide.unsentBytes(owner.writer) > 0 || owner.isEndBlocked;
    if (isBlocked) owner.want(!owner.isReadEnded, true);
    // The end of sending is acknowledged by a change of state, of which edges alone are told.
    else owner.wantEdges();
  }

  #setTimer(): void {
    const { stallMs, totalMs } = this.#limit;
    const lookMs = totalMs ?? stallMs / CLOSE_LOOKS;
    if (lookMs > 0 && lookMs < Infinity) this.#poller.setTimer(this.#timer, lookMs);
  }

  /** Bytes that the peer has taken, as far as the kernel knows. */
  #taken(): number {
    const owner = this.#owner;
    return writeSide.sentBytes(owner.writer) - owner.unackedBytes;
  }

  onEvent(events: number): void {
    if (this.#owner.isOpen && (events & Event.ERROR) !== 0) this.#owner.onError();
    if (this.#owner.isOpen && !this.#look()) this.#watch();
  }

  /** Does what can be done. Whether that was the end of it. */
  #look(): boolean {
    const owner = this.#owner;
    this.#step(owner);
    return !owner.isOpen || writeSide.end(owner.writer) !== null;
  }

  #step(owner: DrainOwner): void {
    const { writer } = owner;
    if (writeSide.unsentBytes(writer) > 0) {
      writeSide.sendNow(writer);
      if (writeSide.end(writer) !== null) return; // it failed, and its owner is told soon
    }
    if (writeSide.unsentBytes(writer) > 0) {
      // A peer that reads only when it has written would wait for ever.
      if (owner.isSocket && dropInput(owner) > 0) this.hasHeard = true;
      if (!owner.isOpen) owner.onBroken();
      return;
    }
    const dropped = deliver(owner);
    if (dropped > 0) this.hasHeard = true;
    if (dropped === DELIVERED) owner.onDelivered();
    else if (!owner.isOpen) owner.onBroken();
    else if (dropped >= BYTES_PER_EVENT_MAX) this.#poller.again(this); // edges do not tell of the rest
  }

  onTimer(): void {
    const isOver = !this.#owner.isOpen || this.#look();
    if (isOver) return;
    const taken = this.#taken();
    if (taken > this.#takenBytes) {
      this.#takenBytes = taken;
      this.#looks = 0;
    } else {
      this.#looks += 1;
    }
    const { stallMs, totalMs } = this.#limit;
    if (totalMs !== undefined) this.#owner.onOverdue(`close() had ${totalMs} ms`);
    else if (this.#looks < CLOSE_LOOKS) this.#setTimer();
    else this.#owner.onOverdue(`the peer took nothing for ${stallMs} ms`);
  }

  onCompletion(lo: number, hi: number, isCopied: boolean): void {
    this.#owner.onCompletion(lo, hi, isCopied);
  }

  onFailure(error: unknown): void {
    this.#owner.onFailure(error);
  }

  /** It is over. */
  close(): void {
    this.#poller.cancelTimer(this.#timer);
  }
}
