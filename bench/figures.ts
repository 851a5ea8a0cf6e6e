/**
 * What an echo costs: `make figures`, or `bun bench/figures.ts --help`.
 *
 * Every round measures every server once, in an order that rotates, so that whatever else the
 * machine does meets all alike. A ratio is taken within a round; its median over all rounds is the
 * figure.
 */
import { availableParallelism } from "node:os";
import { type Candidate, CANDIDATES, commandOf, LIMIT, select } from "./harness/candidates.ts";
import { run, type Server, startServer } from "./harness/child.ts";
import { load, type LoadResult, type Scenario } from "./harness/load.ts";
import { number, parse } from "./harness/options.ts";
import { describeMachine, keep, progress, progressEnd, table } from "./harness/report.ts";
import { mean, median, quantile } from "./harness/statistics.ts";

const SCENARIOS: readonly Scenario[] = [
  { name: "50", title: "64 B, 50 connections", connections: 50, messageBytes: 64 },
  { name: "1", title: "64 B, 1 connection", connections: 1, messageBytes: 64 },
  { name: "1k", title: "1 KiB, 50 connections", connections: 50, messageBytes: 1024 },
  { name: "16k", title: "16 KiB, 50 connections", connections: 50, messageBytes: 16 * 1024 },
  { name: "1m", title: "1 MiB, 4 connections", connections: 4, messageBytes: 1024 * 1024 },
  {
    name: "churn",
    title: "connect, one 64 B echo, close; 50 at a time",
    connections: 50,
    messageBytes: 64,
    churn: 1,
  },
  {
    name: "pipeline",
    title: "64 B, 50 connections, 16 in flight on each",
    connections: 50,
    messageBytes: 64,
    depth: 16,
  },
  {
    name: "idle",
    title: "64 B, 50 connections beside 1 000 idle ones",
    connections: 50,
    messageBytes: 64,
    idle: 1000,
  },
];

/** What was measured of one server in one scenario; by round. */
interface Series {
  readonly scenario: Scenario;
  readonly candidate: Candidate;
  readonly rounds: LoadResult[];
  /** System calls a message, by name; null unless asked for. */
  calls: Readonly<Record<string, number>> | null;
}

const options = parse("Measures what an echo costs: ours, C, and what the runtimes have.", {
  only: { help: `servers: ${CANDIDATES.map((one) => one.name).join(",")}` },
  scenarios: { help: `what to ask: ${SCENARIOS.map((one) => one.name).join(",")}`, value: "50,1" },
  rounds: { help: "how often to measure each", value: "9" },
  seconds: { help: "how long to measure, each time", value: "1" },
  warmup: { help: "seconds before each measurement", value: "0.3" },
  "server-cpu": { help: "the CPU of the server", value: "0" },
  "load-cpu": { help: "the CPU of the load", value: availableParallelism() > 1 ? "1" : "0" },
  syscalls: { help: "also count system calls with strace, for so many seconds", value: "0" },
});
const serverCpu = number("server-cpu", options["server-cpu"]);
const loadOptions = {
  seconds: number("seconds", options.seconds),
  warmupSeconds: number("warmup", options.warmup),
  cpu: number("load-cpu", options["load-cpu"]),
};
const roundCount = number("rounds", options.rounds);
const syscallSeconds = number("syscalls", options.syscalls);
const scenarios = select(SCENARIOS, options.scenarios);
const chosen = select(CANDIDATES, options.only);
// Without C there is nothing to divide by.
const candidates = chosen.includes(LIMIT) ? chosen : [LIMIT, ...chosen];

/** Measures every server once in a scenario, beginning with another one each round. */
async function measureRound(servers: ReadonlyMap<Candidate, Server>, all: Series[], round: number) {
  for (let i = 0; i < all.length; i++) {
    const series = all[(i + round) % all.length]!;
    const { candidate, scenario, rounds } = series;
    progress(`${scenario.title}, round ${round + 1} of ${roundCount}: ${candidate.title}`);
    rounds.push(await load(servers.get(candidate)!, scenario, loadOptions));
  }
}

/** How timeout(1) ends when it had to stop the program. */
const TIMED_OUT = 124;

/**
 * Counts the system calls of a loaded server: those of all its threads, and so of its wake-ups too.
 */
