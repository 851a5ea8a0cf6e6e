/**
 * Pace: how a poller shares the JavaScript thread with the runtime, which has an event loop of its
 * own.
 *
 * ```text
 *            events                         time is up
 *   cold ─────────────► hot: poll, dispatch ───────────► the runtime's turn ──► hot
 *    ▲                   │ ▲                             (its timers, its sockets)
 *    │ a tick without    │ │ events
 *    │ events            ▼ │
 *    └───────────────── warm: block in epoll_wait
 * ```
 *
 * A *turn* is one macrotask. Hot and warm alternate within it. Cold is the end of it: a thread in C
 * waits for the epoll descriptor, and wakes the runtime through a socket that the runtime polls
 * itself.
 *
 * docs/decisions/0006-pace.md has the measurements.
 */
import { setImmediate } from "node:timers";
import { type AdoptedSocket, host } from "../../ffi/host.ts";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { config } from "../core/config.ts";
import { clock } from "./clock.ts";

/** How long a turn keeps the thread from a runtime that has work of its own. */
const TURN_MICROS_MIN = 300;
/** The same for a runtime that has none: its timers are late by no more than this. */
const TURN_MICROS_MAX = 1000;
/**
 * The runtime had work if it kept the thread longer than it needs for nothing, and so much more.
 */
const HOST_WORK_MICROS = 15;
/**
 * Letting the runtime poll its sockets costs 25 to 40 µs where that takes a detour. One that had no
 * work so many times in a row ...
 */
const CALM_LOOKS = 8;
/** ... is let so after every fourth turn only. Its timers have their chance after each. */
const TURNS_PER_LOOK = 4;

/** What a pace paces. */
export interface Turns {
  /** The microseconds of the clock when what is polled next begins. */
  nowMicros: number;
  /**
   * Waits at most `micros` for events and tells whom they concern, until `deadline`. How many there
   * were.
   */
  poll(micros: number, deadline: number): number;
}

type Phase = "asleep" | "scheduled" | "running" | "closed";

/** When a poller polls, and when it lets the runtime have the thread. */
export class Pace {
  /**
   * A timerfd in the epoll set: it ends a blocking wait, for a timeout on each would cost 4 to 10
   * µs.
   */
  readonly timer: number;
  /** What it did so far. */
  readonly counts: { turns: number; blocks: number; colds: number; wakes: number } = {
    turns: 0,
    blocks: 0,
    colds: 0,
    wakes: 0,
  };
  /**
   * Handlers that wait for something that is not ours. While there are any the thread must not
   * block: the runtime is about to do something for them.
   */
  outsideWaits = 0;

  readonly #epoll: number;
  readonly #turns: Turns;
  #phase: Phase = "asleep";
  #waker = -1;
  #socket: AdoptedSocket | null = null;
  #isBegun = false;
  #isTicking = false;
  #isQuiet = false;
  #turnMicros = TURN_MICROS_MIN;
  #emptyMicros = Infinity;
  #yieldedAt = 0;
  #calmLooks = 0;
  #turnsToLook = 0;
  #sawEvents = false;
  #ticksLeft = 0;
  #isRung = false;

  /**
   * The pace of whoever waits for `epoll`.
   *
   * @throws {SystemError} No descriptor is left.
   */
  constructor(epoll: number, turns: Turns) {
    this.#epoll = epoll;
    this.#turns = turns;
    this.timer = check("create a timer", native.timerfd());
  }

  /** Whether this is a turn of ours. */
  get isRunning(): boolean {
    return this.#phase === "running";
  }

