/**
 * A program: lets scenarios run with fault after fault, and tells what failed. Its argument is a
 * {@linkcode Task}; its lines are {@linkcode Report}s.
 */
import { ftruncateSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import {
  type Calls,
  type Extent,
  type Injection,
  type Mode,
  planOf,
  possibleFaults,
} from "./plan.ts";
import { attempt, begin, callsOf } from "./trial.ts";

/** Scenarios, and which faults they meet. */
export interface Task extends Extent {
  readonly scenarios: readonly Turn[];
  /** The seconds that it may take in all; null for as long as it takes. */
  readonly seconds: number | null;
  /** Exactly these faults, in place of a plan. */
  readonly injections: readonly Injection[] | null;
  /** The file that has the {@linkcode Place} of the run that is under way, should it be the last one. */
  readonly placeFile: string;
}

/** How far a scenario has come. */
export interface Turn {
  readonly scenario: string;
  readonly mode: Mode;
  /** The next run of its plan. */
  readonly next: number;
  /** The calls that its plan is made of; null before its first run. */
  readonly calls: Calls | null;
}

/** A run: of which scenario, and what is injected. */
export interface Place extends Turn {
  readonly injections: readonly Injection[];
}

/** A line. */
export type Report =
  /** A run has failed. */
  | { readonly failed: Place; readonly why: string }
  /** A scenario has come so far. */
  | {
    readonly turn: Turn;
    readonly ms: number;
    readonly planned: number;
    readonly possible: number;
  };

/** A scenario has its turn for so long at least, where the time is shared; and tells how far it is as often. */
const SLICE_MS = 500;

const task = JSON.parse(process.argv[2]!) as Task;
const place = openSync(task.placeFile, "w");
const end = task.seconds === null ? Infinity : performance.now() + 1000 * task.seconds;

function report(line: Report): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

function isOver(): boolean {
  return performance.now() >= end;
}

/** Makes a run. */
async function make(here: Place): Promise<void> {
  ftruncateSync(place, 0);
  writeSync(place, JSON.stringify(here), 0);
  let { failure, hangs } = await attempt(here.scenario, here.injections);
  // Deno starts a thread of its own after a while: a leak of ours comes again.
  if (failure !== null && !hangs) {
    ({ failure, hangs } = await attempt(here.scenario, here.injections));
  }
  if (failure !== null) report({ failed: here, why: failure });
  if (hangs) process.exit(9);
}

/** The runs of a scenario, a slice of them after the other. */
async function* runs({ scenario, mode, next, calls }: Turn): AsyncGenerator<void> {
  await begin(scenario);
  calls ??= await callsOf(scenario);
  const plan = task.injections === null ? planOf(calls, mode, task) : [task.injections];
  const possible = possibleFaults(calls);
  let begun = performance.now();
  const tell = () => {
    const turn = { scenario, mode, next, calls };
    report({ turn, ms: performance.now() - begun, planned: plan.length, possible });
  };
  while (next < plan.length && !isOver()) {
    await make({ scenario, mode, next, calls, injections: plan[next]! });
    next += 1;
    if (performance.now() - begun < SLICE_MS) continue;
    tell();
    yield;
    begun = performance.now();
  }
  tell();
}

async function runAll(): Promise<void> {
  const waiting = task.scenarios.map((turn) => runs(turn));
  if (task.seconds === null) {
    for (const scenario of waiting) while (!(await scenario.next()).done);
  }
  while (waiting.length > 0 && !isOver()) {
    const scenario = waiting.shift()!;
    if (!(await scenario.next()).done) waiting.push(scenario);
  }
}

try {
  await runAll();
  process.exit(0);
} catch (error) {
  console.error(error);
  process.exit(1);
}
