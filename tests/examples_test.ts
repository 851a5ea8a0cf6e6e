import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { Program } from "../scripts/program.ts";
import { host } from "../ffi/runtime.ts";
import { commandFor, run, start } from "./support/child.ts";
import { portOf, withExample } from "./support/example.ts";
import { root, withDirectory } from "./support/library.ts";
import { until } from "./support/until.ts";

const NOT_DENO = host.name === "deno" ? false : "needs Deno";
const NOT_BUN = host.name === "bun" ? false : "needs Bun";

const MESSAGE_BYTES = 512;
const MESSAGE_COUNT = 5000;

/** Starts a server on a free port, calls with the port, and stops it. How it ended. */
async function withServer(
  file: string,
  call: (port: number) => Promise<void>,
  ...args: string[]
): Promise<{ code: number | null; signal: string | null }> {
  const callAt = (at: string) => call(portOf(at));
  const { code, signal } = await withExample(file, "localhost:0", callAt, { args });
  return { code, signal };
}

/**
 * Sends more than any buffer holds, in pieces that are no messages, and reads late: the server has
 * to wait.
 */
async function checkEcho(port: number): Promise<void> {
  const sent = Buffer.alloc(MESSAGE_BYTES * MESSAGE_COUNT);
  for (let i = 0; i < sent.length; i += 4) sent.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
  const socket = connect(port, "localhost");
  await once(socket, "connect");
  socket.write(sent.subarray(0, 700));
  socket.write(sent.subarray(700, 1000));
  socket.write(sent.subarray(1000));
  const received: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket) {
    received.push(chunk);
    length += chunk.length;
    if (length >= sent.length) break;
  }
  assertEquals(length, sent.length);
  assert(Buffer.concat(received).equals(sent), "another byte came back");
}

test("examples/echo_server.ts echoes, and drains when it is interrupted", async () => {
  const ended = await withServer("examples/echo_server.ts", checkEcho);
  assertEquals(ended, { code: 0, signal: null });
});

test("examples/echo_client.ts finds every byte equal", async () => {
  await withServer("examples/echo_server.ts", async (port) => {
    const client = await run("examples/echo_client.ts", { args: [`localhost:${port}`] });
    assertEquals([client.code, client.stderr], [0, ""]);
    assertMatch(client.stdout, /16 MiB there and back in .* every byte equal\n.*20000 messages in/);
  });
});

test("examples/tcp_proxy.ts passes on what comes, both ways, and drains when it is interrupted", async () => {
  await withServer("examples/echo_server.ts", async (upstream) => {
    const proxied = withServer("examples/tcp_proxy.ts", checkEcho, `localhost:${upstream}`);
    assertEquals(await proxied, { code: 0, signal: null });
  });
});

/** Sends one request after the other on a connection, and returns what came back, as text. */
async function request(port: number, ...heads: string[]): Promise<string> {
  const socket = connect(port, "localhost");
  socket.end(heads.map((head) => `${head}\r\nHost: localhost\r\n\r\n`).join(""));
  const received: Buffer[] = [];
  for await (const chunk of socket) received.push(chunk);
  return Buffer.concat(received).toString("latin1");
}

