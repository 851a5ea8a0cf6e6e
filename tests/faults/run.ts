/**
 * Lets each native call of each scenario fail, do less, or be late: `make faults`.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions, wholeNumber } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { type Program, start } from "../support/child.ts";
import { FAULT_KINDS } from "../support/faults.ts";
import { libraryPath } from "../support/library.ts";
import { seededRandom } from "../support/random.ts";
import { CLUSTER_SCENARIOS } from "./cluster_scenarios.ts";
import { CALLS_MAX, describeInjections, parseInjections } from "./plan.ts";
import type { Place, Report, Task, Turn } from "./runner.ts";
import { ALL } from "./trial.ts";

/** A process that says nothing for so long hangs in native code; sooner where the time is limited. */
const SILENCE_MS = { whole: 60_000, limited: 25_000 };
/** A process is replaced when it dies; a scenario at which one dies so often is given up. */
const DEATHS_MAX = 20;
/** Where less time than this is left, no other process begins. */
const SECONDS_MIN = 1;
/** The exit code of a process that hangs. */
const HUNG = 9;
const WHY_CHARACTERS_MAX = 2000;
/** A sample of each kind of call and each effect: the first call, and a later one at random. */
const SAMPLE = { first: 1, later: 1 };
const FOUND =
  "about 45 faults: errors of this machine that the peer took for the end of the stream; ends, " +
  "interests, wakers, bells and timers that the kernel refused, for which somebody then waited for ever; " +
  "deadlines lost with their timer; sockets, files and threads left by what could not begin; of TLS, ends " +
  "lost where the kernel had no room, records sent behind a lost one, and handshakes that nobody watched";

const { seconds, seed, record, own } = driverOptions(
  "Lets each native call of each scenario fail with each errno of its manual page, be short, or late:\n" +
    `at each of the first ${CALLS_MAX} calls of its kind; where Workers start, which takes long, at the\n` +
    "first call and at a later one, by the seed. With --all, at each there too; with --seconds, in a\n" +
    "random order for so long.",
  {
    all: { help: "each fault at each call, where Workers start as well: hours", isFlag: true },
    scenario: { help: `only these, with commas, of ${Object.keys(ALL).join(", ")}` },
    from: { help: "this scenario, and those after it" },
    call: { help: `only this kind of call of ${FAULT_KINDS.join(", ")}` },
    errno: { help: "only this error, as in ENOMEM, or short, or late" },
    at: { help: "only this call of its kind; the first is 0" },
    inject: { help: "exactly these faults, once, as in recv:EIO:3,send:short:0:2" },
    several: {
      help: "runs with several faults at once, of each scenario; a quarter where Workers start",
      value: "100",
    },
  },
);

type Settings = Omit<Task, "scenarios" | "seconds" | "placeFile">;

/** The part of a scenario that was done. */
interface Done {
  turn: Turn;
  runs: number;
  ms: number;
  failures: number;
  /** Processes that have died at it. */
  deaths: number;
  possible: number;
  isPrinted: boolean;
}

const folder = mkdtempSync(join(tmpdir(), "netpoll-"));
process.once("exit", () => rmSync(folder, { recursive: true }));

function tell(place: Place, why: string): void {
  const { scenario, injections } = place;
  done.get(scenario)!.failures += 1;
  const faults = describeInjections(injections);
  const options = `--runtimes ${host.name} --scenario ${scenario} --inject ${faults}`;
  console.log(`FAILED ${scenario}, ${faults}: ${why.slice(0, WHY_CHARACTERS_MAX)}`);
  console.log(`  again: make faults OPTIONS="${options}"`);
}

function print(name: string, { runs, possible, failures, ms }: Done): void {
  const took = (ms / 1000).toFixed(1);
  console.log(`${name}: ${runs} runs, of ${possible} single faults, ${failures} failed, ${took} s`);
}

function note(report: Report): void {
  if ("failed" in report) return tell(report.failed, report.why);
  const { turn, ms, planned, possible } = report;
  const one = done.get(turn.scenario)!;
  one.runs += turn.next - one.turn.next;
  one.ms += ms;
  Object.assign(one, { turn, possible });
  if (turn.next < planned || one.isPrinted) return;
  one.isPrinted = true;
  print(turn.scenario, one);
}

/** Reads what a process prints until it ends, or is silent for too long: then it is killed. */
async function listen(program: Program, silenceMs: number): Promise<void> {
  for (;;) {
    let line: string;
    try {
      line = (await program.find(/(.*)\n/, silenceMs))[1]!;
    } catch {
      return program.signal("SIGKILL"); // where it has not ended already
    }
    note(JSON.parse(line) as Report);
  }
}

/** The run at which a process has died; null where it died at none. */
function lastPlace(file: string): Place | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Place;
  } catch {
    return null; // it had not begun
  }
}

