/**
 * netpoll and the runtime's own work in one thread, each at every load: `make thread`. `make beside`
 * is a part of it: timers and HTTP requests beside an idle and beside a saturated echo.
 *
 * Each cell is measured with both, and each alone. A cell's CPU is compared with what its messages
 * and its units of work cost alone: 1.00 is what two processes would have used together.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import { ask, type Server } from "./harness/child.ts";
import { isInstalled } from "./harness/contest.ts";
import { LOAD_CPU, SERVER_CPU } from "./harness/cpus.ts";
import { cpuMicros, load, loadHttp } from "./harness/load.ts";
import { figure, table } from "./harness/markdown.ts";
import { commandLine, parse, select } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { withServers } from "./harness/rounds.ts";
import type { WorkReport } from "./servers/thread.ts";

/** Messages a second of netpoll; "half" is of what it reaches alone. */
const LOADS = ["idle", "500/s", "5 000/s", "half", "saturated"] as const;
type Load = typeof LOADS[number];

/** Work of the runtime. */
interface Work {
  readonly name: string;
  readonly title: string;
  /** Connections of wrk that ask its HTTP server; the server works by itself when left out. */
  readonly connections?: number;
}

const WORKS: readonly Work[] = [
  { name: "none", title: "nothing" },
  { name: "http", title: "one HTTP client", connections: 1 },
  { name: "wrk4", title: "wrk, 4 connections", connections: 4 },
  { name: "wrk64", title: "wrk, 64 connections", connections: 64 },
  { name: "timer", title: "a timer of 1 ms" },
  { name: "timer10", title: "a timer of 10 ms" },
  { name: "messages", title: "messages of a Worker" },
  { name: "files", title: "files read" },
  { name: "fetch", title: "fetch to itself" },
];

/** A thread to measure. */
interface Thread {
  readonly runtime: Runtime;
  readonly place: "main" | "worker";
  readonly style: "sync" | "async";
}

/** The figures of a thread with a work and a load. */
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
  styles: { help: "handlers: sync,async", value: "sync" },
  works: { help: `which: ${WORKS.map(({ name }) => name).join(",")}` },
  loads: { help: `which: ${LOADS.join(",")}` },
  seconds: { help: "how long each cell; wrk wants whole ones", value: 1 },
  keep: { help: "the name of the results", value: "thread" },
});
const { seconds } = options;
const loads = select(LOADS, options.loads);
const works = WORKS.filter((one) =>
  one.name === "none" || select(WORKS, options.works).includes(one)
)
  .filter(({ connections }) => connections === undefined || isInstalled("wrk"));
const threads = options.runtimes.split(",").flatMap((runtime) =>
  options.places.split(",").flatMap((place) =>
    options.styles.split(",").map((style) => ({ runtime, place, style }) as Thread)
  )
);

const sleep = () => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));
const NOTHING: WorkReport = { units: 0, p50: NaN, p99: NaN, p999: NaN };

/** Asks the HTTP server, if that is the work. */
async function askHttp({ connections }: Work, port: number): Promise<WorkReport | null> {
  if (connections === undefined) return null;
  const told = await loadHttp(port, { connections, seconds, cpu: LOAD_CPU });
  return { units: told.requests, p50: told.p50Ms, p99: told.p99Ms, p999: NaN };
}

/** Loads the echo; nothing for "idle". */
async function loadEcho(server: Server, name: Load, mostPerSecond: number) {
  const rates = { idle: 0, "500/s": 500, "5 000/s": 5000, half: mostPerSecond / 2, saturated: 0 };
  if (name === "idle") return null;
  const scenario = { name, title: name, connections: 50, messageBytes: 64 };
  const rate = rates[name] || undefined;
  return await load(server, scenario, { seconds, warmupSeconds: 0, cpu: LOAD_CPU, rate });
}

