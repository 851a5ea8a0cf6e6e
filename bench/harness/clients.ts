/**
 * The cost of a request for a client: the clients, and their measurement.
 */
import { runFile, type Runtime } from "./candidates.ts";
import { projectPath, run } from "./child.ts";
import { LOAD_CPU, SERVER_CPU } from "./cpus.ts";
import { figure, table } from "./markdown.ts";
import { inRounds, withServers } from "./rounds.ts";
import { median, ratios } from "./statistics.ts";

/** A client that is measured. */
export interface Client {
  readonly name: string;
  readonly title: string;
  readonly runtime: Runtime;
  readonly file: string;
  /** The first argument of the file. */
  readonly style: string;
}

const OURS: readonly Client[] = (["bun", "deno"] as const).flatMap((runtime) =>
  ["await", "handler", "mux"].map((style) => ({
    name: `${runtime}-${style}`,
    title: `netpoll in ${runtime === "bun" ? "Bun" : "Deno"}, ${style}`,
    runtime,
    file: "bench/servers/client.ts",
    style,
  }))
);

const PEERS: readonly (readonly [title: string, runtime: Runtime, style: string])[] = [
  ["Bun.connect", "bun", "connect"],
  ["Deno.connect", "deno", "connect"],
  ["node:net in Bun", "bun", "net"],
  ["node:net in Deno", "deno", "net"],
  ["node:net in Node", "node", "net"],
];

/** All of them. */
export const CLIENTS: readonly Client[] = [
  ...OURS,
  ...PEERS.map(([title, runtime, style]) => {
    return { name: `${runtime}-${style}`, title, runtime, file: "bench/peers/client.mjs", style };
  }),
];

/** The number of connections that ask, or of requests at once of a Multiplexer. */
const CONNECTIONS = [1, 50] as const;
/** A machine that others use may let a client wait for all of the time that it is measured. */
const ATTEMPTS = 3;

/** The figures: microseconds of CPU a request, by round, of each client and count. */
export interface ClientResults {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly rounds: number;
  readonly clients: readonly Client[];
  readonly micros: Readonly<Record<string, readonly number[]>>;
}

/** CPU of the client a request, in microseconds; NaN for one that gets no answer, however often. */
async function ask(client: Client, connections: number, port: number, seconds: number) {
  const { runtime, file, style } = client;
  const args = [style, `${port}`, `${connections}`, `${seconds}`];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const told = await run({ argv: runFile(runtime, file, args), cpu: SERVER_CPU });
    const { requests, user, system } = JSON.parse(told);
    if (requests > 0) return (user + system) / requests;
  }
  return NaN;
}

/** Measures clients, each round all of them, against the minimal server in C. */
export async function measureClients(
  clients: readonly Client[],
  rounds: number,
  seconds: number,
): Promise<Record<string, number[]>> {
  const pairs = CONNECTIONS.flatMap((count) => clients.map((client) => ({ client, count })));
  const server = [projectPath("bench/build/echo")];
  const found = await withServers([server], ({ port }) => {
    const jobs = pairs.map(({ client, count }) => ({
      title: `${client.title}, ${count}`,
      measure: () => ask(client, count, port, seconds),
    }));
    return inRounds(rounds, jobs);
  }, LOAD_CPU);
  return Object.fromEntries(
    pairs.map(({ client, count }, i) => [`${client.name} ${count}`, found[i]!]),
  );
}

function answered(values: readonly number[]): number[] {
  return values.filter((value) => !Number.isNaN(value));
}

/** A client's CPU, and as a ratio to the runtime's own connect within each round. */
function cells({ micros }: ClientResults, { name, runtime }: Client, count: number): string[] {
  const values = micros[`${name} ${count}`]!;
  const native = micros[`${runtime}-connect ${count}`];
  const ratio = native === undefined ? NaN : median(answered(ratios(values, native)));
  return [figure(median(answered(values))), figure(ratio)];
}

/** The table of all clients. */
export function clientTable(results: ClientResults): string {
  const heads = CONNECTIONS.flatMap((count) => [`${count}: CPU µs/request`, "÷ connect"]);
  const rows = results.clients.map((client) => [
    client.title,
    ...CONNECTIONS.flatMap((count) => cells(results, client, count)),
  ]);
  return table(["client", ...heads], rows);
}

/** The figures, to read. */
export function describeClients(results: ClientResults): string {
  return [
    `## What a request costs a client\n`,
    `\`${results.command}\` on ${results.date}: ${results.machine}. 64 B asked and answered, over 1 and 50`,
    `connections (mux: so many requests at once over one), by a process that has asked for 1.5 s`,
    `before; medians of ${results.rounds} interleaved rounds. "÷ connect" is the median of the rounds' ratios`,
    `to the runtime's own connect.\n`,
    clientTable(results),
  ].join("\n");
}
