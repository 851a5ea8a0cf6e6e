/**
 * Pace: how a poller shares the JavaScript thread with the runtime, which has an event loop of its
 * own.
 *
 * ```text
 *            events                       the runtime has work, or 1 ms is over
 *   cold ─────────────► hot: poll, dispatch ───────────────────► a tick of the runtime ──► hot
 *    ▲                   │ ▲
 *    │ nothing of ours   │ │ events
 *    │ for a while       ▼ │
 *    └───────────────── warm: block in epoll_wait
 * ```
 *
 * A *turn* is one macrotask of ours, a *tick* one round of the runtime's loop between two turns. Hot
 * and warm alternate turn by turn. Cold is the end of it: a thread in C waits for the epoll
 * descriptor, and wakes the runtime through a socket that the runtime polls itself.
 *
 * docs/decisions/0006-pace.md has the measurements.
 */
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { config } from "../core/config.ts";
import { latency } from "../core/latency.ts";
import { clock } from "./clock.ts";
import { turn } from "./turn.ts";
import { RuntimeLoop, type RuntimeSet } from "./runtime_loop.ts";

/** A turn is no longer than this: the runtime's timers are late by no more. */
const TURN_MICROS = 1000;
/** A turn is no longer than this where nothing tells when the runtime's sockets are ready. */
const BLIND_TURN_MICROS = 300;
/** Without an event of ours for so long, a runtime that has work gets the thread for good. */
const COLD_MICROS = 150;
/** While a handler waits for the runtime, so many turns find nothing before one blocks. */
const OUTSIDE_TURNS = 2;

/** The poller, as its pace sees it. */
export interface Turns extends RuntimeSet {
  /** The microseconds of the clock when what is polled next begins. */
  nowMicros: number;
  /** The microseconds of the clock when what is being told came. */
  readonly batchMicros: number;
  /** Events that were taken and not told yet. An edge among them is reported by nobody again. */
  readonly untoldCount: number;
  /**
   * Waits at most `micros` for events and tells whom they concern, until `deadline`. Returns how many
   * there were.
   */
  poll(micros: number, deadline: number): number;
  /** Sends what handlers have flushed and put off. Whether somebody waited for that. */
  sendJoined(): boolean;
}

type Phase = "asleep" | "scheduled" | "running" | "closed";

/** When a poller polls, and when it lets the runtime have the thread. */
export class Pace {
  /** A timerfd in the epoll set ends a blocking wait: a timeout on each would cost 4 to 10 µs. */
  readonly timer: number;
  /** Counts of its work so far. */
  readonly counts = { turns: 0, blocks: 0, colds: 0, wakes: 0 };
  /** Handlers that wait for something that is not ours. */
  outsideWaits = 0;
  readonly #epoll: number;
  readonly #turns: Turns;
  /** Made when there is something to watch. */
  #runtime: RuntimeLoop | null = null;
  #phase: Phase = "asleep";
  /** The runtime gets another tick before anything blocks. */
  #isTickOwed = false;
  /** Turns in a row that found nothing. */
  #emptyTurns = 0;
  /** When there last was an event, in microseconds. */
  #eventAt = 0;
  /** Whether there was one since the timer last expired. */
  #sawEvents = false;
  /** Whether there was none between the last two times that it did. */
  #isQuiet = false;
  /** The period of the timer, in microseconds; 0 while it is off. */
  #period = 0;
  /** The histograms that the next two are for. */
  #measured: typeof latency = null;
  /** When this turn had something to do, in microseconds, while that is measured; 0 before. */
  #workingSince = 0;
  /** When the last turn ended; 0 while nothing is measured, and after a sleep. */
  #endedAt = 0;

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

  /** Whether the runtime's work is heard of; otherwise it has the thread at intervals. */
  get isRuntimeHeard(): boolean {
    return this.#runtime?.isHeard ?? false;
  }

