/**
 * Many bytes through a server: what it costs, in rounds that take the servers in turn.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { select } from "./candidates.ts";
import { projectPath, run, type Server } from "./child.ts";
import { figureAndRange, table } from "./markdown.ts";
import { number, parse } from "./options.ts";
import { Progress } from "./progress.ts";
import { describeMachine, tell } from "./report.ts";
import { median, spread } from "./statistics.ts";

/** A server that moves bytes. */
export interface Mover {
  /** What the options call it. */
  readonly name: string;
  /** What the tables call it. */
  readonly title: string;
  /** A program without which it cannot run; none when left out. */
  readonly needs?: string;
  /** Starts it, pinned to a CPU. */
  start(cpu: number): Promise<Server>;
}

/** What bench/native/bulk.c prints. */
export interface BulkResult {
  readonly bytes: number;
  readonly mib_per_s: number;
  readonly server_us_per_mib: number;
  readonly server_cpu_percent: number;
}

/** A bench of this kind. */
export interface BulkBench {
  /** The name of its results. */
  readonly name: string;
  /** Its title, and what it is about. */
  readonly title: string;
  readonly about: string;
  readonly movers: readonly Mover[];
  /** The one that all others are divided by, if it is there. */
  readonly limit: string;
  /** The arguments of the load beside those that all loads have. */
  readonly load: readonly string[];
}

/** Whether a program is installed. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const OPTIONS = {
  only: { help: "servers by name, with commas between them" },
  connections: { help: "connections, one run each, with commas between them", value: "1,4" },
  rounds: "9",
  seconds: "1",
  warmup: "0.3",
  "server-cpu": true,
  "load-cpu": true,
} as const;

/** The options of all benches of this kind. */
export type BulkOptions = Record<keyof typeof OPTIONS, string | undefined>;

/** Parses them. */
export function bulkOptions(): BulkOptions {
  return parse(OPTIONS);
}

/** Servers that run, and what was measured of them by number of connections. */
type Results = Map<Mover, BulkResult[][]>;

async function measure(
  { load }: BulkBench,
  movers: readonly Mover[],
  options: BulkOptions,
  counts: readonly number[],
): Promise<Results> {
  const servers = new Map<Mover, Server>();
  const results: Results = new Map(movers.map((mover) => [mover, counts.map(() => [])]));
  const cpu = number("load-cpu", options["load-cpu"]);
  const rounds = number("rounds", options.rounds);
  const seconds = number("seconds", options.seconds) + number("warmup", options.warmup);
  const progress = new Progress(rounds * movers.length * counts.length * seconds);
  try {
    for (const mover of movers) {
      servers.set(mover, await mover.start(number("server-cpu", options["server-cpu"])));
    }
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < movers.length; i++) {
        const mover = movers[(i + round) % movers.length]!;
        const { port, pid } = servers.get(mover)!;
        for (const [j, count] of counts.entries()) {
          const what = `${mover.title}, ${count} connections`;
          progress.step(`round ${round + 1} of ${rounds}: ${what}`, seconds);
          const times = ["-t", options.seconds!, "-w", options.warmup!];
          const argv = [...load, "-p", `${port}`, "-S", `${pid}`, "-c", `${count}`, ...times];
          results.get(mover)![j]!.push(JSON.parse(await run({ argv, cpu })));
        }
      }
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
  progress.end();
  return results;
}

/** What the bytes go over: own_loopback.sh says so, if it ran this. */
function describeLoopback(): string {
  const path = "/proc/sys/net/ipv4/tcp_congestion_control";
  return process.env.LOOPBACK ?? `loopback, with ${readFileSync(path, "utf8").trim()}`;
}

const HEADS = ["server", "CPU µs/MiB", "÷ limit", "MiB/s", "÷ limit", "CPU %"];

function section(bench: BulkBench, results: Results, count: number, j: number): string {
  const limit = [...results].find(([{ name }]) => name === bench.limit)?.[1][j];
  const ratio = (rounds: readonly BulkResult[], key: "mib_per_s" | "server_us_per_mib") => {
    if (limit === undefined) return "–";
    return figureAndRange(spread(rounds.map((round, i) => round[key] / limit[i]![key])), 2);
  };
  const rows = [...results].map(([{ title }, all]) => {
    const rounds = all[j]!;
    const middle = (key: keyof BulkResult) => median(rounds.map((round) => round[key])).toFixed(0);
    return [
      title,
      middle("server_us_per_mib"),
      ratio(rounds, "server_us_per_mib"),
      middle("mib_per_s"),
      ratio(rounds, "mib_per_s"),
      middle("server_cpu_percent"),
    ];
  });
  return `### ${count} connection${count === 1 ? "" : "s"}\n\n${table(HEADS, rows)}\n`;
}

/** Measures, prints and keeps the results. */
export async function bulkBench(bench: BulkBench, options: BulkOptions): Promise<void> {
  const counts = options.connections!.split(",").map((each) => number("connections", each));
  const chosen = select(bench.movers, options.only);
  const movers = chosen.filter(({ needs }) => needs === undefined || isInstalled(needs));
  const absent = chosen.filter((mover) => !movers.includes(mover)).map(({ title }) => title);
  const results = await measure(bench, movers, options, counts);
  const limit = movers.find(({ name }) => name === bench.limit)?.title;
  const markdown = [
    `## ${bench.title}\n`,
    `${describeMachine()}.\n${bench.about}`,
    `Over ${describeLoopback()}.`,
    `${options.rounds} interleaved rounds of ${options.seconds} s, server pinned to CPU`,
    `${options["server-cpu"]}, load to CPU ${options["load-cpu"]}. The median, and of ratios the`,
    `range of the middle half. The limit is ${limit ?? "not here"}.`,
    ...(absent.length > 0 ? [`Not installed, and so not measured: ${absent.join(", ")}.`] : []),
    "",
    ...counts.map((count, j) => section(bench, results, count, j)),
  ].join("\n");
  tell(
    bench.name,
    markdown,
    [...results].map(([{ name }, rounds]) => ({ name, rounds })),
  );
}

/** The path of a load program. */
export function loadPath(name: string): string {
  return projectPath(`bench/build/${name}`);
}