async function measure(
  server: Server,
  port: number,
  work: Work,
  name: Load,
  mostPerSecond: number,
) {
  await ask<WorkReport>(server); // forget earlier work
  const before = await cpuMicros(server);
  const loads = [loadEcho(server, name, mostPerSecond), askHttp(work, port), sleep()] as const;
  const [told, answer] = await Promise.all(loads);
  const used = await cpuMicros(server) - before;
  const internal = await ask<WorkReport>(server);
  return {
    cpuMicros: used,
    messages: told?.messages ?? 0,
    messageP99Micros: told?.p99_us ?? NaN,
    done: answer ?? (work.name === "none" ? NOTHING : internal),
  };
}

const progress = new Progress(threads.length * works.length * loads.length);

async function measureThread(thread: Thread): Promise<Cell[]> {
  const cells: Cell[] = [];
  let mostPerSecond = 100_000;
  for (const work of works) {
    const inside = work.connections === undefined ? work.name : "none";
    const args = [inside, thread.place, thread.style];
    await withServers(
      [runFile(thread.runtime, "bench/servers/thread.ts", args)],
      async (server) => {
        const port = Number((await server.line()).replace("http ", ""));
        await measure(server, port, work, "saturated", 0); // a warm-up
        for (const name of loads) {
          progress.step(`${thread.runtime}, ${thread.place}: ${name} beside ${work.title}`);
          const cell = await measure(server, port, work, name, mostPerSecond);
          if (work.name === "none" && name === "saturated") mostPerSecond = cell.messages / seconds;
          cells.push({ thread, work: work.name, load: name, ...cell });
        }
      },
      SERVER_CPU,
    );
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
    cells.find((one) => one.thread === cell.thread && one.work === work && one.load === load);
  const ours = find("none", cell.load)!;
  const theirs = find(cell.work, "idle");
  const resting = find("none", "idle")?.cpuMicros ?? NaN;
  const each = (micros: number, count: number) => count > 0 ? (micros - resting) / count : 0;
  const perUnit = theirs === undefined ? NaN : each(theirs.cpuMicros, theirs.done.units);
  const alone = cell.messages * each(ours.cpuMicros, ours.messages) + cell.done.units * perUnit;
  const used = cell.cpuMicros - resting;
  const count = cell.messages + cell.done.units;
  return { ...cell, ratio: used / alone, excessMicros: (used - 2 * alone) / count };
}

function nameOf({ runtime, place, style }: Thread): string {
  return `${runtime}, ${place}${style === "sync" ? "" : ", async"}`;
}

function row({ thread, work, load, done, messages, ...cell }: Compared): string[] {
  return [
    nameOf(thread),
    work,
    load,
    figure(messages / seconds, 0),
    figure(cell.messageP99Micros / 1000),
    figure(done.units / seconds, 0),
    figure(done.p50),
    figure(done.p99),
    figure(done.p999),
    figure(cell.ratio),
  ];
}

const cells: Cell[] = [];
for (const thread of threads) cells.push(...await measureThread(thread));
progress.end();
const compared = cells.map((cell) => compare(cells, cell));
const both = compared.filter(({ work, load }) => work !== "none" && load !== "idle");
const worst = both.toSorted((a, b) => b.ratio - a.ratio).slice(0, 3);
const excess = Math.max(0, ...both.map(({ excessMicros }) => excessMicros));
const heads = [
  ...["thread", "beside", "netpoll", "messages/s", "p99 ms", "units/s", "p50 ms"],
  ...["p99 ms of them", "p99.9 ms", "CPU ÷ both alone"],
];
const worstNames = worst.map(({ thread, work, load, ratio }) =>
  `${nameOf(thread)}, ${load} beside ${work} (${figure(ratio)})`
);
const markdown = [
  `## netpoll and the runtime's own work in one thread\n`,
  `\`${commandLine("make thread")}\` on ${new Date().toISOString().slice(0, 10)}.`,
  `64 B over 50 connections; ${seconds} s a cell; server on CPU ${SERVER_CPU}, loads on CPU ${LOAD_CPU}.`,
  `A unit is a request, a file, a message or a tick; of the timer, the times are how late it was.\n`,
  table(heads, compared.map(row)),
  `\nThe worst three: ${worstNames.join("; ")}.`,
  `No cell with both costs more than twice both alone plus ${figure(excess)} µs a unit.\n`,
  describeMachine(),
].join("\n");
tell(options.keep, markdown, compared);
