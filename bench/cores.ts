/**
 * What several pollers cost: `make cores`.
 *
 * The load shares the cores with the server, so the clock says nothing about scaling here: the
 * figures are CPU for a message and for a connection, beside a C server that does the same with
 * threads, how evenly work is spread, what the main thread feels, and memory. What follows from
 * them for N cores is in docs/CORES.md.
 */
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { ask, hold, projectPath, type Server, startServer } from "./harness/child.ts";
import { load, loadHttp } from "./harness/load.ts";
import { status } from "./harness/memory.ts";
import { table } from "./harness/markdown.ts";
import { number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, keep } from "./harness/report.ts";
import { type Scenario, scenariosOf } from "./harness/scenarios.ts";
import { median } from "./harness/statistics.ts";
import type { Lateness } from "./servers/lateness.ts";

const HOLD_CONNECTIONS = 1000;
const SETTLE_MS = 300;
/** How long a new server is loaded before anything counts: each Worker compiles for itself. */
const PRIME_SECONDS = 2;
/** What it takes to start a load, beside its warm-up. */
const START_SECONDS = 0.15;
const WARMUP_SECONDS = 0.1;
const BLOCK_MICROS = 1000;
const BLOCK_MICROS_LONG = 100_000;

const MESSAGES = scenariosOf("64x50")[0]!;
const CHURN: Scenario = { ...MESSAGES, name: "churn", title: "connect, echo, close", churn: 1 };
/** How many pollers keep the cores busy while the main thread is watched. */
const MAIN_POLLERS = [1, 2];
/** Messages a second that come whether they are answered or not: a closed loop asks the faster more. */
const OPEN_RATE = 5000;

const PARTS = ["messages", "connections", "spread", "main", "memory", "blocking"] as const;
type Part = typeof PARTS[number];

const options = parse({
  parts: { help: `which: ${PARTS.join(",")}`, value: PARTS.join(",") },
  runtimes: true,
  rounds: "9",
  seconds: "0.5",
}, () => "A first look, in a minute: --parts messages,connections --rounds 3 --seconds 0.3");
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const runtimes = list("runtimes", options.runtimes!, ["bun", "deno"] as const);
const parts = list("parts", options.parts!, PARTS);
const progress = new Progress(parts.reduce((sum, part) => sum + secondsOf(part), 0));

function list<T extends string>(name: string, value: string, all: readonly T[]): T[] {
  const given = value.split(",");
  const chosen = all.filter((one) => given.includes(one));
  if (chosen.length === given.length) return chosen;
  console.error(`--${name} is a list of ${all.join(", ")}, not ${value}`);
  process.exit(2);
}

/** How long one load takes. */
function loadSeconds(): number {
  return seconds + WARMUP_SECONDS + START_SECONDS;
}

/** How long a part takes, about. */
function secondsOf(part: Part): number {
  const measured = (servers: number) => servers * (rounds * loadSeconds() + PRIME_SECONDS);
  const groups = runtimes.length + 1; // with C's
  if (part === "messages") return measured(3 * groups);
  if (part === "connections") return measured(4 * groups);
  if (part === "blocking") return runtimes.length * 3 * measured(2);
  if (part === "main") return runtimes.length * MAIN_POLLERS.length * 4 * mainSeconds();
  return runtimes.length * (part === "memory" ? 5 : 12);
}

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
  http: readonly string[] = [],
): Setting {
  const mode = balance === "reuseport" ? "reuseport" : "handover";
  const args = [String(pollers), mode, balance, String(micros), ...http];
  return {
    title: `${runtime}: ${pollers} pollers, ${balance}`.replace(": 1 pollers", ": 1 poller"),
    argv: runFile(runtime, "bench/servers/cores.ts", args),
  };
}

function alone(runtime: Runtime): Setting {
  const argv = runFile(runtime, "bench/servers/echo.ts", ["0", "64", "echo", "sync"]);
  return { title: `${runtime}: EventLoop, no Worker`, argv };
}

/** The same in C: what the kernel takes for it, whoever asks. */
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

/** Starts servers, and ends them whatever happens. */
async function withServers<T>(
  settings: readonly Setting[],
  call: (servers: Server[]) => Promise<T>,
): Promise<T> {
  const servers: Server[] = [];
  try {
    for (const { argv } of settings) servers.push(await startServer({ argv }));
    return await call(servers);
  } finally {
    for (const server of servers) await server.stop();
  }
}

// ---- CPU ----------------------------------------------------------------------------------------

