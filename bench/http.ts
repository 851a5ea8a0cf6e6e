/**
 * The cost of a small answer over HTTP/1.1: `make -C bench http`.
 */
import { isInstalled } from "./harness/bulk.ts";
import { runFile, type Runtime, select } from "./harness/candidates.ts";
import { freePort, run, type Server, startServer, startServerAt } from "./harness/child.ts";
import { cpuMicros } from "./harness/load.ts";
import { figureAndRange, table } from "./harness/markdown.ts";
import { number, parse } from "./harness/options.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import { median, ratios, spread } from "./harness/statistics.ts";

const BODY = "Hello, World!";

/** A server that takes part. */
interface Candidate {
  readonly name: string;
  readonly title: string;
  start(cpu: number): Promise<Server>;
}

/** examples/http_server.ts, as a user starts it. */
function ours(runtime: Runtime, title: string): Candidate {
  const start = async (cpu: number) => {
    const port = await freePort();
    const argv = runFile(runtime, "examples/http_server.ts", [`127.0.0.1:${port}`]);
    return startServerAt({ argv, cpu }, port);
  };
  return { name: runtime, title, start };
}

function peer(name: string, title: string, runtime: Runtime, module: string): Candidate {
  const argv = runFile(runtime, "bench/peers/http.mjs", [module]);
  return { name, title, start: (cpu) => startServer({ argv, cpu }) };
}

const CANDIDATES: readonly Candidate[] = [
  ours("bun", "netpoll in Bun"),
  ours("deno", "netpoll in Deno"),
  peer("bun-serve", "Bun.serve", "bun", "http_bun.ts"),
  peer("deno-serve", "Deno.serve", "deno", "http_deno.ts"),
  peer("node-http", "node:http in Node", "node", "http_node.mjs"),
];

/** Who is compared with whom, and how many times its requests a second we want. */
const GOALS: readonly (readonly [ours: string, theirs: string, goal: number])[] = [
  ["bun", "bun-serve", 0.9],
  ["deno", "deno-serve", 1],
  ["bun", "node-http", 2],
  ["deno", "node-http", 2],
];

/** One run of wrk. */
interface Round {
  readonly requestsPerSecond: number;
  readonly cpuMicros: number;
}

const options = parse({
  only: { help: `which: ${CANDIDATES.map(({ name }) => name).join(",")}` },
  connections: { help: "connections, kept alive", value: "50" },
  rounds: "9",
  seconds: "1",
  "server-cpu": true,
  "load-cpu": true,
});
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const connections = number("connections", options.connections);
const serverCpu = number("server-cpu", options["server-cpu"]);
const loadCpu = number("load-cpu", options["load-cpu"]);

/** Throws unless a server answers as all of them do. */
async function checkAnswer(title: string, port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`);
  const body = await response.text();
  if (response.status === 200 && body === BODY) return;
  throw new Error(`${title} answered ${response.status} "${body}"`);
}

async function measure(server: Server): Promise<Round> {
  const url = `http://127.0.0.1:${server.port}/`;
  const before = await cpuMicros(server);
  const argv = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, url];
  const printed = await run({ argv, cpu: loadCpu });
  const used = await cpuMicros(server) - before;
  const requests = Number(/(\d+) requests in /.exec(printed)?.[1]);
  const requestsPerSecond = Number(/Requests\/sec: +([\d.]+)/.exec(printed)?.[1]);
  const isClean = !/Socket errors|Non-2xx/.test(printed);
  if (isClean && requests > 0) return { requestsPerSecond, cpuMicros: used / requests };
  throw new Error(`wrk found something wrong:\n${printed}`);
}

async function measureAll(): Promise<Map<Candidate, Round[]>> {
  const candidates = select(CANDIDATES, options.only);
  const results = new Map<Candidate, Round[]>(candidates.map((candidate) => [candidate, []]));
  const servers = new Map<Candidate, Server>();
  const progress = new Progress((rounds + 1) * candidates.length * seconds);
  try {
    for (const candidate of candidates) {
      const server = await candidate.start(serverCpu);
      servers.set(candidate, server);
      await checkAnswer(candidate.title, server.port);
      progress.step(`${candidate.title}: warming up`, seconds);
      await measure(server);
    }
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < candidates.length; i++) {
        const candidate = candidates[(i + round) % candidates.length]!;
        progress.step(`round ${round + 1} of ${rounds}: ${candidate.title}`, seconds);
        results.get(candidate)!.push(await measure(servers.get(candidate)!));
      }
    }
  } finally {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
  progress.end();
  return results;
}

function row({ title }: Candidate, all: readonly Round[]): string[] {
  return [
    title,
    Math.round(median(all.map((one) => one.requestsPerSecond))).toLocaleString("en"),
    median(all.map((one) => one.cpuMicros)).toFixed(2),
  ];
}

/** How we stand to a peer in the same rounds. */
function goalRow(
  results: ReadonlyMap<Candidate, readonly Round[]>,
  [us, them, goal]: typeof GOALS[number],
): string[][] {
  const of = (name: string) => [...results].find(([candidate]) => candidate.name === name);
  const [mine, theirs] = [of(us), of(them)];
  if (mine === undefined || theirs === undefined) return [];
  const compare = (key: keyof Round) => {
    const each = ratios(mine[1].map((one) => one[key]), theirs[1].map((one) => one[key]));
    return figureAndRange(spread(each), 2);
  };
  const who = `${mine[0].title} ÷ ${theirs[0].title}`;
  return [[who, compare("requestsPerSecond"), goal.toFixed(1), compare("cpuMicros")]];
}

if (!isInstalled("wrk")) throw new Error("Cannot measure: wrk is not installed");
const results = await measureAll();
const markdown = [
  "## What a small answer over HTTP/1.1 costs\n",
  `${describeMachine()}.`,
  `wrk with ${connections} connections, kept alive, asks \`examples/http_server.ts\` and others for`,
  `"${BODY}": ${rounds} interleaved rounds of ${seconds} s, server pinned to CPU ${serverCpu}, wrk to`,
  `CPU ${loadCpu}. The median, and of the ratios of each round the range of the middle half.\n`,
  table(
    ["server", "requests/s", "CPU µs/request"],
    [...results].map(([one, all]) => row(one, all)),
  ),
  "",
  table(
    ["ratio", "requests/s", "goal", "CPU µs/request"],
    GOALS.flatMap((goal) => goalRow(results, goal)),
  ),
].join("\n");
tell("http", markdown, [...results].map(([{ name }, all]) => ({ name, rounds: all })));
