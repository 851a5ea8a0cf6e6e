/**
 * Every scenario under every condition of the network: `make network`. It needs root, for it makes
 * network namespaces.
 *
 * @module
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions, wholeNumber } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { seededRandom } from "../support/random.ts";
import { lacks } from "../support/tool.ts";
import { findObstacle, removeLeft } from "./bed.ts";
import { type Condition, CONDITIONS } from "./conditions.ts";
import type { Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";
import { bytesOf, type Outcome, runTrial } from "./trial.ts";

const MIB = 1024 * 1024;
const FULL_BYTES = 100 * MIB;
/** What a trial sends each way where there is little time. */
const SHORT_BYTES = MIB / 4;
const TRIAL_MS_MAX = 300_000;
/** Scenarios that make a network of their own stand in the table under this name. */
const OWN = "clear";
const FOUND =
  "no fault of the code: that a close needs more than its 5 s where a third of the packets " +
  "is lost, and that the kernel may then give the rest up without a word, which CONNECTION.md says now";

const { seconds, seed, record, own } = driverOptions(
  "Every scenario under every condition of the network; with --seconds in random order, and small.",
  {
    condition: { help: `which of ${Object.keys(CONDITIONS).join(",")}` },
    scenario: { help: `which of ${Object.keys(SCENARIOS).join(",")}` },
    bytes: { help: `the most that goes each way; ${FULL_BYTES} unless given` },
    jobs: { help: "trials at a time", value: "2" },
  },
);
const isShort = seconds !== Infinity;
const random = seededRandom(seed);

/** Puts them in an order by chance (Fisher and Yates). */
function shuffle(list: unknown[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [list[i], list[other]] = [list[other], list[i]];
  }
}

/** Names that were asked for, all unless some were. */
function choose(known: Readonly<Record<string, unknown>>, list: string | undefined): string[] {
  const names = list?.split(",") ?? Object.keys(known);
  const unknown = names.filter((name) => known[name] === undefined);
  if (unknown.length === 0) return names;
  console.error(`Unknown: ${unknown.join(", ")}; there are ${Object.keys(known).join(", ")}`);
  process.exit(2);
}

const obstacle = findObstacle();
if (obstacle !== "") {
  console.log(`SKIPPED: bad networks: ${obstacle}`);
  process.exit(0);
}
for (const name of removeLeft()) console.log(`removed ${name}, left by a run that was killed`);

const bytes = wholeNumber("bytes", own.bytes ?? `${isShort ? SHORT_BYTES : FULL_BYTES}`);

/** Whether a condition means anything to a scenario. */
function suits(scenario: Scenario, { isDown = false, isOfTcp = false }: Condition): boolean {
  return !(scenario.needsRoute && isDown) && !(scenario.isOfDatagrams && isOfTcp);
}

const trials = choose(SCENARIOS, own.scenario)
  .filter((name) => lacks(...SCENARIOS[name]!.tools ?? []) === false)
  .flatMap((scenario) =>
    (SCENARIOS[scenario]!.isOwnNetwork ? [OWN] : choose(CONDITIONS, own.condition))
      .filter((condition) => suits(SCENARIOS[scenario]!, CONDITIONS[condition]!))
      .map((condition) => ({ scenario, condition, bytes }))
  );
if (isShort) shuffle(trials);

const began = performance.now();
const passed = () => (performance.now() - began) / 1000;
const sums = { trials: 0, bytes: 0, lost: 0, zeroCopyCalls: 0 };
const failures: string[] = [];
let next = 0;

/** One line of the result. */
function print(which: string, { seconds, counts, bytes, figures }: Outcome): void {
  const { there, back } = counts;
  const sum = (name: "lost" | "duplicated" | "reordered" | "passed") => there[name] + back[name];
  const about = Object.entries(figures).map(([name, value]) => `, ${name} ${value}`).join("");
  console.log(
    `[${next}/${trials.length}] ${which}: ${(bytes / MIB).toFixed(1)} MiB each way in ` +
      `${seconds.toFixed(1)} s; ${sum("passed")} packets, ${sum("lost")} lost, ` +
      `${sum("duplicated")} twice, ${sum("reordered")} late${about}`,
  );
}

async function work(): Promise<void> {
  while (next < trials.length && passed() < seconds) {
    const { scenario, condition } = trials[next++]!;
    const which = `${scenario} under ${condition}`;
    try {
      const timeoutMs = TRIAL_MS_MAX;
      const outcome = await runTrial({ scenario, condition, bytes, seed, timeoutMs });
      print(which, outcome);
      sums.trials += 1;
      sums.bytes += 2 * outcome.bytes;
      sums.lost += outcome.counts.there.lost + outcome.counts.back.lost;
      sums.zeroCopyCalls += Number(outcome.figures["zeroCopyCalls"] ?? 0);
    } catch (error) {
      failures.push(which);
      const size = bytesOf({ scenario, condition, bytes });
      console.log(
        `FAILED: ${(error as Error).message}\n  again: make network OPTIONS="--condition ` +
          `${condition} --scenario ${scenario} --bytes ${size} --seed ${seed}"`,
      );
    }
  }
}

console.log(`${trials.length} trials, seed ${seed}`);
await Promise.all(Array.from({ length: wholeNumber("jobs", own.jobs!) }, work));
const amount = `${sums.trials} trials, ${(sums.bytes / MIB).toFixed(0)} MiB over the ` +
  `link, ${sums.lost} packets lost, ${sums.zeroCopyCalls} zero-copy sends, in ${
    passed().toFixed(0)
  } s`;
console.log(failures.length === 0 ? amount : `${amount}; FAILED: ${failures.join("; ")}`);
if (record && failures.length === 0) {
  keepRecord({
    name: `network-${host.name}`,
    what: `${Object.keys(SCENARIOS).length} scenarios under ${Object.keys(CONDITIONS).length} ` +
      "conditions of a network of namespaces: loss, reordering, duplication, delay, a slow link, small " +
      "packets, a cut; every byte compared",
    amount,
    found: FOUND,
    command: "make network",
  });
}
process.exit(failures.length === 0 ? 0 : 1);
