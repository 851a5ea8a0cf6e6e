/**
 * The cost of several pollers: `make cores`.
 *
 * The load shares the cores with the server, so the clock says nothing about scaling here: the
 * figures are CPU for a message and for a connection, beside a C server that does the same with
 * threads; the spread of work; the main thread's timers and HTTP server (by wrk); and memory.
 * docs/CORES.md says what follows from them for N cores.
 */
import { setTimeout } from "node:timers/promises";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { ask, projectPath, type Server } from "./harness/child.ts";
import { hold, load, loadHttp } from "./harness/load.ts";
import { figure, table } from "./harness/markdown.ts";
import { status } from "./harness/memory.ts";
import { parse, select } from "./harness/options.ts";
import { describeMachine, keep } from "./harness/report.ts";
import { inRounds, withServers } from "./harness/rounds.ts";
import { type Scenario, scenariosOf } from "./harness/scenarios.ts";
import { mean, median, ratios } from "./harness/statistics.ts";
import type { WorkReport } from "./servers/lateness.ts";

const HOLD_CONNECTIONS = 1000;
const SETTLE_MS = 300;
/** A new server is loaded so long before anything counts: each Worker compiles for itself. */
const PRIME_SECONDS = 2;
const BLOCK_MICROS = 1000;
const BLOCK_MICROS_LONG = 100_000;

const MESSAGES = scenariosOf("64x50")[0]!;
const CHURN: Scenario = { ...MESSAGES, name: "churn", title: "connect, echo, close", churn: 1 };
/** Messages a second that come whether they are answered or not: a closed loop asks the faster more. */
const OPEN_RATE = 5000;

const PARTS = ["messages", "connections", "spread", "main", "memory", "blocking"] as const;

const options = parse({
  parts: { help: `which: ${PARTS.join(",")}` },
  runtimes: true,
  rounds: 9,
  seconds: 0.5,
}, "A first look, in a minute: --parts messages,connections --rounds 3 --seconds 0.3");
const { rounds, seconds } = options;
const parts = select(PARTS, options.parts);
const runtimes = select(["bun", "deno"] as const, options.runtimes);
const raw: unknown[] = [];

/** A server of the bench. */
interface Setting {
  readonly title: string;
  readonly argv: readonly string[];
}

function cluster(
  runtime: Runtime,
  pollers: number,
  balance: string,
  micros = BLOCK_MICROS,
  ...http: string[]
): Setting {
  const args = [`${pollers}`, balance, `${micros}`, ...http];
  return {
    title: `${runtime}: ${pollers} poller${pollers === 1 ? "" : "s"}, ${balance}`,
    argv: runFile(runtime, "bench/servers/cores.ts", args),
  };
}

function alone(runtime: Runtime): Setting {
  const argv = runFile(runtime, "bench/servers/echo.ts", ["0", "64", "echo", "sync"]);
  return { title: `${runtime}: EventLoop, no Worker`, argv };
}

/** A server in C: its cost is the kernel's share. */
function inC(title: string, ...args: string[]): Setting {
  return { title: `C: ${title}`, argv: [projectPath("bench/build/echo"), ...args] };
}

const C_ALONE = inC("one thread");
const C_THREADS = [
  inC("1 thread, and one that accepts", "-t", "1"),
  inC("2 threads, and one that accepts", "-t", "2"),
  inC("2 threads, reuseport", "-t", "2", "-r"),
];

function clusters(runtime: Runtime): Setting[] {
  return [
    cluster(runtime, 1, "round-robin"),
    cluster(runtime, 2, "round-robin"),
    cluster(runtime, 2, "reuseport"),
  ];
}

const argvOf = ({ argv }: Setting) => argv;

// ---- CPU ----------------------------------------------------------------------------------------

/** CPU µs for a message (or a connection), of servers in turn, round by round. */
function measureCosts(
  settings: readonly Setting[],
  scenario: Scenario,
  rate?: number,
): Promise<number[][]> {
  return withServers(settings.map(argvOf), async (...servers) => {
    const few = { ...scenario, connections: Math.min(scenario.connections, 50) };
    for (const server of servers) {
      await load(server, few, { seconds: PRIME_SECONDS, warmupSeconds: 0 });
    }
    const jobs = servers.map((server, i) => ({
      title: `${scenario.title}: ${settings[i]!.title}`,
      measure: async () =>
        (await load(server, scenario, { seconds, warmupSeconds: 0.1, rate })).server_us_per_message,
    }));
    return await inRounds(rounds, jobs);
  });
}

