/**
 * Everything at once for half an hour, every byte compared, and nothing grows: `make soak`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { streamFile } from "../support/streams.ts";
import { growing, MEMORY_SECONDS_MIN, RESIDENT_SHARE_MAX } from "./flat.ts";
import { type Sample, soak, type Soaked } from "./soak.ts";

const { seconds: given, seed, record } = driverOptions(
  "Serves and uses everything at once, for half an hour unless --seconds says otherwise.",
);
const seconds = given === Infinity ? 1800 : given;
const MIB = 1024 * 1024;
/** As many pauses as are enough for a slope, and not so many that the load is all begins. */
const periodMs = Math.min(5000, Math.max(500, 1000 * seconds / 40));

function line({ residentBytes, ...rest }: Sample): string {
  const counts = Object.entries(rest).map(([name, count]) => `${name} ${count}`).join(", ");
  return `resident ${(residentBytes / MIB).toFixed(1)} MiB, ${counts}`;
}

function amount({ rounds, bytes, churned, samples }: Soaked): string {
  const resident = samples.map(({ residentBytes }) => residentBytes / MIB);
  return `${Math.round(seconds / 60)} minutes: ${rounds} rounds, ${
    (bytes / 2 ** 30).toFixed(1)
  } GiB ` +
    `compared, ${churned} connections and sockets came and went beside 18 that stayed; ${samples.length} ` +
    `counts of descriptors, watchers, timers and blocks were equal, resident memory ` +
    `${Math.min(...resident).toFixed(0)} to ${Math.max(...resident).toFixed(0)} MiB`;
}

const folder = mkdtempSync(join(tmpdir(), "netpoll-soak-"));
const streamPath = join(folder, "stream");
writeFileSync(streamPath, streamFile());
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

let failed = 0;
try {
  const every = Math.max(1, Math.round(30_000 / periodMs));
  const onSample = (sample: Sample, index: number) => {
    if (index % every === 1 || every === 1) console.log(`${index}: ${line(sample)}`);
  };
  const soaked = await soak({ seconds, periodMs, seed, streamPath, onSample });
  const grown = growing(soaked.samples, seconds);
  for (const what of grown) console.log(`FAILED: ${what}`);
  failed = grown.length;
  console.log(amount(soaked));
  if (record && failed === 0) {
    keepRecord({
      name: `soak-${host.name}`,
      what:
        "Echo, frames, RESP, mux, pipe, files, zero copy, datagrams and clients, in one loop and in a " +
        "cluster of two at once, with forced collections and pauses",
      amount: amount(soaked),
      found: "nothing",
      command: "make soak",
    });
  }
} catch (error) {
  failed += 1;
  console.log(`FAILED: ${error instanceof Error ? error.stack : error}`);
}
if (failed > 0) console.log(`  again: make soak OPTIONS="--seconds ${seconds} --seed ${seed}"`);
console.log(`soak (${host.name}): ${failed === 0 ? 1 : 0} passed, ${failed} failed`);
console.log(
  seconds < MEMORY_SECONDS_MIN
    ? `  memory is judged in runs of ${MEMORY_SECONDS_MIN} s and more`
    : `  at most ${100 * RESIDENT_SHARE_MAX} % more resident memory passes`,
);
process.exit(failed === 0 ? 0 : 1);