  /** There is something to watch: from now on it keeps the process alive. */
  begin(): void {
    this.#runtime ??= new RuntimeLoop(this.#epoll, this.#turns, this.#onTicked, this.#onWake);
    this.#runtime.keepAlive(true);
    if (this.#phase === "asleep") this.#sleep();
  }

  /** There is nothing to watch any more: the process may end. */
  end(): void {
    this.#runtime?.keepAlive(false);
  }

  /** There is something to do without an event: a turn comes soon. */
  wake(): void {
    if (this.#phase !== "asleep" || this.#runtime === null) return;
    this.#phase = "scheduled";
    this.#runtime.giveTick();
  }

  /** The runtime's loop has something to do. Called by whoever polls. */
  onRuntimeReady(): void {
    this.#runtime!.isReady = true;
  }

  /** The timer expired: the runtime's timers have waited long enough. Called by whoever polls. */
  onTimer(): void {
    // A periodic timerfd expires once and stays expired until it is read (fs/timerfd.c restarts it
    // in read).
    if (native.counterTake(this.timer) < 0) this.#period = -1; // setting it anew starts it, too
    this.#isQuiet = !this.#sawEvents;
    this.#sawEvents = false;
  }

  // ---- turns ------------------------------------------------------------------------------------

  readonly #onWake = (): void => {
    this.counts.wakes += 1;
    if (this.#phase === "asleep") this.#turn(this.#runtime!);
  };

  readonly #onTicked = (): void => {
    if (this.#phase === "scheduled") this.#turn(this.#runtime!);
  };

  /** One macrotask of ours. No microtask is pending when it begins. */
  #turn(runtime: RuntimeLoop): void {
    this.#phase = "running";
    this.counts.turns += 1;
    let isOver = false;
    try {
      runtime.want(true);
      isOver = this.#run(runtime);
    } finally {
      turn.end();
      if (latency !== null && latency === this.#measured) this.#measure(latency);
      if (this.#phase === "running") {
        if (isOver) {
          this.#sleep();
        } else {
          this.#phase = "scheduled";
          runtime.giveTick();
        }
      }
    }
  }

  /** Polls until nothing is there, the runtime has work, or the time is up. Whether to go cold. */
  #run(runtime: RuntimeLoop): boolean {
    const turns = this.#turns;
    const begin = turns.nowMicros = clock.now();
    const deadline = begin + (runtime.isHeard ? TURN_MICROS : BLIND_TURN_MICROS);
    if (latency !== this.#measured) {
      this.#measured = latency;
      this.#endedAt = this.#workingSince = 0;
    }
    if (latency !== null && this.#endedAt > 0) latency.gap.record(begin - this.#endedAt);
    const mayBlock = this.#mayBlock(runtime);
    this.#isTickOwed = false;
    let count = mayBlock ? this.#block(runtime, deadline) : turns.poll(0, deadline);
    if (count === 0 && turns.untoldCount === 0) return this.#onNothing(runtime, mayBlock, begin);
    this.#emptyTurns = 0;
    if (latency !== null) this.#workingSince = mayBlock ? turns.batchMicros : begin;
    do {
      this.#sawEvents = true;
      this.#eventAt = turns.nowMicros;
      turn.isTelling = false;
      // Handlers may have settled promises that others await.
      host.drainMicrotasks?.();
      const wasAwaited = turns.sendJoined();
      if (host.drainMicrotasks === null) return false;
      if (wasAwaited) {
        // Whoever waits for datagrams next does so before they are polled for.
        host.drainMicrotasks();
        turns.sendJoined();
      }
      turns.nowMicros = clock.now();
      if (this.#phase !== "running") return true;
      if (runtime.isReady || turns.nowMicros > deadline || clock.stands) return false;
      count = turns.poll(0, deadline);
    } while (count > 0);
    // User code ran: before anything blocks, the runtime has a tick for what that began.
    return false;
  }

  /** The turn has ended. */
  #measure({ turn }: NonNullable<typeof latency>): void {
    // A turn that had something to do has just looked at the clock.
    const hasLooked = this.#workingSince > 0 && host.drainMicrotasks !== null;
    this.#endedAt = hasLooked ? this.#turns.nowMicros : clock.now();
    if (this.#workingSince > 0) turn.record(this.#endedAt - this.#workingSince);
    this.#workingSince = 0;
  }

  #mayBlock(runtime: RuntimeLoop): boolean {
    if (config.blockMicros === 0 || runtime.isBusy || this.#isTickOwed) return false;
    if (this.outsideWaits === 0) return true;
    return runtime.isHeard && this.#emptyTurns >= OUTSIDE_TURNS;
  }

  /** A turn found nothing. Whether to go cold. */
  #onNothing(runtime: RuntimeLoop, blocked: boolean, begin: number): boolean {
    this.#emptyTurns += 1;
    if (runtime.isReady || runtime.isBusy) return begin - this.#eventAt > COLD_MICROS;
    if (blocked) {
      // Our timer ended it: the runtime's timers have a tick, and what they begin has another.
      this.#isTickOwed = true;
      return this.#isQuiet;
    }
    const cannotBlock = config.blockMicros === 0 || (this.outsideWaits > 0 && !runtime.isHeard);
    return cannotBlock && this.#emptyTurns > OUTSIDE_TURNS;
  }

  /** Waits until something happens, if only the timer. How many events there were. */
  #block(runtime: RuntimeLoop, deadline: number): number {
    const { blockMicros, spinMicros } = config;
    // A handler that waits for the runtime may wait for a timer of it.
    const period = this.outsideWaits > 0 ? Math.min(blockMicros, TURN_MICROS) : blockMicros;
    if (!this.#setTimer(period)) return this.#turns.poll(0, deadline); // nothing would end the wait
    for (const end = native.now() + spinMicros; spinMicros > 0 && native.now() < end;) {
      const count = this.#turns.poll(0, deadline);
      if (count > 0 || runtime.isReady) return count;
    }
    this.counts.blocks += 1;
    return this.#turns.poll(-1, deadline);
  }

  /** Whether the timer has that period now. */
  #setTimer(period: number): boolean {
    if (this.#period === period) return true;
    if (native.timerfdSet(this.timer, period) < 0) return false;
    this.#period = period;
    return true;
  }

  /** Goes cold: nothing happens until there is an event. */
  #sleep(): void {
    this.#phase = "asleep";
    this.#sawEvents = false;
    this.#isQuiet = false;
    this.#isTickOwed = true;
    this.#emptyTurns = 0;
    this.#endedAt = 0;
    this.counts.colds += 1;
    this.#setTimer(0);
    if (this.#runtime === null || this.#runtime.giveThread()) return;
    // Turns find what the waker cannot tell of.
    this.#phase = "scheduled";
    this.#runtime.giveTick();
  }

  /** Ends the thread. The epoll descriptor must still be open. */
  close(): void {
    this.#phase = "closed";
    this.#runtime?.close();
    this.#runtime = null;
    native.close(this.timer);
  }
}
