import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { host } from "../ffi/host.ts";
import { run, start } from "./support/child.ts";
import { withDirectory } from "./support/library.ts";
import { until } from "./support/until.ts";

const NOT_DENO = host.name === "deno" ? false : "needs Deno";
const NOT_BUN = host.name === "bun" ? false : "needs Bun";

const MESSAGE_BYTES = 512;
const MESSAGE_COUNT = 5000;

/** Starts a server on a free port and calls with the port; then stops it. How it ended. */
async function withServer(
  file: string,
  call: (port: number) => Promise<void>,
  ...more: string[]
): Promise<{ code: number | null; signal: string | null }> {
  const server = start(file, { args: ["localhost:0", ...more] });
  const ended = once(server, "close");
  try {
    let printed = "";
    for await (const text of server.stdout.iterator({ destroyOnReturn: false })) {
      printed += text;
      if (/Listening on [^;]*?(?::|port: ?)[0-9]+/.test(printed)) break;
    }
    const port = Number(/(?::|port: ?)([0-9]+)/.exec(printed)?.[1]);
    assert(port > 0, `it said no port: ${printed}`);
    await call(port);
    // Not server.kill(): Deno then reports the signal as the end, whatever the process made of it.
    process.kill(server.pid!, "SIGINT");
    const [code, signal] = await ended;
    return { code, signal };
  } finally {
    server.kill("SIGKILL");
    await ended;
  }
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
        /200 OK\r\nContent-Length: 10\r\n(.+\r\n)+\r\n0123456789HTTP\/1.1 200 OK\r\nC/,
      );
      assertMatch(both, /Content-Length: 0\r\nContent-Type: text\/html\r\n(.+\r\n)+\r\n$/);
      assertMatch(await request(port, "HEAD /digits.txt HTTP/1.1"), /Length: 10\r\n(.+\r\n)+\r\n$/);
      for (const [range, answer] of [["2-4", "234"], ["7-", "789"], ["-2", "89"], ["8-99", "89"]]) {
        const part = await request(port, `GET /digits.txt HTTP/1.1\r\nRange: bytes=${range}`);
        assertMatch(
          part,
          new RegExp(`206 .*\r\nContent-Length: ${answer!.length}\r\n(.+\r\n)+\r\n${answer}$`),
        );
      }
      const beyond = await request(port, "GET /digits.txt HTTP/1.1\r\nRange: bytes=10-");
      assertMatch(beyond, /416 .*\r\nContent-Length: 0\r\nContent-Range: bytes \*\/10\r\n/);
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
