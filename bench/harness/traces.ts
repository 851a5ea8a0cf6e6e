/**
 * What a loaded server does besides answering: passes of their own, since looking slows it down.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout } from "node:timers/promises";
import { type Candidate, collectionPattern, commandOf, withTrace } from "./candidates.ts";
import { type Server, startProgram, startServer } from "./child.ts";
import { load, type LoadOptions } from "./load.ts";
import type { Scenario } from "./scenarios.ts";

/** How long strace may take to attach to all threads. */
const ATTACH_MS_MAX = 10_000;

/**
 * The system calls of a loaded server for a message, by name: those of all its threads, and so of
 * its wake-ups, and of connecting, too.
 */
export async function countCalls(
  server: Server,
  scenario: Scenario,
  options: LoadOptions,
): Promise<Record<string, number>> {
  // A file: strace opens /dev/stdout by name, which is no pipe but a socket under some runtimes.
  const folder = mkdtempSync(`${tmpdir()}/netpoll-calls-`);
  const table = ["-c", "-U", "calls,name", "-o", `${folder}/calls`];
  const argv = ["strace", "-f", ...table, "-p", String(server.pid)];
  const strace = startProgram({ argv, cpu: options.cpu });
  try {
    await traced(server.pid);
    const { messages } = await load(server, scenario, { ...options, warmupSeconds: 0 });
    await strace.interrupt();
    return callsPerMessage(readFileSync(`${folder}/calls`, "utf8"), messages);
  } finally {
    await strace.interrupt();
    rmSync(folder, { recursive: true });
  }
}

/** Waits until all threads of a process are traced. */
async function traced(pid: number): Promise<void> {
  const isTraced = (thread: string) =>
    !readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8").includes("TracerPid:\t0\n");
  const began = performance.now();
  while (!readdirSync(`/proc/${pid}/task`).every(isTraced)) {
    if (performance.now() - began > ATTACH_MS_MAX) throw new Error("strace does not attach");
    await setTimeout(20);
  }
}

/** The table of `strace -c -U calls,name`, divided by the messages. */
export function callsPerMessage(table: string, messages: number): Record<string, number> {
  const rows = [...table.matchAll(/^\s*(\d+) (\w+)$/gm)].filter(([, , name]) => name !== "total");
  return Object.fromEntries(rows.map(([, calls, name]) => [name!, Number(calls) / messages]));
}

/**
 * Garbage collections for a million messages, once a server has run for a while; null for one
 * without a collector. In a process that traces them.
 */
export async function countCollections(
  candidate: Candidate,
  scenario: Scenario,
  options: LoadOptions & { readonly serverCpu: number },
): Promise<number | null> {
  const command = withTrace(candidate, commandOf(candidate, scenario).argv);
  const pattern = collectionPattern(candidate);
  if (command === null || pattern === null) return null;
  const server = await startServer({ ...command, cpu: options.serverCpu });
  try {
    await load(server, scenario, options);
    const before = server.count(pattern);
    const { messages } = await load(server, scenario, { ...options, warmupSeconds: 0 });
    return (server.count(pattern) - before) / messages * 1e6;
  } finally {
    await server.stop();
  }
}
