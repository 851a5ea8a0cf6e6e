/**
 * The cost of a byte through a TCP proxy: `make -C bench proxy`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BULK_OPTIONS, bulkBench } from "./harness/bulk.ts";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { projectPath, startServer } from "./harness/child.ts";
import { chooser, type Entrant, follower } from "./harness/contest.ts";
import { parse } from "./harness/options.ts";

const SPLICE = ["option splice-request", "option splice-response"];

const options = parse(BULK_OPTIONS);
const drain = projectPath("bench/build/drain");
const sink = await startServer({ argv: [drain], cpu: options.loadCpu });
const directory = mkdtempSync(join(tmpdir(), "netpoll-proxy-"));

function script(name: string, title: string, runtime: Runtime, file: string): Entrant {
  return chooser(name, title, runFile(runtime, file, [`${sink.port}`]));
}

/** examples/tcp_proxy.ts, as a user starts it. */
function ours(runtime: Runtime, title: string): Entrant {
  return follower(runtime, title, (port) => {
    const addresses = [`127.0.0.1:${port}`, `127.0.0.1:${sink.port}`];
    return runFile(runtime, "examples/tcp_proxy.ts", addresses);
  });
}

function haproxy(name: string, title: string, global: string, ...more: string[]): Entrant {
  return follower(name, title, (port) => {
    const path = join(directory, `${name}.cfg`);
    const lines = [
      "global",
      "nbthread 1",
      "maxconn 1000",
      global,
      "defaults",
      "mode tcp",
      "timeout connect 5s",
      "timeout client 60s",
      "timeout server 60s",
      ...more,
      "listen bench",
      `bind 127.0.0.1:${port}`,
      `server sink 127.0.0.1:${sink.port}`,
    ];
    writeFileSync(path, `${lines.join("\n")}\n`);
    return ["haproxy", "-q", "-db", "-f", path];
  });
}

const entrants: readonly Entrant[] = [
  haproxy("haproxy", "haproxy, splice", "maxpipes 1000", ...SPLICE),
  haproxy("haproxy-tuned", "haproxy, splice, 1 MiB pipes", "tune.pipesize 1048576", ...SPLICE),
  haproxy("haproxy-copy", "haproxy, as it comes", "maxpipes 1000"),
  ours("bun", "netpoll in Bun"),
  ours("deno", "netpoll in Deno"),
  script("bun-listen", "Bun.listen", "bun", "bench/peers/proxy_bun.ts"),
  script("node-net", "node:net in Node", "node", "bench/peers/proxy_net.mjs"),
  script("bun-net", "node:net in Bun", "bun", "bench/peers/proxy_net.mjs"),
  script("deno-net", "node:net in Deno", "deno", "bench/peers/proxy_net.mjs"),
];

try {
  await bulkBench({
    name: "proxy",
    title: "What a TCP proxy costs",
    about: [
      "Bytes from `native/pour.c` through the proxy to `native/drain.c`, neither of which copies.",
      "64 MiB are compared byte by byte before each measurement.",
    ],
    entrants,
    limit: "haproxy",
    load: ["pour"],
  }, options);
} finally {
  await sink.stop();
  rmSync(directory, { recursive: true });
}