test("examples/file_server.ts serves files, whole and in part, and nothing outside", () =>
  withDirectory(async (directory) => {
    const root = `${directory}/public`;
    mkdirSync(root);
    writeFileSync(`${directory}/secret.txt`, "secret");
    writeFileSync(`${root}/digits.txt`, "0123456789");
    writeFileSync(`${root}/empty.html`, "");
    symlinkSync(`${directory}/secret.txt`, `${root}/link.txt`);
    const ended = await withServer("examples/file_server.ts", async (port) => {
      // Several on one connection: it stays open.
      const both = await request(port, "GET /digits.txt HTTP/1.1", "GET /empty.html HTTP/1.1");
      assertMatch(
        both,
        /^HTTP\/1.1 200 OK\r\n(.+\r\n)+Content-Length: 10\r\n\r\n0123456789HTTP\/1.1 200 OK\r\n/,
      );
      assertMatch(both, /Content-Type: text\/html\r\n(.+\r\n)+Content-Length: 0\r\n\r\n$/);
      assertMatch(await request(port, "HEAD /digits.txt HTTP/1.1"), /Length: 10\r\n\r\n$/);
      for (const [range, answer] of [["2-4", "234"], ["7-", "789"], ["-2", "89"], ["8-99", "89"]]) {
        const part = await request(port, `GET /digits.txt HTTP/1.1\r\nRange: bytes=${range}`);
        assertMatch(
          part,
          new RegExp(`206 .*\r\n(.+\r\n)+Content-Length: ${answer!.length}\r\n\r\n${answer}$`),
        );
      }
      for (const head of ["HEAD", 'GET, If-Range: "1"']) {
        const [method, field = "A: b"] = head.split(", ");
        const whole = `${method} /digits.txt HTTP/1.1\r\n${field}\r\nRange: bytes=2-4`;
        assertMatch(await request(port, whole), /^HTTP\/1.1 200 (.+\r\n)+Content-Length: 10\r\n/);
      }
      const beyond = await request(port, "GET /digits.txt HTTP/1.1\r\nRange: bytes=10-");
      assertMatch(
        beyond,
        /416 .*\r\n(.+\r\n)*Content-Range: bytes \*\/10\r\nContent-Length: 0\r\n/,
      );
      assertMatch(
        await request(port, "POST /digits.txt HTTP/1.1"),
        /405 .*\r\n(.+\r\n)*Allow: GET, HEAD/,
      );
      for (
        const path of ["none", "", "../secret.txt", "%2e%2e/secret.txt", "link.txt", "%zz", "%00"]
      ) {
        assertMatch(await request(port, `GET /${path} HTTP/1.1`), /^HTTP\/1.1 404 /);
      }
      assertMatch(await request(port, "nonsense"), /^HTTP\/1.1 400 (.+\r\n)+Connection: close/);
    }, root);
    assertEquals(ended, { code: 0, signal: null });
  }));

test("examples/http_server.ts answers by its routes, and drains when it is interrupted", async () => {
  const ended = await withServer("examples/http_server.ts", async (port) => {
    const ask = async (path: string, init?: RequestInit) => {
      const response = await fetch(`http://localhost:${port}${path}`, init);
      return [response.status, await response.text()];
    };
    const body = Buffer.alloc(300_000, "netpoll ");
    const sha256 = createHash("sha256").update(body).digest("hex");
    assertEquals(await ask("/"), [200, "Hello, World!"]);
    assertEquals(await ask("/?query", { method: "HEAD" }), [200, ""]);
    assertEquals(await ask("/", { method: "DELETE" }), [405, ""]);
    assertMatch(await request(port, "UNHEARD / HTTP/1.1"), /^HTTP\/1.1 501 /);
    assertMatch(
      await request(port, "OPTIONS * HTTP/1.1"),
      /^HTTP\/1.1 204 (.+\r\n)+Allow: OPTIONS, GET, HEAD, POST, PUT\r\n\r\n$/,
    );
    assertMatch(await request(port, "OPTIONS /echo HTTP/1.1"), /\r\nAllow: OPTIONS, POST, PUT\r\n/);
    assertEquals(await ask("/none"), [404, "There is no /none\n"]);
    assertEquals(await ask("/count?to=3"), [200, "1\n2\n3\n"]);
    assertEquals(await ask("/count?to=1000001"), [400, "Cannot count above 1000000\n"]);
    assertEquals(await ask("/echo", { method: "POST", body }), [200, body.toString()]);
    assertEquals(await ask("/digest", { method: "PUT", body }), [
      200,
      JSON.stringify({ bytes: body.length, sha256 }),
    ]);
  });
  assertEquals(ended, { code: 0, signal: null });
});

test("examples/rpc_client.ts asks rpc_server.ts: in one go, out of order, with a deadline, in a burst", async () => {
  const ended = await withServer("examples/rpc_server.ts", async (port) => {
    const client = await run("examples/rpc_client.ts", { args: [`localhost:${port}`] });
    assertEquals([client.code, client.stderr], [0, ""]);
    const lines = client.stdout.split("\n");
    assertEquals(lines.slice(0, 5), [
      "in one go: one, two, three",
      "out of order: first the quick one, then the slow one",
      "deadline: TimeoutError: The answer did not come within 20 ms",
      "cancelled: Error: never mind",
      "refused: Error: There is no method 77",
    ]);
    assertMatch(lines[5]!, /^a burst: 20000 requests in /);
  });
  assertEquals(ended, { code: 0, signal: null });
});

