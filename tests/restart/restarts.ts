/**
 * A server that is started again and again, each time taking over from the one before.
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type Program, start } from "../support/child.ts";
import { type Counts, Load } from "./load.ts";
import { NativeLoad } from "./native_load.ts";

/** What a run does. */
export interface Plan {
  /** The program, which gets an address, the path where old and new meet, and `args`. */
  readonly file: string;
  readonly args?: readonly string[];
  readonly times: number;
  readonly shortCount: number;
  readonly keptCount: number;
  /** The time between two restarts; none unless given. */
  readonly pauseMs?: number;
  /** True when the clients are those of bench/native/churn.c. */
  readonly isNative?: boolean;
}

/** The servers that are restarted, and what they are told. */
export const SERVERS: readonly (readonly [string, ...string[]])[] = [
  ["examples/hot_restart.ts"],
  ["tests/restart/cluster_server.ts"],
  ["tests/restart/cluster_server.ts", "reuseport"],
];

/** The figures of a run. */
export interface Outcome {
  readonly counts: Counts;
  /** Processes that have answered. */
  readonly servers: number;
  /** The statuses of those that were taken over from. */
  readonly statuses: readonly (number | null)[];
  readonly errors: readonly string[];
  readonly seconds: number;
}

let number = 0;

/** Starts one, which serves as soon as this returns. */
async function startOne(plan: Plan, port: number, path: string): Promise<[Program, number]> {
  const args = [`127.0.0.1:${port}`, "--meet", path, ...plan.args ?? []];
  const program = start(plan.file, { args, timeoutMs: 600_000 });
  const [, found] = await program.find(/Listening on 127\.0\.0\.1:(\d+)/);
  return [program, Number(found)];
}

/** Restarts it so many times under load. */
export async function restarts(plan: Plan): Promise<Outcome> {
  const { times, shortCount, keptCount } = plan;
  const path = `@netpoll-restarts-${process.pid}-${++number}`;
  let [serving, port] = await startOne(plan, 0, path);
  const load = new (plan.isNative ? NativeLoad : Load)(port, { shortCount, keptCount });
  const old: Program[] = [];
  const begin = performance.now();
  try {
    for (let n = 0; n < times; n++) {
      await delay(plan.pauseMs ?? 0);
      old.push(serving);
      [serving] = await startOne(plan, port, path);
    }
    const statuses = await Promise.all(old.map(async ({ ended }) => (await ended).code));
    const counts = await load.stop();
    const seconds = (performance.now() - begin) / 1000;
    return { counts, servers: load.serverCount, statuses, errors: [...load.errors], seconds };
  } finally {
    await load.stop();
    for (const program of [...old, serving]) await program.stop("SIGKILL");
  }
}
