import { assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { type Connection, createListener, EofError, EventLoop } from "../../mod.ts";
import { serveHandler } from "../support/echo_server.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { soon } from "../support/until.ts";

/** True when a tool is there; without it the test is skipped, and says so. */
function has(t: TestContext, tool: string): boolean {
  const isThere = spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
  if (!isThere) t.skip(`${tool} is not installed on this machine`);
  return isThere;
}

async function outputOf(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = "";
  child.stdout.on("data", (bytes) => text += bytes);
  await soon(once(child, "close"), `${child.spawnfile} ends`);
  return text;
}

/** Answers a whole request, that is one that has ended, with its length. */
async function answerAtEnd({ reader, writer }: Connection): Promise<void> {
  await assertRejects(() => reader.wait(100_000), EofError);
  writer.writeString(`got ${reader.length}`);
  await writer.flush();
}

/** Sends at once and ends its side, and reads on until the other end has. */
async function sendAndEnd({ reader, writer }: Connection): Promise<void> {
  writer.writeString("hello");
  await writer.flush();
  reader.skip(reader.length);
}

for (
  const [tool, argumentsFor] of [
    ["socat", (port: number) => ["-t", "10", "-", `TCP:127.0.0.1:${port}`]],
    ["nc", (port: number) => ["-N", "127.0.0.1", String(port)]],
  ] as const
) {
  test(`${tool} ends its side, and gets the answer`, async (t) => {
    if (!has(t, tool)) return;
    await leaks(async () => {
      await using server = serveHandler(answerAtEnd);
      const child = spawn(tool, [...argumentsFor(server.port)]);
      child.stdin.end("x".repeat(1000));
      assertEquals(await outputOf(child), "got 1000");
    });
  });

  test(`${tool} hears that we ended our side, and still sends`, async (t) => {
    if (!has(t, tool)) return;
    await leaks(async () => {
      let sum = 0;
      const ended = Promise.withResolvers<void>();
      await using server = serveHandler(({ reader }) => {
        sum += reader.length;
        reader.skip(reader.length);
      }, {
        onConnect: async (connection) => {
          await sendAndEnd(connection);
          await connection.closeWrite();
          return undefined;
        },
        onDisconnect: () => ended.resolve(),
      });
      const child = spawn(tool, [...argumentsFor(server.port)]);
      child.stdout.once("data", () => child.stdin.end("afterwards"));
      assertEquals(await outputOf(child), "hello");
      await soon(ended.promise);
      assertEquals(sum, 10);
    });
  });
}

test("curl is answered over a Unix socket, several times on one connection", async (t) => {
  if (!has(t, "curl")) return;
  await leaks(() =>
    withDirectory(async (directory) => {
      const path = join(directory, "http");
      const body = "x".repeat(200_000);
      let accepted = 0;
      const loop = new EventLoop(async ({ reader, writer }) => {
        const head = reader.readString(await reader.waitUntil(Buffer.from("\r\n\r\n")));
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        await reader.wait(length);
        const upload = reader.readString(length);
        reader.release();
        const answer = upload === "" ? body : upload;
        writer.writeString(`HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`);
        await writer.flush();
      }, { onConnect: () => void (accepted += 1) });
      const served = loop.serve(createListener("unix", path));
      const url = "http://localhost/";
      const child = spawn("curl", ["-s", "-S", "--unix-socket", path, url, url]);
      child.stdin.end();
      assertEquals(await outputOf(child), body + body);
      const posting = spawn("curl", ["-s", "--unix-socket", path, "--data-binary", "@-", url]);
      posting.stdin.end(body + "end");
      assertEquals(await outputOf(posting), body + "end");
      assertEquals(accepted, 2);
      await loop.shutdown();
      await served;
    })
  );
});

test("a large stream through a slow reader of node:net arrives whole, by its SHA-256", {
  timeout: 300_000,
}, () =>
  leaks(async () => {
    const mib = Number(process.env["NETPOLL_STREAM_MIB"] ?? 256);
    const sent = createHash("sha256");
    const chunk = new Uint8Array(1024 * 1024);
    const digest = Promise.withResolvers<string>();
    await using server = serveHandler(async (connection) => {
      connection.reader.skip(connection.reader.length);
      for (let i = 0; i < mib; i++) {
        for (let at = 0; at < chunk.length; at += 4096) chunk[at] = (i * 7 + at / 4096) & 0xff;
        sent.update(chunk);
        connection.writer.writeBinary(chunk);
        await connection.writer.flush();
      }
      digest.resolve(sent.digest("hex"));
      void connection.close();
    });
    const received = createHash("sha256");
    let bytes = 0;
    const socket = connect(server.port, "127.0.0.1");
    socket.write("go");
    socket.on("data", (piece) => {
      received.update(piece);
      bytes += piece.length;
      // Slower than the sender: it stops for a while after every few pieces.
      if (bytes % 16 === 0) {
        socket.pause();
        setTimeout(() => socket.resume(), 0);
      }
    });
    await once(socket, "end");
    socket.destroy();
    assertEquals(bytes, mib * chunk.length);
    assertEquals(received.digest("hex"), await digest.promise);
  }));
