/**
 * Round trips a second of a handler that answers later than it returns, beside node:net in the same
 * runtime: `make deferred`.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import { LOAD_CPU, SERVER_CPU } from "./harness/cpus.ts";
import { load } from "./harness/load.ts";
import { figure, table } from "./harness/markdown.ts";
import { commandLine, parse, select } from "./harness/options.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { inRounds, withServers } from "./harness/rounds.ts";
import { median, ratios } from "./harness/statistics.ts";
import { WAYS } from "./servers/deferrals.mjs";

const SERVERS = ["bench/servers/deferred.ts", "bench/peers/deferred_net.mjs"];
const RUNTIMES: readonly Runtime[] = ["bun", "deno"];
const names = Object.keys(WAYS);

const options = parse({
  rounds: 5,
  seconds: 0.5,
  ways: { help: `which, of ${names.join(", ")}` },
});
const { rounds, seconds } = options;
const ways = select(names, options.ways);

/** Round trips a second of one connection. */
function measure(runtime: Runtime, file: string, way: string): Promise<number> {
  return withServers([runFile(runtime, file, [way])], async (server) => {
    const scenario = { name: way, title: way, connections: 1, messageBytes: 64 };
    const times = { seconds, warmupSeconds: 0.3, cpu: LOAD_CPU };
    return (await load(server, scenario, times)).messages_per_s;
  }, SERVER_CPU);
}

const found = await inRounds(
  rounds,
  ways.flatMap((way) =>
    RUNTIMES.flatMap((runtime) =>
      SERVERS.map((file) => ({
        title: `${runtime}, ${file}: ${way}`,
        measure: () => measure(runtime, file, way),
      }))
    )
  ),
);

const rows = ways.map((way, i) => [
  way,
  ...RUNTIMES.flatMap((_, j) => {
    const at = (i * RUNTIMES.length + j) * SERVERS.length;
    const [ours, theirs] = [found[at]!, found[at + 1]!];
    return [
      figure(median(ours), 0),
      figure(median(theirs), 0),
      figure(median(ratios(ours, theirs))),
    ];
  }),
]);
const heads = ["answers from", ...["Bun", "Deno"].flatMap((name) => [name, "node:net", "÷"])];
const markdown = [
  `## Handlers that answer later than they return\n`,
  `\`${commandLine("make deferred")}\` on ${new Date().toISOString().slice(0, 10)}.`,
  `Round trips of 64 B a second over one connection, medians of ${rounds} rounds of ${seconds} s.\n`,
  table(heads, rows),
  `\n${describeMachine()}`,
].join("\n");
tell(
  "deferred",
  markdown,
  rows.map(([way], i) => ({ way, rounds: found.slice(4 * i, 4 * i + 4) })),
);
