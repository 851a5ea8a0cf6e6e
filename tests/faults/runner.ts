/**
 * A program: runs one scenario with fault after fault, and prints what failed. Its argument is a
 * {@linkcode Task}; its lines are {@linkcode Report}s.
 */
import { ftruncateSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { seededRandom } from "../support/random.ts";
import type { Call } from "../support/faults.ts";
import { effectsOf } from "./errnos.ts";
import { attempt, begin, callsOf, type Injection } from "./trial.ts";

/** A scenario, and which faults it meets. */
export interface Task {
  readonly scenario: string;
  /** Each fault in its turn, some of them, or several at once. */
  readonly mode: "each" | "some" | "several";
  readonly seed: number;
  /** How long it goes on at most. */
  readonly seconds: number;
  /** How many runs it makes at most. */
  readonly runsMax: number;
  /** Only this kind of call, this effect, this call of the kind. */
  readonly call?: string;
  readonly effect?: string;
  readonly at?: number;
  /** Runs up to this one were made. */
  readonly after: Place | null;
  /** The file that has the run that is under way, should it be the last one. */
  readonly placeFile: string;
}

/** A line: of a run that has failed, or of all at the end. */
export type Report =
  | { readonly failed: Place; readonly why: string }
  | { readonly runs: number; readonly end: true };

/** A run: its number, and what is injected. */
export interface Place {
  readonly run: number;
  readonly injections: readonly Injection[];
}

const CALLS_MAX = 200;
const SEVERAL_MAX = 4;

const task = JSON.parse(process.argv[2]!) as Task;
const place = openSync(task.placeFile, "w");
const end = performance.now() + 1000 * task.seconds;
const random = seededRandom(task.seed);
/** Of the last run. Where each fault has its turn, those before `after` are not counted again. */
let run = task.mode === "each" ? task.after?.run ?? 0 : 0;

function report(line: Report): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Whether the run is made: others have been, or are not asked for. */
function isWanted({ call, effect, at }: Injection): boolean {
  return (task.call ?? call) === call && (task.effect ?? effect) === effect &&
    (task.at ?? at) === at;
}

/** Makes a run, unless it was made. How many calls had an effect; -1 when it was made before. */
async function make(injections: readonly Injection[]): Promise<number> {
  if (run++ < (task.after?.run ?? 0)) return -1;
  const here: Place = { run, injections };
  ftruncateSync(place, 0);
  writeSync(place, JSON.stringify(here), 0);
  let { usedBy, failure, hangs } = await attempt(task.scenario, injections);
  // Deno starts a thread of its own after a while: a leak of ours comes again.
  if (failure !== null && !hangs) {
    ({ usedBy, failure, hangs } = await attempt(task.scenario, injections));
  }
  if (failure !== null) report({ failed: here, why: failure });
  if (hangs) process.exit(9);
  return usedBy.reduce((sum, each) => sum + each, 0);
}

function isOver(): boolean {
  return performance.now() >= end || run >= task.runsMax;
}

async function each(calls: ReadonlyMap<Call, number>): Promise<void> {
  let last = task.after?.injections[0];
  for (const call of calls.keys()) {
    for (const effect of effectsOf(call)) {
      if (last !== undefined && (last.call !== call || last.effect !== effect)) continue;
      const begin = last === undefined ? 0 : last.at + 1;
      last = undefined;
      for (let at = begin; at < CALLS_MAX && !isOver(); at++) {
        const injection = { call, effect, at };
        if (isWanted(injection) && await make([injection]) === 0) break;
      }
    }
  }
}

function chosen(calls: ReadonlyMap<Call, number>): Injection {
  const call = random.pick([...calls.keys()]);
  const effect = random.pick(effectsOf(call));
  return { call, effect, at: random.below(Math.min(CALLS_MAX, calls.get(call)!)) };
}

async function some(calls: ReadonlyMap<Call, number>): Promise<void> {
  while (!isOver()) {
    const injection = chosen(calls);
    if (isWanted(injection)) await make([injection]);
  }
}

async function several(calls: ReadonlyMap<Call, number>): Promise<void> {
  while (!isOver()) {
    const faults = new Map<Call, Injection>(); // one a kind: another would replace it
    for (let n = 1 + random.below(SEVERAL_MAX); n > 0; n--) {
      const one = { ...chosen(calls), count: 1 + random.below(3) };
      faults.set(one.call, one);
    }
    await make([...faults.values()]);
  }
}

await begin(task.scenario);
const all = await callsOf(task.scenario);
const calls = new Map([...all].filter(([call]) => (task.call ?? call) === call));
if (calls.size > 0) await { each, some, several }[task.mode](calls);
report({ runs: run - (task.after?.run ?? 0), end: true });
process.exit(0);