test("examples/rpc_pool.ts has every request answered although a server is killed", async () => {
  const { code, stdout, stderr } = await run("examples/rpc_pool.ts");
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.split("\n");
  assertEquals(lines.slice(0, 2), [
    "Killed a server: 2000 of 2000 requests are answered",
    "It is back: 3000 of 3000 requests are answered",
  ]);
  assertMatch(lines[2]!, /^\d+ connections were made, [1-9]\d* were lost$/);
});

test("examples/compare/node_net.ts echoes", async () => {
  await withServer("examples/compare/node_net.ts", checkEcho);
});

test("examples/compare/deno_listen.ts echoes", { skip: NOT_DENO }, async () => {
  await withServer("examples/compare/deno_listen.ts", checkEcho);
});

test("examples/compare/bun_listen.ts echoes", { skip: NOT_BUN }, async () => {
  await withServer("examples/compare/bun_listen.ts", checkEcho);
});

/** A client that speaks lines. */
class LineClient {
  text = "";
  readonly #socket;

  constructor(port: number) {
    this.#socket = connect(port, "localhost");
    this.#socket.setEncoding("utf8").on("data", (text) => this.text += text);
  }

  say(line: string): void {
    this.#socket.write(`${line}\n`);
  }

  async hears(line: string): Promise<void> {
    await until(() => this.text.includes(`${line}\n`), line);
  }

  leave(): void {
    this.#socket.destroy();
  }
}

test("examples/chat.ts tells all others what one says, whichever poller serves them", async () => {
  const ended = await withServer("examples/chat.ts", async (port) => {
    const clients = Array.from({ length: 8 }, () => new LineClient(port));
    for (const client of clients) await client.hears("* welcome");
    clients[0]!.say("hello");
    for (const client of clients.slice(1)) await client.hears("> hello");
    assertEquals(clients[0]!.text.includes("hello"), false);
    clients[7]!.leave();
    await clients[0]!.hears("* somebody went");
    for (const client of clients) client.leave();
  });
  assertEquals(ended, { code: 0, signal: null });
});

test("examples/chat.ts ends who says too much at once, without a word to its log", async () => {
  const ended = await withExample("examples/chat.ts", "localhost:0", async (at) => {
    const socket = connect(portOf(at), "localhost");
    socket.on("error", () => {}); // it is reset
    socket.write("x".repeat(2000));
    socket.resume();
    await new Promise((resolve) => socket.on("close", resolve));
  });
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
});

test("examples/redis_server.ts answers what came in one go, and drains when it is interrupted", async () => {
  const ended = await withServer("examples/redis_server.ts", async (port) => {
    const socket = connect(port, "localhost").setEncoding("latin1");
    socket.write("SET k 1\r\nINCR k\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nLPUSH k x\r\nQUIT\r\n");
    let text = "";
    for await (const piece of socket) text += piece;
    const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    assertEquals(text, `+OK\r\n:2\r\n$1\r\n2\r\n${wrong}+OK\r\n`);
  });
  assertEquals(ended, { code: 0, signal: null });
});

test("examples/counter.ts counts the lines of all pollers in one counter", async () => {
  const ended = await withServer("examples/counter.ts", async (port) => {
    for (let n = 1; n <= 8; n++) {
      const client = new LineClient(port);
      client.say("x");
      await client.hears(String(n));
      client.leave();
    }
  });
  assertEquals(ended, { code: 0, signal: null });
});

/** Asks a server for a page about itself, over a Unix socket. */
function tell(socketPath: string, path: string): Promise<{ status?: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status?: number; body: string }>();
  get({ socketPath, path }, async (response) => {
    let body = "";
    for await (const bytes of response) body += bytes;
    resolve({ status: response.statusCode, body });
  }).on("error", reject);
  return promise;
}

test("examples/metered_server.ts echoes, and tells what it did, for Prometheus and as JSON", () =>
  withDirectory(async (directory) => {
    const socket = `${directory}/metrics`;
    const ended = await withServer("examples/metered_server.ts", async (port) => {
      await checkEcho(port);
      const bytes = MESSAGE_BYTES * MESSAGE_COUNT;
      const text = await tell(socket, "/metrics");
      assertEquals(text.status, 200);
      const received = Number(/^netpoll_received_bytes_total (\d+)$/m.exec(text.body)?.[1]);
      assert(received >= bytes && received < bytes + 10_000, `it has received ${received} bytes`);
      const { metrics, loop } = JSON.parse((await tell(socket, "/snapshot")).body);
      assertEquals(loop.accepted, 1);
      assert(metrics.connections.accepted >= 3, "those that ask count too");
      assertEquals((await tell(socket, "/else")).status, 404);
    }, socket);
    assertEquals(ended, { code: 0, signal: null });
  }));

