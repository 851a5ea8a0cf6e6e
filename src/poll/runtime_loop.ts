/**
 * The runtime's event loop, which has the thread whenever no turn of ours has it.
 */
import { setImmediate } from "node:timers";
import { neutral } from "../../ffi/context.ts";
import { host } from "../../ffi/runtime.ts";
import { config } from "../core/config.ts";
import { Waker } from "./waker.ts";

function makeWaker(epoll: number, onByte: () => void): Waker {
  return new Waker(epoll, onByte);
}

/** The epoll set that reports when the runtime's loop has something to do. */
export interface RuntimeSet {
  /** Adds the loop's descriptor; the set calls `onReady` for it. False: refused. */
  addRuntime(loop: number): boolean;
  /** Turns the interest in it on or off. */
  wantRuntime(on: boolean): void;
}

/**
 * Gives the runtime ticks, a round of its loop each, and knows whether it has work. What it calls runs
 * in the async context of nobody: whoever came first to a thread is not in the turns of all others.
 *
 * Its loop is an epoll descriptor. In our own set that is ready as soon as something in it is: a
 * socket of the runtime, or what its threads have done. What else it may have to do, immediates and
 * timers, shows in the numbers that it gives to them.
 */
export class RuntimeLoop {
  /** Something in its epoll descriptor is ready. */
  isReady = false;
  /** In the last tick it had something to do, or the program began something asynchronous. */
  isBusy = false;
  readonly #set: RuntimeSet;
  readonly #onTicked: () => void;
  readonly #onWake: () => void;
  readonly #waker: Waker;
  #isSought = false;
  #isHeard = false;
  #isWanted = false;
  #lastId = 0;
  #ticksLeft = 0;
  #isRung = false;
  #isKeptAlive = false;

  /**
   * The loop of this thread, which `epoll` wakes while armed. `onTicked` is called after each tick that
   * was given, `onWake` when the loop was woken.
   *
   * @throws {SystemError} No descriptor or thread is left.
   */
  constructor(epoll: number, set: RuntimeSet, onTicked: () => void, onWake: () => void) {
    this.#set = set;
    this.#onTicked = onTicked;
    this.#onWake = onWake;
    this.#waker = neutral(makeWaker, epoll, () => this.#onByte());
  }

  /** Whether its descriptor was found. Otherwise nothing tells when its sockets are ready. */
  get isHeard(): boolean {
    return this.#isHeard;
  }

  /** Keeps the process alive from now on, or does not. */
  keepAlive(on: boolean): void {
    this.#isKeptAlive = on;
    this.#waker.keepAlive(on);
  }

  /** Reports whether it has work from now on, or does not. */
  want(on: boolean): void {
    this.isReady = false;
    if (!this.#isHeard || this.#isWanted === on) return;
    this.#isWanted = on;
    this.#set.wantRuntime(on);
  }

  /** Gives it a tick: for its timers, and for its sockets where they may be ready. */
  giveTick(): void {
    const mayHaveSockets = this.isReady || !this.#isHeard;
    this.#ticksLeft = mayHaveSockets ? host.ticksToPollSockets : 0;
    // Should the socket be broken, the timers at least have their tick. One that does not keep the
    // process alive is not waited for: the runtime would end before.
    this.#isRung = this.#ticksLeft > 0 && this.#isKeptAlive && this.#waker.ring();
    if (!this.#isRung) this.#schedule();
  }

  /** Gives it the thread, until the epoll descriptor is ready. False: nothing would tell of that. */
  giveThread(): boolean {
    this.want(false);
    return this.#waker.arm();
  }

  #schedule(): void {
    const id = host.idOf(setImmediate(this.#onImmediate));
    // A gap since the last number of ours is the number of something else that was begun.
    this.isBusy = this.isReady || id - this.#lastId > 1;
    this.#lastId = id;
  }

  readonly #onImmediate = (): void => {
    if (this.#ticksLeft > 0 && --this.#ticksLeft > 0) this.#schedule();
    else neutral(this.#onTicked, undefined, undefined);
  };

  /** A byte came through the waker's socket: it polled its sockets just now. */
  #onByte(): void {
    if (!this.#isSought) this.#seek();
    if (!this.#isRung) return neutral(this.#onWake, undefined, undefined);
    this.#isRung = false;
    this.#schedule();
  }

  /** It watches the waker's socket by now: whichever descriptor does is its loop. */
  #seek(): void {
    this.#isSought = true;
    if (!config.watchRuntime) return;
    const { loop } = this.#waker;
    this.#isHeard = this.#isWanted = loop >= 0 && this.#set.addRuntime(loop);
  }

  /** Ends the waker. The epoll descriptor must still be open. */
  close(): void {
    this.#waker.close();
  }
}
