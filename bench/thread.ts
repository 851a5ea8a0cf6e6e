/**
 * netpoll and the runtime's own work in one thread, each at every load: `make thread`.
 *
 * Each cell is measured with both, and each alone. A cell's CPU is compared with what its messages
 * and its units of work cost alone: 1.00 is what two processes would have used together.
 */
import { isInstalled } from "./harness/bulk.ts";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { ask, run, type Server, startServer } from "./harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "./harness/cpus.ts";
import { cpuMicros, load, loadHttp } from "./harness/load.ts";
import { figure, table } from "./harness/markdown.ts";
import { commandLine, number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import type { WorkReport } from "./servers/thread.ts";

/** Messages a second of netpoll; "half" is of what it reaches alone. */
const LOADS = ["idle", "500/s", "5 000/s", "half", "saturated"] as const;
type Load = typeof LOADS[number];

/** What the runtime has to do. */
interface Work {
  readonly name: string;
  readonly title: string;
  /** What the server does by itself (bench/servers/thread.ts). */
  readonly inside: string;
  /** Asks the HTTP server for so many seconds. */
  ask?(port: number, seconds: number): Promise<WorkReport>;
}

/** bench/native/http.c: one client that keeps its connection. */
async function askOne(port: number, seconds: number): Promise<WorkReport> {
  const told = await loadHttp(port, seconds, LOAD_CPU);
  const units = told.requests_per_s * seconds;
  return { units, p50: told.p50_us / 1000, p99: told.p99_us / 1000 };
}

/** A time as wrk prints it, in milliseconds. */
function milliseconds(text: string | undefined): number {
  const [, value, unit] = /^([\d.]+)(us|ms|s)$/.exec(text ?? "") ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"] ?? NaN);
}

function askMany(connections: number) {
  return async (port: number, seconds: number): Promise<WorkReport> => {
    const url = `http://127.0.0.1:${port}/`;
    const argv = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--latency", url];
    const printed = await run({ argv, cpu: LOAD_CPU });
    const at = (percent: string) =>
      milliseconds(new RegExp(`${percent}%\\s+(\\S+)`).exec(printed)?.[1]);
    const units = Number(/(\d+) requests in /.exec(printed)?.[1]);
    return { units, p50: at("50"), p99: at("99") };
  };
}

const WORKS: readonly Work[] = [
  { name: "none", title: "nothing", inside: "none" },
  { name: "http", title: "one HTTP client", inside: "none", ask: askOne },
  { name: "wrk4", title: "wrk, 4 connections", inside: "none", ask: askMany(4) },
  { name: "wrk64", title: "wrk, 64 connections", inside: "none", ask: askMany(64) },
  { name: "timer", title: "a timer of 1 ms", inside: "timer" },
  { name: "messages", title: "messages of a Worker", inside: "messages" },
  { name: "files", title: "files read", inside: "files" },
  { name: "fetch", title: "fetch to itself", inside: "fetch" },
];

/** A thread to measure. */
interface Thread {
  readonly runtime: Runtime;
  readonly place: "main" | "worker";
}

/** One cell. */
interface Cell {
  readonly thread: Thread;
  readonly work: string;
  readonly load: Load;
  readonly cpuMicros: number;
  readonly messages: number;
  readonly messageP99Micros: number;
  readonly done: WorkReport;
}

const options = parse({
  runtimes: true,
  places: { help: "which: main,worker", value: "main,worker" },
  works: { help: `which: ${WORKS.map(({ name }) => name).join(",")}` },
  loads: { help: `which: ${LOADS.join(",")}` },
  seconds: { help: "how long each cell; wrk wants whole ones", value: "1" },
});
const seconds = number("seconds", options.seconds);
const listed = (list: string | undefined, name: string) =>
  list === undefined || list.split(",").includes(name);
const loads = LOADS.filter((name) => listed(options.loads, name));
const works = WORKS.filter(({ name }) => listed(options.works, name) || name === "none")
  .filter(({ name }) => !name.startsWith("wrk") || isInstalled("wrk"));

const sleep = () => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));

/** Loads the echo; nothing for "idle". */
async function loadEcho(server: Server, name: Load, mostPerSecond: number) {
  const rates = { idle: 0, "500/s": 500, "5 000/s": 5000, half: mostPerSecond / 2, saturated: 0 };
  const rate = rates[name] || undefined;
  if (name === "idle") return null;
  const scenario = { name, title: name, connections: 50, messageBytes: 64 };
  return await load(server, scenario, { seconds, warmupSeconds: 0, cpu: LOAD_CPU, rate });
}

