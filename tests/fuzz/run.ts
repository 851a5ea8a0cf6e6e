/**
 * Random programs, bytes and values against all that reads them: `make fuzz`.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { fuzzNative } from "./native.ts";
import { runFor } from "./running.ts";
import { TARGETS } from "./targets.ts";

/** The time of the whole. */
const SECONDS = 1200;

const names = ["native", ...TARGETS.map(({ name }) => name)];
const { seconds, seed, record, own } = driverOptions(
  `Throws random input at all that reads some. Targets: ${names.join(", ")}.`,
  {
    target: { help: "only targets whose names begin so" },
    cases: { help: "so many cases of each target, for as long as it takes" },
  },
);
const chosen = TARGETS.filter(({ name }) => name.startsWith(own.target ?? ""));
const targets = chosen.filter(({ absence }) => absence == null);
for (const { name, absence } of chosen) if (absence != null) console.log(`${name}: ${absence}`);
// The C file knows no runtime: once is enough.
const isNative = "native".startsWith(own.target ?? "") && host.name !== "deno";
const allSeconds = Number.isFinite(seconds) ? seconds : SECONDS;
const nativeSeconds = isNative ? targets.length > 0 ? allSeconds / 2 : allSeconds : 0;
const each = (allSeconds - nativeSeconds) / Math.max(1, targets.length);
const amounts: string[] = [];
let caseCount = 0;
let failedCount = 0;

if (targets.length === 0 && !isNative) {
  console.error(`No target begins with ${own.target}: there are ${names.join(", ")}`);
  process.exit(2);
}
for (const target of targets) {
  const most = own.cases === undefined ? Infinity : Number(own.cases);
  const { count, failure } = await runFor(target, seed, most, most === Infinity ? each : Infinity);
  amounts.push(target.name);
  caseCount += count;
  console.log(`${target.name}: ${count} cases from seed ${seed}`);
  if (failure === null) continue;
  failedCount += 1;
  console.log(`FAILED ${target.name}: ${target.what}`);
  console.log(failure.error instanceof Error ? failure.error.stack : failure.error);
  console.log(
    `  again: make fuzz OPTIONS='--target ${target.name} --seed ${failure.seed} --cases 1'`,
  );
}
if (isNative) {
  const { amount, error } = await fuzzNative(nativeSeconds, seed);
  amounts.push(`np_*: ${amount}`);
  console.log(`native: ${amount}`);
  if (error !== null) {
    failedCount += 1;
    console.log(`FAILED native: ${error}`);
  }
}
console.log(`fuzz (${host.name}): ${amounts.length - failedCount} passed, ${failedCount} failed`);
if (record && failedCount === 0) {
  keepRecord({
    name: `fuzz-${host.name}`,
    what: "Random input, held against models and the parsers of others",
    amount: `${caseCount} cases of ${amounts.join(", ")}`,
    found:
      "Completions of a Unix socket that never ended, a ring left open, a counter that told stack memory, " +
      "requests behind CONNECT, a mistake in sendFile told too late; with TLS: a byte read behind a client's " +
      "list of protocols, contexts that outlived their thread, a key log left open, names of certificates that " +
      "were ignored; nothing since",
    command: "make fuzz",
  });
}
process.exitCode = failedCount === 0 ? 0 : 1;