test("examples/top.ts --once prints one frame of what happens", () =>
  withDirectory(async (directory) => {
    const socket = `${directory}/metrics`;
    await withServer("examples/metered_server.ts", async (port) => {
      const client = connect(port, "localhost");
      await once(client, "connect");
      client.write("hello");
      await once(client, "data");
      const frame = await run("examples/top.ts", { args: [socket, "--once", "--interval", "20"] });
      assertEquals([frame.code, frame.stderr], [0, ""]);
      const lines = frame.stdout.split("\n");
      assertMatch(lines[0]!, /^netpoll top {2}\/.* pid \d+, up 0 min \d+ s$/);
      for (const name of ["connections", "traffic", "thread", "events/wait", "memory", "errors"]) {
        assertEquals(lines.filter((line) => line.startsWith(`${name} `)).length, 1, name);
      }
      const { localPort } = client;
      const rows = lines.filter((line) => line.includes(`127.0.0.1:${localPort} `));
      assertEquals(rows.length, 1);
      assertMatch(rows[0]!, / open +0 B\/s +0 B\/s +0 B +0 B +[\d.]+ [µm]s +0$/);
      client.destroy();
    }, socket);
  }));

test("examples/top.ts prints frame after frame where there is no terminal, until it is interrupted", () =>
  withDirectory(async (directory) => {
    const socket = `${directory}/metrics`;
    await withServer("examples/metered_server.ts", async () => {
      const top = start("examples/top.ts", { args: [socket, "--interval", "20"] });
      await top.find(/(netpoll top[^]*){3}/);
      const { code, stdout } = await top.stop("SIGINT");
      assertEquals(code, 0);
      assertEquals(stdout.includes("\x1b"), false);
    }, socket);
  }));

const NO_SCRIPT = spawnSync("script", ["--version"]).error === undefined
  ? false
  : "needs script (util-linux)";

test(
  "examples/top.ts redraws a terminal, and leaves it as it was at q",
  { skip: NO_SCRIPT },
  () =>
    withDirectory(async (directory) => {
      const socket = `${directory}/metrics`;
      await withServer("examples/metered_server.ts", async () => {
        const [command, args] = commandFor("examples/top.ts", {
          args: [socket, "--interval", "20"],
        });
        const line = `stty rows 24 columns 60; ${[command, ...args].join(" ")}`;
        const argv = ["script", "-qec", line, "/dev/null"];
        const terminal = new Program({ argv, cwd: root, hasInput: true });
        await terminal.find(/(netpoll top[^]*){3}/);
        terminal.write("q");
        const { code, stdout } = await terminal.ended;
        assertEquals(code, 0);
        const text = stdout.replaceAll("\x1b", "ESC");
        assertMatch(text, /ESC\[\?1049hESC\[\?25lESC\[H/); // another screen, no cursor ...
        assertMatch(text, /ESC\[\?25hESC\[\?1049l$/); // ... and back
        const lines = text.split(/ESC\[H|\n/).map((line) => line.split("ESC", 1)[0]!);
        assertEquals(Math.max(...lines.map((line) => line.length)), 60); // they are cut
      }, socket);
    }),
);

test("examples/top.ts --help says how, and what it does not know ends it with the same", async () => {
  const help = await run("examples/top.ts", { args: ["--help"] });
  assertEquals([help.code, help.stderr], [0, ""]);
  assertMatch(help.stdout, /^Usage: top\.ts /);
  for (const args of [["--interval", "x"], ["--nothing"]]) {
    const { code, stderr } = await run("examples/top.ts", { args });
    assertEquals([code, stderr.includes("Usage: top.ts ")], [2, true], args.join(" "));
  }
});

test("examples/top.ts says so where nobody tells anything", async () => {
  const { code, stdout, stderr } = await run("examples/top.ts", { args: ["@netpoll-no-such-top"] });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^Cannot show @netpoll-no-such-top: .*ECONNREFUSED/);
});
