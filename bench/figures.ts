/**
 * The cost of an echo: `make bench`.
 */
import process from "node:process";
import { absence, CANDIDATES, LIMIT, SKETCHES } from "./harness/candidates.ts";
import { CLIENTS, describeClients, measureClients } from "./harness/clients.ts";
import { describe } from "./harness/markdown.ts";
import { DEFAULT_SECONDS, measure, type Plan, ROUNDS, roundsOf } from "./harness/measure.ts";
import { commandLine, number, parse, select } from "./harness/options.ts";
import { cpuPlot, latencyPlot, readmePlot } from "./harness/plot.ts";
import { updateReadme } from "./harness/readme.ts";
import { describeMachine, keep, keepText, RESULTS } from "./harness/report.ts";
import type { Results, Series } from "./harness/results.ts";
import { GROUPS, SCENARIOS, scenariosOf, tooLarge } from "./harness/scenarios.ts";

const everybody = [...CANDIDATES, ...SKETCHES];
const absent = new Map(everybody.map((one) => [one, absence(one)]));

/** Clients that are measured after the servers: ours, and each runtime's own. */
const FIGURE_CLIENTS = CLIENTS.filter(({ name }) => !/-(mux|net)$/.test(name));
const CLIENT_SECONDS = 0.3;

const LISTS = [
  "Groups of scenarios:",
  ...Object.entries(GROUPS).map(([name, names]) => `  ${name.padEnd(12)} ${names.join(",")}`),
  "Scenarios:",
  ...SCENARIOS.map(({ name, alias, title }) =>
    `  ${(name + (alias === undefined ? "" : ` (${alias})`)).padEnd(12)} ${title}`
  ),
].join("\n");

const options = parse({
  only: { help: `servers: ${everybody.map((one) => one.name).join(",")}` },
  scenarios: { help: "scenarios or groups, from the list below", value: "figures" },
  rounds: { help: `how often to measure each; unless given ${ROUNDS}, more where they tell more` },
  seconds: DEFAULT_SECONDS.seconds,
  warmup: DEFAULT_SECONDS.warmupSeconds,
  trace: {
    help: "seconds to count system calls and collections, untimed; 0: do not",
    value: DEFAULT_SECONDS.traceSeconds,
  },
  traced: {
    help: "scenarios or groups whose calls and collections are counted",
    value: "64x50,pipeline",
  },
  clients: { help: "rounds of clients after the scenarios; 5 for figures, else 0" },
  serverCpu: true,
  loadCpu: true,
  results: true,
}, LISTS);

const chosen = options.only === undefined ? CANDIDATES : select(everybody, options.only);
const fitting = scenariosOf(options.scenarios).map((one) => [one, tooLarge(one)] as const);
const plan: Plan = {
  scenarios: fitting.filter(([, reason]) => reason === null).map(([one]) => one),
  // Without C there is nothing to divide by.
  candidates: [LIMIT, ...chosen.filter((one) => one !== LIMIT && absent.get(one) === null)],
  rounds: options.rounds === undefined ? null : number("rounds", options.rounds),
  seconds: options.seconds,
  warmupSeconds: options.warmup,
  traceSeconds: options.trace,
  traced: scenariosOf(options.traced),
  serverCpu: options.serverCpu,
  loadCpu: options.loadCpu,
};
const skipped = [
  ...chosen.filter((one) => absent.get(one) !== null).map((one) =>
    `${one.name}: ${absent.get(one)}`
  ),
  ...fitting.filter(([, reason]) => reason !== null).map(([one, reason]) =>
    `${one.name}: ${reason}`
  ),
];
const about = {
  date: new Date().toISOString().slice(0, 10),
  command: commandLine("make bench"),
  machine: describeMachine(),
};

function resultsOf(series: readonly Series[], notes: readonly string[]): Results {
  const { serverCpu, loadCpu, seconds, warmupSeconds } = plan;
  const measured = plan.scenarios.filter(({ name }) => series.some((one) => one.scenario === name));
  return {
    ...about,
    serverCpu,
    loadCpu,
    rounds: plan.rounds ?? ROUNDS,
    seconds,
    warmupSeconds,
    candidates: plan.candidates.map(({ name, title, isOurs = false }) => ({ name, title, isOurs })),
    scenarios: measured.map((one) => ({ ...one, rounds: roundsOf(plan, one) })),
    skipped: [...skipped, ...notes],
    series,
  };
}

for (const one of skipped) console.error(`skipped: ${one}`);
let results = resultsOf([], []);
await measure(plan, (series, notes) => {
  results = resultsOf(series, notes);
  const folder = options.results ?? RESULTS;
  keep("figures", describe(results), results, folder);
  keepText("cpu.svg", cpuPlot(results), folder);
  keepText("readme.svg", readmePlot(results), folder);
  const latency = latencyPlot(results);
  if (latency !== null) keepText("latency.svg", latency, folder);
});
console.log(describe(results));
const clientRounds = number(
  "clients",
  options.clients ?? (options.scenarios === "figures" && options.only === undefined ? "5" : "0"),
);
if (clientRounds > 0) {
  const micros = await measureClients(FIGURE_CLIENTS, clientRounds, CLIENT_SECONDS);
  const clients = { ...about, rounds: clientRounds, clients: FIGURE_CLIENTS, micros };
  keep("client", describeClients(clients), clients, options.results ?? RESULTS);
  console.log(`\n${describeClients(clients)}`);
}
if (options.results === undefined) {
  console.error(updateReadme(results));
}
const failures = results.series.filter(({ failure }) => failure !== null);
for (const { candidate, scenario, failure } of failures) {
  console.error(`failed: ${candidate} in ${scenario}: ${failure}`);
}
// A failure of another's server is a result, one of ours is a bug.
const ours = new Set(plan.candidates.filter(({ isOurs }) => isOurs).map(({ name }) => name));
process.exitCode = failures.some(({ candidate }) => ours.has(candidate)) ? 1 : 0;
