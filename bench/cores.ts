/**
 * What several pollers cost: `make cores`.
 *
 * The load shares the cores with the server, so the clock says nothing about scaling here: the
 * figures are CPU for a message and for a connection, how evenly work is spread, and memory. What
 * follows from them for N cores is in docs/CORES.md.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { hold, projectPath, type Server, startServer } from "./harness/child.ts";
import { load } from "./harness/load.ts";
import { table } from "./harness/markdown.ts";
import { number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, keep } from "./harness/report.ts";
import type { Scenario } from "./harness/scenarios.ts";
import { median } from "./harness/statistics.ts";

const HOLD_CONNECTIONS = 1000;
const SETTLE_MS = 300;
const BLOCK_MICROS = 1000;
const BLOCK_MICROS_LONG = 100_000;

const SCENARIOS: readonly Scenario[] = [
  { name: "50", title: "64 B, 50 connections", connections: 50, messageBytes: 64 },
  { name: "churn", title: "connect, echo, close", connections: 50, messageBytes: 64, churn: 1 },
];
/** Messages a second that come whether they are answered or not: a closed loop asks the faster more. */
const OPEN_RATE = 5000;

const options = parse("Measures clusters of one, two and four pollers.", {
  runtimes: { help: "which: bun,deno", value: "bun,deno" },
  rounds: { help: "interleaved rounds", value: "9" },
  seconds: { help: "of each measurement in a round", value: "0.5" },
});
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const runtimes = options.runtimes!.split(",") as Runtime[];
const progress = new Progress();

/** A server of the bench. */
interface Setting {
  readonly title: string;
  readonly argv: (runtime: Runtime) => string[];
}

function cluster(pollers: number, mode: string, balance: string, micros = BLOCK_MICROS): Setting {
  const args = [String(pollers), mode, balance, String(micros)];
  const how = mode === "reuseport" ? mode : balance;
  return {
    title: `${pollers} pollers, ${how}`.replace(/^1 pollers/, "1 poller"),
    argv: (runtime) => runFile(runtime, "bench/servers/cores.ts", args),
  };
}

const ALONE: Setting = {
  title: "EventLoop, no Worker",
  argv: (runtime) => runFile(runtime, "bench/servers/echo.ts", ["0", "64", "echo", "sync"]),
};
const CLUSTERS: readonly Setting[] = [
  cluster(1, "handover", "round-robin"),
  cluster(2, "handover", "round-robin"),
  cluster(2, "reuseport", "kernel"),
];
const LOOPS: readonly Setting[] = [ALONE, ...CLUSTERS];

/** What the pollers of a server say of themselves. */
interface Told {
  readonly asked: readonly number[];
  readonly connections: readonly number[];
}

async function ask(server: Server): Promise<Told> {
  process.kill(server.pid, "SIGUSR2");
  return JSON.parse(await server.line());
}

function residentKb({ pid }: Server): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

/** The most above the fewest, as a part of the mean. */
function spread(counts: readonly number[]): number {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return (Math.max(...counts) - Math.min(...counts)) / mean;
}

/** Starts servers, and ends them whatever happens. */
async function withServers<T>(
  settings: readonly Setting[],
  runtime: Runtime,
  call: (servers: Server[]) => Promise<T>,
): Promise<T> {
  const servers: Server[] = [];
  try {
    for (const { argv } of settings) servers.push(await startServer({ argv: argv(runtime) }));
    return await call(servers);
  } finally {
    for (const server of servers) await server.stop();
  }
}

/** What the rounds found for one server, in CPU µs. */
interface Cost {
  readonly micros: number[];
}

/** CPU for a message (or a connection), of servers in turn. */
function measureCosts(
  settings: readonly Setting[],
  runtime: Runtime,
  scenario: Scenario,
): Promise<Cost[]> {
  return withServers(settings, runtime, async (servers) => {
    const costs: Cost[] = settings.map(() => ({ micros: [] }));
    for (let round = 0; round < rounds; round++) {
      progress.step(`${runtime}, ${scenario.title}: round ${round + 1} of ${rounds}`);
      for (const [i, server] of servers.entries()) {
        const result = await load(server, scenario, { seconds, warmupSeconds: 0.1 });
        costs[i]!.micros.push(result.server_us_per_message);
      }
    }
    return costs;
  });
}

function costRows(runtime: Runtime, settings: readonly Setting[], costs: Cost[]): string[][] {
  const [base] = costs;
  return settings.map(({ title }, i) => {
    const { micros } = costs[i]!;
    const ratio = median(micros.map((value, round) => value / base!.micros[round]!));
    const extra = median(micros.map((value, round) => value - base!.micros[round]!));
    const numbers = [median(micros), ratio, extra].map((value) => value.toFixed(2));
    return [`${runtime}: ${title}`, ...numbers];
  });
}

/** How evenly messages of 50 connections, as they come, are spread over two pollers. */
async function splitRow(runtime: Runtime, setting: Setting): Promise<string[]> {
  progress.step(`${runtime}, ${setting.title}: ${OPEN_RATE} messages/s`);
  return await withServers([setting], runtime, async ([server]) => {
    await load(server!, SCENARIOS[0]!, { seconds: 1, warmupSeconds: 0, rate: OPEN_RATE });
    const { asked } = await ask(server!);
    const split = `${(100 * spread(asked)).toFixed(1)} %`;
    return [`${runtime}: ${setting.title}`, asked.join(" / "), split];
  });
}

