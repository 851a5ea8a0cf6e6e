/**
 * The resources of a program: descriptors, threads, blocks, and handlers that are thought to wait. A test
 * that gives everything back leaves it as it was.
 */
import { readdirSync, readFileSync } from "node:fs";
import { assertEquals } from "@std/assert";
import { socketPair } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { delay, tick } from "./until.ts";

/** The resources at a moment. */
export interface Held {
  /** Open descriptors of this process. */
  descriptors: number;
  /** Threads that bear the process's own name: ours, for runtimes name theirs. */
  threads: number;
  /** Blocks that are not free. */
  blocks: number;
  /** The bytes of these. */
  blockBytes: number;
  /** Descriptors that the poller watches. */
  watched: number;
  /** Handlers that wait for something that is not ours. */
  outsideWaits: number;
}

function nameOfThread(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, "utf8");
  } catch {
    return ""; // it has ended meanwhile
  }
}

/** The number of threads of ours. */
export function threadCount(): number {
  const own = readFileSync("/proc/self/comm", "utf8");
  return readdirSync("/proc/self/task").filter((id) => nameOfThread(id) === own).length;
}

/** The number of open descriptors. */
export function descriptorCount(): number {
  return readdirSync("/proc/self/fd").length;
}

/** Counts the resources. */
export function held(): Held {
  const { usedCount, usedBytes } = blocks.counts();
  const poller = threadPoller();
  return {
    descriptors: descriptorCount(),
    threads: threadCount(),
    blocks: usedCount,
    blockBytes: usedBytes,
    watched: poller.watcherCount,
    outsideWaits: poller.pace.outsideWaits,
  };
}

let isWarm = false;

/** Makes the resources that are made once and kept: the poller, its waker's thread, its timers. */
async function warmUp(): Promise<void> {
  if (isWarm) return;
  isWarm = true;
  const [a, b] = socketPair();
  a.readTimeoutMs = 1;
  await a.reader.wait(1).catch(() => {});
  await Promise.all([a.close(), b.close()]);
  await delay(5);
}

/** Below the 5 s after which Bun gives a test up without saying why. */
const PATIENCE_MS = 3000;

/**
 * True when nothing more is held than before. Less is no leak: the runtime closes files of its own
 * meanwhile.
 */
function isBack(now: Held, before: Held): boolean {
  return (Object.keys(before) as (keyof Held)[]).every((what) => now[what] <= before[what]);
}

/** Runs something, and fails unless what it took is given back: at once, or soon after. */
export async function leaks<T>(run: () => T | Promise<T>): Promise<T> {
  await warmUp();
  const before = held();
  const result = await run();
  const end = performance.now() + PATIENCE_MS;
  for (let now = held(); performance.now() < end; now = held()) {
    if (isBack(now, before)) return result;
    await tick();
    await delay(1);
  }
  assertEquals(held(), before, "not everything was given back");
  return result;
}
