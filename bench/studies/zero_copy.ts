/**
 * What a stream costs its sender, with and without zero copy: `make -C bench zero-copy`.
 *
 * On a cable that copies like a network card (wire.ts), and on loopback, where zero copy
 * gains nothing and `"auto"` must cost nothing. Every round measures every way once.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { runFile, type Runtime, select } from "../harness/candidates.ts";
import { projectPath, run, type Server, startServer } from "../harness/child.ts";
import { number, parse } from "../harness/options.ts";
import { table } from "../harness/markdown.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { Progress } from "../harness/progress.ts";
import { median, quantile } from "../harness/statistics.ts";
import { layWire, LOOPBACK, type Wire } from "./wire.ts";

const KIB = 1024;
const SIZES = [16, 64, 256, 1024];

/** The output of sender.ts. */
interface Bulk {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuMicros: number;
  readonly counts: Readonly<Record<string, number | string | null>>;
}

/** One way to send, in one place. */
interface Series {
  readonly place: string;
  readonly kib: number;
  readonly mode: string;
  readonly rounds: Bulk[];
}

const options = parse({
  sizes: { help: "KiB of a message", value: SIZES.join(",") },
  rounds: "5",
  seconds: "2",
  runtimes: { help: "bun, deno or both, with a comma between them", value: "bun" },
  places: { help: "cable, loopback or both, with a comma between them (both)" },
  "sender-cpu": { help: "the CPU of the sender", value: "0" },
  "receiver-cpu": { help: "the CPU of the receiver and of the cable", value: "1" },
  "skb-defer": {
    help:
      "net.core.skb_defer_max meanwhile, of the whole machine: 0 frees what was received where " +
      "it was received, as if the receiver were another machine (left alone)",
  },
});
const roundCount = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const senderCpu = number("sender-cpu", options["sender-cpu"]);
const receiverCpu = number("receiver-cpu", options["receiver-cpu"]);
const sizes = options.sizes!.split(",").map((size) => number("sizes", size));
const runtimes = options.runtimes!.split(",") as Runtime[];

if (process.getuid?.() !== 0) {
  console.error("SKIPPED: a network namespace of its own needs root");
  process.exit(77);
}

/** How many packets wait to be freed on the CPU that made them. */
const SKB_DEFER = "/proc/sys/net/core/skb_defer_max";
const skbDefer = readFileSync(SKB_DEFER, "utf8").trim();
if (options["skb-defer"] !== undefined) {
  writeFileSync(SKB_DEFER, `${number("skb-defer", options["skb-defer"])}`);
  process.once("exit", () => writeFileSync(SKB_DEFER, skbDefer));
}

/** A place to measure in, and what there is to measure, the way it is compared with first. */
interface Place {
  readonly name: string;
  readonly title: string;
  readonly modes: readonly string[];
  lay(): Promise<Wire>;
}

const PLACES: readonly Place[] = [
  {
    name: "cable",
    title: "a cable on which nothing is copied",
    modes: ["off", "always", "auto"],
    lay: () => layWire(receiverCpu),
  },
  {
    name: "loopback",
    title: "loopback, where the kernel copies",
    modes: ["off", "auto", "always"],
    lay: () => Promise.resolve(LOOPBACK),
  },
];
const places = select(PLACES, options.places);

/** A sender starts, warms up (sender.ts) and ends beside its measurement. */
const BESIDE_SECONDS = 2;
const stepSeconds = seconds + BESIDE_SECONDS;
const progress = new Progress(
  runtimes.length * roundCount * stepSeconds * sizes.length *
    places.reduce((sum, { modes }) => sum + modes.length, 0),
);

async function measureOnce(wire: Wire, sink: Server, one: Series, runtime: Runtime) {
  const args = [wire.host, `${sink.port}`, one.mode, `${one.kib * KIB}`, `${seconds}`];
  const argv = wire.sender(runFile(runtime, "bench/studies/sender.ts", args));
  one.rounds.push(JSON.parse(await run({ argv, cpu: senderCpu })));
}

async function measure({ name, modes }: Place, wire: Wire, runtime: Runtime): Promise<Series[]> {
  const argv = wire.receiver([projectPath("bench/build/sink")]);
  const sink = await startServer({ argv, cpu: receiverCpu });
  const all = sizes.flatMap((kib) => modes.map((mode) => ({ place: name, kib, mode, rounds: [] })));
  try {
    for (let round = 0; round < roundCount; round++) {
      for (let i = 0; i < all.length; i++) {
        const one: Series = all[(i + round) % all.length]!;
        const what = `${runtime}, ${name}, round ${round + 1} of ${roundCount}`;
        progress.step(`${what}: ${one.kib} KiB, ${one.mode}`, stepSeconds);
        await measureOnce(wire, sink, one, runtime);
      }
    }
    return all;
  } finally {
    await sink.stop();
  }
}

const nanosPerByte = (bulk: Bulk) => bulk.cpuMicros * 1000 / bulk.bytes;

function row(series: Series, copying: Series): string[] {
  const { kib, mode, rounds } = series;
  const ratios = rounds.map((round, i) => nanosPerByte(round) / nanosPerByte(copying.rounds[i]!));
  const last = rounds.at(-1)!.counts;
  return [
    `${kib} KiB, ${mode}`,
    median(rounds.map(nanosPerByte)).toFixed(3),
    median(ratios).toFixed(2),
    `${quantile(ratios, 0.25).toFixed(2)}–${quantile(ratios, 0.75).toFixed(2)}`,
    Math.round(median(rounds.map((round) => round.bytes / round.seconds / 1e6))).toLocaleString(
      "en",
    ),
    `${last["calls"]}`,
    `${last["fallBacks"]}`,
    `${last["obstacle"] ?? ""}`,
  ];
}

const HEADS = [
  "message, zeroCopy",
  "CPU ns/byte",
  "÷ off",
  "middle half",
  "MB/s",
  "zero-copy sends",
  "copied",
  "why",
];

function section(title: string, all: readonly Series[]): string {
  const rows = all.map((one) => row(one, all.find((each) => each.kib === one.kib)!));
  return `### ${title}\n\n${table(HEADS, rows)}\n`;
}

const results: (Series & { runtime: Runtime })[] = [];
const sections: string[] = [];
for (const runtime of runtimes) {
  for (const place of places) {
    const wire = await place.lay();
    const all = await measure(place, wire, runtime);
    wire.close();
    sections.push(section(`${runtime}, ${place.title}`, all));
    results.push(...all.map((one) => ({ runtime, ...one })));
  }
}
progress.end();
const markdown = [
  `## What a stream costs its sender\n`,
  `${describeMachine()}. Sender on CPU ${senderCpu}, receiver and cable on CPU ${receiverCpu}; cubic;`,
  `${roundCount} interleaved rounds of ${seconds} s; 16 MiB of messages that are not touched between`,
  `sends. CPU is that of the sender's process, the kernel's work in its time included.`,
  `net.core.skb_defer_max is ${options["skb-defer"] ?? skbDefer} (bench/README.md).\n`,
  ...sections,
].join("\n");
tell("zero_copy", markdown, results);
process.exit(0);
