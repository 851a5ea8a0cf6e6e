/**
 * The cost of a request of Redis: `make -C bench redis`.
 */
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { run, type Server } from "./harness/child.ts";
import { chooser, contest, type Entrant, follower } from "./harness/contest.ts";
import { cpuMicros } from "./harness/load.ts";
import { number, parse } from "./harness/options.ts";

const CHECKED_COUNT = 1000;

const options = parse({
  only: { help: "servers by name, with commas between them" },
  rounds: 9,
  requests: { help: "requests of a measurement, for each that is sent in one go", value: 50_000 },
  connections: { help: "connections", value: "50" },
  bytes: { help: "bytes of a value", value: 64 },
  keys: { help: "keys; with many, the memory's latency is what is measured", value: "1000" },
  pipelines: { help: "requests sent in one go, one run each", value: "1,16" },
  serverCpu: true,
  loadCpu: true,
});
const { requests, connections, bytes, keys, loadCpu } = options;

const real = follower("redis", "redis-server", (port) => {
  const still = ["--save", "", "--appendonly", "no", "--io-threads", "1", "--dir", tmpdir()];
  return ["redis-server", "--bind", "127.0.0.1", "--port", `${port}`, ...still];
});

const ours = (runtime: Runtime, title: string) =>
  follower(
    runtime,
    title,
    (port) => runFile(runtime, "examples/redis_server.ts", [`localhost:${port}`]),
  );

const peer = (name: string, title: string, runtime: Runtime, file: string): Entrant =>
  chooser(name, `${title}, redis-parser`, runFile(runtime, `bench/peers/redis/${file}`));

async function measure(server: Server, command: string, pipeline: number) {
  const count = requests * pipeline;
  const shape = ["-c", connections, "-P", `${pipeline}`, "-d", `${bytes}`, "-n", `${count}`];
  const what = ["-r", keys, "-t", command, "--csv"];
  const before = await cpuMicros(server);
  const argv = ["redis-benchmark", "-p", `${server.port}`, ...shape, ...what];
  const out = await run({ argv, cpu: loadCpu });
  const micros = (await cpuMicros(server) - before) / count;
  const rate = /^"[^"]*","([\d.]+)"/.exec(out.trim().split("\n").at(-1)!);
  if (rate === null) throw new Error(`redis-benchmark printed: ${out}`);
  return { requestsPerSecond: Number(rate[1]), cpuMicros: micros };
}

/** Compares answers once before measuring: redis-benchmark looks at no byte of them. */
async function check({ port }: Server, title: string): Promise<void> {
  const value = "v".repeat(bytes);
  const set = `*3\r\n$3\r\nSET\r\n$5\r\ncheck\r\n$${value.length}\r\n${value}\r\n`;
  const expected = `+OK\r\n$${value.length}\r\n${value}\r\n`.repeat(CHECKED_COUNT);
  const socket = connect(port, "127.0.0.1").setEncoding("latin1");
  socket.write(`${set}*2\r\n$3\r\nGET\r\n$5\r\ncheck\r\n`.repeat(CHECKED_COUNT));
  let text = "";
  for await (const piece of socket) if ((text += piece).length >= expected.length) break;
  if (text !== expected) throw new Error(`${title} answers something else: ${text.slice(0, 200)}`);
}

// Keys are set before they are read.
const cases = options.pipelines.split(",").map((each) => number("pipelines", each))
  .flatMap((pipeline) =>
    ["set", "get"].map((command) => ({
      title: `${command.toUpperCase()}, ${pipeline} in one go`,
      measure: (server: Server) => measure(server, command, pipeline),
    }))
  );

await contest({
  name: "redis",
  title: "What a request of Redis costs",
  about: [
    `redis-benchmark on CPU ${loadCpu}, ${connections} connections, values of ${bytes} bytes, ${keys} keys,`,
    `${requests} requests and as many times the pipeline: where it is slower than a server, requests/s`,
    "are its own. redis-server has io-threads 1 and no persistence.",
  ],
  entrants: [
    real,
    ours("bun", "netpoll in Bun"),
    ours("deno", "netpoll in Deno"),
    peer("bun-listen", "Bun.listen", "bun", "bun_listen.ts"),
    peer("node-net", "node:net in Node", "node", "node_net.mjs"),
    peer("bun-net", "node:net in Bun", "bun", "node_net.mjs"),
    peer("deno-net", "node:net in Deno", "deno", "node_net.mjs"),
  ],
  bases: [["÷ redis-server", () => real.name]],
  async prepare(server, { title }) {
    await check(server, title);
    for (const one of cases) await one.measure(server);
  },
  cases,
  figures: [
    { key: "requestsPerSecond", head: "requests/s", decimals: 0 },
    { key: "cpuMicros", head: "CPU µs/request" },
  ],
}, options);
