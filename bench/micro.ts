/**
 * The cost of single operations: `make -C bench micro`.
 *
 * A sample is a process of its own on one runtime, and the runtimes take turns: how the compilers
 * decide differs from process to process, and is part of the spread.
 */
import { runFile, select } from "./harness/candidates.ts";
import { run } from "./harness/child.ts";
import { SERVER_CPU } from "./harness/cpus.ts";
import { figureAndRange, table } from "./harness/markdown.ts";
import { commandLine, number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import type { MicroResults, MicroSamples } from "./harness/record.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { spread } from "./harness/statistics.ts";

const RUNTIMES = [{ name: "bun" }, { name: "deno" }] as const;
/** A sample of everything takes about so long. */
const SAMPLE_SECONDS = 6;

const options = parse({
  only: { help: "operations whose name contains this", value: "" },
  runtimes: true,
  samples: { help: "how many of each", value: "9" },
  cpu: { help: "the CPU they run on", value: String(SERVER_CPU) },
});
const sampleCount = number("samples", options.samples);
const cpu = number("cpu", options.cpu);
const runtimes = select(RUNTIMES, options.runtimes);

const samples = new Map<string, MicroSamples>();
const progress = new Progress(sampleCount * runtimes.length * SAMPLE_SECONDS);
for (let i = 0; i < sampleCount; i++) {
  for (let turn = 0; turn < runtimes.length; turn++) {
    const { name: runtime } = runtimes[(i + turn) % runtimes.length]!;
    progress.step(`sample ${i + 1} of ${sampleCount} in ${runtime}`, SAMPLE_SECONDS);
    const argv = runFile(runtime, "bench/micro/sample.ts", [options.only!]);
    const found = JSON.parse(await run({ argv, cpu })) as Record<string, number>;
    for (const [name, nanos] of Object.entries(found)) {
      const key = `${name} ${runtime}`;
      if (!samples.has(key)) samples.set(key, { name, runtime, nanos: [] });
      samples.get(key)!.nanos.push(nanos);
    }
  }
}
progress.end();

const results: MicroResults = {
  date: new Date().toISOString().slice(0, 10),
  command: commandLine("make -C bench micro"),
  machine: describeMachine(),
  samples: [...samples.values()],
};

function cell(name: string, runtime: string): string {
  const one = samples.get(`${name} ${runtime}`);
  if (one === undefined) return "–";
  const found = spread(one.nanos);
  return figureAndRange(found, found.median < 100 ? 1 : 0);
}

const names = [...new Set(results.samples.map(({ name }) => name))];
const heads = ["ns an operation", ...runtimes.map(({ name }) => name)];
const rows = names.map((name) => [name, ...runtimes.map((one) => cell(name, one.name))]);
const markdown = [
  "## What single operations cost",
  `\`${results.command}\` on ${results.date}: ${results.machine}.\n` +
  `Median of ${sampleCount} processes, and the middle half of them; pinned to CPU ${cpu}.`,
  table(heads, rows),
].join("\n\n");
tell("micro", markdown, results);
