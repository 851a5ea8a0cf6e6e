/**
 * netpoll's echo in a thread with work of the runtime's own: `thread.ts WORK main|worker sync|async`.
 *
 * Prints "listening PORT", then "http PORT"; on SIGUSR2 the report of the work since the last one.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { serveHttp } from "../peers/http.mjs";
import { serveEcho } from "./echo.ts";
import { reportOf, watchTimer } from "./lateness.ts";

export type { WorkReport } from "./lateness.ts";

const self = fileURLToPath(import.meta.url);

/** The duration of each unit, or its lateness, in milliseconds. */
const times: number[] = [];

/** Does something over and over, so many at once. */
function repeat(atOnce: number, action: () => Promise<unknown>): void {
  const loop = async () => {
    for (;;) {
      const begin = performance.now();
      await action();
      times.push(performance.now() - begin);
    }
  };
  for (let i = 0; i < atOnce; i++) void loop();
}

/** Exchanges messages with a Worker that sends each back. */
function exchangeMessages(): void {
  const source = 'require("node:worker_threads").parentPort.on("message", (m) => ' +
    'require("node:worker_threads").parentPort.postMessage(m));';
  const worker = new Worker(source, { eval: true });
  let begin = performance.now();
  worker.on("message", () => {
    times.push(performance.now() - begin);
    begin = performance.now();
    worker.postMessage(0);
  });
  worker.postMessage(0);
}

/** The work of the runtime, by name; HTTP is asked for from outside. */
const WORKS: Readonly<Record<string, (httpPort: number) => void>> = {
  none() {},
  timer: () => void watchTimer(1, times),
  timer10: () => void watchTimer(10, times),
  messages: exchangeMessages,
  files: () => repeat(4, () => readFile(self)),
  fetch: (port) => repeat(1, async () => await (await fetch(`http://127.0.0.1:${port}/`)).text()),
};

const report = () => console.log(JSON.stringify(reportOf(times)));

async function begin(work: string, style: string): Promise<void> {
  const httpPort = await serveHttp();
  serveEcho(0, 64, style);
  console.log(`http ${httpPort}`);
  WORKS[work]!(httpPort);
}

if (isMainThread) {
  const [work, place, style] = process.argv.slice(2) as [string, string, string];
  if (place === "worker") {
    const worker = new Worker(self, { workerData: [work, style] });
    process.on("SIGUSR2", () => worker.postMessage("report"));
  } else {
    process.on("SIGUSR2", report);
    await begin(work, style);
  }
} else {
  parentPort!.on("message", report);
  await begin(...workerData as [string, string]);
}