/** How evenly 1 000 connections are spread over two pollers. */
async function skewRow(runtime: Runtime, setting: Setting): Promise<string[]> {
  progress.step(`${runtime}, ${setting.title}: ${HOLD_CONNECTIONS} connections`);
  return await withServers([setting], runtime, async ([server]) => {
    const argv = ["-p", server!.port, "-c", HOLD_CONNECTIONS, "-b", 0, "-s", 64].map(String);
    const held = await hold({ argv: [projectPath("bench/build/hold"), ...argv] });
    const { connections } = await ask(server!);
    await held.finish();
    const skew = `${(100 * spread(connections)).toFixed(1)} %`;
    return [`${runtime}: ${setting.title}`, connections.join(" / "), skew];
  });
}

/** Resident memory with one, two and four pollers, each asked already. */
async function memoryRow(runtime: Runtime): Promise<string[]> {
  progress.step(`${runtime}: memory`);
  const settings = [ALONE, ...[1, 2, 4].map((count) => cluster(count, "handover", "round-robin"))];
  const kilobytes = await withServers(settings, runtime, async (servers) => {
    for (const server of servers) {
      await load(server, SCENARIOS[0]!, { seconds: 0.3, warmupSeconds: 0 });
    }
    await setTimeout(SETTLE_MS);
    return servers.map(residentKb);
  });
  const megabytes = kilobytes.map((value) => value / 1024);
  const extra = (megabytes[3]! - megabytes[1]!) / 3;
  return [runtime, ...megabytes.map((value) => value.toFixed(1)), extra.toFixed(1)];
}

/** What a Worker gains that may block for longer, because nothing else lives there. */
async function blockRows(runtime: Runtime): Promise<string[][]> {
  const settings = [BLOCK_MICROS, BLOCK_MICROS_LONG].map((micros) =>
    cluster(1, "handover", "round-robin", micros)
  );
  const rows: string[][] = [];
  for (const [connections, rate] of [[1, 0], [1, 200], [1000, 0]] as const) {
    const title = `${connections} connections${rate ? `, ${rate} messages/s` : ""}`;
    const scenario: Scenario = { name: title, title, connections, messageBytes: 64 };
    const found = await withServers(settings, runtime, async (servers) => {
      const micros: number[][] = [[], []];
      for (let round = 0; round < rounds; round++) {
        progress.step(`${runtime}, blocking, ${title}: round ${round + 1} of ${rounds}`);
        for (const [i, server] of servers.entries()) {
          const times = { seconds, warmupSeconds: 0.1, ...rate ? { rate } : {} };
          micros[i]!.push((await load(server, scenario, times)).server_us_per_message);
        }
      }
      return micros.map(median);
    });
    rows.push([`${runtime}: ${title}`, ...found.map((micros) => micros.toFixed(2))]);
  }
  return rows;
}

const SKEWED: readonly Setting[] = [
  ...["least-connections", "round-robin", "random"].map((balance) =>
    cluster(2, "handover", balance)
  ),
  cluster(2, "reuseport", "kernel"),
];

const raw: unknown[] = [];
const costs: Record<string, string[][]> = {};
const skews: string[][] = [];
const splits: string[][] = [];
const memory: string[][] = [];
const blocks: string[][] = [];
for (const runtime of runtimes) {
  for (const scenario of SCENARIOS) {
    // A connection is compared with one poller's, a message with one Worker's.
    const settings = scenario.churn ? LOOPS : CLUSTERS;
    const found = await measureCosts(settings, runtime, scenario);
    raw.push({ runtime, scenario, found });
    (costs[scenario.title] ??= []).push(...costRows(runtime, settings, found));
  }
  for (const setting of SKEWED) skews.push(await skewRow(runtime, setting));
  for (const setting of CLUSTERS.slice(1)) splits.push(await splitRow(runtime, setting));
  memory.push(await memoryRow(runtime));
  blocks.push(...await blockRows(runtime));
}
progress.end();
const markdown = [
  `## Several pollers\n`,
  `Median of ${rounds} interleaved rounds of ${seconds} s; the server and the load share the cores.`,
  ...Object.entries(costs).flatMap(([title, rows]) => [
    `\n### CPU: ${title}\n`,
    table(["", "µs", "÷ first", "µs more"], rows),
  ]),
  `\n### ${HOLD_CONNECTIONS} connections over two pollers\n`,
  table(["", "connections", "skew"], skews),
  `\n### ${OPEN_RATE} messages/s of 50 connections over two pollers\n`,
  table(["", "messages", "difference"], splits),
  `\n### Resident memory, MiB\n`,
  table(["", "EventLoop", "1 poller", "2", "4", "each more"], memory),
  `\n### A poller that may block for ${
    BLOCK_MICROS_LONG / 1000
  } ms instead of 1: CPU µs a message\n`,
  table(["", "1 ms", `${BLOCK_MICROS_LONG / 1000} ms`], blocks),
  `\n${describeMachine()}.`,
].join("\n");
console.log(markdown);
keep("cores", markdown, { raw, skews, splits, memory, blocks });
