/**
 * The cost of a request for a client: the clients, and their measurement.
 */
import { runFile, type Runtime } from "./candidates.ts";
import { projectPath, run, startServer } from "./child.ts";
import { LOAD_CPU, SERVER_CPU } from "./cpus.ts";
import { figure, table } from "./markdown.ts";
import { Progress } from "./progress.ts";
import { median, ratios } from "./statistics.ts";

/** A client that is measured. */
export interface Client {
  readonly name: string;
  readonly title: string;
  readonly runtime: Runtime;
  readonly file: string;
  readonly style?: string;
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

const net = (runtime: Runtime, title: string): Client => ({
  name: `${runtime}-net`,
  title,
  runtime,
  file: "bench/peers/client_net.mjs",
});

/** All of them. */
export const CLIENTS: readonly Client[] = [
  ...OURS,
  { name: "bun-connect", title: "Bun.connect", runtime: "bun", file: "bench/peers/client_bun.ts" },
  {
    name: "deno-connect",
    title: "Deno.connect",
    runtime: "deno",
    file: "bench/peers/client_deno.ts",
  },
  net("bun", "node:net in Bun"),
  net("deno", "node:net in Deno"),
  net("node", "node:net in Node"),
];

/** The number of connections that ask, or of requests at once of a Multiplexer. */
const CONNECTIONS = [1, 50] as const;
/** A machine that others use may let a client wait for all of the time that it is measured. */
const ATTEMPTS = 3;
/** Until a client is started, connected and warm. */
const START_SECONDS = 1.9;

/** The figures: microseconds of CPU a request, by round, of each client and count. */
export interface ClientResults {
  readonly date: string;
  readonly command: string;
  readonly machine: string;
  readonly rounds: number;
  readonly clients: readonly Client[];
  readonly micros: Readonly<Record<string, readonly number[]>>;
}

function keyOf({ name }: Pick<Client, "name">, connections: number): string {
  return `${name} ${connections}`;
}

/** CPU of the client a request, in microseconds; NaN for one that gets no answer, however often. */
async function ask(
  client: Client,
  connections: number,
  port: number,
  seconds: number,
): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const micros = await askOnce(client, connections, port, seconds);
    if (micros < Infinity) return micros;
  }
  return NaN;
}

async function askOnce(
  client: Client,
  connections: number,
  port: number,
  seconds: number,
): Promise<number> {
  const { runtime, file, style } = client;
  const args = [...style === undefined ? [] : [style], `${port}`, `${connections}`, `${seconds}`];
  const told = await run({ argv: runFile(runtime, file, args), cpu: SERVER_CPU });
  const { requests, user, system } = JSON.parse(told);
  return (user + system) / requests;
}

/** The time that it takes to measure so many clients, about. */
export function clientSeconds(count: number, rounds: number, seconds: number): number {
  return rounds * count * CONNECTIONS.length * (seconds + START_SECONDS);
}

/** Measures clients, each round all of them, against the minimal server in C. */
export async function measureClients(
  clients: readonly Client[],
  rounds: number,
  seconds: number,
): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  const progress = new Progress(clientSeconds(clients.length, rounds, seconds));
  const server = await startServer({ argv: [projectPath("bench/build/echo")], cpu: LOAD_CPU });
  try {
    for (let round = 0; round < rounds; round++) {
      for (const connections of CONNECTIONS) {
        for (let i = 0; i < clients.length; i++) {
          const client = clients[(i + round) % clients.length]!;
          progress.step(
            `clients, round ${round + 1} of ${rounds}: ${client.title}, ${connections}`,
            seconds + START_SECONDS,
          );
          const micros = await ask(client, connections, server.port, seconds);
          (found[keyOf(client, connections)] ??= []).push(micros);
        }
      }
    }
  } finally {
    await server.stop();
  }
  progress.end();
  return found;
}

function answered(values: readonly number[]): number[] {
  return values.filter((value) => !Number.isNaN(value));
}

/** A client's CPU, and as a ratio to the runtime's own connect within each round. */
function cells({ micros }: ClientResults, client: Client, connections: number): string[] {
  const values = micros[keyOf(client, connections)]!;
  const native = micros[keyOf({ name: `${client.runtime}-connect` }, connections)];
  const ratio = native === undefined ? NaN : median(answered(ratios(values, native)));
  return [figure(median(answered(values))), figure(ratio)];
}

/** The table of what was found. */
export function clientTable(results: ClientResults): string {
  const heads = [
    "client",
    ...CONNECTIONS.flatMap((count) => [`${count}: CPU µs/request`, "÷ connect"]),
  ];
  const rows = results.clients.map((client) => [
    client.title,
    ...CONNECTIONS.flatMap((count) => cells(results, client, count)),
  ]);
  return table(heads, rows);
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
