/**
 * A poller: an epoll descriptor, who is told of its events, and in what turns.
 *
 * It only says that something is ready; reading and writing are the business of whoever is told.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { say } from "../core/config.ts";
import { DUE_ROUNDS, EVENTS_PER_WAIT_MAX } from "../core/limits.ts";
import { watching } from "../core/watching.ts";
import { clock } from "./clock.ts";
import { Pace } from "./pace.ts";
import { type Timer, TimerWheel } from "./timer_wheel.ts";
import { turn } from "./turn.ts";
import { Interest, type Watcher } from "./watcher.ts";

const CTL_ADD = 1;
const CTL_DELETE = 2;
const CTL_MODIFY = 3;

// A token is a slot and how often the slot was given away. An event of a descriptor that was closed,
// and whose number or slot is somebody else's by now, has another generation.
const SLOT_BITS = 20;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const GENERATION_MASK = 0x7ff;
/** The slot of the pace's own timer. */
const TICK_TOKEN = 0;
/** The slot of the timer for deadlines. */
const DEADLINE_TOKEN = 1;
/** The slot of the runtime's event loop. */
const RUNTIME_TOKEN = 2;
const DEADLINE_MICROS_MAX = 3_600_000_000;
/** The result of a wait: the number of events in the low half, of completions in the high half. */
const EVENTS_MASK = 0xffff;
/** The place of completions in the table of events: (token, lo, hi, code), at most 4 an event. */
const COMPLETIONS_AT = 2 * EVENTS_PER_WAIT_MAX;
const COMPLETION_WORDS = 4;
const COMPLETIONS_PER_EVENT_MAX = 4;

function report(error: unknown): void {
  try {
    say("error", `${error instanceof Error ? error.stack : error}`);
  } catch {
    // A log that fails has nowhere to say so.
  }
}

/** A watcher that puts sending off until the end of a batch. */
export interface Joined extends Pick<Watcher, "onFailure"> {
  /** Sends it. Whether somebody waited for that, and goes on now. */
  sendJoined(): boolean;
}