/** The table of some groups of settings, each group compared with its first. */
async function costTable(scenario: Scenario, groups: readonly Setting[][]): Promise<string> {
  const costs = await measureCosts(groups.flat(), scenario);
  raw.push({ scenario, titles: groups.flat().map(({ title }) => title), costs });
  const rows: string[][] = [];
  for (const group of groups) {
    const base = costs[0]!;
    for (const { title } of group) {
      const micros = costs.shift()!;
      const extra = micros.map((value, round) => value - base[round]!);
      const figures = [
        median(micros),
        Math.min(...micros),
        median(ratios(micros, base)),
        median(extra),
      ];
      rows.push([title, ...figures.map((value) => value.toFixed(2))]);
    }
  }
  return `### CPU: ${scenario.title}\n\n${table(["", "µs", "least", "÷ first", "µs more"], rows)}`;
}

/** The gain of a Worker that may block for longer, because nothing else lives there. */
async function blocking(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const settings = [BLOCK_MICROS, BLOCK_MICROS_LONG]
      .map((micros) => cluster(runtime, 1, "round-robin", micros));
    for (const [connections, rate] of [[1, undefined], [1, 200], [1000, undefined]] as const) {
      const title = `${connections} connections${rate ? `, ${rate} messages/s` : ""}`;
      const scenario: Scenario = { name: title, title, connections, messageBytes: 64 };
      const costs = await measureCosts(settings, scenario, rate);
      raw.push({ runtime, title, costs });
      rows.push([`${runtime}: ${title}`, ...costs.map((micros) => median(micros).toFixed(2))]);
    }
  }
  const long = `${BLOCK_MICROS_LONG / 1000} ms`;
  const title = `### A poller that may block for ${long} instead of 1: CPU µs a message`;
  return `${title}\n\n${table(["", "1 ms", long], rows)}`;
}

// ---- the spread ---------------------------------------------------------------------------------

/** The report of servers/cores.ts. */
interface Told {
  readonly asked: readonly number[];
  readonly connections: readonly number[];
  readonly lateness: WorkReport;
}

/** Counts of pollers, and the most above the fewest, as a part of the mean. */
function spreadRow({ title }: Setting, counts: readonly number[]): string[] {
  const part = (Math.max(...counts) - Math.min(...counts)) / mean(counts);
  return [title, counts.join(" / "), `${(100 * part).toFixed(1)} %`];
}

/** Messages of 50 connections, as they come, over two pollers. */
function splitRow(setting: Setting): Promise<string[]> {
  return withServers([setting.argv], async (server) => {
    await load(server, MESSAGES, { seconds: 1, warmupSeconds: 0, rate: OPEN_RATE });
    return spreadRow(setting, (await ask<Told>(server)).asked);
  });
}

/** 1 000 connections over two pollers. */
function skewRow(setting: Setting): Promise<string[]> {
  return withServers([setting.argv], async (server) => {
    const held = await hold(server.port, { connections: HOLD_CONNECTIONS, messageBytes: 64 });
    const { connections } = await ask<Told>(server);
    await held.finish();
    return spreadRow(setting, connections);
  });
}

async function spreadTables(): Promise<string> {
  const skews: string[][] = [];
  const splits: string[][] = [];
  for (const runtime of runtimes) {
    for (const balance of ["least-connections", "round-robin", "random", "reuseport"]) {
      skews.push(await skewRow(cluster(runtime, 2, balance)));
    }
    for (const setting of clusters(runtime).slice(1)) splits.push(await splitRow(setting));
  }
  raw.push({ skews, splits });
  return [
    `### ${HOLD_CONNECTIONS} connections over two pollers\n`,
    table(["", "connections", "skew"], skews),
    `\n### ${OPEN_RATE} messages/s of 50 connections over two pollers\n`,
    table(["", "messages", "difference"], splits),
  ].join("\n");
}

