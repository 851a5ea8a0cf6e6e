/**
 * Ends a server under load in every way, again and again, and looks whether it hangs, crashes, loses
 * a byte that was flushed, or leaves its port in use: `make exits`.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { driverOptions, wholeNumber } from "../../scripts/trust/options.ts";
import { seededRandom } from "../support/random.ts";
import { PARTS, withPlace } from "./parts.ts";

/** The faults that it has found so far, for the table. */
const FOUND =
  "Answers that were flushed amid a turn were lost at an exit, behind an end in order; " +
  "one time in forty, in two ways, still after the first mend. A connection that was reset while it " +
  "closed kept shutdown() for all of its time.";

const { seconds, seed, record, own } = driverOptions(
  "Ends servers, Workers and peers under load, in every way.",
  {
    times: { help: "how often each way", value: "100" },
    only: { help: "ways whose names have this in them" },
  },
);
const times = wholeNumber("times", own.times!);
const end = performance.now() + 1000 * seconds;
const parts = PARTS.filter(({ name }) => name.includes(own.only ?? ""));
const counts = { passed: 0, failed: 0 };
const bySort: Record<string, number> = {};

await withPlace(async (place) => {
  for (let n = 0; n < times && performance.now() < end; n++) {
    for (const { name, run } of parts) {
      if (performance.now() >= end) break;
      const random = seededRandom(seed + n);
      try {
        const ends = await run(place, random);
        for (const [sort, count] of Object.entries(ends)) {
          bySort[sort] = (bySort[sort] ?? 0) + count;
        }
        counts.passed += 1;
      } catch (error) {
        counts.failed += 1;
        console.log(`FAILED ${name}: ${error instanceof Error ? error.message : error}`);
        console.log(`  again: make exits OPTIONS='--times 1 --seed ${seed + n} --only "${name}"'`);
      }
    }
    if (n % 10 === 9 || n === times - 1) {
      console.log(`${n + 1} times each: ${JSON.stringify(bySort)}`);
    }
  }
});

const { passed, failed } = counts;
console.log(`exits (${host.name}): ${passed} passed, ${failed} failed`);
if (record && failed === 0) {
  const sorts = Object.entries(bySort).map(([sort, count]) => `${count} by ${sort}`).join(", ");
  keepRecord({
    name: `exits-${host.name}`,
    what: "Servers, Workers and peers that end under load in every way",
    amount: `${parts.length} ways, ${
      Math.floor(passed / parts.length)
    } times each; connections ended: ${sorts}`,
    found: FOUND,
    command: "make exits",
  });
}
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
