/**
 * The cost of a large file that is sent: `make -C bench send-file`.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BULK_OPTIONS, bulkBench } from "./harness/bulk.ts";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { follower } from "./harness/contest.ts";
import { parse } from "./harness/options.ts";

const FILE_MIB = 1024;

const options = parse(BULK_OPTIONS);
const directory = mkdtempSync(join(tmpdir(), "netpoll-files-"));
const file = join(directory, "file");
execFileSync("dd", ["if=/dev/urandom", `of=${file}`, "bs=1M", `count=${FILE_MIB}`, "status=none"]);

/** examples/file_server.ts, as a user starts it. */
const ours = (runtime: Runtime, title: string) =>
  follower(
    runtime,
    title,
    (port) => runFile(runtime, "examples/file_server.ts", [`127.0.0.1:${port}`, directory]),
  );

const nginx = follower("nginx", "nginx, sendfile", (port) => {
  const prefix = join(directory, "nginx");
  const path = join(prefix, "nginx.conf");
  mkdirSync(prefix, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((each) => `${each}_temp_path ${prefix}/${each};`).join(" ");
  writeFileSync(
    path,
    `daemon off; master_process off; pid ${prefix}/pid; error_log stderr crit;
     events { worker_connections 1000; }
     http { access_log off; sendfile on; tcp_nopush on; ${temporary}
       keepalive_requests 1000000;
       server { listen 127.0.0.1:${port}; root ${directory}; } }\n`,
  );
  return ["nginx", "-p", prefix, "-c", path];
});

try {
  await bulkBench({
    name: "send_file",
    title: "What it costs to send a file of 1 GiB",
    about: [
      "Fetched over HTTP/1.1 by `native/fetch.c`, which does not copy. The file lies in the page",
      "cache; the whole of it is compared byte by byte before each measurement.",
    ],
    entrants: [nginx, ours("bun", "netpoll in Bun"), ours("deno", "netpoll in Deno")],
    limit: "nginx",
    load: ["fetch", "-u", "/file", "-f", file],
  }, options);
} finally {
  rmSync(directory, { recursive: true });
}