async function countCalls(server: Server, series: Series): Promise<void> {
  const options = { ...loadOptions, seconds: syscallSeconds + 0.5 };
  const loading = load(server, series.scenario, options);
  const trace = [
    "strace",
    "-f",
    "-c",
    "-U",
    "calls,name",
    "-o",
    "/dev/stdout",
    "-p",
    `${server.pid}`,
  ];
  const argv = ["timeout", "-s", "INT", String(syscallSeconds), ...trace];
  // strace slows the server down: so calls are divided by the answers sent, not by messages of the
  // load.
  const [out] = await Promise.all([run({ argv, cpu: loadOptions.cpu }, TIMED_OUT), loading]);
  const counts = [...out.matchAll(/^\s*(\d+) (\w+)$/gm)].map((m) => [m[2]!, Number(m[1])] as const);
  const sends = counts.filter(([name]) => /^(send|write)/.test(name)).map(([, n]) => n);
  const answers = Math.max(...sends, 1);
  series.calls = Object.fromEntries(counts.map(([name, n]) => [name, n / answers]));
}

async function measure(messageBytes: number, group: readonly Scenario[]): Promise<Series[]> {
  const servers = new Map<Candidate, Server>();
  const all: Series[][] = group.map((scenario) =>
    candidates.map((candidate) => ({ scenario, candidate, rounds: [], calls: null }))
  );
  try {
    for (const candidate of candidates) {
      servers.set(candidate, await startServer(commandOf(candidate, messageBytes, serverCpu)));
    }
    for (let round = 0; round < roundCount; round++) {
      for (const series of all) await measureRound(servers, series, round);
    }
    if (syscallSeconds > 0) {
      for (const series of all.flat()) await countCalls(servers.get(series.candidate)!, series);
    }
    return all.flat();
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
}

/** The values of all rounds, divided by C's of the same round. */
function ratios(series: Series, limit: Series): number[] {
  return series.rounds.map((round, i) =>
    round.server_us_per_message / limit.rounds[i]!.server_us_per_message
  );
}

function row(series: Series, limit: Series): string[] {
  const of = (key: keyof LoadResult) => series.rounds.map((round) => round[key]);
  const ratio = ratios(series, limit);
  return [
    series.candidate.title,
    median(of("server_us_per_message")).toFixed(2),
    `${mean(of("server_user_us_per_message")).toFixed(2)} / ${
      mean(of("server_system_us_per_message")).toFixed(2)
    }`,
    median(ratio).toFixed(3),
    `${quantile(ratio, 0.25).toFixed(2)}–${quantile(ratio, 0.75).toFixed(2)}`,
    Math.round(median(of("messages_per_s"))).toLocaleString("en"),
    median(of("p50_us")).toFixed(0),
    median(of("p99_us")).toFixed(0),
    median(of("server_cpu_percent")).toFixed(0),
  ];
}

const HEADS = [
  "server",
  "CPU µs/message",
  "user / system",
  "÷ C",
  "middle half",
  "messages/s",
  "p50 µs",
  "p99 µs",
  "CPU %",
];

function describeCalls(series: readonly Series[]): string {
  const lines = series.filter((one) => one.calls !== null).map(({ candidate, calls }) => {
    const often = Object.entries(calls!).filter(([, n]) => n >= 0.01).sort((a, b) => b[1] - a[1]);
    return `- ${candidate.title}: ${
      often.map(([name, n]) => `${name} ${n.toFixed(2)}`).join(", ")
    }`;
  });
  return lines.length === 0 ? "" : `\n\nSystem calls for one answer sent:\n\n${lines.join("\n")}`;
}

function section(scenario: Scenario, results: readonly Series[]): string {
  const series = results.filter((one) => one.scenario === scenario);
  const limit = series.find((one) => one.candidate === LIMIT)!;
  const rows = series.map((one) => row(one, limit));
  return `### ${scenario.title}\n\n${table(HEADS, rows)}${describeCalls(series)}`;
}

const results: Series[] = [];
for (const bytes of new Set(scenarios.map((scenario) => scenario.messageBytes))) {
  const group = scenarios.filter((scenario) => scenario.messageBytes === bytes);
  results.push(...await measure(bytes, group));
}
progressEnd();
const markdown = [
  `## What an echo costs\n`,
  `${describeMachine()}. Server pinned to CPU ${serverCpu}, load to CPU ${loadOptions.cpu};`,
  `${roundCount} interleaved rounds of ${loadOptions.seconds} s; every byte verified. "÷ C": the median of the`,
  `rounds' ratios, and the range of the middle half of them.`,
  ...scenarios.map((scenario) => `\n${section(scenario, results)}`),
].join("\n");
console.log(markdown);
keep("figures", markdown, results);
