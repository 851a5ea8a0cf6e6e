/**
 * The recipes of docs/RECIPES.md, as far as this machine can execute them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { test } from "node:test";
import { freePort } from "../../bench/harness/child.ts";
import { Program } from "../../scripts/program.ts";
import { commandFor, run, start } from "../support/child.ts";
import { portOf, withExample } from "../support/example.ts";
import { root, withDirectory } from "../support/library.ts";
import { lacks } from "../support/tool.ts";

const FOLDER = "examples/deploy";

function recipe(name: string): string {
  return readFileSync(`${root}/${FOLDER}/${name}`, "utf8");
}

/** One line there and back over a connection of its own. */
async function ask(port: number, line: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(`${line}\n`);
  let text = "";
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.includes("\n")) break;
  }
  socket.destroy();
  return text;
}

async function probe(port: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  await response.body?.cancel();
  return response.status;
}

test("probed_server.ts loses no request when SIGTERM comes under load", async () => {
  const [port, probes] = [await freePort(), await freePort()];
  const at = [port, probes].map((port) => `127.0.0.1:${port}`);
  const server = start(`${FOLDER}/probed_server.ts`, { args: [...at, "400"] });
  try {
    await server.find(/probes at/);
    assertEquals([await probe(probes, "/live"), await probe(probes, "/ready")], [200, 200]);
    assertEquals(await probe(probes, "/else"), 503);
    let isReady = true;
    let answered = 0;
    let answeredAfter = 0;
    let isSignalled = false;
    // What a load balancer does: as long as the probe says so, it sends clients.
    const watching = (async () => {
      while (isReady) isReady = await probe(probes, "/ready") === 200;
    })();
    const clients = Array.from({ length: 20 }, async (_, client) => {
      for (let n = 0; isReady; n++) {
        assertEquals(await ask(port, `${client} ${n}`), `${client} ${n}\n`);
        answered += 1;
        if (isSignalled) answeredAfter += 1;
        if (answered === 300) {
          isSignalled = true;
          server.signal("SIGTERM");
        }
      }
    });
    await watching;
    assertEquals(await probe(probes, "/live"), 200);
    await Promise.all(clients);
    assert(answeredAfter > 0, "requests were under way when the signal came");
    const { code, stdout } = await server.ended;
    assertEquals(code, 0);
    assertMatch(stdout, /Stopped; 0 connections were cut/);
  } finally {
    await server.stop();
  }
});

for (const name of ["Containerfile.distroless", "Containerfile.alpine"]) {
  test(`${name}: the server runs with the files that it copies, and no others`, () =>
    withDirectory(async (directory) => {
      const last = recipe(name).split(/^FROM /m).at(-1)!;
      for (const [, words] of last.matchAll(/^COPY (?!--from=bun)(?:--from=\S+ )?(.*)$/gm)) {
        const names = words!.trim().split(" ").map((word) => word.replace(/^\/build\//, ""));
        const to = names.pop()!;
        for (const each of names) {
          const target = to.endsWith("/") ? `${to}${each.split("/").at(-1)}` : to;
          cpSync(`${root}/${each}`, `${directory}/${target}`, { recursive: true });
        }
      }
      const entry = JSON.parse(/^ENTRYPOINT (\[.*\])$/m.exec(last)![1]!).at(-1) as string;
      assert(existsSync(`${directory}/${entry}`), entry);
      const port = await freePort();
      const args = [`127.0.0.1:${port}`, "127.0.0.1:0", "0"];
      const [program, words] = commandFor(`${directory}/${entry}`, { args });
      const server = new Program({
        argv: [program, ...words],
        cwd: directory,
        env: { NETPOLL_LIB: undefined },
        timeoutMs: 20_000,
      });
      try {
        await server.find(/Listening on/);
        assertEquals(await ask(port, "hello"), "hello\n");
      } finally {
        await server.stop("SIGTERM");
      }
    }));
}

test("kubernetes.yaml gives the process the time that it takes, and the probes their port", () => {
  const text = recipe("kubernetes.yaml");
  const [, probes, delayMs] = /args: \[".*?", ".*?:(\d+)", "(\d+)"\]/.exec(text)!;
  const grace = Number(/terminationGracePeriodSeconds: (\d+)/.exec(text)![1]);
  const ports = [...text.matchAll(/containerPort: (\d+)/g)].map((match) => match[1]);
  assert(ports.includes(probes));
  const drain = Number(
    /timeoutMs: ([\d_]+) }\);\nawait probes/.exec(recipe("probed_server.ts"))![1]!
      .replace("_", ""),
  );
  assert(grace * 1000 > Number(delayMs) + drain, "it would be killed while it drains");
});

