/**
 * examples/hot_restart.ts: a signal restarts it where it is.
 */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { dial } from "../../mod.ts";
import { type Program, run, start } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";
import { until } from "../support/until.ts";

/** The permissions that its first line gives it under Deno. */
const permissions = readFileSync(`${root}examples/hot_restart.ts`, "utf8").split("\n", 1)[0]!
  .match(/--allow-[a-z]+/g)!;
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** A client that keeps its connection. */
async function client(port: number) {
  const connection = await dial("tcp", `127.0.0.1:${port}`, { readTimeoutMs: 10_000 });
  const { reader, writer } = connection;
  return {
    /** The number of the process that answers, and whether that was its last answer. */
    async ask(): Promise<{ pid: number; isLast: boolean }> {
      writer.writeString(REQUEST);
      await writer.flush();
      const head = reader.readString(await reader.waitUntil("\r\n\r\n"));
      const bytes = Number(/Content-Length: (\d+)/.exec(head)![1]);
      await reader.wait(bytes);
      return { pid: Number(reader.readString(bytes)), isLast: head.includes("Connection: close") };
    },
    close: () => connection.close(),
  };
}

async function askOnce(port: number): Promise<number> {
  const one = await client(port);
  const { pid } = await one.ask();
  await one.close();
  return pid;
}

/** Runs something beside a server, whose processes all end with it. */
async function withServer(
  env: Record<string, string>,
  file: string,
  run: (port: number, server: Program) => Promise<void>,
): Promise<void> {
  const server = start(file, { args: ["127.0.0.1:0"], env, permissions });
  let port = 0;
  try {
    const [, found] = await server.find(/Listening on 127\.0\.0\.1:(\d+) in process \d+/);
    port = Number(found);
    await run(port, server);
  } finally {
    // The last one may be another process by now.
    if (port !== 0) await askOnce(port).then((pid) => process.kill(pid, "SIGTERM"), () => {});
    await server.stop("SIGTERM");
  }
}

test("hot_restart restarts at SIGHUP where it is, each client is served, and the old process ends", () =>
  withServer({}, "examples/hot_restart.ts", async (port, server) => {
    const pids: number[] = [];
    for (let n = 0; n < 2; n++) {
      const kept = await client(port);
      const { pid } = await kept.ask();
      assert(!pids.includes(pid));
      pids.push(pid);
      process.kill(pid, "SIGHUP");
      await server.find(new RegExp(`Listening on [^ ]+ in process (?!${pids.join("|")})`));
      let last = await kept.ask();
      while (!last.isLast) last = await kept.ask(); // it has not heard yet that it is the old one
      assertEquals(last.pid, pid);
      await kept.close();
      assertNotEquals(await askOnce(port), pid);
      await until(() => !runs(pid), "the old process ends");
    }
  }));

/** True when a process runs: one that has ended may be there until somebody has waited for it. */
function runs(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("hot_restart goes on when the next version fails, and tries again at the next SIGHUP", () =>
  withDirectory((directory) => {
    const VERSION_FILE = join(directory, "version");
    writeFileSync(VERSION_FILE, "good");
    return withServer({ VERSION_FILE }, "tests/support/next_version.ts", async (port, server) => {
      const first = await askOnce(port);
      writeFileSync(VERSION_FILE, "broken");
      process.kill(first, "SIGHUP");
      await server.find(/The next version did not start: it ended with 3; process \d+ goes on/);
      assertEquals(await askOnce(port), first);
      writeFileSync(VERSION_FILE, "good");
      process.kill(first, "SIGHUP");
      await server.find(new RegExp(`Listening on [^ ]+ in process (?!${first})`));
      await until(() => !runs(first), "the old process ends");
      assertNotEquals(await askOnce(port), first);
    });
  }));

test("hot_restart goes on when it may not start another process", async () => {
  const some = permissions.filter((name) => name !== "--allow-run");
  const server = start("examples/hot_restart.ts", { args: ["127.0.0.1:0"], permissions: some });
  try {
    const [, port] = await server.find(/Listening on 127\.0\.0\.1:(\d+) in process/);
    const first = await askOnce(Number(port));
    process.kill(first, "SIGHUP");
    // A runtime without permissions restarts it, and the other says why it does not.
    await until(
      () => /in process \d+[^]*in process \d+|did not start/.test(server.output),
      "either",
    );
    const second = await askOnce(Number(port));
    assertEquals(second === first, server.output.includes("did not start"));
    process.kill(second, "SIGTERM");
  } finally {
    await server.stop("SIGTERM");
  }
});

test("hot_restart says how it is used, and what it does not understand", async () => {
  const help = await run("examples/hot_restart.ts", { args: ["--help"] });
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /^Usage: hot_restart\.ts [^]*--meet PATH/);
  const nonsense = await run("examples/hot_restart.ts", { args: ["--nonsense"] });
  assertEquals([nonsense.code, nonsense.stdout], [2, ""]);
});
