/**
 * The deadlines of a datagram socket. One that has none has no object of this kind either.
 */
import { counts } from "../core/counts.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import type { DatagramSettings } from "./options.ts";

/** A deadline of a datagram socket. */
export type DatagramDeadline = "read" | "write" | "idle";

/** The socket, as its deadlines need it. */
export interface DatagramDeadlineOwner {
  /** Whether datagrams came that nobody takes: no time passes for a peer that we hold back. */
  readonly isHeldBack: boolean;
  /** When the first flush that waits began, in microseconds; Infinity for none. */
  readonly flushingSince: number;
  /** A wait, a flush or the silence took longer than it may. */
  onDeadline(operation: DatagramDeadline, timeoutMs: number): void;
}

/** Idle deadlines are looked at up to a 64th late: those of many sockets expire together. */
function grain(timeoutMs: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, timeoutMs / 64)));
}

/** Watches over how long things take. */
export class DatagramDeadlines implements TimerOwner {
  readonly #poller: Poller;
  readonly #owner: DatagramDeadlineOwner;
  readonly #settings: DatagramSettings;
  readonly #read = new Timer(this);
  readonly #write = new Timer(this);
  readonly #idle = new Timer(this);
  /** When a datagram last came or left, in microseconds. */
  #activeSince = clock.now();

  /** Deadlines of a socket that begins now. */
  constructor(poller: Poller, owner: DatagramDeadlineOwner, settings: DatagramSettings) {
    this.#poller = poller;
    this.#owner = owner;
    this.#settings = settings;
    const { idleTimeoutMs } = settings;
    if (idleTimeoutMs > 0) poller.setTimer(this.#idle, idleTimeoutMs, grain(idleTimeoutMs));
  }

  /** A wait begins. */
  beginRead(): void {
    const { readTimeoutMs } = this.#settings;
    if (readTimeoutMs > 0) this.#poller.setTimer(this.#read, readTimeoutMs);
  }

  /** The wait is over. */
  endRead(): void {
    this.#poller.cancelTimer(this.#read);
  }

  /** Flushes wait, the first of which may have begun before. */
  beginWrite(): void {
    const { writeTimeoutMs } = this.#settings;
    if (writeTimeoutMs === 0) return;
    const leftMs = writeTimeoutMs - (clock.now() - this.#owner.flushingSince) / 1000;
    if (leftMs <= 0) this.#passed("write", writeTimeoutMs);
    else if (leftMs < Infinity) this.#poller.setTimer(this.#write, leftMs);
  }

  /** No flush waits any more. */
  endWrite(): void {
    this.#poller.cancelTimer(this.#write);
  }

  /** A datagram came, or left. The timer is not touched: it looks when it expires. */
  active(): void {
    this.#activeSince = this.#poller.clockMicros;
  }

  onTimer(timer: Timer): void {
    if (timer === this.#read) this.#onRead();
    else if (timer === this.#write) this.beginWrite();
    else this.#onIdle();
  }

  #onRead(): void {
    if (this.#owner.isHeldBack) this.beginRead();
    else this.#passed("read", this.#settings.readTimeoutMs);
  }

  #onIdle(): void {
    const { idleTimeoutMs } = this.#settings;
    if (this.#owner.isHeldBack) this.#activeSince = clock.now();
    const leftMs = idleTimeoutMs - (clock.now() - this.#activeSince) / 1000;
    if (leftMs <= 0) return this.#passed("idle", idleTimeoutMs);
    this.#poller.setTimer(this.#idle, leftMs, grain(idleTimeoutMs));
  }

  #passed(operation: DatagramDeadline, timeoutMs: number): void {
    counts.timeouts[operation] += 1;
    this.#owner.onDeadline(operation, timeoutMs);
  }

  /** All is over. */
  close(): void {
    for (const timer of [this.#read, this.#write, this.#idle]) this.#poller.cancelTimer(timer);
  }
}
