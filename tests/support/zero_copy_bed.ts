/**
 * A program: runs cases of zero copy, named by its arguments, and prints how each ended.
 * `--mutant` in front of them lets memory go when it was sent, instead of when the kernel is done.
 */
import process from "node:process";
import { ZeroCopyCalls } from "../../src/transport/zero_copy_calls.ts";
import { clearFaults, hasFaults } from "./faults.ts";
import { CASES } from "./zero_copy_cases.ts";

// Deno has a thread and a pair of sockets for signals, from the first listener on or from some time
// of its own choice: now, before a case counts descriptors.
const ignore = () => {};
process.on("SIGWINCH", ignore).off("SIGWINCH", ignore);

const names = process.argv.slice(2);
if (names[0] === "--mutant") {
  names.shift();
  const { add, complete } = ZeroCopyCalls.prototype;
  ZeroCopyCalls.prototype.add = function (start, length, first) {
    add.call(this, start, length, first);
    complete.call(this, 0, 0xffff_ffff); // every number
  };
}
for (const name of names) {
  let outcome = "ok";
  try {
    await CASES[name]!();
  } catch (error) {
    outcome = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
  if (hasFaults) clearFaults();
  console.log(`case ${name}: ${JSON.stringify(outcome)}`);
}
process.exit(0);
