/**
 * Between a close and its end: what was flushed leaves, and the peer takes it.
 *
 * close(2) alone would lose bytes. The kernel sends what it has taken even then, but a byte from the
 * peer that nobody reads makes it reset the connection and drop the rest (RFC 2525 §2.17). So our
 * side is ended first, what the peer still sends is received and dropped, and the descriptor is
 * closed when the peer's kernel has acknowledged everything.
 *
 * A peer may be as slow as it likes, for as long as it takes something. An acknowledgement is no
 * event, so now and then the kernel is asked how much is left. Looks are counted and not the time
 * between them: a thread that was busy looks late, and charges nobody.
 */
import { blocks } from "../buffer/block.ts";
import { isNotNow } from "../core/errno.ts";
import type { SystemError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, CLOSE_LOOKS, DROP_BYTES } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { Event, type Watcher } from "../poll/watcher.ts";
import { type ConnectionWriter, writeSide } from "./connection_writer.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import { endOf } from "../transport/transport.ts";

/** An endpoint that drains. */
export interface DrainOwner extends Endpoint {
  /** Whether the peer's side has ended. */
  readonly isReadEnded: boolean;
  readonly writer: ConnectionWriter;
  /** The peer has ended its side (null), or the connection is broken. */
  onReadEnd(cause: SystemError | null): void;
  /** An error was reported. */
  onError(): void;
  /** Zero-copy sends have completed. */
  onCompletion(lo: number, hi: number, isCopied: boolean): void;
  /** The peer has taken everything. */
  onDelivered(): void;
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

/** Receives what the peer still sends, and drops it. How many bytes. */
function dropInput(owner: DrainOwner): number {
  let sum = 0;
  const block = blocks.take(DROP_BYTES);
  while (!owner.isReadEnded && sum < BYTES_PER_EVENT_MAX) {
    const count = owner.io.receive(owner.fd, block.slab.id, block.offset, DROP_BYTES);
    if (isNotNow(count)) break;
    if (count > 0) {
      sum += count;
      continue;
    }
    owner.onReadEnd(endOf(count));
    break;
  }
  block.release();
  return sum;
}

/** The result of {@linkcode deliver} when nothing is left to do. */
export const DELIVERED = -1;

/**
 * Ends our side, whose last bytes the kernel has taken, and looks whether the peer has them. If not,
 * how many bytes it sent meanwhile, which were dropped.
 *
 * Nothing is asked that is known: after the peer's end nothing is received, and a peer that has
 * acknowledged everything by then needs no end of ours before the close.
 */
export function deliver(owner: DrainOwner): number {
  if (!owner.isSocket) return DELIVERED;
  const { isReadEnded } = owner;
  if (isReadEnded && !owner.isWriteEnded && owner.unackedBytes === 0) return DELIVERED;
  if (!owner.isWriteEnded) owner.shutdownWrite();
  const dropped = isReadEnded ? 0 : dropInput(owner);
  if (!owner.isOpen) return dropped; // a reset came
  // While the peer sends, the descriptor stays until our end has arrived, too: what comes after the
  // close is answered by a reset, which must not overtake the end.
  const isDone = dropped === 0 ? owner.unackedBytes === 0 : owner.isEndAcked;
  return isDone ? DELIVERED : dropped;
}

/** The wait of one connection that is closing. */
export class Draining implements Watcher, TimerOwner {
  readonly #owner: DrainOwner;
  readonly #poller: Poller;
  readonly #limit: DrainLimit;
  readonly #timer = new Timer(this);
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
    if (writeSide.unsentBytes(owner.writer) > 0) owner.want(!owner.isReadEnded, true);
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
    const { writer } = owner;
    if (writeSide.unsentBytes(writer) > 0) {
      writeSide.sendNow(writer);
      if (writeSide.end(writer) !== null) return true; // it failed, and its owner is told soon
    }
    if (writeSide.unsentBytes(writer) > 0) {
      // A peer that reads only when it has written would wait for ever.
      if (owner.isSocket && dropInput(owner) > 0) this.hasHeard = true;
      return !owner.isOpen;
    }
    const dropped = deliver(owner);
    if (dropped > 0) this.hasHeard = true;
    if (dropped === DELIVERED) owner.onDelivered();
    else if (dropped >= BYTES_PER_EVENT_MAX) this.#poller.again(this); // edges do not tell of the rest
    return !owner.isOpen;
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
