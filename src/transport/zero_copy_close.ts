/**
 * Closing a descriptor from whose connection the kernel still sends our memory.
 *
 * close(2) would let the kernel go on sending while nobody is told any more when the memory is free
 * (measured: 950 353 of 1 048 576 bytes reached a peer as they were overwritten later). A close waits
 * until the peer has everything (draining.ts), but the last completion may come later than the last
 * acknowledgement. So the descriptor stays open until it has come, and when that takes too long the
 * connection is aborted, which completes everything.
 */
import { native } from "../../ffi/load.ts";
import { say } from "../core/config.ts";
import { CLOSE_TIMEOUT_MS, ZERO_COPY_ABORT_MS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import type { ZeroCopy } from "./zero_copy.ts";

const WRITE_SIDE = 1;

/** A descriptor that is closed as soon as nothing of it is pinned. */
export class ZeroCopyClose implements Watcher, TimerOwner {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #zeroCopy: ZeroCopy;
  readonly #timer = new Timer(this);
  #token = -1;
  #isAborted = false;
  #isOver = false;
  /** Completions that had come when the timer was set. */
  #completions = 0;

  /**
   * Begins to close, and may be done with it when it returns. It owns the descriptor. A lost
   * connection is aborted at once: the peer sees a reset.
   */
  constructor(poller: Poller, fd: number, zeroCopy: ZeroCopy, isLost: boolean) {
    this.fd = fd;
    this.#poller = poller;
    this.#zeroCopy = zeroCopy;
    zeroCopy.isEnding = true;
    if (isLost) this.#abort();
    else native.shutdown(fd, WRITE_SIDE);
    if (!this.#closeIfFree()) this.#watch();
  }

  #watch(): void {
    try {
      this.#token = this.#poller.add(this, Interest.EDGE | Interest.COMPLETIONS);
    } catch {
      // Without memory for that nobody tells of completions: they are looked for when the timer expires.
      this.#abort();
      if (this.#closeIfFree()) return;
    }
    this.#setTimer();
  }

  #setTimer(): void {
    this.#completions = this.#zeroCopy.counts().completions;
    const timeoutMs = this.#isAborted ? ZERO_COPY_ABORT_MS : CLOSE_TIMEOUT_MS;
    this.#poller.setTimer(this.#timer, timeoutMs);
  }

  #closeIfFree(): boolean {
    if (!this.#isOver) {
      this.#zeroCopy.drain(this.fd);
      if (!this.#zeroCopy.isPinning) this.#end();
    }
    return this.#isOver;
  }

  #end(): void {
    this.#isOver = true;
    this.#poller.cancelTimer(this.#timer);
    if (this.#token >= 0) this.#poller.remove(this.#token, this.fd);
    native.close(this.fd);
  }

  onCompletion(lo: number, hi: number, isCopied: boolean): void {
    this.#zeroCopy.complete(lo, hi, isCopied);
    this.#closeIfFree();
  }

  onEvent(): void {
    // A reset, or the peer's end: whatever it is, completions are all that counts.
    this.#closeIfFree();
  }

  onTimer(): void {
    if (this.#closeIfFree()) return;
    if (this.#zeroCopy.counts().completions > this.#completions) return this.#setTimer();
    if (this.#isAborted) return this.#giveUp("its device does not give it back");
    this.#abort();
    if (!this.#closeIfFree()) this.#setTimer();
  }

  onFailure(error: unknown): void {
    if (!this.#isOver) this.#giveUp(error);
  }

  #abort(): void {
    this.#isAborted = true;
    native.disconnect(this.fd);
  }

  /** The memory stays pinned for good: it is lost, but nobody ever receives other bytes from it. */
  #giveUp(why: unknown): void {
    const { outstandingBytes } = this.#zeroCopy.counts();
    say("warn", `${outstandingBytes} bytes of a zero-copy send stay pinned: ${why}`);
    this.#end();
  }
}
