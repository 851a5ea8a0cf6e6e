/**
 * One run of bench/native/load.c, and what it found.
 */
import { projectPath, run } from "./child.ts";

/** What is asked of a server. */
export interface Scenario {
  /** What the options call it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** Connections that send. */
  readonly connections: number;
  /** Size of a message. */
  readonly messageBytes: number;
  /** Messages in flight on a connection; 1 unless given. */
  readonly depth?: number;
  /** Connect anew after so many messages. */
  readonly churn?: number;
  /** Connections beside that say nothing after one message. */
  readonly idle?: number;
}

/** What load.c prints; times in microseconds. */
export interface LoadResult {
  readonly messages: number;
  readonly messages_per_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly p999_us: number;
  readonly max_us: number;
  readonly server_us_per_message: number;
  readonly server_user_us_per_message: number;
  readonly server_system_us_per_message: number;
  readonly server_cpu_percent: number;
  readonly client_cpu_percent: number;
}

/** How long, and on which CPU. */
export interface LoadOptions {
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly cpu?: number;
  /** Messages a second of an open loop; a closed one when left out. */
  readonly rate?: number;
}

/** Loads a server and verifies every byte that comes back. */
export async function load(
  server: { readonly pid: number; readonly port: number },
  scenario: Scenario,
  { seconds, warmupSeconds, cpu, rate }: LoadOptions,
): Promise<LoadResult> {
  const settings: Record<string, number | undefined> = {
    p: server.port,
    S: server.pid,
    c: scenario.connections,
    s: scenario.messageBytes,
    d: scenario.depth,
    n: scenario.churn,
    I: scenario.idle,
    t: seconds,
    w: warmupSeconds,
    r: rate,
  };
  const argv = [projectPath("bench/build/load")];
  for (const [letter, value] of Object.entries(settings)) {
    if (value !== undefined) argv.push(`-${letter}`, String(value));
  }
  return JSON.parse(await run({ argv, cpu }));
}
