/**
 * The cost of a large file that is sent: `make -C bench send-file`.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bulkBench, bulkOptions, loadPath, type Mover } from "./harness/bulk.ts";
import { runFile, type Runtime } from "./harness/candidates.ts";
import { freePort, startServer, startServerAt } from "./harness/child.ts";

const FILE_MIB = 1024;

const options = bulkOptions();
const directory = mkdtempSync(join(tmpdir(), "netpoll-files-"));
const file = join(directory, "file");
execFileSync("dd", ["if=/dev/urandom", `of=${file}`, "bs=1M", `count=${FILE_MIB}`, "status=none"]);

function script(name: string, title: string, runtime: Runtime): Mover {
  const argv = runFile(runtime, "bench/servers/files.ts", [directory]);
  return { name, title, needs: argv[0]!, start: (cpu) => startServer({ argv, cpu }) };
}

const nginx: Mover = {
  name: "nginx",
  title: "nginx, sendfile",
  needs: "nginx",
  async start(cpu) {
    const port = await freePort();
    const prefix = join(directory, "nginx");
    const path = join(prefix, "nginx.conf");
    mkdirSync(prefix);
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
    return await startServerAt({ argv: ["nginx", "-p", prefix, "-c", path], cpu }, port);
  },
};

try {
  await bulkBench({
    name: "send_file",
    title: "What it costs to send a file of 1 GiB",
    about:
      "Fetched over HTTP/1.1 by `native/fetch.c`, which does not copy. The file lies in the page\n" +
      "cache; the whole of it is compared byte by byte before each measurement.",
    movers: [
      nginx,
      script("bun", "netpoll in Bun", "bun"),
      script("deno", "netpoll in Deno", "deno"),
    ],
    limit: "nginx",
    load: [loadPath("fetch"), "-u", "/file", "-f", file],
  }, options);
} finally {
  rmSync(directory, { recursive: true });
}
