/**
 * Runs the library over a simulated kernel, clock and runtime, by the million: `make simulate`.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions, wholeNumber } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { machine } from "./machine.ts";
import { catchMutants } from "./mutants.ts";
import { again, type Finding, type Result, simulate } from "./simulate.ts";

const FINDINGS_MAX = 5;
const PROGRESS_MS = 10_000;
const LINES_MAX = 12;

const { seconds, seed, record, own } = driverOptions(
  "Runs programs over a simulated kernel, clock and runtime, each by a seed of its own.",
  {
    schedules: { help: "how many at most", value: "1000000" },
    trace: { help: "print all that happens in one schedule, the one of --seed", isFlag: true },
    mutants: { help: "plant faults in copies of the sources, and find each", isFlag: true },
    only: { help: "mutants whose names have this in them" },
  },
);
const isTraced = own.trace !== undefined;
const endMs = performance.now() + 1000 * seconds;

// Whoever did not take its rejection is a fault as well.
process.on("unhandledRejection", (reason) => {
  console.log(`FAILED a rejection that nobody has taken: ${reason}`);
  process.exitCode = 1;
});

function tell({ seed: found, violation }: Finding): void {
  const lines = violation.message.split("\n").slice(0, LINES_MAX);
  console.log(`FAILED ${lines.join("\n  ")}\n  again: ${again(found)}`);
}

async function runSchedules(): Promise<void> {
  const beginMs = performance.now();
  let toldMs = beginMs;
  if (isTraced) {
    const from = machine.nowMicros;
    machine.trace = (line) => console.log(`${machine.nowMicros - from} ${line}`);
  }
  const result = await simulate({
    seed,
    count: isTraced ? 1 : wholeNumber("schedules", own.schedules!),
    endMs,
    findingsMax: FINDINGS_MAX,
    onFinding: tell,
    onProgress(count) {
      if (performance.now() - toldMs < PROGRESS_MS) return;
      toldMs = performance.now();
      console.log(`${count} schedules in ${Math.round((toldMs - beginMs) / 1000)} s`);
    },
  });
  const tookSeconds = (performance.now() - beginMs) / 1000;
  const rate = Math.round(result.count / tookSeconds);
  console.log(
    `simulate (${host.name}): ${result.count} schedules from seed 0x${seed.toString(16)} on, ` +
      `${rate} a second; ${result.findings.length} failed`,
  );
  if (result.findings.length > 0 || result.count === 0) process.exitCode = 1;
  else if (record) keep(result, rate);
}

function keep({ count, seconds: simulated }: Result, rate: number): void {
  keepRecord({
    name: `simulation-${host.name}`,
    what:
      "Random programs over a simulated kernel, clock and runtime: every byte, promise, descriptor, " +
      "block and timer is looked at, and planted faults are found",
    amount: `${count} schedules, ${rate} a second, ${Math.round(simulated / 3600)} simulated hours`,
    found: FOUND,
    command: "make simulate",
  });
}

const FOUND = "Resets told, and passed on by pipes, as ends in order; lost connections that were " +
  "never torn down, in five ways; bytes read from behind a gap; a file sent from a number that was " +
  "closed; sockets, memory and promises left, or the program ended, for want of memory";

async function runMutants(): Promise<void> {
  const missed = await catchMutants({ seed, endMs, only: own.only ?? "", log: console.log });
  if (missed > 0) process.exitCode = 1;
}

await (own.mutants === undefined ? runSchedules() : runMutants());
