/**
 * The memory of a server, from outside and, with bench/peers/probe.mjs in it, from inside.
 */
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { type Candidate, withProbe } from "./candidates.ts";
import { ask, type Server } from "./child.ts";
import { type Held, hold, load } from "./load.ts";
import { withServers } from "./rounds.ts";

/** A server is left alone so long before each look: its timers and collections have run by then. */
const SETTLE_MS = 500;

/**
 * Connections come and go so long first, ten at a time: by then a program has allocated all that it
 * allocates once. V8 lets its young generation grow to 16 MiB and more before it collects; without
 * this, that counts as memory of the first 10 000 connections, 1 to 2 KB each.
 */
const WARMUP_SECONDS = 2;
const WARMUP_CONNECTIONS = 10;

/** A server seen from outside. */
export interface Footprint {
  /** Threads of its process. */
  readonly threads: number;
  /** Memory resident, garbage included. */
  readonly residentBytes: number;
}

/** A server after a full collection. */
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

/** The connections that are opened to a server. */
export interface Population extends Held {
  /**
   * True when short connections come and go first. Without, the growth of an engine's heap counts as
   * memory of the connections; with, the growth until then is not seen when they fill it.
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

function compare<T>(
  argv: readonly string[],
  all: Population,
  look: (server: Server) => Promise<T>,
): Promise<Weighed<T>> {
  const few = { name: "", title: "", ...all, connections: WARMUP_CONNECTIONS, busy: 0 };
  return withServers([argv], async (server) => {
    if (all.isWarmedUp) {
      await load(server, { ...few, churn: 1 }, { seconds: WARMUP_SECONDS, warmupSeconds: 0 });
    } else await (await hold(server.port, few)).finish();
    const before = await look(server);
    const held = await hold(server.port, all);
    const after = await look(server);
    await held.finish();
    return { before, after };
  });
}

/** The growth of a server's process. */
export function weigh(candidate: Candidate, all: Population): Promise<Weighed<Footprint>> {
  return compare(candidate.argv(all.messageBytes), all, look);
}

/**
 * The growth of a server, garbage collected. In a process of its own: the collection and the walk
 * through the heap change how much memory is resident afterwards. Null for C, which has no heap to
 * ask.
 */
export function examine(candidate: Candidate, all: Population): Promise<Weighed<Holdings> | null> {
  if (candidate.runtime === null) return Promise.resolve(null);
  return compare(withProbe(candidate, candidate.argv(all.messageBytes)), all, probe);
}
