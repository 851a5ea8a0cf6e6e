/**
 * What a saturated echo leaves of its thread to everybody else: `make beside`.
 *
 * One process holds an echo, two timers and the runtime's own HTTP server. They are measured
 * without load, and under a load that would take all of a core. The load and the HTTP client are
 * other processes.
 */
import { runFile, type Runtime, select } from "./harness/candidates.ts";
import { ask, type Server, startServer } from "./harness/child.ts";
import { type HttpResult, load, loadHttp, type LoadResult } from "./harness/load.ts";
import { number, parse } from "./harness/options.ts";
import { table } from "./harness/markdown.ts";
import { Progress } from "./harness/progress.ts";
import { describeMachine, tell } from "./harness/report.ts";
import type { Scenario } from "./harness/scenarios.ts";
import type { Lateness } from "./servers/lateness.ts";

const SCENARIO: Scenario = { name: "50", title: "50 × 64 B", connections: 50, messageBytes: 64 };

/** A server of bench/servers/beside.ts. */
interface Host {
  readonly name: string;
  readonly title: string;
  readonly runtime: Runtime;
  readonly style: "sync" | "async";
}

const HOSTS: readonly Host[] = [
  { name: "bun-sync", title: "Bun, sync", runtime: "bun", style: "sync" },
  { name: "bun-async", title: "Bun, async", runtime: "bun", style: "async" },
  { name: "deno-sync", title: "Deno, sync", runtime: "deno", style: "sync" },
  { name: "deno-async", title: "Deno, async", runtime: "deno", style: "async" },
];

/** One server, without load and with it. */
interface Outcome {
  readonly host: Host;
  readonly idleTimers: readonly Lateness[];
  readonly idleHttp: HttpResult;
  readonly busyTimers: readonly Lateness[];
  readonly busyHttp: HttpResult;
  /** The echo while nothing but timers was beside it. */
  readonly echo: LoadResult;
  /** The echo while the HTTP client was beside it: its messages pay for the requests, too. */
  readonly echoBesideHttp: LoadResult;
}

const options = parse({
  only: { help: `which: ${HOSTS.map((host) => host.name).join(",")}` },
  seconds: { help: "how long, each of the four measurements", value: "10" },
  "server-cpu": true,
  "load-cpu": true,
});
const seconds = number("seconds", options.seconds);
const serverCpu = number("server-cpu", options["server-cpu"]);
const loadCpu = number("load-cpu", options["load-cpu"]);
const loadOptions = { seconds, warmupSeconds: 0.5, cpu: loadCpu };

/** Runs something while the timers are watched. */
async function watchTimers<T>(server: Server, action: () => Promise<T>): Promise<[Lateness[], T]> {
  await ask(server); // forget what was before
  const result = await action();
  return [await ask<Lateness[]>(server), result];
}

const progress = new Progress();

async function measure(host: Host): Promise<Outcome> {
  const args = [`http_${host.runtime}.ts`, String(SCENARIO.messageBytes), host.style];
  const argv = runFile(host.runtime, "bench/servers/beside.ts", args);
  const server = await startServer({ argv, cpu: serverCpu });
  try {
    const httpPort = Number((await server.line()).replace("http ", ""));
    const pause = () => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));
    progress.step(`${host.title}: idle`);
    const [idleTimers] = await watchTimers(server, pause);
    const idleHttp = await loadHttp(httpPort, seconds, loadCpu);
    progress.step(`${host.title}: loaded`);
    const [busyTimers, echo] = await watchTimers(server, () => load(server, SCENARIO, loadOptions));
    const both = [
      loadHttp(httpPort, seconds, loadCpu),
      load(server, SCENARIO, loadOptions),
    ] as const;
    const [busyHttp, echoBesideHttp] = await Promise.all(both);
    return { host, idleTimers, idleHttp, busyTimers, busyHttp, echo, echoBesideHttp };
  } finally {
    await server.stop();
  }
}

function timerRow(outcome: Outcome, i: number): string[] {
  const [idle, busy] = [outcome.idleTimers[i]!, outcome.busyTimers[i]!];
  const pair = (of: (lateness: Lateness) => number) =>
    `${of(idle).toFixed(2)} → ${of(busy).toFixed(2)}`;
  return [
    outcome.host.title,
    `${busy.timerMs} ms`,
    pair((lateness) => lateness.p50),
    pair((lateness) => lateness.p99),
    pair((lateness) => lateness.p999),
    (busy.p999 - idle.p999).toFixed(2),
  ];
}

function httpRow({ host, idleHttp, busyHttp, echo, echoBesideHttp }: Outcome): string[] {
  return [
    host.title,
    `${Math.round(idleHttp.requests_per_s)} → ${Math.round(busyHttp.requests_per_s)}`,
    (busyHttp.p50_us / 1000).toFixed(2),
    (busyHttp.p99_us / 1000).toFixed(2),
    `${echo.server_us_per_message.toFixed(2)} → ${echoBesideHttp.server_us_per_message.toFixed(2)}`,
    Math.round(echoBesideHttp.messages_per_s).toLocaleString("en"),
  ];
}

const outcomes: Outcome[] = [];
for (const host of select(HOSTS, options.only)) outcomes.push(await measure(host));
progress.end();
const markdown = [
  `## Beside a saturated echo\n`,
  `${SCENARIO.title} in a closed loop; ${seconds} s each; server on CPU ${serverCpu}, clients on CPU ${loadCpu}.`,
  `"a → b": without load → under it.\n`,
  `### Timers of the same thread, late by (ms)\n`,
  table(
    ["netpoll in", "interval", "p50", "p99", "p99.9", "p99.9 added"],
    outcomes.flatMap((outcome) => outcome.idleTimers.map((_, i) => timerRow(outcome, i))),
  ),
  `\n### The runtime's own HTTP server in the same thread, one keep-alive client\n`,
  table(
    [
      "netpoll in",
      "requests/s",
      "p50 ms",
      "p99 ms",
      "echo CPU µs/message, beside HTTP",
      "echo messages/s",
    ],
    outcomes.map(httpRow),
  ),
  `\n${describeMachine()}.`,
].join("\n");
tell("beside", markdown, outcomes);
