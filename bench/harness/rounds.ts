/**
 * Interleaved rounds: whatever else the machine does meets all alike.
 */
import { type Server, startServer } from "./child.ts";
import { Progress } from "./progress.ts";

/** A measurement that is repeated. */
export interface Job<T> {
  readonly title: string;
  measure(): Promise<T>;
}

/** Measures every job once a round, each round beginning with another one. Outcomes by job. */
export async function inRounds<T>(rounds: number, jobs: readonly Job<T>[]): Promise<T[][]> {
  const found = jobs.map((): T[] => []);
  const progress = new Progress(rounds * jobs.length);
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < jobs.length; n++) {
      const i = (n + round) % jobs.length;
      progress.step(`round ${round + 1} of ${rounds}: ${jobs[i]!.title}`);
      found[i]!.push(await jobs[i]!.measure());
    }
  }
  progress.end();
  return found;
}

/** A server to start: a command, or a function that starts it. */
export type Starter = readonly string[] | (() => Promise<Server>);

/** Starts servers, and ends them whatever happens. Commands run on any CPU unless told otherwise. */
export async function withServers<T>(
  starters: readonly Starter[],
  call: (...servers: Server[]) => Promise<T>,
  cpu?: number,
): Promise<T> {
  const servers: Server[] = [];
  try {
    for (const one of starters) {
      servers.push(await (typeof one === "function" ? one() : startServer({ argv: one, cpu })));
    }
    return await call(...servers);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
