// deno run -A examples/dashboard.ts   or   bun examples/dashboard.ts

/**
 * An echo server on several pollers, and beside it, in the thread that accepts, a page for a browser
 * that shows what the server does, once a second, by server-sent events. `dashboard.ts [ADDRESS]
 * [PAGE-ADDRESS] [--pollers N] [--interval MS]`: the echo is at localhost:6388 unless given, the page at
 * http://localhost:9465. The page is served by the runtime itself, through node:http.
 *
 * Metrics are asked for only while a page is open, or by `top.ts localhost:9465`.
 *
 * @module
 */
import "./one_line.ts";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread } from "node:worker_threads";
import {
  Cluster,
  type ClusterMetrics,
  configure,
  type Connection,
  createListener,
  shutdownOnSignals,
} from "../mod.ts";
import { frameOf } from "./dashboard/frame.ts";
import type { Snapshot } from "./metered_server.ts";

configure({ measure: true }); // in each Worker, too: it loads this file for its handler

/** Sends everything back. */
export function onRequest({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

const USAGE = `Usage: dashboard.ts [ADDRESS] [PAGE-ADDRESS] [--pollers N] [--interval MS]

  ADDRESS         of the echo server: localhost:6388
  PAGE-ADDRESS    of the page: localhost:9465. Who can reach it sees how busy you are.
  --pollers N     threads that serve: 2
  --interval MS   between two looks, from 100 to 60000: 1000`;

const FILES: Readonly<Record<string, readonly [path: string, type: string]>> = {
  "/": ["dashboard/index.html", "text/html; charset=utf-8"],
  "/style.css": ["dashboard/style.css", "text/css; charset=utf-8"],
  "/page.js": ["dashboard/page.js", "text/javascript; charset=utf-8"],
  "/echarts.js": ["../node_modules/echarts/dist/echarts.common.min.js", "text/javascript"],
};

const viewers = new Set<ServerResponse>();

/** Answers with a file, or with events until the page is closed. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  cluster: Cluster,
): Promise<void> {
  const path = request.url!.split("?", 1)[0]!;
  if (path === "/events") {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write("retry: 1000\n\n"); // the page asks again so soon when the server has gone
    viewers.add(response.on("close", () => viewers.delete(response)));
    return;
  }
  if (path === "/snapshot") { // for examples/top.ts
    const snapshot: Snapshot = { metrics: await cluster.metrics(), loop: null };
    const body = Buffer.from(JSON.stringify(snapshot));
    const headers = { "Content-Type": "application/json", "Content-Length": body.length };
    response.writeHead(200, headers).end(body);
    return;
  }
  const [file, type] = Object.hasOwn(FILES, path) ? FILES[path]! : [];
  const body = file === undefined
    ? null
    : await readFile(fileURLToPath(new URL(file, import.meta.url).href))
      .catch((error) => console.error(`${error.message}; "npm ci" installs ECharts`));
  response.writeHead(body ? 200 : 404, {
    "Content-Type": type ?? "text/plain",
    "Content-Security-Policy": "default-src 'self'; img-src data:",
  }).end(body ?? `There is no ${path}\n`);
}

/** Looks at the cluster while somebody looks at the page. */
async function tell(cluster: Cluster, intervalMs: number, signal: AbortSignal): Promise<void> {
  let before: ClusterMetrics | null = null;
  while (!signal.aborted) {
    const now: ClusterMetrics | null = viewers.size === 0 ? null : await cluster.metrics();
    if (now !== null && before !== null) {
      const event = `data: ${JSON.stringify(frameOf(now, before, intervalMs))}\n\n`;
      // A page that does not keep up goes without.
      for (const viewer of viewers) if (!viewer.writableNeedDrain) viewer.write(event);
    }
    before = now;
    await setTimeout(intervalMs, undefined, { signal }).catch(() => {});
  }
}

/** The arguments; without a number that is one, it ends here. */
function readArguments(): { at: string; page: URL; pollerCount: number; intervalMs: number } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        pollers: { type: "string", default: "2" },
        interval: { type: "string", default: "1000" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const [at = "localhost:6388", page = "localhost:9465"] = positionals;
    const [pollerCount, intervalMs] = [Number(values.pollers), Number(values.interval)];
    if (!(intervalMs >= 100 && intervalMs <= 60_000)) throw new Error("--interval is out of range");
    if (!(pollerCount >= 1)) throw new Error("--pollers is out of range");
    return { at, page: new URL(`http://${page}`), pollerCount, intervalMs };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

if (isMainThread) {
  const { at, page, pollerCount, intervalMs } = readArguments();
  const leaving = new AbortController();
  const listener = createListener("tcp", at);
  const cluster = new Cluster(new URL(import.meta.url), { pollerCount });
  const server = createServer((request, response) => {
    answer(request, response, cluster).catch(() => response.destroy());
  });
  const listening = once(server, "listening").catch((error) => {
    throw Object.assign(new Error(`Cannot listen on ${page.host}`), { code: error.code });
  });
  server.listen(Number(page.port || 80), page.hostname.replace(/^\[|\]$/g, ""));
  await listening;
  shutdownOnSignals(cluster, { exit: false });
  const told = tell(cluster, intervalMs, leaving.signal);
  const { address } = listener;
  console.log(
    "Listening on",
    address.transport === "tcp" ? `${address.hostname}:${address.port}` : at,
  );
  console.log(
    `Look at http://${page.hostname}:${(server.address() as AddressInfo).port}; Ctrl-C stops it`,
  );
  await cluster.serve(listener);
  leaving.abort();
  await told;
  server.close();
  for (const viewer of viewers) viewer.destroy();
  server.closeAllConnections();
}
