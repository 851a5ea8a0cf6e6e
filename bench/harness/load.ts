/**
 * One run of bench/native/load.c, and what it found.
 */
import { type Command, projectPath, run } from "./child.ts";
import type { Scenario } from "./scenarios.ts";

/** What load.c prints; times in microseconds. */
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
  /** The same at the end of measuring. */
  readonly server_rss_bytes_end?: number;
  /** The most it ever was. */
  readonly server_rss_bytes_peak?: number;
}

/** How long, and on which CPU. */
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

/** How load.c is started. */
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

/** The output of bench/native/http.c. */
export interface HttpResult {
  readonly requests_per_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly max_us: number;
}

/** Asks an HTTP server over one connection that is kept. */
export async function loadHttp(port: number, seconds: number, cpu?: number): Promise<HttpResult> {
  const argv = [projectPath("bench/build/http"), "-p", `${port}`, "-t", `${seconds}`];
  return JSON.parse(await run({ argv, cpu }));
}

/** The CPU that a process has spent so far, in microseconds. */
export async function cpuMicros({ pid }: { readonly pid: number }): Promise<number> {
  return Number(await run({ argv: [projectPath("bench/build/cpu"), `${pid}`] })) / 1000;
}
