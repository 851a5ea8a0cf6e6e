/**
 * The cost of single operations: `make -C bench micro`.
 *
 * A sample is a process of its own on one runtime, and the runtimes take turns: the decisions of the
 * compilers differ from process to process, and are part of the spread.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import { run } from "./harness/child.ts";
import { SERVER_CPU } from "./harness/cpus.ts";
import { figureAndRange, table } from "./harness/markdown.ts";
import { commandLine, parse } from "./harness/options.ts";
import type { MicroResults } from "./harness/record.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { inRounds } from "./harness/rounds.ts";
import { spread } from "./harness/statistics.ts";

const options = parse({
  only: { help: "operations whose name contains this", value: "" },
  runtimes: true,
  samples: { help: "how many of each", value: 9 },
  cpu: { help: "the CPU they run on", value: SERVER_CPU },
});
const { samples: count, cpu } = options;
const runtimes = options.runtimes.split(",") as Runtime[];

const found = await inRounds(
  count,
  runtimes.map((runtime) => ({
    title: runtime,
    async measure(): Promise<Record<string, number>> {
      const argv = runFile(runtime, "bench/micro/sample.ts", [options.only]);
      return JSON.parse(await run({ argv, cpu }));
    },
  })),
);

const names = Object.keys(found[0]?.[0] ?? {});
const results: MicroResults = {
  date: new Date().toISOString().slice(0, 10),
  command: commandLine("make -C bench micro"),
  machine: describeMachine(),
  samples: names.flatMap((name) =>
    runtimes.map((runtime, i) => ({ name, runtime, nanos: found[i]!.map((one) => one[name]!) }))
  ),
};
const rows = names.map((name) => [
  name,
  ...found.map((all) => {
    const nanos = spread(all.map((one) => one[name]!));
    return figureAndRange(nanos, nanos.median < 100 ? 1 : 0);
  }),
]);
const markdown = [
  "## What single operations cost",
  `\`${results.command}\` on ${results.date}: ${results.machine}.\n` +
  `Median of ${count} processes, and the middle half of them; pinned to CPU ${cpu}.`,
  table(["ns an operation", ...runtimes], rows),
].join("\n\n");
tell("micro", markdown, results);
