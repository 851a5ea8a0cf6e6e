/**
 * Workers that are terminated under load, each with a server of its own: the next one takes the same
 * port at once, and nothing of the former is left.
 */
import { AssertionError } from "@std/assert";
import { start } from "../support/child.ts";
import type { Random } from "../support/random.ts";
import { FlushedFile } from "./flushed.ts";
import { connectMany } from "./load.ts";
import { FLUSHED, STREAM_FILE } from "./party.ts";
import { assertArrived, assertFree, assertNoCrash, inTime, type Place, underLoad } from "./ways.ts";

const CLIENTS = 7;
/** Terminated one after the other by one process. */
const WORKERS = 4;
/** The first Worker of a runtime leaves what it keeps for the next: its threads, its pipes. */
const WARM_UP = 1;

/** Runs a process whose Workers are terminated, one after the other. How connections ended. */
export async function terminateWorkers(
  { folder, streamPath }: Place,
  random: Random,
): Promise<Record<string, number>> {
  const path = `${folder}/flushed-${random.seed}`;
  using flushed = new FlushedFile(path);
  const env = { [FLUSHED]: path, [STREAM_FILE]: streamPath };
  const program = start("tests/exits/worker_program.ts", { env, timeoutMs: 90_000 });
  const all: Record<string, number> = {};
  const descriptors: number[] = [];
  try {
    const port = Number((await program.find(/port (\d+)\n/))[1]);
    for (let n = 0; n < WORKERS; n++) {
      await program.find(/serves\n/);
      const clients = connectMany(`127.0.0.1:${port}`, CLIENTS, random, n * CLIENTS);
      await underLoad(clients, random);
      program.signal("SIGHUP");
      descriptors.push(Number((await program.find(/held (\d+)\n/))[1]));
      const ends = await assertArrived(clients, flushed, false);
      for (const [end, count] of Object.entries(ends)) {
        all[`worker ${end}`] = (all[`worker ${end}`] ?? 0) + count;
      }
    }
    program.signal("SIGTERM");
    const ended = await inTime(program.ended, "the end");
    assertNoCrash(ended);
    assertFree(port);
  } finally {
    await program.stop();
  }
  const kept = descriptors[WARM_UP - 1]!;
  if (descriptors.slice(WARM_UP).some((count) => count > kept)) {
    throw new AssertionError(`Workers leave descriptors behind: ${descriptors}`);
  }
  return all;
}
