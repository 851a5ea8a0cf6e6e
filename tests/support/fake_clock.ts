/**
 * A clock for tests of deadlines: time passes when a test says so, and only then.
 */
import { native } from "../../ffi/load.ts";
import { type Clock, clock } from "../../src/poll/clock.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { ticks, until } from "./until.ts";

/** The clock that {@linkcode withFakeClock} puts in place of the poller's. */
export class FakeClock implements Omit<Clock, "stands"> {
  /** The microseconds that each look takes: for tests of bounds in time. */
  microsPerLook = 0;
  #micros: number;
  /** The timerfd for deadlines, and when it expires. */
  #alarm = -1;
  #dueMicros = Infinity;
  /** The number of times that the poller had looked at its deadlines when the timer last expired. */
  #expiriesBefore = -1;

  /** A clock that stands. */
  constructor(micros: number) {
    this.#micros = micros;
  }

  /** The time, in microseconds. */
  now(): number {
    return this.#micros += this.microsPerLook;
  }

  /** The function with which the poller sets its timer. */
  setAlarm(fd: number, micros: number): number {
    this.#alarm = fd;
    this.#dueMicros = this.#micros + Math.max(1, micros);
    return native.timerfdSet(fd, 0);
  }

  /**
   * Lets so many milliseconds pass while the thread is free: whatever is due on the way expires at
   * its time, and has been told when this is over.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#micros + 1000 * ms;
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
   * Lets so many milliseconds pass while the thread is busy: nothing of ours has run when this is
   * over.
   */
  block(ms: number): void {
    this.#micros += 1000 * ms;
    if (this.#dueMicros <= this.#micros) this.#ring();
  }

  /** Takes the poller's timer over: from now on it expires by this clock. */
  async takeOver(): Promise<void> {
    threadPoller().setTimer(new Timer({ onTimer() {} }), 0);
    await until(() => this.#alarm >= 0, "the poller sets its timer by this clock");
    await this.advance(2);
  }

  /** Gives the timer back to another clock, which shows the same time. */
  handBack(to: Clock): void {
    if (this.#dueMicros < Infinity) {
      to.setAlarm(this.#alarm, Math.ceil(Math.max(1, this.#dueMicros - this.#micros)));
    }
  }

  /** The timer expires, for every thread that polls. */
  #ring(): void {
    this.#dueMicros = Infinity;
    this.#expiriesBefore = threadPoller().counts.expiries;
    native.timerfdSet(this.#alarm, 1);
  }

  /**
   * The deadlines that are due were judged, everything that the kernel held was told, and those who
   * were told have gone on.
   */
  async #settled(): Promise<void> {
    const { counts } = threadPoller();
    await until(() => counts.expiries > this.#expiriesBefore, "the poller judges its deadlines");
    for (let before = -1; before !== counts.events;) {
      before = counts.events;
      await ticks(SETTLED_TICKS);
    }
  }
}

/** A turn of ours comes at the latest after so many of the runtime's, also in Deno. */
const SETTLED_TICKS = 5;

/**
 * Runs a test by a clock of its own. Time that passed there stays passed: the clock behind it goes
 * on from where the test left it.
 */
export async function withFakeClock<T>(run: (fake: FakeClock) => T | Promise<T>): Promise<T> {
  const { now, setAlarm } = clock;
  const fake = new FakeClock(now());
  clock.now = () => fake.now();
  clock.setAlarm = (fd, micros) => fake.setAlarm(fd, micros);
  try {
    await fake.takeOver();
    return await run(fake);
  } finally {
    const aheadMicros = Math.max(0, fake.now() - now());
    clock.now = () => now() + aheadMicros;
    clock.setAlarm = setAlarm;
    fake.handBack(clock);
  }
}
