/**
 * The cost of ten thousand armed idle timeouts: CPU of this process while a byte a second moves
 * through each connection, so that none expires, beyond the same without timeouts. It needs 10 000
 * descriptors.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { type Connection, socketPair } from "../../mod.ts";
import { parse } from "../harness/options.ts";

const CONNECTIONS = 10_000;
const IDLE_TIMEOUT_MS = 3_000;
const OBSERVED_MS = 10_000;
const TOUCHED_EVERY_MS = 1_000;

parse({}); // it has no options but --help

/** Milliseconds of CPU that all threads of this process have spent. */
function cpuMs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of 10 ms
}

async function touch(pairs: readonly [Connection, Connection][]): Promise<void> {
  for (const [a] of pairs) {
    a.writer.writeByte(1);
    a.writer.flush();
  }
  for (const [, b] of pairs) {
    await b.reader.wait(1);
    b.reader.skip(1);
    b.reader.release();
  }
}

/** CPU of the stretch, in ms: touched as often, with and without timeouts. */
async function measure(idleTimeoutMs: number): Promise<{ cpu: number; open: number }> {
  const pairs = Array.from({ length: CONNECTIONS / 2 }, () => socketPair());
  for (const each of pairs.flat()) each.idleTimeoutMs = idleTimeoutMs;
  await touch(pairs);
  const before = cpuMs();
  for (let ms = 0; ms < OBSERVED_MS; ms += TOUCHED_EVERY_MS) {
    await setTimeout(TOUCHED_EVERY_MS);
    await touch(pairs);
  }
  const cpu = cpuMs() - before;
  const open = pairs.flat().filter((each) => each.isActive).length;
  await Promise.all(pairs.flat().map((each) => each.close()));
  return { cpu, open };
}

await measure(0); // compiles what the others run
const [without, armed] = [await measure(0), await measure(IDLE_TIMEOUT_MS)];
const percent = (armed.cpu - without.cpu) / OBSERVED_MS * 100;
console.log(`| ${CONNECTIONS} connections | CPU ms in ${OBSERVED_MS / 1000} s | still open |
| --- | ---: | ---: |
| no idle timeout | ${without.cpu} | ${without.open} |
| idle timeout of ${IDLE_TIMEOUT_MS} ms, armed | ${armed.cpu} | ${armed.open} |

Armed timeouts cost ${percent.toFixed(2)} % of a core.`);
process.exit(0);