/** CPU µs for a message (or a connection), of servers in turn, round by round. */
function measureCosts(
  settings: readonly Setting[],
  scenario: Scenario,
  rate?: number,
): Promise<number[][]> {
  return withServers(settings, async (servers) => {
    for (const [i, server] of servers.entries()) {
      progress.step(`${settings[i]!.title}: compiles`, PRIME_SECONDS);
      await load(server, { ...scenario, connections: Math.min(scenario.connections, 50) }, {
        seconds: PRIME_SECONDS,
        warmupSeconds: 0,
      });
    }
    const costs: number[][] = settings.map(() => []);
    for (let round = 0; round < rounds; round++) {
      for (let n = 0; n < servers.length; n++) {
        const i = (n + round) % servers.length;
        const text = `${scenario.title}, round ${round + 1} of ${rounds}: ${settings[i]!.title}`;
        progress.step(text, loadSeconds());
        const times = { seconds, warmupSeconds: WARMUP_SECONDS, rate };
        costs[i]!.push((await load(servers[i]!, scenario, times)).server_us_per_message);
      }
    }
    return costs;
  });
}

/** Each group of settings compared with its first. */
async function costTable(scenario: Scenario, groups: readonly Setting[][]): Promise<string> {
  const costs = await measureCosts(groups.flat(), scenario);
  raw.push({ scenario, titles: groups.flat().map(({ title }) => title), costs });
  const rows: string[][] = [];
  for (const group of groups) {
    const [base] = costs;
    for (const { title } of group) {
      const micros = costs.shift()!;
      const ratio = median(micros.map((value, round) => value / base![round]!));
      const extra = median(micros.map((value, round) => value - base![round]!));
      const low = Math.min(...micros);
      rows.push([title, ...[median(micros), low, ratio, extra].map((value) => value.toFixed(2))]);
    }
  }
  return table(["", "µs", "least", "÷ first", "µs more"], rows);
}

/** What a Worker gains that may block for longer, because nothing else lives there. */
async function blocking(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    const settings = [BLOCK_MICROS, BLOCK_MICROS_LONG].map((micros) =>
      cluster(runtime, 1, "round-robin", micros)
    );
    for (const [connections, rate] of [[1, undefined], [1, 200], [1000, undefined]] as const) {
      const title = `${connections} connections${rate ? `, ${rate} messages/s` : ""}`;
      const scenario: Scenario = { name: title, title, connections, messageBytes: 64 };
      const costs = await measureCosts(settings, scenario, rate);
      raw.push({ runtime, title, costs });
      rows.push([`${runtime}: ${title}`, ...costs.map((micros) => median(micros).toFixed(2))]);
    }
  }
  const long = `${BLOCK_MICROS_LONG / 1000} ms`;
  return [
    `### A poller that may block for ${long} instead of 1: CPU µs a message\n`,
    table(["", "1 ms", long], rows),
  ].join("\n");
}

// ---- how evenly ---------------------------------------------------------------------------------

/** What a server says of itself. */
interface Told {
  readonly asked: readonly number[];
  readonly connections: readonly number[];
  readonly lateness?: readonly Lateness[];
}

/** The most above the fewest, as a part of the mean. */
function spread(counts: readonly number[]): string {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return `${(100 * (Math.max(...counts) - Math.min(...counts)) / mean).toFixed(1)} %`;
}

/** How evenly messages of 50 connections, as they come, are spread over two pollers. */
function splitRow(setting: Setting): Promise<string[]> {
  progress.step(`${setting.title}: ${OPEN_RATE} messages/s`, 2);
  return withServers([setting], async ([server]) => {
    await load(server!, MESSAGES, { seconds: 1, warmupSeconds: 0, rate: OPEN_RATE });
    const { asked } = await ask<Told>(server!);
    return [setting.title, asked.join(" / "), spread(asked)];
  });
}

