/**
 * A server that is started again and again, each time taking over from the one before.
 */
import process from "node:process";
import { type Program, start } from "../support/child.ts";
import { type Counts, Load } from "./load.ts";

/** What a run does. */
export interface Plan {
  /** The program, which gets an address and the path where old and new meet. */
  readonly file: string;
  readonly times: number;
  readonly shortCount: number;
  readonly keptCount: number;
}

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
async function startOne(file: string, port: number, path: string): Promise<[Program, number]> {
  const program = start(file, { args: [`127.0.0.1:${port}`, path], timeoutMs: 600_000 });
  const [, found] = await program.find(/port: (\d+)/);
  return [program, Number(found)];
}

/** Restarts it so many times under load. */
export async function restarts({ file, times, shortCount, keptCount }: Plan): Promise<Outcome> {
  const path = `@netpoll-restarts-${process.pid}-${++number}`;
  let [serving, port] = await startOne(file, 0, path);
  const load = new Load(port, { shortCount, keptCount });
  const old: Program[] = [];
  const begin = performance.now();
  try {
    for (let n = 0; n < times; n++) {
      old.push(serving);
      [serving] = await startOne(file, port, path);
    }
    const statuses = await Promise.all(old.map(async ({ ended }) => (await ended).code));
    const counts = await load.stop();
    const seconds = (performance.now() - begin) / 1000;
    return { counts, servers: load.servers.size, statuses, errors: [...load.errors], seconds };
  } finally {
    await load.stop();
    for (const program of [...old, serving]) await program.stop("SIGKILL");
  }
}