// ---- the main thread ----------------------------------------------------------------------------

/** Rare lateness wants more than a round. */
const MAIN_SECONDS = Math.max(1, Math.round(4 * seconds));

/** The lateness of the main thread's timer, and the answers of its HTTP server, beside a load. */
async function feel(server: Server, httpPort: number, beside: () => Promise<unknown>) {
  await ask(server); // forget earlier ticks
  await beside();
  const { lateness } = await ask<Told>(server);
  const [http] = await Promise.all([loadHttp(httpPort, { seconds: MAIN_SECONDS }), beside()]);
  return { lateness, http };
}

/** The main thread without load, and with Workers that have all they can do. */
async function mainTable(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    for (const pollers of [1, 2]) {
      const setting = cluster(runtime, pollers, "round-robin", BLOCK_MICROS, "http");
      await withServers([setting.argv], async (server) => {
        const port = Number((await server.line()).replace("http ", ""));
        const times = { seconds: MAIN_SECONDS, warmupSeconds: 0 };
        const idle = await feel(server, port, () => setTimeout(1000 * MAIN_SECONDS));
        const busy = await feel(server, port, () => load(server, MESSAGES, times));
        raw.push({ runtime, pollers, idle, busy });
        const pair = (of: (found: typeof idle) => number, decimals = 2) =>
          [idle, busy].map((found) => of(found).toFixed(decimals)).join(" → ");
        rows.push([
          setting.title.replace(", round-robin", ""),
          pair(({ lateness }) => lateness.p50),
          pair(({ lateness }) => lateness.p99),
          pair(({ lateness }) => lateness.p999),
          pair(({ http }) => http.requestsPerSecond, 0),
          pair(({ http }) => http.p99Ms),
        ]);
      });
    }
  }
  const heads = ["", "1 ms timer late by, p50 ms", "p99", "p99.9", "HTTP requests/s", "p99 ms"];
  const title = "### The main thread, without load → with Workers that have all they can do";
  return `${title}\n\n${table(heads, rows)}`;
}

// ---- memory -------------------------------------------------------------------------------------

/** Resident memory with one, two and four pollers, each asked already. */
async function memoryTable(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const settings = [alone(runtime), ...[1, 2, 4].map((n) => cluster(runtime, n, "round-robin"))];
    const kilobytes = await withServers(settings.map(argvOf), async (...servers) => {
      for (const server of servers) {
        await load(server, MESSAGES, { seconds: 0.3, warmupSeconds: 0 });
      }
      await setTimeout(SETTLE_MS);
      return servers.map(({ pid }) => status(pid, "VmRSS"));
    });
    raw.push({ runtime, kilobytes });
    const extra = (kilobytes[3]! - kilobytes[1]!) / 3;
    rows.push([runtime, ...[...kilobytes, extra].map((value) => figure(value / 1024, 1))]);
  }
  const heads = ["", "EventLoop", "1 poller", "2", "4", "each more"];
  return `### Resident memory, MiB\n\n${table(heads, rows)}`;
}

// ---- all of it ----------------------------------------------------------------------------------

const MEASURE: Readonly<Record<typeof PARTS[number], () => Promise<string>>> = {
  messages: () => costTable(MESSAGES, [C_THREADS, ...runtimes.map(clusters)]),
  connections() {
    const ours = runtimes.map((runtime) => [alone(runtime), ...clusters(runtime)]);
    return costTable(CHURN, [[C_ALONE, ...C_THREADS], ...ours]);
  },
  spread: spreadTables,
  main: mainTable,
  memory: memoryTable,
  blocking,
};

const sections: string[] = [];
for (const part of parts) sections.push(await MEASURE[part]());
const markdown = [
  `## Several pollers\n`,
  `Median of ${rounds} interleaved rounds of ${seconds} s, after ${PRIME_SECONDS} s each in which`,
  `the runtimes compile; the server and the load share the cores.\n`,
  sections.join("\n\n"),
  `\n${describeMachine()}.`,
].join("\n");
console.log(markdown);
// A first look does not replace what was measured before.
if (parts.length === PARTS.length && runtimes.length === 2) keep("cores", markdown, raw);
