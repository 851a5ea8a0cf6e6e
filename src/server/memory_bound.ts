/**
 * The memory of all connections of a server, and what happens when it is too much.
 *
 * Each connection adds what it holds more or less after each of its events: a sum, and one comparison.
 * The sum still has what was released elsewhere, so that it is never too small; only when it is above
 * the bound everybody is asked.
 */
import type { MemoryAccount, SharedLimits } from "../connection/connection_limits.ts";
import { LimitedConnection } from "../connection/limited_connection.ts";
import { counts } from "../core/counts.ts";
import { OverloadError } from "../core/overload_error.ts";
import {
  MEMORY_HIGH,
  MEMORY_LOOK_MS,
  MEMORY_LOW,
  MEMORY_PATIENCE_MS,
  READ_BYTES_FIRST,
} from "../core/limits.ts";
import type { Rate } from "../core/token_bucket.ts";
import type { Poller } from "../poll/poller.ts";
import { Ration } from "../poll/ration.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import type { Watcher } from "../poll/watcher.ts";
import type { LoopRates } from "./loop_limits.ts";

const LOOKS_MAX = MEMORY_PATIENCE_MS / MEMORY_LOOK_MS;

/** The server, as its memory needs it. */
export interface MemoryOwner {
  /** Its connections. */
  connections(): readonly object[];
  /** New ones shall wait, or need not any more. */
  onMemory(isFull: boolean): void;
}

/** Holds the connections of one server within a bound. */
export class MemoryBound implements MemoryAccount, TimerOwner, Watcher {
  readonly fd = -1;
  readonly #poller: Poller;
  readonly #owner: MemoryOwner;
  readonly #bytesMax: number;
  readonly #isRefusing: boolean;
  readonly #timer = new Timer(this);
  /** At least what they hold. */
  #bytes = 0;
  /** With more than that, the next thing is done about it. */
  #nextBytes: number;
  /** It was too much, and is not little enough again. */
  #isOver = false;
  /** The part of each of them. */
  #partBytes = Infinity;
  /** Looks since it became less, and how much it was then. */
  #looks = 0;
  #leastBytes = Infinity;

  /** Nobody holds anything yet. */
  constructor(
    poller: Poller,
    { bytesMax, policy }: NonNullable<LoopRates["memory"]>,
    owner: MemoryOwner,
  ) {
    this.#poller = poller;
    this.#owner = owner;
    this.#bytesMax = bytesMax;
    this.#nextBytes = bytesMax;
    this.#isRefusing = policy === "refuse";
  }

  /** Whether new connections have to wait. */
  get isFull(): boolean {
    return this.#isOver && this.#isRefusing;
  }

  /** The bytes that they hold together. */
  get heldBytes(): number {
    let sum = 0;
    for (const one of this.#connections()) sum += one.account();
    this.#bytes = sum; // what has gone by another way is not in it any more
    return sum;
  }

  #connections(): LimitedConnection<unknown>[] {
    return this.#owner.connections() as LimitedConnection<unknown>[];
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#nextBytes) this.#poller.again(this);
  }

  roomBeside(heldBytes: number): number {
    if (this.#isRefusing) return Infinity;
    if (!this.#isOver) {
      if (this.#freeBytes >= READ_BYTES_FIRST) return this.#freeBytes;
      if (this.#bytesMax - this.heldBytes >= READ_BYTES_FIRST) return this.#freeBytes;
      this.#begin();
    }
    return this.#partBytes - heldBytes;
  }

  get #freeBytes(): number {
    return this.#bytesMax - this.#bytes;
  }

  /** With the next batch of events. */
  onEvent(): void {
    const bytes = this.heldBytes;
    if (bytes <= this.#nextBytes) return;
    if (!this.#isOver) this.#begin();
    else this.#closeLargest(bytes);
  }

  onFailure(): void {}

  #begin(): void {
    this.#isOver = true;
    this.#nextBytes = this.#isRefusing ? Infinity : MEMORY_HIGH * this.#bytesMax;
    this.#looks = 0;
    this.#leastBytes = this.#bytes;
    if (this.#isRefusing) {
      counts.limits.memoryHolds += 1;
      this.#owner.onMemory(true);
    } else {
      this.#crowd();
    }
    this.#poller.setTimer(this.#timer, MEMORY_LOOK_MS);
  }

  /** Stops reading from each that holds more than its part. Above the bound there is at least one. */
  #crowd(): void {
    const all = this.#connections();
    this.#partBytes = this.#bytesMax / all.length;
    for (const one of all) if (one.account() > this.#partBytes) one.crowd();
  }

  onTimer(): void {
    const bytes = this.heldBytes;
    if (bytes <= this.#bytesMax * MEMORY_LOW) return this.#end();
    if (!this.#isRefusing) {
      this.#crowd();
      this.#wait(bytes);
    }
    this.#poller.setTimer(this.#timer, MEMORY_LOOK_MS);
  }

  /** As long as it becomes less, by a part that counts, nobody is closed for it. */
  #wait(bytes: number): void {
    if (bytes <= this.#leastBytes - this.#bytesMax / LOOKS_MAX) {
      this.#leastBytes = bytes;
      this.#looks = 0;
    } else if (++this.#looks >= LOOKS_MAX) {
      this.#looks = 0;
      this.#closeLargest(bytes);
      this.#leastBytes = this.heldBytes;
    }
  }

  #closeLargest(bytes: number): void {
    const all = this.#connections().map((one) => ({ one, held: one.account() }));
    all.sort((a, b) => b.held - a.held);
    for (const { one, held } of all) {
      if (bytes <= this.#bytesMax * MEMORY_LOW) return;
      bytes -= held;
      counts.limits.memoryCloses += 1;
      one.cut(new OverloadError(held, this.#bytesMax));
    }
  }

  #end(): void {
    this.#isOver = false;
    this.#nextBytes = this.#bytesMax;
    this.#partBytes = Infinity;
    if (this.#isRefusing) return this.#owner.onMemory(false);
    for (const one of this.#connections()) one.uncrowd();
  }

  /** The server is gone. */
  close(): void {
    this.#poller.cancelTimer(this.#timer);
  }
}

/** Forgets what a connection held that is gone. */
export function forgetAccount(connection: object): void {
  if (connection instanceof LimitedConnection) connection.account();
}

/** The limits that the connections of one source have together. */
export function sharedLimits(
  poller: Poller,
  rates: LoopRates | null,
  memory: MemoryBound | null,
): SharedLimits | null {
  if (rates === null) return null;
  const { bytes, requests } = rates;
  const ration = (rate: Rate | null) => rate && new Ration(poller, rate);
  return { bytes: ration(bytes), requests: ration(requests), memory };
}
