/**
 * The clock of a poller, and what wakes it when a deadline is due. Both in one place, so that a test
 * can let an hour pass at once.
 */
import { native } from "../../ffi/load.ts";

/** Time, as turns and deadlines see it. */
export interface Clock {
  /** Microseconds of a clock that never goes back. */
  now: () => number;
  /** Lets a timerfd expire in so many microseconds. 0, or `-errno`. */
  setAlarm: (fd: number, micros: number) => number;
  /** True while it stands still: then a turn, which no time ends, is one batch of events. */
  stands: boolean;
}

/** The clock of this thread. Only a {@linkcode FakeClock} takes its place. */
export const clock: Clock = { now: native.now, setAlarm: native.timerfdSet, stands: false };
