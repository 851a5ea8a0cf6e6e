/**
 * What it costs to be asked for metrics: `make -C bench metrics-cost`.
 *
 * One echo server, loaded alike in turn: while nobody asks it, and while it is asked for `/metrics`
 * once a second, over a connection of its own that netpoll serves too. With --baseline, the echo of
 * another checkout beside the one here: what counting costs when nobody asks.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { clearInterval, setInterval } from "node:timers";
import { runFile, type Runtime } from "../harness/candidates.ts";
import { projectPath, type Server, startServer } from "../harness/child.ts";
import { LOAD_CPU, SERVER_CPU } from "../harness/cpus.ts";
import { load } from "../harness/load.ts";
import { table } from "../harness/markdown.ts";
import { number, parse } from "../harness/options.ts";
import { Progress } from "../harness/progress.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { scenariosOf } from "../harness/scenarios.ts";
import { median, ratios, spread } from "../harness/statistics.ts";

const ASK_MS = 1000;
const SCENARIO = scenariosOf("64x50")[0]!;

const options = parse({
  runtimes: true,
  styles: { help: "which: sync,async", value: "sync,async" },
  rounds: "15",
  seconds: "2",
  baseline: { help: "another checkout, built, to compare with when nobody asks" },
});
const rounds = number("rounds", options.rounds);
const seconds = number("seconds", options.seconds);
const runtimes = options.runtimes!.split(",") as Runtime[];
const progress = new Progress();
const raw: unknown[] = [];

/** Asks for `/metrics`, reads the answer to its end. How many bytes it has. */
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

/** The same while the server is asked once a second. */
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

/** Two figures a round, whichever first in turn; the second as a ratio to the first. */
async function compare(
  title: string,
  one: () => Promise<number>,
  other: () => Promise<number>,
): Promise<string[]> {
  const found: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    progress.step(`${title}: round ${round + 1} of ${rounds}`);
    for (const i of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
      found[i].push(await (i === 0 ? one : other)());
    }
  }
  raw.push({ title, found });
  const { median: ratio, low, high } = spread(ratios(found[1], found[0]));
  const middle = `${low.toFixed(3)} – ${high.toFixed(3)}`;
  return [title, ...found.map((micros) => median(micros).toFixed(2)), ratio.toFixed(3), middle];
}

/** What it costs to be asked. */
async function askedRow(runtime: Runtime, style: string): Promise<string[]> {
  const directory = mkdtempSync(`${tmpdir()}/netpoll-metrics-`);
  const socket = `${directory}/socket`;
  const argv = runFile(runtime, "bench/studies/metered.ts", ["0", socket, style]);
  const server = await startServer({ argv, cpu: SERVER_CPU });
  try {
    await ask(socket); // it answers, before anything is timed
    return await compare(
      `${runtime}, ${style}`,
      () => cost(server),
      () => costWhileAsked(server, socket),
    );
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true });
  }
}

/** What it costs to count. */
async function baselineRow(runtime: Runtime, style: string, checkout: string): Promise<string[]> {
  const argv = runFile(runtime, "bench/servers/echo.ts", ["0", "64", "echo", style]);
  const here = projectPath("bench/servers/echo.ts");
  const theirs = argv.map((part) => part === here ? `${checkout}/bench/servers/echo.ts` : part);
  const before = await startServer({ argv: theirs, cpu: SERVER_CPU });
  const after = await startServer({ argv, cpu: SERVER_CPU });
  try {
    return await compare(`${runtime}, ${style}`, () => cost(before), () => cost(after));
  } finally {
    await before.stop();
    await after.stop();
  }
}

const asked: string[][] = [];
const counted: string[][] = [];
for (const runtime of runtimes) {
  for (const style of options.styles!.split(",")) {
    if (options.baseline === undefined) asked.push(await askedRow(runtime, style));
    else counted.push(await baselineRow(runtime, style, options.baseline));
  }
}
progress.end();
const isBaseline = options.baseline !== undefined;
const markdown = [
  `## What metrics cost\n`,
  `CPU µs a message, ${SCENARIO.title}; medians of ${rounds} interleaved rounds of ${seconds} s.\n`,
  isBaseline
    ? table(["", "before", "now", "now ÷ before", "middle half"], counted)
    : table(["", "nobody asks", "asked once a second", "÷", "middle half"], asked),
  `\n${describeMachine()}.`,
].join("\n");
tell(isBaseline ? "metrics_baseline" : "metrics_cost", markdown, raw);
