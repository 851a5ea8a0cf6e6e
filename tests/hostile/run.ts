/**
 * Attacks every server in every way, at full size, beside a client that behaves well: `make
 * hostile`.
 */
import process from "node:process";
import { host } from "../../ffi/runtime.ts";
import { driverOptions } from "../../scripts/trust/options.ts";
import { keepRecord } from "../../scripts/trust/record.ts";
import { seededRandom } from "../support/random.ts";
import { pairs, Servers } from "./pairs.ts";

const { seconds, seed, record, own } = driverOptions(
  "Attacks servers of every kind, and asks them beside it.",
  {
    attack: { help: "attacks whose names have this in them" },
    server: { help: "servers whose names have this in them" },
    size: { help: "full, or small as in the suite", value: "full" },
  },
);
const end = performance.now() + 1000 * seconds;
const chosen = pairs(own.size === "small" ? "small" : "full").filter(({ attack, target }) =>
  attack.includes(own.attack ?? "") && target.includes(own.server ?? "")
);
const random = seededRandom(seed);
const sums = { pairs: 0, connections: 0, datagrams: 0, sentBytes: 0, answered: 0, grownBytes: 0 };
let failed = 0;

/** The name as a word of the shell. */
function option(name: string, value: string): string {
  return `--${name} "${value}"`;
}

// With little time, each pair has the same chance.
const inTurn = seconds === Infinity
  ? chosen
  : chosen.map((pair) => [random.next(), pair] as const).sort(([a], [b]) => a - b).map(([, p]) =>
    p
  );
const servers = new Servers();
for (const { attack, target, of, obstacle, run } of inTurn) {
  if (performance.now() > end) break;
  const name = `${target}, ${attack}`;
  if (obstacle !== "") {
    console.log(`skipped ${name}: ${obstacle}`);
    continue;
  }
  try {
    const { connected, sentBytes, answered, grownBytes } = await run(servers, random);
    sums.pairs += 1;
    sums[of] += connected;
    sums.sentBytes += sentBytes;
    sums.answered += answered;
    sums.grownBytes = Math.max(sums.grownBytes, grownBytes);
    console.log(
      `${name}: ${connected} ${of}, ${(sentBytes / 2 ** 20).toFixed(1)} MiB taken; others ` +
        `had ${answered} answers; ${(grownBytes / 2 ** 20).toFixed(0)} MiB more resident at most`,
    );
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error instanceof Error ? error.message : error}`);
    const again = [option("attack", attack), option("server", target), `--seed ${seed}`].join(" ");
    console.log(`  again: make hostile OPTIONS='${again}'`);
    await servers.stop(); // the next one is not to suffer from it
  }
}
await servers.stop();

console.log(`hostile (${host.name}): ${sums.pairs} passed, ${failed} failed`);
if (record && failed === 0) {
  keepRecord({
    name: `hostile-${host.name}`,
    what:
      "Servers of ten kinds under attack, and seven of datagrams flooded from changing addresses, " +
      "in a process of their own, beside a client that asks and is answered; the memory, the idle " +
      "poller and what is left are asserted",
    amount: `${sums.pairs} pairs of server and attack, ${sums.connections} hostile connections, ` +
      `${sums.datagrams} datagrams, ${(sums.sentBytes / 2 ** 30).toFixed(2)} GiB of both, ` +
      `${sums.answered} answers to others; ${(sums.grownBytes / 2 ** 20).toFixed(0)} MiB more ` +
      "resident at most",
    found:
      "A peer that takes no answers could make a server hold more than readBufferBytesMax; a " +
      "handler that had failed on a lost connection was called for every message left; metrics() " +
      "threw in Bun when no descriptor was left",
    command: "make hostile",
  });
}
process.exitCode = failed === 0 && sums.pairs > 0 ? 0 : 1;
