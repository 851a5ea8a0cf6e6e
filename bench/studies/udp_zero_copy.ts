/**
 * The cost of a datagram for its sender, with and without MSG_ZEROCOPY: `make -C bench udp-zero-copy`.
 *
 * Loopback copies all the same. Whoever has a real network card sees for himself: `--host` and
 * `--port` of a machine that throws datagrams away (`nc -u -l -p 9999 >/dev/null`).
 */
import { projectPath, run } from "../harness/child.ts";
import { figure, figureAndRange, table } from "../harness/markdown.ts";
import { parse } from "../harness/options.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { inRounds } from "../harness/rounds.ts";
import { median, ratios, spread } from "../harness/statistics.ts";

const options = parse({
  rounds: 9,
  seconds: 0.5,
  host: { help: "where datagrams go; a child on this machine unless given" },
  port: { help: "its port" },
});
const { rounds, seconds, host, port } = options;
const to = host === undefined || port === undefined ? [] : ["-a", host, "-p", port];

/** A way to send. */
interface Way {
  readonly title: string;
  readonly bytes: number;
  readonly segments: number;
  readonly isZeroCopy: boolean;
}

const SHAPES = [
  { title: "1200 B, one a call", bytes: 1200, segments: 1 },
  { title: "1200 B, 54 a call (a train of 64,800 B)", bytes: 1200, segments: 54 },
  { title: "65,507 B, one a call", bytes: 65_507, segments: 1 },
];
const ways: Way[] = SHAPES.flatMap((shape) =>
  [false, true].map((isZeroCopy) => ({ ...shape, isZeroCopy }))
);

/** The output of bench/native/udp_pour.c. */
interface Poured {
  readonly us_per_datagram: number;
  readonly copied_percent: number;
}

async function pour({ bytes, segments, isZeroCopy }: Way): Promise<Poured> {
  const shape = ["-s", `${bytes}`, "-n", `${segments}`, "-t", `${seconds}`];
  const argv = [projectPath("bench/build/udp_pour"), ...to, ...shape, ...isZeroCopy ? ["-z"] : []];
  return JSON.parse(await run({ argv }));
}

const found = await inRounds(
  rounds,
  ways.map((way) => ({ title: way.title, measure: () => pour(way) })),
);
const micros = (i: number) => found[i]!.map(({ us_per_datagram }) => us_per_datagram);
const rows = SHAPES.map(({ title }, i) => {
  const [copying, zero] = [micros(2 * i), micros(2 * i + 1)];
  const copied = median(found[2 * i + 1]!.map(({ copied_percent }) => copied_percent));
  return [
    title,
    figure(median(copying)),
    figure(median(zero)),
    figureAndRange(spread(ratios(zero, copying)), 2),
    `${figure(copied, 0)} %`,
  ];
});
const heads = [
  "datagrams",
  "µs each, copied",
  "µs each, MSG_ZEROCOPY",
  "ratio",
  "copied all the same",
];
const markdown = [
  "## What MSG_ZEROCOPY buys a sender of datagrams\n",
  `${describeMachine()}.`,
  `CPU of the sender (\`native/udp_pour.c\`), to ${
    to.length > 0 ? `${host}:${port}` : "loopback"
  };`,
  `${rounds} interleaved rounds of ${seconds} s. Medians, and of ratios the range of the middle half.`,
  "",
  table(heads, rows),
  "",
].join("\n");
tell("udp_zero_copy", markdown, found);
