/**
 * One run of bench/native/load.c, and what it found.
 */
import { type Command, projectPath, run, startHeld } from "./child.ts";
import type { Scenario } from "./scenarios.ts";

/** The output of load.c; times in microseconds. */
export interface LoadResult {
  readonly messages: number;
  readonly messages_per_s: number;
  readonly p50_us: number;
  readonly p90_us?: number;
  readonly p99_us: number;
  readonly p999_us: number;
  readonly p9999_us?: number;
  readonly max_us: number;
  /** Messages of an open loop that were due when their connection could not take them. */
  readonly dropped: number;
  readonly server_us_per_message: number;
  readonly server_user_us_per_message: number;
  readonly server_system_us_per_message: number;
  readonly server_cpu_percent: number;
  readonly client_cpu_percent: number;
  /** Resident memory of the server before it had a connection of this run. */
  readonly server_rss_bytes_begin?: number;
  /** Resident memory at the end of measuring. */
  readonly server_rss_bytes_end?: number;
  /** The most resident memory that it ever had. */
  readonly server_rss_bytes_peak?: number;
}

/** The length of a run, and its CPU. */
export interface LoadOptions {
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly cpu?: number;
  /** Messages a second of an open loop; a closed one when left out. */
  readonly rate?: number;
}

/** The arguments of load.c. */
export function loadArguments(
  server: { readonly pid: number; readonly port: number },
  scenario: Scenario,
  { seconds, warmupSeconds, rate }: LoadOptions,
): string[] {
  const stretch = scenario.stretch ?? 1;
  const settings: Record<string, number | undefined> = {
    p: server.port,
    S: server.pid,
    c: scenario.connections,
    s: scenario.messageBytes,
    d: scenario.depth,
    n: scenario.churn,
    I: scenario.idle,
    W: scenario.slow,
    B: scenario.receivers,
    t: seconds * stretch,
    w: warmupSeconds * stretch,
    r: rate,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const framed = (scenario.mode ?? "echo") === "echo" ? [] : ["-f"];
  return [...framed, ...given.flatMap(([letter, value]) => [`-${letter}`, String(value)])];
}

/** The command that starts load.c. */
export function loadCommand(
  server: { readonly pid: number; readonly port: number },
  scenario: Scenario,
  options: LoadOptions,
): Command {
  const argv = [projectPath("bench/build/load"), ...loadArguments(server, scenario, options)];
  return { argv, cpu: options.cpu };
}

/** Loads a server and verifies every byte that comes back. */
export async function load(
  server: { readonly pid: number; readonly port: number },
  scenario: Scenario,
  options: LoadOptions,
): Promise<LoadResult> {
  return JSON.parse(await run(loadCommand(server, scenario, options)));
}

/** Connections that do nothing after one message each. */
export interface Held {
  readonly connections: number;
  /** The number of them that wait amid a second message. */
  readonly busy?: number;
  readonly messageBytes: number;
}

/** Opens connections, and keeps them until `finish` is called. */
export function hold(
  port: number,
  { connections, busy = 0, messageBytes }: Held,
): ReturnType<typeof startHeld> {
  const shape = ["-p", port, "-I", connections, "-H", busy, "-s", messageBytes];
  return startHeld({ argv: [projectPath("bench/build/load"), ...shape.map(String)] });
}

/** The figures of wrk. */
export interface HttpResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A time as wrk prints it, in milliseconds. */
function milliseconds(text: string | undefined): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s)$/.exec(text ?? "") ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"] ?? NaN);
}

/** Loads an HTTP server by wrk, over connections that are kept, for a whole number of seconds. */
export async function loadHttp(
  port: number,
  { connections = 1, seconds, cpu }: { connections?: number; seconds: number; cpu?: number },
): Promise<HttpResult> {
  const shape = ["-t1", `-c${connections}`, `-d${Math.max(1, Math.round(seconds))}s`, "--latency"];
  const printed = await run({ argv: ["wrk", ...shape, `http://127.0.0.1:${port}/`], cpu });
  const find = (pattern: RegExp) => pattern.exec(printed)?.[1];
  const requests = Number(find(/(\d+) requests in /));
  if (/Socket errors|Non-2xx/.test(printed) || !(requests > 0)) {
    throw new Error(`wrk found something wrong:\n${printed}`);
  }
  return {
    requests,
    requestsPerSecond: Number(find(/Requests\/sec: +([\d.]+)/)),
    p50Ms: milliseconds(find(/50%\s+(\S+)/)),
    p99Ms: milliseconds(find(/99%\s+(\S+)/)),
  };
}

/** The CPU that a process has spent so far, in microseconds. */
export async function cpuMicros({ pid }: { readonly pid: number }): Promise<number> {
  return Number(await run({ argv: [projectPath("bench/build/cpu"), `${pid}`] })) / 1000;
}
