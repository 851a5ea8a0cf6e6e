/**
 * netpoll's echo in a thread with work of the runtime's own:
 * `thread.ts HTTP_MODULE WORK main|worker`.
 *
 * Prints "listening PORT", then "http PORT". On SIGUSR2, what the runtime's work came to since the last
 * time.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { quantile } from "../harness/statistics.ts";
import { serveEcho } from "./echo.ts";

const self = fileURLToPath(import.meta.url);

/** What the runtime's work came to. Times in milliseconds. */
export interface WorkReport {
  /** Files read, messages taken, answers fetched, ticks of the timer. */
  readonly units: number;
  readonly p50: number;
  readonly p99: number;
}

/** How long each unit took, or how late it was. */
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

function watchTimer(): void {
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    times.push(Math.max(0, now - last - 1));
    last = now;
  }, 1);
}

/** A Worker that sends a message back for each it gets. */
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
  timer: watchTimer,
  messages: exchangeMessages,
  files: () => repeat(4, () => readFile(self)),
  fetch: (port) => repeat(1, async () => await (await fetch(`http://127.0.0.1:${port}/`)).text()),
};

function report(): void {
  const all = times.splice(0);
  const told: WorkReport = {
    units: all.length,
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
  };
  console.log(JSON.stringify(told));
}

async function begin(httpModule: string, work: string): Promise<void> {
  const { serveHttp } = await import(`../peers/${httpModule}`);
  const httpPort = await serveHttp();
  serveEcho(0, 64, "sync");
  console.log(`http ${httpPort}`);
  WORKS[work]!(httpPort);
}

if (isMainThread) {
  const [, , httpModule, work, place] = process.argv;
  if (place === "worker") {
    const worker = new Worker(self, { workerData: [httpModule, work] });
    process.on("SIGUSR2", () => worker.postMessage("report"));
  } else {
    process.on("SIGUSR2", report);
    await begin(httpModule!, work!);
  }
} else {
  parentPort!.on("message", report);
  await begin(...workerData as [string, string]);
}
