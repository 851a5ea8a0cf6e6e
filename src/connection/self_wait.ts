/**
 * A callback that waits for the end of its own connection, which waits for the callback: each would
 * wait for the other for ever. Nobody can see what a callback waits for. But one that has asked for
 * `closed`, and has waited for nothing of the connection for a while although nothing more comes,
 * most likely waits for that; and if not, hearing of the end early does not take its writer away.
 */
import { SELF_WAIT_MS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";

/** Whose callback may wait for the end. */
export interface SelfWaitOwner {
  /** Whether only a callback keeps it, which waits for nothing of ours. */
  readonly isKeptByCallback: boolean;
  /** Bytes that came, and bytes that the peer has taken, in one sum. */
  readonly movedBytes: number;
  /** Resolves `closed`: nothing else is left. */
  onSelfWait(): void;
}

/** Looks whether a callback waits for the end of its own connection. */
export class SelfWait implements TimerOwner {
  readonly #owner: SelfWaitOwner;
  readonly #poller: Poller;
  readonly #timer = new Timer(this);
  #movedBytes = 0;
  #isOver = false;

  /** A look that has not begun. */
  constructor(owner: SelfWaitOwner, poller: Poller) {
    this.#owner = owner;
    this.#poller = poller;
  }

  /** Something has changed. */
  look(): void {
    if (this.#isOver || this.#timer.isSet || !this.#owner.isKeptByCallback) return;
    this.#movedBytes = this.#owner.movedBytes;
    this.#poller.setTimer(this.#timer, SELF_WAIT_MS);
  }

  onTimer(): void {
    const { isKeptByCallback, movedBytes } = this.#owner;
    if (!isKeptByCallback) return; // until what it waits for is over
    if (movedBytes !== this.#movedBytes) return this.look();
    this.#isOver = true;
    this.#owner.onSelfWait();
  }

  /** It is closed. */
  close(): void {
    this.#isOver = true;
    this.#poller.cancelTimer(this.#timer);
  }
}
