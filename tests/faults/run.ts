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
import { effectsOf } from "./errnos.ts";
import type { Place, Report, Task } from "./runner.ts";
import { ALL } from "./trial.ts";

/** The share of the time that they have where it is limited. */
const SEVERAL_SHARE = 0.2;
/** A process that says nothing for so long hangs in native code. */
const SILENCE_MS = 24 * 60 * 60 * 1000;
/** A process is replaced when it dies; one that dies at every run is given up. */
const DEATHS_MAX = 100;
const WHY_CHARACTERS_MAX = 2000;

const { seconds, seed, record, own } = driverOptions(
  "Lets each native call of each scenario fail with each errno of its manual page, be short, or late.",
  {
    scenario: { help: `only these, with commas, of ${Object.keys(ALL).join(", ")}` },
    from: { help: "this scenario, and those after it" },
    call: { help: `only this kind of call of ${FAULT_KINDS.join(", ")}` },
    errno: { help: "only this error, as in ENOMEM, or short, or late" },
    at: { help: "only this call of its kind; the first is 0" },
    several: {
      help: "runs with several faults at once, at random, of each scenario",
      value: "100",
    },
  },
);

const several = wholeNumber("several", own.several!);
const folder = mkdtempSync(join(tmpdir(), "netpoll-"));
process.once("exit", () => rmSync(folder, { recursive: true }));

const totals = { runs: 0, failures: 0 };

function again({ injections }: Place, task: Task): string {
  const command = (options: string) => `make faults OPTIONS="--runtimes ${host.name} ${options}"`;
  const [first] = injections;
  if (injections.length !== 1) {
    return command(`--scenario ${task.scenario} --seed ${seed}`) +
      `, which injects ${JSON.stringify(injections)}`;
  }
  const { call, effect, at } = first!;
  return command(`--scenario ${task.scenario} --call ${call} --errno ${effect} --at ${at}`);
}

function tell(place: Place, why: string, task: Task): void {
  totals.failures += 1;
  const what = place.injections.map(({ call, effect, at, count = 1 }) =>
    `${effect} at ${call} ${at}${count > 1 ? ` to ${at + count - 1}` : ""}`
  );
  console.log(`FAILED ${task.scenario}, ${what.join(", ")}: ${why.slice(0, WHY_CHARACTERS_MAX)}`);
  console.log(`  again: ${again(place, task)}`);
}

/** Reads what a process prints until it ends. How many runs it made; -1 if it died. */
async function listen(program: Program, task: Task): Promise<number> {
  for (;;) {
    let line: string;
    try {
      line = (await program.find(/(.*)\n/, SILENCE_MS))[1]!;
    } catch {
      return -1;
    }
    const report = JSON.parse(line) as Report;
    if ("end" in report) return report.runs;
    tell(report.failed, report.why, task);
  }
}

/** Runs a task, in one process after the other should they die. */
async function perform(task: Task): Promise<void> {
  const begin = performance.now();
  for (let deaths = 0; deaths < DEATHS_MAX; deaths++) {
    const passed = (performance.now() - begin) / 1000;
    const now: Task = { ...task, seconds: task.seconds - passed };
    const program = start("tests/faults/runner.ts", {
      args: [JSON.stringify(now)],
      env: { NETPOLL_LIB: libraryPath },
      timeoutMs: SILENCE_MS,
    });
    const runs = await listen(program, now);
    const { code, signal, stderr } = await program.ended;
    if (runs >= 0) {
      totals.runs += runs;
      return;
    }
    const text = readFileSync(task.placeFile, "utf8");
    if (text === "") {
      totals.failures += 1;
      console.log(`FAILED ${task.scenario} did not begin: ${stderr}`);
      return;
    }
    const place = JSON.parse(text) as Place;
    totals.runs += place.run - (now.after?.run ?? 0);
    // One that hangs has said so, and ended itself.
    if (code !== 9) tell(place, `the process ended with ${signal ?? code}: ${stderr}`, task);
    task = { ...task, after: place };
  }
}

async function runScenario(scenario: string, secondsMax: number): Promise<void> {
  const at = own.at === undefined ? undefined : wholeNumber("at", own.at);
  const { call, errno: effect } = own;
  const isLimited = secondsMax !== Infinity;
  const isChosen = (call ?? effect ?? at) !== undefined;
  const task: Task = {
    scenario,
    mode: isLimited && !isChosen ? "some" : "each",
    seed: seededRandom(seed).below(2 ** 32),
    seconds: isLimited ? secondsMax * (1 - SEVERAL_SHARE) : 1e9,
    runsMax: 1e9,
    after: null,
    placeFile: join(folder, "place"),
    ...call === undefined ? {} : { call },
    ...effect === undefined ? {} : { effect },
    ...at === undefined ? {} : { at },
  };
  await perform(task);
  if (isChosen) return;
  const limit = isLimited ? { seconds: secondsMax * SEVERAL_SHARE } : { runsMax: several };
  if (several > 0) await perform({ ...task, mode: "several", ...limit });
}

const names = Object.keys(ALL);
const from = own.from === undefined ? 0 : names.indexOf(own.from);
const chosen = own.scenario === undefined ? names.slice(from) : own.scenario.split(",");
if (from < 0 || chosen.some((name) => !(name in ALL))) {
  console.error(`There is no such scenario; there are ${names.join(", ")}`);
  process.exit(2);
}
console.log(`seed ${seed}`);
for (const name of chosen) {
  const begin = performance.now();
  const before = { ...totals };
  await runScenario(name, seconds / chosen.length);
  const took = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(
    `${name}: ${totals.runs - before.runs} runs, ${
      totals.failures - before.failures
    } failed, ${took} s`,
  );
}
const { runs, failures } = totals;
console.log(`faults (${host.name}): ${runs} runs, ${failures} failed`);
if (record && failures === 0) {
  const effects = FAULT_KINDS.reduce((sum, call) => sum + effectsOf(call).length, 0);
  keepRecord({
    name: `faults-${host.name}`,
    what: "Each native call fails with each errno of its manual page, is short, or late",
    amount:
      `${runs} runs of ${chosen.length} scenarios, with ${effects} faults of ${FAULT_KINDS.length} ` +
      `kinds of calls, at each of their first 200 calls, and several at random (seed ${seed})`,
    found: "nothing",
    command: "make faults",
  });
}
process.exitCode = failures === 0 && runs > 0 ? 0 : 1;
