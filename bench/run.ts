/**
 * The entry to all benches: `run.ts NAME [options]`, which the targets of the Makefile call. `--help`
 * lists the benches, and after a name the options of that one.
 */
import process from "node:process";
import { BENCHES, describeBenches } from "./harness/benches.ts";

const name = process.argv[2];
const bench = BENCHES.find((one) => one.name === name);
if (bench !== undefined) {
  process.argv.splice(2, 1, ...bench.args ?? []);
  if (process.argv.includes("--help")) console.log(`${bench.tells}\n`);
  await import(new URL(bench.file, import.meta.url).href);
} else {
  console.log(
    `run.ts NAME [options]; run.ts NAME --help lists the options\n\n${describeBenches()}`,
  );
  if (name !== "--help") process.exitCode = 2;
}