test("90-connections.conf names what this kernel has", () => {
  const names = [...recipe("90-connections.conf").matchAll(/^([a-z0-9_.-]+) = /gm)]
    .map((match) => match[1]!);
  assertEquals(names.length, 6);
  for (const name of names) {
    const path = `/proc/sys/${name.replaceAll(".", "/")}`;
    // What belongs to the machine is not shown to a container.
    assert(existsSync(path) || !existsSync(dirname(path)), path);
  }
});

const NO_ANALYZE = lacks("systemd-analyze");

test(
  "echo.socket and echo.service are right for systemd",
  { skip: NO_ANALYZE },
  () =>
    withDirectory((directory) => {
      const service = recipe("echo.service")
        .replace(/^ExecStart=.*$/m, "ExecStart=/bin/true");
      cpSync(`${root}/${FOLDER}/echo.socket`, `${directory}/echo.socket`);
      const file = `${directory}/echo.service`;
      spawnSync("tee", [file], { input: service });
      const verified = spawnSync("systemd-analyze", ["verify", `${directory}/echo.socket`, file], {
        encoding: "utf8",
      });
      const own = verified.stderr.split("\n").filter((line) => /echo\.(service|socket)/.test(line));
      assertEquals([verified.status, own], [0, []]);
      const security = spawnSync("systemd-analyze", [
        "security",
        "--offline=true",
        "--threshold=15",
        file,
      ], { encoding: "utf8" });
      const exposure = /Overall exposure level for echo\.service: ([\d.]+)/.exec(security.stdout);
      assert(exposure !== null, security.stdout + security.stderr);
      assertEquals(security.status, 0, `exposure ${exposure[1]} of 10; 1.5 is allowed`);
    }),
);

test("activated_server.ts serves the socket that systemd has opened", {
  skip: lacks("systemd-socket-activate"),
}, async () => {
  const port = await freePort();
  const [program, words] = commandFor(`${FOLDER}/activated_server.ts`);
  const argv = ["systemd-socket-activate", "-l", `127.0.0.1:${port}`, program, ...words];
  const server = new Program({
    argv,
    cwd: root,
    env: { NETPOLL_LIB: undefined },
    timeoutMs: 20_000,
  });
  try {
    for (let tries = 0;; tries++) {
      const socket = connect(port, "127.0.0.1");
      try {
        await once(socket, "connect");
        socket.destroy();
        break;
      } catch (error) {
        if (tries === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    assertEquals(await ask(port, "hello"), "hello\n");
    const { code } = await server.stop("SIGTERM");
    assertEquals(code, 0);
  } finally {
    await server.stop();
  }
});

test("many_clients.ts opens as many as it is told, and says what each takes", () =>
  withExample("examples/echo_server.ts", "127.0.0.1:0", async (at) => {
    const args = [`127.0.0.1:${portOf(at)}`, "200"];
    const { code, stdout } = await run(`${FOLDER}/many_clients.ts`, { args });
    assertEquals(code, 0);
    assertMatch(stdout, /^200 connections, bytes for each: -?\d+ resident,\n-?\d+ of the kernel/);
  }).then(({ code }) => assertEquals(code, 0)));
