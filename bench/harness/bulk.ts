/**
 * Many bytes through a server: their cost, for numbers of connections.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { projectPath, run } from "./child.ts";
import { contest, type Entrant } from "./contest.ts";
import { number, type parse } from "./options.ts";

/** The output of bench/native/bulk.c. */
export type BulkResult = Readonly<
  Record<"bytes" | "mib_per_s" | "server_us_per_mib" | "server_cpu_percent", number>
>;

/** A bench of this kind. */
export interface BulkBench {
  /** The name of its results. */
  readonly name: string;
  readonly title: string;
  readonly about: readonly string[];
  readonly entrants: readonly Entrant[];
  /** The name of the one that all others are divided by. */
  readonly limit: string;
  /** The load, and its arguments beside those that all loads have. */
  readonly load: readonly string[];
}

/** The options of all benches of this kind. */
export const BULK_OPTIONS = {
  only: { help: "servers by name, with commas between them" },
  connections: { help: "connections, one run each, with commas between them", value: "1,4" },
  rounds: 9,
  seconds: 1,
  warmup: 0.3,
  serverCpu: true,
  loadCpu: true,
} as const;

/** The network of the bytes: own_loopback.sh names it, if it ran this. */
function describeLoopback(): string {
  const path = "/proc/sys/net/ipv4/tcp_congestion_control";
  return process.env.LOOPBACK ?? `loopback, with ${readFileSync(path, "utf8").trim()}`;
}

/** Measures, prints and keeps the results. */
export async function bulkBench(
  { load: [program, ...given], limit, about, ...bench }: BulkBench,
  options: ReturnType<typeof parse<typeof BULK_OPTIONS>>,
): Promise<void> {
  const { connections, seconds, warmup, loadCpu } = options;
  const cases = connections.split(",").map((each) => number("connections", each)).map((count) => ({
    title: `${count} connection${count === 1 ? "" : "s"}`,
    async measure({ port, pid }: { port: number; pid: number }): Promise<BulkResult> {
      const shape = { p: port, S: pid, c: count, t: seconds, w: warmup };
      const args = Object.entries(shape).flatMap(([letter, value]) => [`-${letter}`, `${value}`]);
      const argv = [projectPath(`bench/build/${program}`), ...given, ...args];
      return JSON.parse(await run({ argv, cpu: loadCpu }));
    },
  }));
  await contest({
    ...bench,
    about: [
      ...about,
      `Over ${describeLoopback()}; ${seconds} s each, load on CPU ${loadCpu}. The limit is ${limit}.`,
    ],
    bases: [["÷ limit", () => limit]],
    cases,
    figures: [
      { key: "server_us_per_mib", head: "CPU µs/MiB", decimals: 0 },
      { key: "mib_per_s", head: "MiB/s", decimals: 0 },
      { key: "server_cpu_percent", head: "CPU %", decimals: 0, isAlone: true },
    ],
  }, options);
}
