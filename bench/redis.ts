/**
 * The cost of a request of Redis: `make -C bench redis`.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { isInstalled, type Mover } from "./harness/bulk.ts";
import { runFile, type Runtime, select } from "./harness/candidates.ts";
import { freePort, run, type Server, startServer, startServerAt } from "./harness/child.ts";
import { figure, figureAndRange, table } from "./harness/markdown.ts";
import { number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { median, ratios, spread } from "./harness/statistics.ts";

/** One tick of /proc/PID/stat: 100 a second, whatever the kernel's own are (proc(5)). */
const TICK_MICROS = 10_000;
const LIMIT = "redis";
const CHECKED_COUNT = 1000;

const options = parse({
  only: { help: "servers by name, with commas between them" },
  rounds: "9",
  requests: { help: "requests of a measurement, for each that is sent in one go", value: "50000" },
  connections: { help: "connections", value: "50" },
  bytes: { help: "how long a value is", value: "64" },
  keys: {
    help: "how many keys; with many, the memory's latency is what is measured",
    value: "1000",
  },
  pipelines: { help: "requests sent in one go, one run each", value: "1,16" },
  "server-cpu": true,
  "load-cpu": true,
});
const rounds = number("rounds", options.rounds);
const requests = number("requests", options.requests);
const serverCpu = number("server-cpu", options["server-cpu"]);
const loadCpu = number("load-cpu", options["load-cpu"]);
const pipelines = options.pipelines!.split(",").map((each) => number("pipelines", each));

const real: Mover = {
  name: LIMIT,
  title: "redis-server",
  needs: "redis-server",
  async start(cpu) {
    const port = await freePort();
    const still = ["--save", "", "--appendonly", "no", "--io-threads", "1", "--dir", tmpdir()];
    const argv = ["redis-server", "--bind", "127.0.0.1", "--port", `${port}`, ...still];
    return await startServerAt({ argv, cpu }, port);
  },
};

function ours(runtime: Runtime, title: string): Mover {
  const start = async (cpu: number) => {
    const port = await freePort();
    const argv = runFile(runtime, "examples/redis_server.ts", [`localhost:${port}`]);
    return await startServerAt({ argv, cpu }, port);
  };
  return { name: runtime, title, start };
}

function peer(name: string, title: string, runtime: Runtime, file: string): Mover {
  const argv = runFile(runtime, `bench/peers/redis/${file}`);
  return { name, title, needs: argv[0]!, start: (cpu) => startServer({ argv, cpu }) };
}

const servers: readonly Mover[] = [
  real,
  ours("bun", "netpoll in Bun"),
  ours("deno", "netpoll in Deno"),
  peer("bun-listen", "Bun.listen, redis-parser", "bun", "bun_listen.ts"),
  peer("node-net", "node:net in Node, redis-parser", "node", "node_net.mjs"),
  peer("bun-net", "node:net in Bun, redis-parser", "bun", "node_net.mjs"),
  peer("deno-net", "node:net in Deno, redis-parser", "deno", "node_net.mjs"),
];

/** A measurement. */
interface Result {
  readonly requestsPerSecond: number;
  /** CPU of the server's process, user and system, in microseconds a request. */
  readonly cpuMicros: number;
}

/** What a process has used so far: fields 14 and 15, counted after the name (proc(5)). */
function cpuMicrosOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

async function measure(server: Server, command: string, pipeline: number): Promise<Result> {
  const count = requests * pipeline;
  const { connections, bytes, keys } = options;
  const shape = ["-c", connections!, "-P", `${pipeline}`, "-d", bytes!, "-n", `${count}`];
  const what = ["-r", keys!, "-t", command, "--csv"];
  const before = cpuMicrosOf(server.pid);
  const argv = ["redis-benchmark", "-p", `${server.port}`, ...shape, ...what];
  const out = await run({ argv, cpu: loadCpu });
  const cpuMicros = (cpuMicrosOf(server.pid) - before) / count;
  const rate = /^"[^"]*","([\d.]+)"/.exec(out.trim().split("\n").at(-1)!);
  if (rate === null) throw new Error(`redis-benchmark printed: ${out}`);
  return { requestsPerSecond: Number(rate[1]), cpuMicros };
}