/** How evenly 1 000 connections are spread over two pollers. */
function skewRow(setting: Setting): Promise<string[]> {
  progress.step(`${setting.title}: ${HOLD_CONNECTIONS} connections`, 2);
  return withServers([setting], async ([server]) => {
    const argv = ["-p", server!.port, "-c", HOLD_CONNECTIONS, "-b", 0, "-s", 64].map(String);
    const held = await hold({ argv: [projectPath("bench/build/hold"), ...argv] });
    const { connections } = await ask<Told>(server!);
    await held.finish();
    return [setting.title, connections.join(" / "), spread(connections)];
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
function mainSeconds(): number {
  return 4 * seconds;
}

/** How late its timers are, and how its HTTP server does, while something runs. */
async function feel(server: Server, httpPort: number, beside: () => Promise<unknown>) {
  await ask(server); // forget what was before
  await beside();
  const { lateness } = await ask<Told>(server);
  const [http] = await Promise.all([loadHttp(httpPort, mainSeconds()), beside()]);
  return { lateness: lateness!, http };
}

/** What a page and a timer in the main thread feel of Workers that have all they can do. */
async function mainRows(runtime: Runtime, pollers: number): Promise<string[][]> {
  const http = [`http_${runtime}.ts`];
  const setting = cluster(runtime, pollers, "round-robin", BLOCK_MICROS, http);
  return await withServers([setting], async ([server]) => {
    const httpPort = Number((await server!.line()).replace("http ", ""));
    const times = { seconds: mainSeconds(), warmupSeconds: 0 };
    progress.step(`${setting.title}: the main thread without load`, 2 * mainSeconds());
    const idle = await feel(server!, httpPort, () => setTimeout(1000 * mainSeconds()));
    progress.step(`${setting.title}: the main thread under load`, 2 * mainSeconds());
    const busy = await feel(server!, httpPort, () => load(server!, MESSAGES, times));
    raw.push({ runtime, pollers, idle, busy });
    const pair = (of: (found: typeof idle) => number, decimals: number) =>
      `${of(idle).toFixed(decimals)} → ${of(busy).toFixed(decimals)}`;
    return [[
      setting.title.replace(", round-robin", ""),
      pair(({ lateness }) => lateness[0]!.p50, 2),
      pair(({ lateness }) => lateness[0]!.p99, 2),
      pair(({ lateness }) => lateness[0]!.p999, 2),
      pair(({ http }) => http.requests_per_s, 0),
      pair(({ http }) => http.p99_us / 1000, 2),
    ]];
  });
}

async function mainTable(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) {
    for (const pollers of MAIN_POLLERS) rows.push(...await mainRows(runtime, pollers));
  }
  const heads = ["", "1 ms timer late by, p50 ms", "p99", "p99.9", "HTTP requests/s", "p99 ms"];
  return [
    `### The main thread, without load → with Workers that have all they can do\n`,
    table(heads, rows),
  ].join("\n");
}

// ---- memory -------------------------------------------------------------------------------------

/** Resident memory with one, two and four pollers, each asked already. */
async function memoryRow(runtime: Runtime): Promise<string[]> {
  progress.step(`${runtime}: memory`, secondsOf("memory") / runtimes.length);
  const counts = [1, 2, 4];
  const settings = [alone(runtime), ...counts.map((n) => cluster(runtime, n, "round-robin"))];
  const kilobytes = await withServers(settings, async (servers) => {
    for (const server of servers) {
      await load(server, MESSAGES, { seconds: 0.3, warmupSeconds: 0 });
    }
    await setTimeout(SETTLE_MS);
    return servers.map(({ pid }) => status(pid, "VmRSS"));
  });
  const megabytes = kilobytes.map((value) => value / 1024);
  raw.push({ runtime, kilobytes });
  const extra = (megabytes[3]! - megabytes[1]!) / 3;
  return [runtime, ...megabytes.map((value) => value.toFixed(1)), extra.toFixed(1)];
}

async function memoryTable(): Promise<string> {
  const rows: string[][] = [];
  for (const runtime of runtimes) rows.push(await memoryRow(runtime));
  return [
    `### Resident memory, MiB\n`,
    table(["", "EventLoop", "1 poller", "2", "4", "each more"], rows),
  ].join("\n");
}

// ---- all of it ----------------------------------------------------------------------------------

const raw: unknown[] = [];

const MEASURE: Readonly<Record<Part, () => Promise<string>>> = {
  async messages() {
    const groups = [[...C_THREADS], ...runtimes.map(clusters)];
    return `### CPU: ${MESSAGES.title}\n\n${await costTable(MESSAGES, groups)}`;
  },
  async connections() {
    const ours = runtimes.map((runtime) => [alone(runtime), ...clusters(runtime)]);
    const groups = [[C_ALONE, ...C_THREADS], ...ours];
    return `### CPU: ${CHURN.title}\n\n${await costTable(CHURN, groups)}`;
  },
  spread: spreadTables,
  main: mainTable,
  memory: memoryTable,
  blocking,
};

const sections: string[] = [];
for (const part of parts) sections.push(await MEASURE[part]());
progress.end();
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
