/**
 * Settings for the whole thread. A program sets them once, before it begins.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { checkFunction, checkNumber, checkOptions, type Known } from "./options.ts";

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
   * The receiver of one line when something went wrong and nobody was there to be told: a handler that
   * failed without `onError`, a process without descriptors. Standard error unless set.
   */
  log?: (line: string) => void;
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
  spinMicros: 0,
  blockMicros: 1000,
  watchRuntime: true,
};

const OPTIONS: Known<Configuration> = {
  ...config,
  debug: "boolean",
  verify: "boolean",
  watchRuntime: "boolean",
};

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
  for (const name of ["spinMicros", "blockMicros"] as const) {
    const micros = options[name];
    if (micros !== undefined) checkNumber(name, micros, 0, MICROS_MAX);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) (config as unknown as Record<string, unknown>)[name] = value;
  }
  // A line has many causes: what it is logged in is the async context of this call.
  if (options.log !== undefined) config.log = AsyncLocalStorage.bind(options.log);
}
