/**
 * What a server holds, looked at from outside and, with bench/peers/probe.mjs in it, from inside.
 */
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type Candidate, withProbe } from "./candidates.ts";
import { ask, hold, projectPath, run, type Server, startServer } from "./child.ts";

/**
 * How long a server is left alone before it is looked at: its own timers and collections have run
 * then.
 */
const SETTLE_MS = 500;

/**
 * How long connections come and go first, ten at a time: what a program allocates once, it has
 * allocated then. V8 lets its young generation grow to 16 MiB and more before it collects; without
 * this, that counts as memory of the first 10 000 connections, 1 to 2 KB each.
 */
const WARMUP_SECONDS = 2;
const WARMUP_CONNECTIONS = 10;

/** What a server is seen to hold from outside. */
export interface Footprint {
  /** Threads of its process. */
  readonly threads: number;
  /** Memory resident, garbage included. */
  readonly residentBytes: number;
}

/** What it holds after a full collection. */
export interface Holdings {
  /** Promises alive. */
  readonly promises: number;
  /** Bytes of buffers that the program and its runtime keep. */
  readonly bufferBytes: number;
}

/** A server before and with its connections. */
export interface Weighed<T> {
  readonly before: T;
  readonly after: T;
}

/** What connections are opened to a server. */
export interface Population {
  readonly connections: number;
  /** How many of them wait for the rest of a message. */
  readonly busy: number;
  readonly messageBytes: number;
  /**
   * Whether short connections come and go first. Without, the growth of an engine's heap counts as
   * memory of the connections; with, what it has grown by then is not seen when they fill it.
   */
  readonly isWarmedUp: boolean;
}

/** A number of /proc/PID/status (proc(5)). */
export function status(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(text)![1]);
}

async function look({ pid }: Server): Promise<Footprint> {
  await setTimeout(SETTLE_MS);
  return { threads: status(pid, "Threads"), residentBytes: status(pid, "VmRSS") * 1024 };
}

async function probe(server: Server): Promise<Holdings> {
  await setTimeout(SETTLE_MS);
  return ask(server);
}

async function compare<T>(
  argv: readonly string[],
  { connections, busy, messageBytes, isWarmedUp }: Population,
  look: (server: Server) => Promise<T>,
): Promise<Weighed<T>> {
  const server = await startServer({ argv });
  const open = (count: number, busyCount: number) => {
    const settings = { p: server.port, c: count, b: busyCount, s: messageBytes };
    const options = Object.entries(settings).flatMap((
      [letter, value],
    ) => [`-${letter}`, `${value}`]);
    return hold({ argv: [projectPath("bench/build/hold"), ...options] });
  };
  try {
    if (isWarmedUp) await churn(server.port, messageBytes);
    else await (await open(WARMUP_CONNECTIONS, 0)).finish();
    const before = await look(server);
    const held = await open(connections, busy);
    const after = await look(server);
    await held.finish();
    return { before, after };
  } finally {
    await server.stop();
  }
}

/** Short connections, each with one message. */
async function churn(port: number, messageBytes: number): Promise<void> {
  const options = ["-p", port, "-c", WARMUP_CONNECTIONS, "-n", 1, "-s", messageBytes];
  const times = ["-t", WARMUP_SECONDS, "-w", 0];
  await run({
    argv: [projectPath("bench/build/load"), ...options.map(String), ...times.map(String)],
  });
}

/** What a server's process grows by. */
export function weigh(candidate: Candidate, all: Population): Promise<Weighed<Footprint>> {
  return compare(candidate.argv(all.messageBytes), all, look);
}

/**
 * What a server holds, garbage collected. In a process of its own: the collection and the walk
 * through the heap change how much memory is resident afterwards. Null for C, which has no heap to
 * ask.
 */
export function examine(candidate: Candidate, all: Population): Promise<Weighed<Holdings> | null> {
  if (candidate.runtime === null) return Promise.resolve(null);
  return compare(withProbe(candidate, candidate.argv(all.messageBytes)), all, probe);
}
