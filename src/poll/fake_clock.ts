/**
 * A clock for tests: time passes when a test says so, and only then.
 */
import { showAs } from "../core/inspect.ts";
import { setImmediate } from "node:timers";
import { native } from "../../ffi/load.ts";
import { clock } from "./clock.ts";
import { threadPoller } from "./thread_poller.ts";

/** So many rounds of the runtime without an event: whoever was told something has gone on. */
const QUIET_TICKS = 5;
const MICROS_PER_MS = 1000;

let current: FakeClock | null = null;

/** The fake clock of this thread, if it has one. */
export function fakeClockIfAny(): FakeClock | null {
  return current;
}

/**
 * The clock of this thread, in a test's hands: from its making until it is disposed of, no deadline
 * of this library passes unless `advance` lets it. That holds for every connection of the thread, for
 * `dial`, servers and multiplexers; timers of the runtime (`setTimeout`) have their own time. Time
 * that passed stays passed: afterwards the clock goes on from where the test has left it.
 *
 * @example A deadline, without waiting for it
 * ```ts
 * import { TimeoutError } from "@netpoll/netpoll";
 * import { FakeClock, memoryPair } from "@netpoll/netpoll/testing";
 *
 * using clock = new FakeClock();
 * const [a, b] = memoryPair({ first: { readTimeoutMs: 60_000 } });
 * const late = a.reader.wait(1).catch((error) => error);
 * await clock.advance(60_000);
 * console.log(await late instanceof TimeoutError); // true
 * await a.close();
 * await b.close();
 * ```
 */
export class FakeClock implements Disposable {
  readonly #before = { ...clock };
  #micros: number;
  /** The timerfd for deadlines, and when it expires. */
  #alarm = -1;
  #dueMicros = Infinity;
  /** The number of times that deadlines had been judged when the timer last expired. */
  #expiriesBefore = -1;
  #isOver = false;

  /**
   * Takes the place of the thread's clock, and stands still.
   *
   * @throws {TypeError} Another one has its place.
   * @throws {SystemError} No descriptor or memory is left for a poller.
   */
  constructor() {
    if (current !== null) {
      throw new TypeError("Cannot use a second FakeClock: dispose of the first one before");
    }
    const poller = threadPoller();
    // Deadlines are due at whole milliseconds: one of 100 ms shall pass with 100 ms.
    this.#micros = Math.ceil(clock.now() / MICROS_PER_MS) * MICROS_PER_MS;
    current = this;
    clock.now = () => this.#micros;
    clock.setAlarm = (fd, micros) => this.#setAlarm(fd, micros);
    clock.stands = true;
    poller.retime();
  }

  /** The milliseconds that have passed on it since some moment in the past. */
  get nowMs(): number {
    return this.#micros / MICROS_PER_MS;
  }

  #setAlarm(fd: number, micros: number): number {
    this.#alarm = fd;
    this.#dueMicros = this.#micros + Math.max(1, micros);
    return native.timerfdSet(fd, 0);
  }

  /**
   * Lets so many milliseconds pass. Whatever is due on the way happens at its time, in the order of
   * time; when the promise resolves, whoever was told of it has gone on.
   *
   * @throws {RangeError} It is no number of milliseconds, or below 0.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Infinity)) {
      throw new RangeError(`Cannot advance a clock by ${ms}: it is a number of milliseconds`);
    }
    if (this.#isOver) throw new TypeError("Cannot advance a clock that was disposed of");
    const end = this.#micros + ms * MICROS_PER_MS;
    await this.#settled();
    while (this.#dueMicros <= end) {
      this.#micros = Math.max(this.#micros, this.#dueMicros);
      this.#ring();
      await this.#settled();
    }
    this.#micros = end;
    await this.#settled();
  }

  /**
   * Lets time pass until a deadline may be due: the next one, or a moment before it. Then what
   * follows from that has happened, as with `advance`. False, at once, where no deadline is set.
   */
  async advanceToNext(): Promise<boolean> {
    if (this.#isOver) throw new TypeError("Cannot advance a clock that was disposed of");
    if (this.#dueMicros === Infinity) return false;
    await this.advance(Math.max(0, this.#dueMicros - this.#micros) / MICROS_PER_MS);
    return true;
  }

  /** The timer expires, for every thread that polls. */
  #ring(): void {
    this.#dueMicros = Infinity;
    this.#expiriesBefore = threadPoller().counts.expiries;
    native.timerfdSet(this.#alarm, 1);
  }

  /**
   * The deadlines that are due were judged, everything that was under way was told, and those who
   * were told have gone on.
   */
  async #settled(): Promise<void> {
    const poller = threadPoller();
    const { counts } = poller;
    let seen = -1;
    const isOver = () => counts.expiries > this.#expiriesBefore && poller.againCount === 0;
    while (!isOver() || seen !== counts.told) {
      seen = counts.told;
      for (let i = 0; i < QUIET_TICKS; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Gives the thread its clock back. It goes on from where this one stands. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    current = null;
    const { now, setAlarm, stands } = this.#before;
    const aheadMicros = Math.max(0, this.#micros - now());
    clock.now = aheadMicros === 0 ? now : () => now() + aheadMicros;
    clock.setAlarm = setAlarm;
    clock.stands = stands;
    if (this.#dueMicros < Infinity) threadPoller().retime();
  }
}

showAs(FakeClock.prototype, "FakeClock", ["nowMs"]);
