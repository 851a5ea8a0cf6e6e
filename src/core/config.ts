/**
 * Settings for the whole thread. A program sets them once, before it begins.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { measureLatency } from "./latency.ts";
import {
  checkFunction,
  checkNumber,
  checkOptions,
  checkTimeout,
  type Known,
  show,
} from "./options.ts";
import { callBack, ignore } from "./promises.ts";
import { watching } from "./watching.ts";

/** The weight of a log line, the heaviest first. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** The settings of {@linkcode configure}. One that is left out stays as it is. */
export interface Configuration {
  /**
   * Lend copies that `release()` takes away, fill freed memory with a pattern, and report what was
   * dropped without `close()`, and handlers that write and never flush: a view used too late then
   * fails at once instead of reading other bytes. Slow. `false` unless set.
   */
  debug?: boolean;
  /**
   * Check invariants that cost more than a comparison, after every operation. Very slow. `false`
   * unless set.
   */
  verify?: boolean;
  /**
   * The receiver of log lines, each with its level. Standard error unless set.
   */
  log?: (line: string, level: LogLevel) => void;
  /**
   * The least level of the lines that are logged. `"error"`: a program's mistake of which nobody else
   * was told, such as a handler that failed without `onError`. `"warn"`: something that needs a look,
   * such as a process without descriptors, or a slow handler. `"info"`: connections and listeners from
   * open to close, and what failed. `"debug"`: requests, handshakes and dials as well. `"warn"` unless
   * set. docs/SIGHT.md shows the lines.
   */
  logLevel?: LogLevel;
  /**
   * The time in milliseconds after which a call of a handler is slow: a line of the level `"warn"`
   * names its connection when a call took longer, and once more while an asynchronous one still runs.
   * 0, for none, unless set.
   */
  slowHandlerMs?: number;
  /**
   * Measure how long handlers take, how long bytes wait for them, and how long turns are: `latency` of
   * `metrics()`. Costs two looks at the clock a call of a handler. `false` unless set.
   */
  measure?: boolean;
  /**
   * The time in microseconds that a poller polls without sleeping before it blocks. Lowers latency on
   * machines with cores to spare, at the price of one of them. 0 unless set.
   */
  spinMicros?: number;
  /**
   * The time in microseconds that a poller may keep the thread while it waits for traffic that just
   * stopped, before it hands the thread back to the runtime for good. 1000 unless set; 0 never
   * blocks the thread.
   */
  blockMicros?: number;
  /**
   * Whether a poller watches the epoll descriptor of the runtime's event loop, and so hears when the
   * runtime has work. `true` unless set. `false`, like a system without /proc, gives the runtime the
   * thread every 0.3 ms instead. Holds for pollers that begin later.
   */
  watchRuntime?: boolean;
}

/** The settings in force. */
export const config: Required<Configuration> = {
  debug: false,
  verify: false,
  log: (line) => console.error(line),
  logLevel: "warn",
  slowHandlerMs: 0,
  measure: false,
  spinMicros: 0,
  blockMicros: 1000,
  watchRuntime: true,
};

const OPTIONS: Known<Configuration> = {
  ...config,
  debug: "boolean",
  verify: "boolean",
  measure: "boolean",
  watchRuntime: "boolean",
};

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** A second: longer, a thread would look as if it hung. */
const MICROS_MAX = 1_000_000;

/**
 * Sets what holds for the whole thread. Call it before anything else of netpoll: connections and
 * buffers that exist already may keep what held when they were made.
 *
 * @throws {RangeError} A number is out of range; nothing is changed.
 *
 * @example Find a view that is used after release()
 * ```ts
 * import { configure, LinkBuffer } from "@netpoll/netpoll";
 *
 * configure({ debug: true });
 * const buffer = new LinkBuffer();
 * buffer.writeString("hello");
 * buffer.flush();
 * const lent = buffer.next(5);
 * buffer.release();
 * console.log(lent.length); // 0: it was taken away
 * configure({ debug: false });
 * ```
 */
export function configure(options: Configuration): void {
  checkOptions("configure", options, OPTIONS);
  if (options === undefined) throw new TypeError("Cannot configure: no options were given");
  if (options.log !== undefined) checkFunction("log", options.log);
  if (options.slowHandlerMs !== undefined) checkTimeout("slowHandlerMs", options.slowHandlerMs);
  if (options.logLevel !== undefined && !LEVELS.includes(options.logLevel)) {
    throw new TypeError(
      `Cannot set logLevel to ${show(options.logLevel)}: it is ${LEVELS.map(show).join(", ")}`,
    );
  }
  for (const name of ["spinMicros", "blockMicros"] as const) {
    const micros = options[name];
    if (micros !== undefined) checkNumber(name, micros, 0, MICROS_MAX);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) (config as unknown as Record<string, unknown>)[name] = value;
  }
  // A line has many causes: what it is logged in is the async context of this call.
  const { log } = options;
  if (log !== undefined) {
    // One that fails has nowhere to say so, and shall end neither the process nor what it is told of.
    const call = (line: string, level: LogLevel) => callBack(() => log(line, level), ignore);
    config.log = AsyncLocalStorage.bind(call);
  }
  watching.want("slow", config.slowHandlerMs > 0);
  watching.want("measure", config.measure);
  measureLatency(config.measure);
  for (const follower of followers) follower();
}

/** Called after each change of the settings. */
export const followers: Set<() => void> = new Set();

/** Whether lines of a level are logged. */
export function isLogged(level: LogLevel): boolean {
  return LEVELS.indexOf(level) <= LEVELS.indexOf(config.logLevel);
}

/** Logs a line, unless its level is below what is logged. */
export function say(level: LogLevel, line: string): void {
  if (isLogged(level)) config.log(`netpoll: ${line}`, level);
}