/** A process for what is left of the scenarios; null where nothing is. */
function nextTask(extent: Settings, number: number, end: number): Task | null {
  const left = (end - performance.now()) / 1000;
  const scenarios = [...done.values()].filter(({ deaths }) => deaths < DEATHS_MAX);
  if (left < SECONDS_MIN || scenarios.length === 0) return null;
  const isShared = left < Infinity;
  return {
    ...extent,
    // At random, what has died is not made again: the order is another one each time.
    seed: isShared ? extent.seed + number >>> 0 : extent.seed,
    scenarios: scenarios.map((one) => isShared ? one.turn = afresh(one.turn) : one.turn),
    seconds: isShared ? left : null,
    placeFile: join(folder, `place${number}`),
  };
}

/** Goes through the scenarios, in one process after the other should they die. */
async function perform(extent: Settings): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  for (let n = 0;; n++) {
    const task = nextTask(extent, n, end);
    if (task === null) return;
    const program = start("tests/faults/runner.ts", {
      args: [JSON.stringify(task)],
      env: { NETPOLL_LIB: libraryPath },
      timeoutMs: 2 ** 31 - 1,
    });
    await listen(program, task.seconds === null ? SILENCE_MS.whole : SILENCE_MS.limited);
    const { code, signal, stderr } = await program.ended;
    if (code === 0) return;
    const place = lastPlace(task.placeFile);
    if (place === null) throw new Error(`The runs did not begin: ${signal ?? code}: ${stderr}`);
    const one = done.get(place.scenario)!;
    one.runs += place.next + 1 - one.turn.next;
    one.turn = { ...place, next: place.next + 1 };
    one.deaths += 1;
    // One that hangs has said so, and ended itself.
    if (code !== HUNG) tell(place, `the process ended with ${signal ?? code}: ${stderr}`);
  }
}

function afresh(turn: Turn): Turn {
  return { ...turn, next: 0, calls: null };
}

const names = Object.keys(ALL);
const from = own.from === undefined ? 0 : names.indexOf(own.from);
const chosen = own.scenario === undefined ? names.slice(from) : own.scenario.split(",");
if (from < 0 || chosen.some((name) => !(name in ALL))) {
  console.error(`There is no such scenario; there are ${names.join(", ")}`);
  process.exit(2);
}
const at = own.at === undefined ? undefined : wholeNumber("at", own.at);
const isWhole = own.all === "" || (own.call ?? own.errno ?? at) !== undefined;
const done = new Map<string, Done>(chosen.map((scenario) => [scenario, {
  turn: {
    scenario,
    mode: isWhole || !(scenario in CLUSTER_SCENARIOS) ? "all" : "sample",
    next: 0,
    calls: null,
  },
  runs: 0,
  ms: 0,
  failures: 0,
  deaths: 0,
  possible: 0,
  isPrinted: false,
}]));
console.log(`seed ${seed}`);
await perform({
  ...SAMPLE,
  seed: seededRandom(seed).below(2 ** 32),
  isShuffled: seconds < Infinity,
  several: wholeNumber("several", own.several!),
  ...own.call === undefined ? {} : { call: own.call },
  ...own.errno === undefined ? {} : { effect: own.errno },
  ...at === undefined ? {} : { at },
  injections: own.inject === undefined ? null : parseInjections(own.inject),
});

const all = [...done.entries()];
for (const [name, one] of all) if (!one.isPrinted) print(name, one);

function sum(of: (one: Done) => number): number {
  return all.reduce((total, [, one]) => total + of(one), 0);
}

/** How much was done, in words. */
function amount(runs: number): string {
  if (seconds < Infinity) {
    return `${runs} runs of ${all.length} scenarios with ${FAULT_KINDS.length} kinds of calls, in ` +
      `${seconds} s and at random, of ${sum((one) => one.possible)} single faults at the first ` +
      `${CALLS_MAX} calls of a kind, and of several at once (seed ${seed})`;
  }
  const single = (mode: string) => sum((one) => one.turn.mode === mode ? one.possible : 0);
  const sampled = all.filter(([, { turn }]) => turn.mode === "sample").length;
  return `${runs} runs of ${all.length} scenarios with ${FAULT_KINDS.length} kinds of calls: all ` +
    `${
      single("all")
    } single faults at the first ${CALLS_MAX} calls of a kind; where Workers start, in ` +
    `${sampled} scenarios, each at the first call and a later one, of ${single("sample")}; and ` +
    `${own.several} runs of each of the others with several at once (seed ${seed}; --all tries the rest)`;
}

const [runs, failures] = [sum((one) => one.runs), sum((one) => one.failures)];
const missed = all.filter(([, one]) => one.runs === 0).map(([name]) => name);
if (missed.length > 0) console.log(`no run of ${missed.join(", ")}: the time was over`);
console.log(`faults (${host.name}): ${runs} runs, ${failures} failed`);
if (record && failures === 0) {
  keepRecord({
    name: `faults-${host.name}`,
    what:
      "Each native call of each scenario fails with each errno of its manual, is short, or late",
    amount: amount(runs),
    found: FOUND,
    command: "make faults",
  });
}
process.exitCode = failures === 0 && runs > 0 ? 0 : 1;