/** redis-benchmark looks at no byte of an answer: that is done once, before it. */
async function check({ port }: Server, title: string): Promise<void> {
  const value = "v".repeat(number("bytes", options.bytes));
  const set = `*3\r\n$3\r\nSET\r\n$5\r\ncheck\r\n$${value.length}\r\n${value}\r\n`;
  const expected = `+OK\r\n$${value.length}\r\n${value}\r\n`.repeat(CHECKED_COUNT);
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  socket.write(`${set}*2\r\n$3\r\nGET\r\n$5\r\ncheck\r\n`.repeat(CHECKED_COUNT));
  let text = "";
  for await (const piece of socket) if ((text += piece).length >= expected.length) break;
  if (text !== expected) throw new Error(`${title} answers something else: ${text.slice(0, 200)}`);
}

/** What is asked, in the order of the tables: keys are set before they are read. */
const cases = pipelines.flatMap((pipeline) =>
  ["set", "get"].map((command) => ({ command, pipeline }))
);

const chosen = select(servers, options.only);
const there = chosen.filter(({ needs }) => needs === undefined || isInstalled(needs));
const absent = chosen.filter((one) => !there.includes(one)).map(({ title }) => title);
const results = new Map(there.map((one) => [one, cases.map((): Result[] => [])]));
const running = new Map<Mover, Server>();
const progress = new Progress();
try {
  for (const one of there) {
    running.set(one, await one.start(serverCpu));
    progress.step(`${one.title} warms up`);
    await check(running.get(one)!, one.title);
    for (const { command, pipeline } of cases) {
      await measure(running.get(one)!, command, pipeline);
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < there.length; i++) {
      const one = there[(i + round) % there.length]!;
      progress.step(`round ${round + 1} of ${rounds}: ${one.title}`);
      for (const [j, { command, pipeline }] of cases.entries()) {
        results.get(one)![j]!.push(await measure(running.get(one)!, command, pipeline));
      }
    }
  }
} finally {
  await Promise.all([...running.values()].map((server) => server.stop()));
}
progress.end();

const base = [...results].find(([{ name }]) => name === LIMIT)?.[1];

function beside(all: readonly Result[], key: keyof Result, j: number): string {
  if (base === undefined) return "–";
  const each = ratios(all.map((one) => one[key]), base[j]!.map((one) => one[key]));
  return figureAndRange(spread(each));
}

function section(j: number): string {
  const { command, pipeline } = cases[j]!;
  const rows = [...results].map(([{ title }, all]) => {
    const middle = (key: keyof Result) => median(all[j]!.map((one) => one[key]));
    return [
      title,
      figure(middle("requestsPerSecond"), 0),
      beside(all[j]!, "requestsPerSecond", j),
      figure(middle("cpuMicros")),
      beside(all[j]!, "cpuMicros", j),
    ];
  });
  const heads = ["server", "requests/s", "÷ redis-server", "CPU µs/request", "÷ redis-server"];
  return `### ${command.toUpperCase()}, ${pipeline} in one go\n\n${table(heads, rows)}\n`;
}

const markdown = [
  "## What a request of Redis costs\n",
  `${describeMachine()}.`,
  `redis-benchmark, ${options.connections} connections, values of ${options.bytes} bytes, ${options.keys} keys;`,
  `${rounds} interleaved rounds of ${requests} requests and as many times the pipeline. Servers pinned to`,
  `CPU ${serverCpu}, redis-benchmark to CPU ${loadCpu}: where it is slower than a server, requests/s are`,
  "its own. The median, and of ratios to redis-server (io-threads 1, no persistence) the range of",
  "the middle half.",
  ...(absent.length > 0 ? [`Not installed, and so not measured: ${absent.join(", ")}.`] : []),
  "",
  ...cases.map((_, j) => section(j)),
].join("\n");
const raw = [...results].map(([{ name }, all]) => ({
  name,
  cases: cases.map((one, j) => ({ ...one, rounds: all[j]! })),
}));
tell("redis", markdown, raw);
