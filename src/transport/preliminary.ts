/**
 * A preliminary: what happens on a descriptor between its connection and the first byte of its user's.
 */
import type { NetpollError, TimeoutOperation } from "../core/errors.ts";
import { TimeoutError } from "../core/errors.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { turn } from "../poll/turn.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";

/** Called once, with null when all is well. */
export type OnEnd = (error: NetpollError | null) => void;

/** One preliminary on its way. Whoever makes it closes the descriptor. */
export abstract class Preliminary implements Watcher, TimerOwner {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #operation: TimeoutOperation;
  readonly #timeoutMs: number;
  readonly #onEnd: OnEnd;
  readonly #timer = new Timer(this);
  #token = -1;
  #interest: number;
  #isOver = false;

  /** One that has not begun, and may take so long; 0 for ever. */
  constructor(
    poller: Poller,
    fd: number,
    { operation, timeoutMs, interest = Interest.READ }: {
      operation: TimeoutOperation;
      timeoutMs: number;
      interest?: number;
    },
    onEnd: OnEnd,
  ) {
    this.#poller = poller;
    this.fd = fd;
    this.#operation = operation;
    this.#timeoutMs = timeoutMs;
    this.#interest = interest;
    this.#onEnd = onEnd;
  }

  /** Goes on as far as it goes now, and says what of by `watch` or `end`. */
  protected abstract step(): void;

  /** Counts its end. */
  protected abstract count(error: NetpollError | null): void;

  /** Begins. It may be over when this returns. */
  begin(): void {
    try {
      this.#token = this.#poller.add(this, this.#interest);
      if (this.#timeoutMs > 0) this.#poller.setTimer(this.#timer, this.#timeoutMs);
    } catch (error) {
      return this.end(error as NetpollError);
    }
    this.step();
  }

  onEvent(): void {
    if (this.#isOver) return;
    if (turn.step()) return this.#poller.again(this);
    this.step();
  }

  /** Whether it has ended, or was given up. */
  protected get isOver(): boolean {
    return this.#isOver;
  }

  /** Goes on when this is so. */
  protected watch(interest: number): void {
    if (interest === this.#interest) return;
    this.#interest = interest;
    try {
      this.#poller.modify(this.#token, this.fd, interest);
    } catch (error) {
      this.end(error as NetpollError); // nothing would tell when it can go on
    }
  }

  onTimer(): void {
    this.end(new TimeoutError(this.#operation, this.#timeoutMs));
  }

  onFailure(error: unknown): void {
    this.end(error as NetpollError);
  }

  /** Gives it up. `onEnd` hears of an error, where there is one to tell. */
  cancel(error: NetpollError | null = null): void {
    if (this.#isOver) return;
    this.#stop();
    if (error !== null) this.#onEnd(error);
  }

  #stop(): void {
    this.#isOver = true;
    this.#poller.cancelTimer(this.#timer);
    if (this.#token >= 0) this.#poller.remove(this.#token, this.fd);
    this.#token = -1;
  }

  /** Ends it. */
  protected end(error: NetpollError | null): void {
    if (this.#isOver) return;
    this.#stop();
    this.count(error);
    this.#onEnd(error);
  }
}
