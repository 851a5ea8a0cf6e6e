/**
 * Round trips a second of a handler that answers later than it returns, beside node:net in the same
 * runtime: `make deferred`.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import { startServer } from "./harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "./harness/cpus.ts";
import { load } from "./harness/load.ts";
import { figure, table } from "./harness/markdown.ts";
import { commandLine, number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { median } from "./harness/statistics.ts";
import { WAYS } from "./servers/deferrals.mjs";

const SERVERS = {
  netpoll: "bench/servers/deferred.ts",
  "node:net": "bench/peers/deferred_net.mjs",
};
type ServerName = keyof typeof SERVERS;
const RUNTIMES: readonly Runtime[] = ["bun", "deno"];
const names = Object.keys(WAYS);

const options = parse({
  rounds: "5",
  seconds: "0.5",
  ways: { help: `which, of ${names.join(", ")}` },
});
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const ways = names.filter((name) => options.ways?.split(",").includes(name) ?? true);

/** Round trips a second of one connection. */
async function measure(runtime: Runtime, server: ServerName, way: string): Promise<number> {
  const argv = runFile(runtime, SERVERS[server], [way]);
  const started = await startServer({ argv, cpu: SERVER_CPU });
  try {
    const scenario = { name: way, title: way, connections: 1, messageBytes: 64 };
    const told = await load(started, scenario, { seconds, warmupSeconds: 0.3, cpu: LOAD_CPU });
    return told.messages_per_s;
  } finally {
    await started.stop();
  }
}

const progress = new Progress(ways.length * RUNTIMES.length * 2 * rounds * (seconds + 0.5));
const found = new Map<string, number[]>();
for (let round = 0; round < rounds; round++) {
  for (const way of ways) {
    for (const runtime of RUNTIMES) {
      // Ours first and node:net first in turn: whatever the machine does meets both.
      const servers = Object.keys(SERVERS) as ServerName[];
      for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
        progress.step(`${runtime}, ${server}: ${way}`, seconds + 0.5);
        const key = `${runtime} ${server} ${way}`;
        found.set(key, [...found.get(key) ?? [], await measure(runtime, server, way)]);
      }
    }
  }
}
progress.end();

function cells(runtime: Runtime, way: string): string[] {
  const ours = found.get(`${runtime} netpoll ${way}`)!;
  const theirs = found.get(`${runtime} node:net ${way}`)!;
  const ratio = median(ours.map((value, round) => value / theirs[round]!));
  return [figure(median(ours), 0), figure(median(theirs), 0), figure(ratio)];
}

const heads = ["answers from", ...["Bun", "Deno"].flatMap((name) => [name, "node:net", "÷"])];
const rows = ways.map((way) => [way, ...RUNTIMES.flatMap((runtime) => cells(runtime, way))]);
const markdown = [
  `## Handlers that answer later than they return\n`,
  `\`${commandLine("make deferred")}\` on ${new Date().toISOString().slice(0, 10)}.`,
  `Round trips of 64 B a second over one connection, medians of ${rounds} rounds of ${seconds} s.\n`,
  table(heads, rows),
  `\n${describeMachine()}`,
].join("\n");
tell("deferred", markdown, Object.fromEntries(found));
