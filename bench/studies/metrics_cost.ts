/**
 * The cost of being asked for metrics: `make -C bench metrics-cost`.
 *
 * One echo server is loaded alike in turn: while nobody asks it, and while it is asked for
 * `/metrics` once a second, over a connection of its own that netpoll serves too. With --baseline,
 * the echo of another checkout stands beside the one here: the cost of counting when nobody asks.
 * With --uses, the echo stands beside itself while somebody looks, in one way or another.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { clearInterval, setInterval } from "node:timers";
import { runFile, type Runtime } from "../harness/candidates.ts";
import { projectPath, type Server } from "../harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "../harness/cpus.ts";
import { load } from "../harness/load.ts";
import { figure, figureAndRange, table } from "../harness/markdown.ts";
import { parse } from "../harness/options.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { inRounds, withServers } from "../harness/rounds.ts";
import { scenariosOf } from "../harness/scenarios.ts";
import { median, ratios, spread } from "../harness/statistics.ts";

const ASK_MS = 1000;
const SCENARIO = scenariosOf("64x50")[0]!;

const { runtimes, styles, rounds, seconds, baseline, uses } = parse({
  runtimes: true,
  styles: { help: "which: sync,async", value: "sync,async" },
  rounds: 15,
  seconds: 2,
  baseline: { help: "another checkout, built, to compare with when nobody asks" },
  uses: {
    help:
      "what to use instead: times,slow,log,channels,requests,floor, as in bench/studies/seen.ts",
  },
});

/** Asks for `/metrics` and reads the answer to its end: the number of its bytes. */
function ask(socketPath: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  get({ socketPath, path: "/metrics" }, async (response) => {
    let bytes = 0;
    for await (const chunk of response) bytes += chunk.length;
    if (response.statusCode === 200) resolve(bytes);
    else reject(new Error(`it answered ${response.statusCode}`));
  }).on("error", reject);
  return promise;
}

/** CPU µs a message. */
async function cost(server: Server): Promise<number> {
  const times = { seconds, warmupSeconds: 0.1, cpu: LOAD_CPU };
  return (await load(server, SCENARIO, times)).server_us_per_message;
}

/** CPU µs a message while the server is asked once a second. */
async function costWhileAsked(server: Server, socket: string): Promise<number> {
  let answers = Promise.resolve(0);
  const askAgain = () => answers = answers.then(() => ask(socket));
  askAgain();
  const timer = setInterval(askAgain, ASK_MS);
  try {
    return await cost(server);
  } finally {
    clearInterval(timer);
    await answers;
  }
}

function asked(runtime: Runtime, style: string, socket: string): Promise<number[][]> {
  return withServers(
    [runFile(runtime, "bench/studies/metered.ts", ["0", socket, style])],
    async (server) => {
      await ask(socket); // it answers, before anything is timed
      return await inRounds(rounds, [
        { title: `${runtime}, ${style}`, measure: () => cost(server) },
        { title: `${runtime}, ${style}, asked`, measure: () => costWhileAsked(server, socket) },
      ]);
    },
    SERVER_CPU,
  );
}

function counted(runtime: Runtime, style: string, checkout: string): Promise<number[][]> {
  const argv = runFile(runtime, "bench/servers/echo.ts", ["0", "64", "echo", style]);
  const here = projectPath("bench/servers/echo.ts");
  const theirs = argv.map((part) => part === here ? `${checkout}/bench/servers/echo.ts` : part);
  const job = (server: Server) => ({ title: `${runtime}, ${style}`, measure: () => cost(server) });
  return withServers([theirs, argv], (...both) => inRounds(rounds, both.map(job)), SERVER_CPU);
}

/** With a use and without. */
function seen(runtime: Runtime, style: string, use: string): Promise<number[][]> {
  const starters = ["nothing", use].map((each) =>
    runFile(runtime, "bench/studies/seen.ts", ["0", each, style])
  );
  const job = (server: Server) => ({
    title: `${runtime}, ${style}, ${use}`,
    measure: () => cost(server),
  });
  return withServers(starters, (...both) => inRounds(rounds, both.map(job)), SERVER_CPU);
}

const directory = mkdtempSync(`${tmpdir()}/netpoll-metrics-`);
const rows: string[][] = [];
const raw: unknown[] = [];
for (const runtime of runtimes.split(",") as Runtime[]) {
  for (const style of styles.split(",")) {
    const add = (title: string, found: number[][]) => {
      raw.push({ runtime, style, title, found });
      const ratio = figureAndRange(spread(ratios(found[1]!, found[0]!)), 3);
      rows.push([title, ...found.map((micros) => figure(median(micros))), ratio]);
    };
    if (uses !== undefined) {
      for (const use of uses.split(",")) {
        add(`${runtime}, ${style}, ${use}`, await seen(runtime, style, use));
      }
    } else if (baseline !== undefined) {
      add(`${runtime}, ${style}`, await counted(runtime, style, baseline));
    } else {
      add(`${runtime}, ${style}`, await asked(runtime, style, `${directory}/${runtime}-${style}`));
    }
  }
}
rmSync(directory, { recursive: true });
const [name, heads] = uses !== undefined
  ? ["sight_cost", ["nobody looks", "in use"]]
  : baseline !== undefined
  ? ["metrics_baseline", ["before", "now"]]
  : ["metrics_cost", ["nobody asks", "asked once a second"]];
const markdown = [
  `## What ${uses === undefined ? "metrics cost" : "it costs to look"}\n`,
  `CPU µs a message, ${SCENARIO.title}; medians of ${rounds} interleaved rounds of ${seconds} s.\n`,
  table(["", ...heads, "÷ (middle half)"], rows),
  `\n${describeMachine()}.`,
].join("\n");
tell(name, markdown, raw);
