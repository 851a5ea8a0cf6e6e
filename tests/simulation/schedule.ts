/**
 * One schedule: a program and a world by one seed, run to its end.
 */
import type { Library } from "./copy.ts";
import { CALM } from "./descriptors.ts";
import { kernel } from "./kernel.ts";
import { machine, type Violation } from "./machine.ts";
import { RunState } from "./run_state.ts";
import { runtime } from "./runtime.ts";
import { watchers } from "./watchers.ts";
import { client, mux, pair, proxy, server, single } from "./scenarios.ts";

/** No schedule takes so many rounds of the runtime. */
const TICKS_MAX = 60_000;

const SCENARIOS = { pair, single, client, server, proxy, mux, watchers };

/** The result of a schedule. */
export interface Outcome {
  /** What was found to be wrong; null for nothing. */
  readonly violation: Violation | null;
  /** Simulated time, in microseconds. */
  readonly micros: number;
}

function prepareWorld(run: RunState): void {
  const { random } = machine;
  const sizes = [1, 10, 300, 4096, 20_000, 65_536];
  kernel.way = {
    sendBytes: random.pick(random.chance(0.5) ? sizes : [65_536]),
    receiveBytes: random.pick(random.chance(0.5) ? sizes : [65_536]),
    latencyMicros: random.pick([5, 50, 500, 5000]),
    isLocal: random.chance(0.3),
    copiedChance: random.pick([0, 0, 0.3, 1]),
  };
  kernel.isLoopKnown = random.chance(0.7);
  runtime.ticksToPollSockets = random.pick([0, 3]);
  runtime.canDrain = random.chance(0.9);
  machine.interruptions = random.pick([0, 0, 0.05, 0.3]);
  run.isCalm = random.chance(0.7);
  kernel.trouble = {
    ...CALM,
    notNow: random.pick([0, 0, 0.02, 0.2]),
    short: random.pick([0, 0, 0.1, 0.6]),
    interrupted: random.pick([0, 0, 0.1]),
    exhausted: run.isCalm ? 0 : random.pick([0.01, 0.1]),
  };
}

function listen(run: RunState, line: string): void {
  if (line.includes("stay pinned") && !run.isCalm) run.hasLostMemory = true;
  machine.trace?.(`    log: ${line}`);
  if (/Assertion|TypeError|RangeError|ReferenceError/.test(line)) {
    machine.violate(`the library logs: ${line}`);
  }
}

/** Runs a schedule. */
export function schedule(library: Library, seed: number): Outcome {
  machine.start(seed);
  kernel.reset();
  runtime.reset();
  const begin = machine.nowMicros;
  const run = new RunState(library);
  library.api.configure({ log: (line) => listen(run, line) });
  try {
    prepareWorld(run);
    const name = machine.random.pick(Object.keys(SCENARIOS) as (keyof typeof SCENARIOS)[]);
    machine.trace?.(`${name}, ${JSON.stringify({ ...kernel.way, ...kernel.trouble })}`);
    runtime.later(1, () => SCENARIOS[name](run));
    runtime.run(TICKS_MAX);
    if (machine.violation === null) run.checkEnd();
    kernel.trouble = CALM;
    library.renew();
    if (machine.violation === null) run.checkClosed();
  } catch (error) {
    machine.violate(error instanceof Error ? error.stack ?? error.message : String(error));
    kernel.trouble = CALM;
    library.renew();
  }
  return { violation: machine.violation, micros: machine.nowMicros - begin };
}
