/**
 * What a request costs a client: `make -C bench client`. The server is the minimal one in C.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import { projectPath, run, startServer } from "./harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "./harness/cpus.ts";
import { figure, table } from "./harness/markdown.ts";
import { number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, keep } from "./harness/report.ts";
import { median } from "./harness/statistics.ts";

/** Who asks. */
interface Client {
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
const CLIENTS: readonly Client[] = [
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
const CONNECTIONS = [1, 50] as const;

const options = parse("Measures clients: CPU a request and answer of 64 B.", {
  only: { help: `which: ${CLIENTS.map(({ name }) => name).join(",")}` },
  rounds: { help: "how often to measure each", value: "9" },
  seconds: { help: "how long to measure, each time", value: "0.5" },
});
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const clients = CLIENTS.filter(({ name }) => options.only?.split(",").includes(name) ?? true);

/** CPU of the client a request, in microseconds. */
async function measure(client: Client, connections: number, port: number): Promise<number> {
  const { runtime, file, style } = client;
  const args = [...style === undefined ? [] : [style], `${port}`, `${connections}`, `${seconds}`];
  const told = await run({ argv: runFile(runtime, file, args), cpu: SERVER_CPU });
  const { requests, user, system } = JSON.parse(told);
  if (!(requests > 0)) throw new Error(`${client.title} got no answer`);
  return (user + system) / requests;
}

const server = await startServer({ argv: [projectPath("bench/build/echo")], cpu: LOAD_CPU });
const found = new Map<string, number[]>();
const progress = new Progress(rounds * clients.length * CONNECTIONS.length * (seconds + 0.6));
try {
  for (let round = 0; round < rounds; round++) {
    for (const connections of CONNECTIONS) {
      for (let i = 0; i < clients.length; i++) {
        const client = clients[(i + round) % clients.length]!;
        progress.step(`${client.title}, ${connections}`, seconds + 0.6);
        const key = `${client.name} ${connections}`;
        const micros = await measure(client, connections, server.port);
        found.set(key, [...found.get(key) ?? [], micros]);
      }
    }
  }
} finally {
  await server.stop();
}
progress.end();

/** A client's CPU, and as a ratio to the runtime's own within each round. */
function cells({ name, runtime }: Client, connections: number): string[] {
  const values = found.get(`${name} ${connections}`)!;
  const native = found.get(`${runtime}-connect ${connections}`);
  const ratio = native && median(values.map((value, round) => value / native[round]!));
  return [figure(median(values)), ratio === undefined ? "–" : figure(ratio)];
}

const heads = ["client", ...CONNECTIONS.flatMap((count) => [`${count}: CPU µs`, "÷ connect"])];
const rows = clients.map((client) => [
  client.title,
  ...CONNECTIONS.flatMap((count) => cells(client, count)),
]);
const markdown = [
  `## What a request costs a client\n`,
  `64 B asked and answered, over 1 and 50 connections (mux: so many at once over one), medians of`,
  `${rounds} rounds; "÷ connect" is the median of the rounds' ratios to the runtime's own connect.\n`,
  table(heads, rows),
  `\n${describeMachine()}`,
].join("\n");
console.log(markdown);
keep("client", markdown, Object.fromEntries(found));
