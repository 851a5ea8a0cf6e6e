/**
 * The cost of a stream for its sender, with and without zero copy: `make -C bench zero-copy`.
 *
 * On a cable that copies like a network card (wire.ts), and on loopback, where zero copy
 * gains nothing and `"auto"` must cost nothing. Every round measures every way once.
 */
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { runFile, type Runtime } from "../harness/candidates.ts";
import { projectPath, run, type Server } from "../harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "../harness/cpus.ts";
import { figure, figureAndRange, table } from "../harness/markdown.ts";
import { number, parse, select } from "../harness/options.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { inRounds, withServers } from "../harness/rounds.ts";
import { median, ratios, spread } from "../harness/statistics.ts";
import { layWire, LOOPBACK, type Wire } from "./wire.ts";

const KIB = 1024;

/** The output of sender.ts. */
interface Bulk {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuMicros: number;
  readonly counts: Readonly<Record<string, number | string | null>>;
}

const options = parse({
  sizes: { help: "KiB of a message", value: "16,64,256,1024" },
  rounds: 5,
  seconds: 2,
  runtimes: "bun",
  places: { help: "cable, loopback or both, with a comma between them (both)" },
  senderCpu: { help: "the CPU of the sender", value: SERVER_CPU },
  receiverCpu: { help: "the CPU of the receiver and of the cable", value: LOAD_CPU },
  skbDefer: {
    help:
      "net.core.skb_defer_max meanwhile, of the whole machine: 0 frees what was received where " +
      "it was received, as if the receiver were another machine (left alone)",
  },
});
const { rounds, seconds, senderCpu, receiverCpu } = options;
const sizes = options.sizes.split(",").map((size) => number("sizes", size));
const runtimes = options.runtimes.split(",") as Runtime[];

if (process.getuid?.() !== 0) {
  console.error("SKIPPED: a network namespace of its own needs root");
  process.exit(77);
}

/** The number of packets that wait to be freed on the CPU that made them. */
const SKB_DEFER = "/proc/sys/net/core/skb_defer_max";
const skbDefer = readFileSync(SKB_DEFER, "utf8").trim();
if (options.skbDefer !== undefined) {
  writeFileSync(SKB_DEFER, `${number("skb-defer", options.skbDefer)}`);
  process.once("exit", () => writeFileSync(SKB_DEFER, skbDefer));
}

/** Places to measure in. The others are compared with mode "off". */
const PLACES = [
  { name: "cable", title: "a cable on which nothing is copied", lay: () => layWire(receiverCpu) },
  {
    name: "loopback",
    title: "loopback, where the kernel copies",
    lay: () => Promise.resolve(LOOPBACK),
  },
];
const MODES = ["off", "auto", "always"];

async function send(wire: Wire, sink: Server, runtime: Runtime, mode: string, kib: number) {
  const args = [wire.host, `${sink.port}`, mode, `${kib * KIB}`, `${seconds}`];
  const argv = wire.sender(runFile(runtime, "bench/studies/sender.ts", args));
  return JSON.parse(await run({ argv, cpu: senderCpu })) as Bulk;
}

const nanosPerByte = (bulk: Bulk) => bulk.cpuMicros * 1000 / bulk.bytes;

/** The row of a way to send, beside copying. */
function row(title: string, all: readonly Bulk[], copying: readonly Bulk[]): string[] {
  const { calls, fallBacks, obstacle } = all.at(-1)!.counts;
  return [
    title,
    figure(median(all.map(nanosPerByte)), 3),
    figureAndRange(spread(ratios(all.map(nanosPerByte), copying.map(nanosPerByte))), 2),
    figure(median(all.map((round) => round.bytes / round.seconds / 1e6)), 0),
    `${calls}`,
    `${fallBacks}`,
    `${obstacle ?? ""}`,
  ];
}

const HEADS = [
  "message, zeroCopy",
  "CPU ns/byte",
  "÷ off (middle half)",
  "MB/s",
  "zero-copy sends",
  "copied",
  "why",
];
const raw: unknown[] = [];
const sections: string[] = [];

for (const place of select(PLACES, options.places)) {
  const wire = await place.lay();
  const drain = wire.receiver([projectPath("bench/build/drain"), wire.host]);
  for (const runtime of runtimes) {
    const ways = sizes.flatMap((kib) => MODES.map((mode) => ({ kib, mode })));
    const found = await withServers(
      [drain],
      (sink) =>
        inRounds(
          rounds,
          ways.map(({ kib, mode }) => ({
            title: `${runtime}, ${place.name}, ${kib} KiB, ${mode}`,
            measure: () => send(wire, sink, runtime, mode, kib),
          })),
        ),
      receiverCpu,
    );
    const rows = ways.map(({ kib, mode }, i) =>
      row(`${kib} KiB, ${mode}`, found[i]!, found[i - i % MODES.length]!)
    );
    sections.push(`### ${runtime}, ${place.title}\n\n${table(HEADS, rows)}\n`);
    raw.push(...ways.map((way, i) => ({ runtime, place: place.name, ...way, rounds: found[i] })));
  }
  wire.close();
}
const markdown = [
  `## What a stream costs its sender\n`,
  `${describeMachine()}. Sender on CPU ${senderCpu}, receiver and cable on CPU ${receiverCpu}; cubic;`,
  `${rounds} interleaved rounds of ${seconds} s; 16 MiB of messages that are not touched between`,
  `sends. CPU is that of the sender's process, the kernel's work in its time included.`,
  `net.core.skb_defer_max is ${options.skbDefer ?? skbDefer} (bench/README.md).\n`,
  ...sections,
].join("\n");
tell("zero_copy", markdown, raw);
process.exit(0);
