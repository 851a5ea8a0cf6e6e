/**
 * System calls and garbage collections of a loaded server. They are counted in passes of their own,
 * because looking slows the server down.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout } from "node:timers/promises";
import { type Candidate, commandOf, withTrace } from "./candidates.ts";
import { Program, run, type Server, startServer } from "./child.ts";
import { load, loadCommand, type LoadOptions } from "./load.ts";
import type { Scenario } from "./scenarios.ts";

/** A wait ends with an error after so long, in milliseconds. */
const READY_MS_MAX = 20_000;
/** Longer than anything that is traced; the load is ended when it was looked at. */
const LOAD_SECONDS = 600;

/**
 * The system calls of a loaded server for a message, by name: those of all its threads, and so of
 * its wake-ups too.
 */
export async function countCalls(
  server: Server,
  scenario: Scenario,
  options: LoadOptions,
): Promise<Record<string, number>> {
  // A file: strace opens /dev/stdout by name, which is no pipe but a socket under some runtimes.
  const folder = mkdtempSync(`${tmpdir()}/netpoll-calls-`);
  const counts = ["-c", "-U", "calls,name", "-o", `${folder}/calls`];
  const trace = async () => {
    const argv = ["strace", "-f", ...counts, "-p", String(server.pid)];
    const strace = new Program({ argv, cpu: options.cpu });
    await until("strace attaches", () => isTraced(server.pid));
    return strace;
  };
  const tell = scenario.churn === undefined ? messagesOfSome : messagesOfAll;
  try {
    const messages = await tell(server, scenario, options, trace);
    return callsPerMessage(readFileSync(`${folder}/calls`, "utf8"), messages);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Lets the load connect, halts it while strace comes and goes, and asks the kernel how many bytes
 * of messages the server read between. How many messages that were.
 */
async function messagesOfSome(
  server: Server,
  scenario: Scenario,
  options: LoadOptions,
  trace: () => Promise<Program>,
): Promise<number> {
  const descriptors = descriptorCount(server.pid) + connectionCount(scenario);
  const endless = { ...options, seconds: LOAD_SECONDS, warmupSeconds: 0 };
  const loader = new Program(loadCommand(server, scenario, endless));
  try {
    await until("the load connects", () => descriptorCount(server.pid) >= descriptors);
    const before = await haltedAt(loader, server.port);
    const strace = await trace();
    loader.signal("SIGCONT");
    await setTimeout(options.seconds * (scenario.stretch ?? 1) * 1000);
    const bytes = await haltedAt(loader, server.port) - before;
    await strace.stop("SIGINT");
    return bytes / wireBytes(scenario) * (scenario.receivers ?? 1);
  } finally {
    await loader.stop();
  }
}

/** Counts the messages of a load that connects for each: strace sees all of it. */
async function messagesOfAll(
  server: Server,
  scenario: Scenario,
  options: LoadOptions,
  trace: () => Promise<Program>,
): Promise<number> {
  const strace = await trace();
  // The time is long enough that messages which are cut at the end do not matter.
  const seconds = 4 * options.seconds;
  const { messages } = await load(server, scenario, { ...options, seconds, warmupSeconds: 0 });
  await strace.stop("SIGINT");
  return messages;
}

/** The number of connections of a server while it is loaded. */
function connectionCount({ connections, idle = 0, slow = 0, receivers = 0 }: Scenario): number {
  return connections + idle + slow + receivers;
}

/** The bytes of a message on the wire. */
function wireBytes({ mode = "echo", messageBytes }: Scenario): number {
  return mode === "echo" ? messageBytes : messageBytes + 4;
}

function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** True when all threads of a process are traced. */
function isTraced(pid: number): boolean {
  const status = (thread: string) => readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
  return readdirSync(`/proc/${pid}/task`).every((one) => !status(one).includes("TracerPid:\t0\n"));
}

/** A server counts as idle when so many looks in a row found the same. */
const SAME_MIN = 3;

/** Halts the load and waits until the server has read all it will: so many bytes, ever. */
async function haltedAt(loader: Program, port: number): Promise<number> {
  loader.signal("SIGSTOP");
  const looks: number[] = [];
  await until("the server reads what was sent", async () => {
    looks.push(
      readBytes(await run({ argv: ["ss", "-HOtin", "state", "all", `sport = :${port}`] })),
    );
    return looks.length >= SAME_MIN && new Set(looks.slice(-SAME_MIN)).size === 1;
  });
  return looks.at(-1)!;
}

/** Bytes that a port's connections received and the server has read, as `ss -HOti` lists them. */
export function readBytes(sockets: string): number {
  return sockets.split("\n").reduce((sum, line) => {
    const received = /\bbytes_received:(\d+)/.exec(line)?.[1] ?? "0";
    const unread = /^\S+ +(\d+)/.exec(line)?.[1] ?? "0";
    return sum + Math.max(0, Number(received) - Number(unread));
  }, 0);
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!await isSo()) {
    if (performance.now() - began > READY_MS_MAX) throw new Error(`${what}: not in time`);
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
  if (command === null) return null;
  const { pattern } = candidate.collections!;
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
