/**
 * The scenarios of the benches, and the groups that options name.
 */
import { totalmem } from "node:os";
import type { Mode } from "../peers/peers.ts";

/** A load for a server. */
export interface Scenario {
  /** Its name in options. */
  readonly name: string;
  /** A second name in options. */
  readonly alias?: string;
  /** Its name in tables. */
  readonly title: string;
  /** The mode of the server; it echoes unless given. */
  readonly mode?: Mode;
  /** Connections that send. */
  readonly connections: number;
  /** Size of a message, without the four bytes of its length where there are such. */
  readonly messageBytes: number;
  /** Messages in flight on a connection; 1 unless given. */
  readonly depth?: number;
  /** Connect anew after so many messages. */
  readonly churn?: number;
  /** Connections beside that say nothing after one message. */
  readonly idle?: number;
  /** Connections beside that send without pause and hardly read. */
  readonly slow?: number;
  /** Connections that each must get every message of the one that sends. */
  readonly receivers?: number;
  /** An open loop at a share of a closed loop's speed: C's, the same for all, or each one's own. */
  readonly rate?: { readonly share: number; readonly of: "limit" | "own" };
  /** Nothing is timed: how much memory the connections take when each has sent one message. */
  readonly isMemory?: boolean;
  /** The number of rounds, where percentiles need more than the options' default. */
  readonly rounds?: number;
  /** The length of a measurement, in those of others, where connecting or a message takes its time. */
  readonly stretch?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

const SIZES = [
  { name: "64", title: "64 B", bytes: 64 },
  { name: "1k", title: "1 KiB", bytes: KIB },
  { name: "16k", title: "16 KiB", bytes: 16 * KIB },
  { name: "1m", title: "1 MiB", bytes: MIB },
];

/** Names that were there before the grid was. */
const ALIASES: Readonly<Record<string, string>> = {
  "64x50": "50",
  "64x1": "1",
  "1kx50": "1k",
  "16kx50": "16k",
  "1mx4": "1m",
};

function count(connections: number): string {
  const name = connections.toLocaleString("en").replace(",", " ");
  return connections === 1 ? "1 connection" : `${name} connections`;
}

function echo(size: typeof SIZES[number], connections: number): Scenario {
  const name = `${size.name}x${connections}`;
  // A second is enough for 10 000 connections to be made, and for 1 000 messages of 1 MiB each.
  const stretch = Math.max(connections / 2500, size.bytes * connections / (128 * MIB), 1);
  const title = `${size.title}, ${count(connections)}`;
  return { name, alias: ALIASES[name], title, connections, messageBytes: size.bytes, stretch };
}

const GRID: readonly Scenario[] = SIZES.flatMap((size) =>
  (size.bytes === MIB ? [1, 4, 50, 1000, 10_000] : [1, 50, 1000, 10_000]).map((connections) =>
    echo(size, connections)
  )
);

/** netpoll-benchmark's three, at a concurrency: 4 bytes of length and 1 KiB. */
function netpollBenchmark(concurrency: number): Scenario[] {
  const all = { mode: "framed", messageBytes: KIB } as const;
  return [
    {
      ...all,
      name: `long${concurrency}`,
      title: `netpoll-benchmark: ${concurrency} long connections`,
      connections: concurrency,
    },
    {
      ...all,
      name: `idle${concurrency}`,
      title: `netpoll-benchmark: ${concurrency} connections, 80 % of them idle`,
      connections: concurrency / 5,
      idle: concurrency * 4 / 5,
    },
    {
      ...all,
      name: `mux${concurrency}`,
      title: `netpoll-benchmark: ${concurrency} requests in flight over 4 connections`,
      connections: 4,
      depth: concurrency / 4,
    },
  ];
}

const SMALL = { connections: 50, messageBytes: 64 } as const;

const OTHERS: readonly Scenario[] = [
  { ...SMALL, name: "churn", title: "connect, one 64 B echo, close; 50 at a time", churn: 1 },
  { ...SMALL, name: "pipeline", title: "64 B, 50 connections, 16 in flight on each", depth: 16 },
  { ...SMALL, name: "idle", title: "64 B, 50 connections beside 1 000 idle ones", idle: 1000 },
  {
    ...SMALL,
    name: "rate",
    title: "64 B, 50 connections, one fixed rate: half of C's maximum",
    rate: { share: 0.5, of: "limit" },
  },
  {
    ...SMALL,
    name: "rate80",
    title: "64 B, 50 connections, 80 % of each one's own maximum",
    rate: { share: 0.8, of: "own" },
    rounds: 15,
  },
  {
    name: "delayed",
    title: "framed 64 B, 100 connections, half of C's maximum; one answer in 100 takes 10 ms",
    mode: "tail",
    connections: 100,
    messageBytes: 64,
    rate: { share: 0.5, of: "limit" },
  },
  {
    name: "slow",
    title: "framed 1 KiB, 50 connections beside 10 that hardly read",
    mode: "framed",
    connections: 50,
    messageBytes: KIB,
    slow: 10,
    stretch: 4, // until what a server is ready to hold for them is full
  },
  {
    name: "broadcast",
    title: "framed 64 B, from 1 connection to 1 000",
    mode: "broadcast",
    connections: 1,
    receivers: 1000,
    messageBytes: 64,
    stretch: 2,
  },
  {
    name: "memory",
    title: "10 000 idle connections, each after one message of 64 B",
    connections: 10_000,
    messageBytes: 64,
    isMemory: true,
    rounds: 3,
  },
];

const NETPOLL = [100, 500, 1000].flatMap(netpollBenchmark);

/** All of them. */
export const SCENARIOS: readonly Scenario[] = [...GRID, ...NETPOLL, ...OTHERS];

/** Groups that `--scenarios` may name. README's table is made of `figures`. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = {
  figures: [
    ...["64x50", "64x1", "pipeline", "1mx4", "churn", "memory"],
    ...["long100", "mux100", "delayed", "rate"],
  ],
  grid: GRID.map((one) => one.name),
  netpoll: NETPOLL.map((one) => one.name),
  tail: ["rate", "rate80", "delayed"],
  shapes: ["pipeline", "idle", "slow", "delayed", "broadcast"],
  all: SCENARIOS.map((one) => one.name),
};

/** The scenarios that a list of names, aliases and groups asks for, in the table's order. */
export function scenariosOf(list: string): readonly Scenario[] {
  const names = new Set(list.split(",").flatMap((name) => GROUPS[name] ?? [name]));
  const named = ({ name, alias }: Scenario) => names.has(name) || names.has(alias ?? name);
  const known = new Set(SCENARIOS.flatMap(({ name, alias }) => [name, alias ?? name]));
  const unknown = [...names].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const all = [...Object.keys(GROUPS), ...SCENARIOS.map(({ name }) => name)].join(", ");
    throw new RangeError(`Unknown scenarios: ${unknown.join(", ")}; there are ${all}`);
  }
  return SCENARIOS.filter(named);
}

/**
 * The reason why a scenario cannot be run on a machine of so much memory; null when it can. A message in
 * flight may be held by the server and by four socket buffers.
 */
export function tooLarge(scenario: Scenario, memoryBytes = totalmem()): string | null {
  const connections = scenario.connections + (scenario.idle ?? 0);
  const neededBytes = connections * scenario.messageBytes * (scenario.depth ?? 1) * 5;
  if (neededBytes <= memoryBytes / 2) return null;
  return `needs ${Math.ceil(2 * neededBytes / 2 ** 30)} GiB of memory`;
}

/**
 * The key of a scenario's servers: scenarios with the same key share processes. A scenario that is
 * judged by its memory has new ones.
 */
export function serversOf({ name, mode = "echo", messageBytes, ...more }: Scenario): string {
  const isOwn = more.connections >= 1000 || more.slow !== undefined || more.receivers !== undefined;
  return `${mode} ${messageBytes}${isOwn ? ` ${name}` : ""}`;
}