async function measure(
  server: Server,
  httpPort: number,
  work: Work,
  name: Load,
  mostPerSecond: number,
): Promise<Omit<Cell, "thread" | "work" | "load">> {
  await ask<WorkReport>(server); // forget what was before
  const before = await cpuMicros(server);
  const asked = work.ask?.(httpPort, seconds);
  const [told, answer] = await Promise.all([loadEcho(server, name, mostPerSecond), asked, sleep()]);
  const used = await cpuMicros(server) - before;
  const internal = await ask<WorkReport>(server);
  return {
    cpuMicros: used,
    messages: told?.messages ?? 0,
    messageP99Micros: told?.p99_us ?? NaN,
    done: work.inside === "none" ? answer ?? { units: 0, p50: NaN, p99: NaN } : internal,
  };
}

const progress = new Progress(
  options.runtimes!.split(",").length * options.places!.split(",").length * works.length *
    loads.length * (seconds + 0.2),
);

async function measureThread(thread: Thread): Promise<Cell[]> {
  const cells: Cell[] = [];
  let mostPerSecond = 100_000;
  for (const work of works) {
    const args = [`http_${thread.runtime}.ts`, work.inside, thread.place];
    const argv = runFile(thread.runtime, "bench/servers/thread.ts", args);
    const server = await startServer({ argv, cpu: SERVER_CPU });
    try {
      const httpPort = Number((await server.line()).replace("http ", ""));
      await measure(server, httpPort, work, "saturated", 0); // a warm-up
      for (const name of loads) {
        progress.step(`${thread.runtime}, ${thread.place}: ${name} beside ${work.title}`, seconds);
        const cell = await measure(server, httpPort, work, name, mostPerSecond);
        if (work.name === "none" && name === "saturated") mostPerSecond = cell.messages / seconds;
        cells.push({ thread, work: work.name, load: name, ...cell });
      }
    } finally {
      await server.stop();
    }
  }
  return cells;
}

/** A cell beside what its parts cost alone. */
interface Compared extends Cell {
  /** CPU ÷ what the same messages and units took alone. */
  readonly ratio: number;
  /** CPU above twice that, for each message and unit, in microseconds. */
  readonly excessMicros: number;
}

function compare(cells: readonly Cell[], cell: Cell): Compared {
  const find = (work: string, load: Load) =>
    cells.find((one) => one.thread === cell.thread && one.work === work && one.load === load)!;
  const ours = find("none", cell.load);
  const theirs = find(cell.work, "idle");
  const resting = find("none", "idle").cpuMicros;
  const perMessage = ours.messages > 0 ? (ours.cpuMicros - resting) / ours.messages : 0;
  const perUnit = theirs.done.units > 0 ? (theirs.cpuMicros - resting) / theirs.done.units : 0;
  const alone = cell.messages * perMessage + cell.done.units * perUnit;
  const used = cell.cpuMicros - resting;
  const count = cell.messages + cell.done.units;
  return { ...cell, ratio: used / alone, excessMicros: (used - 2 * alone) / count };
}

function row({ thread, work, load, done, messages, messageP99Micros, ratio }: Compared): string[] {
  return [
    `${thread.runtime}, ${thread.place}`,
    work,
    load,
    figure(messages / seconds, 0),
    figure(messageP99Micros / 1000),
    figure(done.units / seconds, 0),
    figure(done.p50),
    figure(done.p99),
    figure(ratio),
  ];
}

const cells: Cell[] = [];
for (const runtime of options.runtimes!.split(",") as Runtime[]) {
  for (const place of options.places!.split(",") as Thread["place"][]) {
    cells.push(...await measureThread({ runtime, place }));
  }
}
progress.end();
const compared = cells.map((cell) => compare(cells, cell));
const both = compared.filter(({ work, load }) => work !== "none" && load !== "idle");
const worst = both.toSorted((a, b) => b.ratio - a.ratio).slice(0, 3);
const excess = Math.max(0, ...both.map(({ excessMicros }) => excessMicros));
const heads = [
  "thread",
  "beside",
  "netpoll",
  "messages/s",
  "p99 ms",
  "units/s",
  "p50 ms",
  "p99 ms of them",
  "CPU ÷ both alone",
];
const markdown = [
  `## netpoll and the runtime's own work in one thread\n`,
  `\`${commandLine("make thread")}\` on ${new Date().toISOString().slice(0, 10)}.`,
  `64 B over 50 connections; ${seconds} s a cell; server on CPU ${SERVER_CPU}, loads on CPU ${LOAD_CPU}.`,
  `A unit is a request, a file, a message or a tick; of the timer, the times are how late it was.\n`,
  table(heads, compared.map(row)),
  `\nThe worst three: ${
    worst.map(({ thread, work, load, ratio }) =>
      `${thread.runtime}, ${thread.place}, ${load} beside ${work} (${figure(ratio)})`
    ).join("; ")
  }. No cell with both costs more than twice both alone plus ${figure(excess)} µs a unit.\n`,
  describeMachine(),
].join("\n");
tell("thread", markdown, compared);