  /**
   * There is something to watch: from now on it keeps the process alive.
   */
  begin(): void {
    if (this.#waker < 0) this.#openWaker();
    this.#isBegun = true;
    this.#applyRef();
    if (this.#phase === "asleep") this.#sleep();
  }

  /** There is nothing to watch any more: the process may end. */
  end(): void {
    this.#isBegun = false;
    this.#applyRef();
  }

  #applyRef(): void {
    if (this.#isBegun) this.#socket?.ref();
    else this.#socket?.unref();
  }

  #openWaker(): void {
    const waker = check("start a waker", native.wakerOpen(this.#epoll));
    const theirs = native.wakerSocket(waker);
    try {
      this.#socket = host.adopt(theirs, this.#onWake);
    } catch (error) {
      native.wakerClose(waker);
      native.close(theirs);
      throw error;
    }
    this.#waker = waker;
  }

  /** There is something to do without an event: a turn comes soon. */
  wake(): void {
    if (this.#phase !== "asleep") return;
    this.#phase = "scheduled";
    this.#ticksLeft = 0;
    setImmediate(this.#onImmediate);
  }

  /** The timer expired: the runtime has waited long enough. Called by whoever polls. */
  onTick(): void {
    // A periodic timerfd expires once and stays expired until it is read (fs/timerfd.c restarts it
    // in read).
    native.counterTake(this.timer);
    this.#isQuiet = !this.#sawEvents;
    this.#sawEvents = false;
  }

  // ---- turns ------------------------------------------------------------------------------------

  /**
   * The runtime tells that a byte came through the waker's socket: it polled its sockets just now.
   */
  readonly #onWake = (): void => {
    this.counts.wakes += 1;
    if (this.#phase === "asleep") {
      this.#turn();
    } else if (this.#isRung) {
      this.#isRung = false;
      setImmediate(this.#onImmediate);
    }
  };

  readonly #onImmediate = (): void => {
    if (this.#phase !== "scheduled") return;
    if (this.#ticksLeft > 0 && --this.#ticksLeft > 0) setImmediate(this.#onImmediate);
    else this.#turn();
  };

  /** One macrotask of ours. No microtask is pending when it begins. */
  #turn(): void {
    this.#phase = "running";
    this.counts.turns += 1;
    let isOver = false;
    try {
      isOver = this.#run();
    } finally {
      if (this.#phase === "running") {
        if (isOver) this.#sleep();
        else this.#yield();
      }
    }
  }

  /**
   * Polls, and blocks where that is allowed, until the time is up or nothing comes. Whether to go
   * cold.
   */
  #run(): boolean {
    const turns = this.#turns;
    const begin = clock.now();
    this.#learnHost();
    const deadline = begin + this.#turnMicros;
    turns.nowMicros = begin;
    let sawNone = true;
    for (let isDrained = true;;) {
      const mayBlock = isDrained && config.blockMicros > 0 && this.outsideWaits === 0;
      const count = mayBlock ? this.#block(deadline) : turns.poll(0, deadline);
      if (count > 0) {
        this.#sawEvents = true;
        sawNone = false;
        isDrained = this.#drain();
      } else if (mayBlock) {
        // A tick, and nothing else: the runtime's turn. A second one in a row: enough waited.
        return this.#isQuiet;
      } else {
        // Nothing is there. After user code the runtime has a turn first: for its microtasks, or
        // for what a handler waits for, which may be there at once.
        return sawNone;
      }
      if (this.#phase !== "running") return true;
      turns.nowMicros = clock.now();
      if (turns.nowMicros > deadline) return false;
    }
  }

  /**
   * How much the runtime computed while it had the thread says whether it had work: then it gets
   * its turns more often. The time that passed would not say: where more threads want a processor
   * than there are, as with a poller a core, the kernel gave it to another meanwhile.
   */
  #learnHost(): void {
    if (this.#yieldedAt === 0) return;
    const micros = native.threadNow() - this.#yieldedAt;
    this.#yieldedAt = 0;
    // The shortest time seen is what nothing costs; it is forgotten slowly, for machines change
    // their pace.
    this.#emptyMicros = Math.min(micros, this.#emptyMicros * 1.0002);
    if (micros <= 3 * this.#emptyMicros + HOST_WORK_MICROS) {
      this.#calmLooks += 1;
      this.#turnMicros = Math.min(1.1 * this.#turnMicros, TURN_MICROS_MAX);
    } else {
      if (this.#calmLooks === 0) this.#turnMicros = TURN_MICROS_MIN;
      this.#calmLooks = 0;
    }
  }

  /**
   * Runs what the handlers left to run: they may have settled a promise that others await. False:
   * it could not.
   */
  #drain(): boolean {
    const drain = host.drainMicrotasks;
    if (drain === null) return false;
    drain();
    return true;
  }

  /** Waits until something happens, if only a tick. How many events there were. */
  #block(deadline: number): number {
    this.#tick(true);
    if (config.spinMicros > 0) {
      const end = clock.now() + config.spinMicros;
      while (clock.now() < end) {
        const count = this.#turns.poll(0, deadline);
        if (count > 0) return count;
      }
    }
    this.counts.blocks += 1;
    return this.#turns.poll(-1, deadline);
  }

  #tick(on: boolean): void {
    if (this.#isTicking === on) return;
    this.#isTicking = on;
    check("set a timer", native.timerfdSet(this.timer, on ? config.blockMicros : 0));
  }

  /**
   * Lets the runtime have the thread, and comes back as soon as its timers and its sockets, where
   * they are due, had their chance.
   */
  #yield(): void {
    this.#phase = "scheduled";
    if (host.ticksToPollSockets > 0 && this.#calmLooks >= CALM_LOOKS && this.#turnsToLook > 0) {
      this.#turnsToLook -= 1;
      setImmediate(this.#onImmediate);
      return;
    }
    this.#turnsToLook = TURNS_PER_LOOK - 1;
    this.#yieldedAt = native.threadNow();
    this.#ticksLeft = host.ticksToPollSockets;
    // Should the socket be broken, the timers at least have their turn.
    this.#isRung = this.#ticksLeft > 0 && native.wakerRing(this.#waker) >= 0;
    if (!this.#isRung) setImmediate(this.#onImmediate);
  }

  /** Goes cold: nothing happens until the waker says so. */
  #sleep(): void {
    this.#phase = "asleep";
    this.#sawEvents = false;
    this.#isQuiet = false;
    this.counts.colds += 1;
    this.#tick(false);
    if (this.#waker >= 0) check("arm the waker", native.wakerArm(this.#waker));
  }

  /** Ends the thread. The epoll descriptor must still be open. */
  close(): void {
    this.#phase = "closed";
    if (this.#waker >= 0) native.wakerClose(this.#waker);
    this.#socket?.close();
    this.#waker = -1;
    this.#socket = null;
    native.close(this.timer);
  }
}
