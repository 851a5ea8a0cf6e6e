/**
 * Many schedules, one after the other. They run within macrotasks of the real runtime, because only
 * there can microtasks be drained.
 */
import process from "node:process";
import { setImmediate } from "node:timers";
import { copyLibrary, type Library, type Patch } from "./copy.ts";
import type { Violation } from "./machine.ts";
import { schedule } from "./schedule.ts";

/** As much as a macrotask takes, about, so that a signal gets through. */
const TASK_MS = 50;

/** A schedule in which something was wrong. */
export interface Finding {
  readonly seed: number;
  readonly violation: Violation;
}

/** The schedules to run. */
export interface Plan {
  /** The seed of the first; the next ones count on from there. */
  readonly seed: number;
  /** How many, at most. */
  readonly count: number;
  /** Until when, in milliseconds of `performance.now()`. */
  readonly endMs: number;
  /** How many findings are enough. */
  readonly findingsMax: number;
  /** Told of each finding. */
  readonly onFinding?: (finding: Finding) => void;
  /** Told now and then how many have run. */
  readonly onProgress?: (count: number) => void;
}

/** The result of many schedules. */
export interface Result {
  /** How many have run. */
  readonly count: number;
  readonly findings: readonly Finding[];
  /** The simulated time, in seconds. */
  readonly seconds: number;
}

/** How to repeat a schedule. */
export function again(seed: number): string {
  return `make simulate OPTIONS="--seed 0x${seed.toString(16)} --trace"`;
}

/** Runs something in a macrotask of its own. */
function inTask<T>(run: () => T): Promise<T> {
  return new Promise((resolve, reject) =>
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    })
  );
}

/**
 * Takes away what listens for the end of the process but those that did before: the poller of each
 * schedule does, and would be kept with all of its memory until then.
 */
function forgetPollers(before: readonly NodeJS.ExitListener[]): void {
  process.removeAllListeners("exit");
  for (const listener of before) process.once("exit", listener);
}

/** Runs schedules over a copy of the library, with changes if there are any. */
export async function simulate(plan: Plan, patches: readonly Patch[] = []): Promise<Result> {
  let library = await copyLibrary(patches);
  const listeners = process.listeners("exit");
  const findings: Finding[] = [];
  let [count, micros] = [0, 0];
  const isOver = () =>
    count >= plan.count || findings.length >= plan.findingsMax || performance.now() >= plan.endMs;
  while (!isOver()) {
    const before = findings.length;
    await inTask(() => {
      const taskEnd = performance.now() + TASK_MS;
      while (!isOver() && findings.length === before && performance.now() < taskEnd) {
        micros += runOne(library, plan.seed + count >>> 0, findings);
        count += 1;
      }
    });
    forgetPollers(listeners);
    if (findings.length > before) {
      plan.onFinding?.(findings.at(-1)!);
      library = await copyLibrary(patches); // what it has left undone would disturb the next
    }
    plan.onProgress?.(count);
  }
  return { count, findings, seconds: micros / 1e6 };
}

function runOne(library: Library, seed: number, findings: Finding[]): number {
  const { violation, micros } = schedule(library, seed);
  if (violation !== null) findings.push({ seed, violation });
  return micros;
}