/** Watches descriptors and tells their watchers what happens to them. One a thread. */
export class Poller {
  /** Counts of its work so far. Tests count turns with it instead of looking at a clock. */
  readonly counts = { waits: 0, events: 0, expiries: 0, told: 0 };
  /** Its way to share the thread with the runtime. */
  readonly pace: Pace;
  readonly #epoll: number;
  /** The microseconds of the clock when the current batch of events began. */
  nowMicros = 0;
  /** The microseconds of the clock when what is being told came. */
  batchMicros = 0;
  readonly #watchers: (Watcher | null)[] = [null, null, null];
  readonly #generations: number[] = [0, 0, 0];
  readonly #freeSlots: number[] = [];
  readonly #events = new Uint32Array(
    COMPLETIONS_AT + COMPLETION_WORDS * COMPLETIONS_PER_EVENT_MAX * EVENTS_PER_WAIT_MAX,
  );
  /** Watchers that have more to do without an event. They get a turn with the next batch. */
  readonly #again = new Set<Watcher>();
  /** Watchers that have flushed bytes, which leave together with others. */
  #joined: Joined[] = [];
  readonly #wheel: TimerWheel;
  /** The timer for deadlines. A deadline that is set cannot fail for want of a descriptor. */
  readonly #deadline: number;
  readonly #refusedAlarm: Watcher = { fd: -1, onEvent: () => this.#alarmAgain(), onFailure() {} };
  /** Whether there is a waker, without which nobody hears of a deadline. */
  #hasWaker = false;
  #runtime = -1;
  /** A deadline has passed. It is judged when everything that the kernel holds was told. */
  #isDue = false;
  /** So many waits more, and it is judged although more and more comes. */
  #waitsLeft = 0;
  #watcherCount = 0;
  /** The slot where `sample` goes on. */
  #sampledSlot = 0;
  /** The number of these that keep the process alive. */
  #refCount = 0;
  // Events of the current batch that were not told yet when a turn ran out of time.
  #batchIndex = 0;
  #batchCount = 0;

  /**
   * A poller that watches nothing, keeps nothing alive and uses no thread until something is added.
   *
   * @throws {SystemError} No descriptor or memory is left.
   */
  constructor() {
    this.#epoll = check("create an epoll descriptor", native.epollCreate());
    try {
      this.#deadline = check("create a timer", native.timerfd());
    } catch (error) {
      native.close(this.#epoll);
      throw error;
    }
    try {
      this.pace = new Pace(this.#epoll, this);
    } catch (error) {
      native.close(this.#deadline);
      native.close(this.#epoll);
      throw error;
    }
    this.#wheel = new TimerWheel(
      clock.now() / 1000,
      (dueMs) => this.#alarm(dueMs),
      (change) => change > 0 ? this.ref() : this.unref(),
    );
    try {
      this.#control(CTL_ADD, this.pace.timer, TICK_TOKEN, Interest.READ | Interest.EDGE);
      this.#control(CTL_ADD, this.#deadline, DEADLINE_TOKEN, Interest.READ | Interest.EDGE);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The number of descriptors that it watches. */
  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** At most so many of the descriptors that it watches, beginning behind those of the last call. */
  sample(most: number): number[] {
    const fds: number[] = [];
    const slots = this.#watchers.length;
    for (let looks = 0; looks < slots && fds.length < most; looks++) {
      this.#sampledSlot = (this.#sampledSlot + 1) % slots;
      const fd = this.#watchers[this.#sampledSlot]?.fd ?? -1;
      if (fd >= 0) fds.push(fd);
    }
    return fds;
  }

  /** The number of watchers that get a turn with the next batch. */
  get againCount(): number {
    return this.#again.size;
  }

  /** The number of events of the last batch that were not told yet: the turn's time was over. */
  get untoldCount(): number {
    return this.#batchCount - this.#batchIndex;
  }

  /** The number of deadlines that are set. */
  get timerCount(): number {
    return this.#wheel.count;
  }

  /**
   * Begins to watch. The token it returns is what the other methods want.
   *
   * @throws {SystemError} The kernel refuses the descriptor.
   */
  add(watcher: Watcher, interest: number): number {
    const slot = this.#freeSlots.pop() ?? this.#watchers.length;
    const generation = this.#generations[slot] ?? 0;
    const token = generation << SLOT_BITS | slot;
    this.#watchers[slot] = watcher;
    this.#generations[slot] = generation;
    try {
      this.#control(CTL_ADD, watcher.fd, token, interest);
    } catch (error) {
      this.#forget(slot);
      throw error;
    }
    this.#watcherCount += 1;
    try {
      this.ref();
    } catch (error) {
      this.remove(token, watcher.fd); // without a waker nobody would hear of it
      throw error;
    }
    return token;
  }

  /** Whether a descriptor could be added: 0, or `-errno`, which is `-EEXIST` if it is watched. */
  probe(fd: number): number {
    const code = native.epollCtl(this.#epoll, CTL_ADD, fd, 0, Interest.NONE);
    if (code >= 0) native.epollCtl(this.#epoll, CTL_DELETE, fd, 0, Interest.NONE);
    return code;
  }

  /** Changes what is of interest. */
  modify(token: number, fd: number, interest: number): void {
    this.#control(CTL_MODIFY, fd, token, interest);
  }

  /** Tells another watcher of the same descriptor from now on. */
  replace(token: number, watcher: Watcher): void {
    this.#watchers[token & SLOT_MASK] = watcher;
  }

  /**
   * Stops watching, before the descriptor is closed. Events that were seen already are not
   * delivered.
   */
  remove(token: number, fd: number): void {
    // It fails only for what is not watched any more: a descriptor that somebody else has closed.
    native.epollCtl(this.#epoll, CTL_DELETE, fd, token >>> 0, Interest.NONE);
    this.#forget(token & SLOT_MASK);
    this.#watcherCount -= 1;
    this.unref();
  }

  /** One of the watched keeps the process alive (again), as each does that is added. */
  ref(): void {
    if (++this.#refCount > 1) return;
    this.pace.begin();
    this.#hasWaker = true;
  }

  /** One of the watched does not keep the process alive; `ref` comes before its removal. */
  unref(): void {
    if (--this.#refCount === 0) this.pace.end();
  }

  addRuntime(loop: number): boolean {
    this.#runtime = loop;
    // Refused where sets would watch each other in a circle (ELOOP), or it was closed meanwhile.
    return native.epollCtl(this.#epoll, CTL_ADD, loop, RUNTIME_TOKEN, Interest.READ) >= 0;
  }

  wantRuntime(on: boolean): void {
    // It fails where the runtime has closed its loop: the thread is about to end.
    const interest = on ? Interest.READ : Interest.NONE;
    native.epollCtl(this.#epoll, CTL_MODIFY, this.#runtime, RUNTIME_TOKEN, interest);
  }

  #control(operation: number, fd: number, token: number, interest: number): void {
    const code = native.epollCtl(this.#epoll, operation, fd, token >>> 0, interest >>> 0);
    if (code < 0) check("watch a descriptor", code);
  }

  #forget(slot: number): void {
    this.#watchers[slot] = null;
    this.#generations[slot] = this.#generations[slot]! + 1 & GENERATION_MASK;
    this.#freeSlots.push(slot);
  }

  /** The time in microseconds: of this batch of events, or now. */
  get clockMicros(): number {
    return this.pace.isRunning ? this.nowMicros : clock.now();
  }

  /**
   * Sets a timer, `delayMs` milliseconds from now, and up to `grainMs` later: timers of one grain
   * expire together. Set anew it forgets what it was set to.
   */
  setTimer(timer: Timer, delayMs: number, grainMs = 1): void {
    if (!this.#hasWaker) this.prepareTimers();
    const nowMs = clock.now() / 1000;
    const wheel = this.#wheel;
    if (wheel.count === 0) wheel.advance(nowMs);
    wheel.set(timer, Math.ceil((nowMs + delayMs) / grainMs) * grainMs, delayMs);
  }

  /** Takes a timer back. */
  cancelTimer(timer: Timer): void {
    this.#wheel.cancel(timer);
  }

  /** The clock is another one: what is due next is due by this one. */
  retime(): void {
    const { dueMs } = this.#wheel;
    if (dueMs < Infinity) this.#alarm(dueMs);
  }

  /**
   * Makes the waker, if there is none yet, so that timers can be counted on from now on. While nothing
   * is watched (dialling looks a name up first) nobody else has made it.
   *
   * @throws {SystemError} No descriptor or thread is left.
   */
  prepareTimers(): void {
    if (this.#hasWaker) return;
    this.pace.begin();
    this.pace.end();
    this.#hasWaker = true;
  }

  /** Lets the timer for deadlines expire then. Refused, it is asked again with each batch. */
  #alarm(dueMs: number): void {
    const micros = Math.ceil(Math.max(1, dueMs * 1000 - clock.now()));
    const code = clock.setAlarm(this.#deadline, Math.min(micros, DEADLINE_MICROS_MAX));
    if (code < 0) this.again(this.#refusedAlarm);
  }

  /** The kernel has refused the timer. Until it takes it, the clock tells of deadlines that pass. */
  #alarmAgain(): void {
    const { dueMs } = this.#wheel;
    if (dueMs * 1000 <= clock.now()) this.#onAlarm();
    else if (dueMs < Infinity) this.#alarm(dueMs);
  }

  /** Calls `onEvent(0)` with the next batch: for who must not take the whole turn. */
  again(watcher: Watcher): void {
    this.#again.add(watcher);
    this.pace.wake();
  }

  /**
   * Tells a watcher of what the runtime has told us, outside of a turn. Whatever fails is caught.
   */
  tell(watcher: Watcher, events: number): void {
    this.nowMicros = clock.now();
    this.#tell(watcher, events);
  }

  /** Calls `onEvent(0)` of a registration's watcher with the next batch. */
  remind(token: number): void {
    this.again(this.#watchers[token & SLOT_MASK]!);
  }

  /** Calls `sendJoined` when the handlers of this batch have done what they could. */
  addJoined(one: Joined): void {
    this.#joined.push(one);
  }

  sendJoined(): boolean {
    if (this.#joined.length === 0) return false;
    const joined = this.#joined;
    this.#joined = [];
    let wasAwaited = false;
    for (const one of joined) {
      try {
        wasAwaited = one.sendJoined() || wasAwaited;
      } catch (error) {
        this.#giveUp(one, error);
      }
    }
    return wasAwaited;
  }

  /**
   * Waits for events, and tells the watchers, until `deadline` (microseconds) has passed. How many
   * events there were. What was not told when the time ran out is told by the next call.
   */
  poll(micros: number, deadline: number): number {
    turn.begin(deadline, this.nowMicros);
    const isDue = this.#isDue;
    if (isDue) {
      micros = 0;
      if (this.#waitsLeft <= 0 && this.untoldCount === 0) return this.#expire();
    }
    let told = 0;
    if (this.#again.size > 0) {
      told = this.#tellAgain();
      turn.spoilStep();
      micros = 0;
    }
    if (this.untoldCount === 0) told += this.#wait(micros);
    told += this.#dispatchBatch();
    this.counts.told += told;
    return isDue && told === 0 ? this.#expire() : told;
  }

  /** Tells those who asked for it before this batch, as far as the time goes. How many. */
  #tellAgain(): number {
    let told = 0;
    const { size } = this.#again; // without those that ask for it again meanwhile
    for (const watcher of this.#again) {
      this.#again.delete(watcher);
      this.#tell(watcher, 0);
      if (++told === size || turn.step()) break;
    }
    return told;
  }

  /** Takes a batch of events. How many completions there were, which are told at once. */
  #wait(micros: number): number {
    this.#batchIndex = 0;
    this.#batchCount = 0;
    const count = native.epollWait(this.#epoll, this.#events, EVENTS_PER_WAIT_MAX, micros);
    this.counts.waits += 1;
    this.#waitsLeft -= 1;
    if (count < 0) check("wait for events", count);
    this.#batchCount = count & EVENTS_MASK;
    // A wait that does not block takes hardly longer than a look at the clock.
    this.batchMicros = watching.isOn && micros !== 0 ? turn.beginStep() : this.nowMicros;
    return count > EVENTS_MASK ? this.#complete(count >>> 16) : 0;
  }

  #dispatchBatch(): number {
    const events = this.#events;
    let told = 0;
    while (this.#batchIndex < this.#batchCount) {
      const at = 2 * this.#batchIndex++;
      const token = events[at]!;
      if (token === TICK_TOKEN) this.pace.onTimer();
      else if (token === RUNTIME_TOKEN) this.pace.onRuntimeReady();
      else if (token === DEADLINE_TOKEN) told += this.#onAlarm();
      else told += this.#dispatch(token, events[at + 1]!);
      if (turn.step()) break;
    }
    this.counts.events += told;
    return told;
  }

  /**
   * Tells of zero-copy completions, all of them before any event: an event may end what they belong
   * to.
   */
  #complete(count: number): number {
    const words = this.#events;
    for (let i = 0; i < count; i++) {
      const at = COMPLETIONS_AT + COMPLETION_WORDS * i;
      const watcher = this.#watcherOf(words[at]!);
      try {
        watcher?.onCompletion?.(words[at + 1]!, words[at + 2]!, words[at + 3] !== 0);
      } catch (error) {
        this.#giveUp(watcher!, error);
      }
    }
    return count;
  }

  #watcherOf(token: number): Watcher | null {
    const slot = token & SLOT_MASK;
    const isCurrent = this.#generations[slot] === token >>> SLOT_BITS;
    return isCurrent ? this.#watchers[slot]! : null;
  }

  /**
   * A deadline has passed. What came in time may still be with the kernel, behind this event, or in
   * answer to what is told before it: so the next batches are told first, until one is empty. Where
   * something always comes, every descriptor has had its turn after as many waits as hold them all.
   */
  #onAlarm(): number {
    if (!this.#isDue) {
      this.#isDue = true;
      this.#waitsLeft = DUE_ROUNDS * Math.ceil((this.#watcherCount + 2) / EVENTS_PER_WAIT_MAX);
    }
    return 1;
  }

  /** Judges the deadlines that have passed. */
  #expire(): number {
    const wheel = this.#wheel;
    this.#isDue = false;
    this.counts.expiries += 1;
    try {
      wheel.advance(clock.now() / 1000);
    } catch (error) {
      report(error); // a bug of that timer's owner; it is not set any more
    }
    // A timerfd that nobody reads expires once: each time it is set anew, for later or for what is
    // left.
    if (wheel.dueMs < Infinity) this.#alarm(wheel.dueMs);
    return 1;
  }

  #dispatch(token: number, events: number): number {
    const slot = token & SLOT_MASK;
    const watcher = this.#watchers[slot];
    if (watcher == null || this.#generations[slot] !== token >>> SLOT_BITS) return 0;
    this.#tell(watcher, events);
    return 1;
  }

  #tell(watcher: Watcher, events: number): void {
    try {
      watcher.onEvent(events);
    } catch (error) {
      this.#giveUp(watcher, error);
    }
  }

  /** Whatever else fails on the way, the others are told what happened to theirs. */
  #giveUp(watcher: Pick<Watcher, "onFailure">, error: unknown): void {
    report(error);
    try {
      watcher.onFailure(error);
    } catch (second) {
      report(second);
    }
  }

  /** Ends its thread and closes its descriptors. Whoever was watched is told nothing more. */
  close(): void {
    this.sendJoined();
    this.#watchers.fill(null);
    this.#batchIndex = this.#batchCount;
    this.#again.clear();
    this.pace.close();
    native.close(this.#deadline);
    native.close(this.#epoll);
  }
}
