/**
 * The cost of a small answer over HTTP/1.1: `make -C bench http`. It needs wrk.
 */
import { runFile, type Runtime } from "./harness/candidates.ts";
import type { Server } from "./harness/child.ts";
import { chooser, contest, type Entrant, follower } from "./harness/contest.ts";
import { cpuMicros, loadHttp } from "./harness/load.ts";
import { parse } from "./harness/options.ts";

const BODY = "Hello, World!";

/** examples/http_server.ts, as a user starts it. */
function ours(runtime: Runtime, title: string): Entrant {
  const argvOf = (port: number) =>
    runFile(runtime, "examples/http_server.ts", [`127.0.0.1:${port}`]);
  return follower(runtime, title, argvOf);
}

function peer(name: string, title: string, runtime: Runtime): Entrant {
  return chooser(name, title, runFile(runtime, "bench/peers/http.mjs", [BODY]));
}

/** The server of each one's own runtime. */
const OWN: Readonly<Record<string, string>> = { bun: "bun-serve", deno: "deno-serve" };

const options = parse({
  only: { help: "servers by name, with commas between them" },
  connections: { help: "connections, kept alive", value: 50 },
  rounds: 9,
  seconds: 1,
  serverCpu: true,
  loadCpu: true,
});
const { connections, seconds, loadCpu } = options;

/** Throws unless a server answers as all of them do. */
async function checkAnswer(title: string, port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  const body = await response.text();
  if (response.status === 200 && body === BODY) return;
  throw new Error(`${title} answered ${response.status} "${body}"`);
}

async function measure(server: Server) {
  const before = await cpuMicros(server);
  const { requests, requestsPerSecond } = await loadHttp(server.port, {
    ...{ connections, seconds, cpu: loadCpu },
  });
  return { requestsPerSecond, cpuMicros: (await cpuMicros(server) - before) / requests };
}

await contest({
  name: "http",
  title: "What a small answer over HTTP/1.1 costs",
  about: [
    `wrk with ${connections} connections, kept alive, asks \`examples/http_server.ts\` and others for`,
    `"${BODY}" for ${seconds} s, on CPU ${loadCpu}.`,
  ],
  entrants: [
    ours("bun", "netpoll in Bun"),
    ours("deno", "netpoll in Deno"),
    peer("bun-serve", "Bun.serve", "bun"),
    peer("deno-serve", "Deno.serve", "deno"),
    peer("node-http", "node:http in Node", "node"),
  ],
  bases: [["÷ its runtime's", ({ name }) => OWN[name] ?? name], ["÷ node:http", () => "node-http"]],
  async prepare(server, { title }) {
    await checkAnswer(title, server.port);
    await measure(server);
  },
  cases: [{ title: `${connections} connections`, measure }],
  figures: [
    { key: "requestsPerSecond", head: "requests/s", decimals: 0 },
    { key: "cpuMicros", head: "CPU µs/request" },
  ],
}, options);
