/**
 * examples/websocket_server.ts, as clients of others see it: those of the runtimes, of node, of Python, and
 * Autobahn's cases where somebody has installed them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { Attacker } from "../hostile/attacker.ts";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";
import { lacks, lacksModule, runTool, TOOL_MS_MAX } from "../support/tool.ts";
import { until } from "../support/until.ts";

/** Runs the server while it calls. What it has told. */
async function withServer(call: (port: number) => Promise<void>): Promise<string> {
  const options = { timeoutMs: 10 * TOOL_MS_MAX };
  const ended = await withExample("examples/websocket_server.ts", "127.0.0.1:0", (at) => {
    return call(portOf(at));
  }, options);
  assertEquals([ended.code, ended.signal], [0, null], ended.stderr);
  return ended.stderr;
}

/** A client that says all of it, and hears as much; in Deno, in Bun, and in node alike. */
const CONVERSATION = `
  const talk = (url, messages) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const heard = [];
    socket.onerror = () => reject(new Error("it broke"));
    socket.onopen = () => messages.forEach((each) => socket.send(each));
    socket.onmessage = ({ data }) => {
      heard.push(typeof data === "string" ? data : "bytes " + new Uint8Array(data));
      if (heard.length === messages.length) socket.close(3456, "enough");
    };
    socket.onclose = ({ code, wasClean }) => resolve([heard, code, wasClean]);
  });
`;
const MESSAGES = ["", "hello", "x".repeat(100_000), Uint8Array.of(0, 255)];
const HEARD = [["", "hello", "x".repeat(100_000), "bytes 0,255"], 3456, true];

test("the WebSocket of the runtime hears what it says", async () => {
  const talk = new Function(`${CONVERSATION} return talk;`)();
  const told = await withServer(async (port) => {
    for (const path of ["", "echo", "chat"]) {
      assertEquals(await talk(`ws://127.0.0.1:${port}/${path}`, MESSAGES), HEARD);
    }
  });
  assertEquals(told, "");
});

/** Before 22, node has it behind a flag. */
const FLAG = "--experimental-websocket";
const nodeLacks = lacks("node") ||
  (spawnSync("node", [FLAG, "-e", "WebSocket"]).status !== 0 && "this node has no WebSocket");

test("the WebSocket of node hears what it says", { skip: nodeLacks }, async () => {
  await withServer(async (port) => {
    const say = `${CONVERSATION} talk("ws://127.0.0.1:${port}/", [
      "", "hello", "x".repeat(100_000), Uint8Array.of(0, 255),
    ]).then((all) => console.log(JSON.stringify(all)))`;
    const { stdout } = await runTool("node", [FLAG, "-e", say]);
    assertEquals(JSON.parse(stdout), HEARD);
  });
});

test("clients in Python hear what they say, in fragments and up to the bound", {
  skip: lacksModule("/usr/bin/python3", "websockets") ||
    lacksModule("/usr/bin/python3", "websocket"),
}, async () => {
  const told = await withServer(async (port) => {
    const args = ["tests/acceptance/websocket_client.py", `${port}`];
    assertEquals((await runTool("/usr/bin/python3", args)).stdout, "fine\n");
  });
  assertEquals(told, "");
});

test("curl gets pages from the same port, and is told what is for WebSocket", {
  skip: lacks("curl"),
}, async () => {
  await withServer(async (port) => {
    const get = (path: string, ...args: string[]) =>
      runTool("curl", [
        "-sS",
        "-i",
        "--max-time",
        "20",
        ...args,
        `http://127.0.0.1:${port}${path}`,
      ]);
    assertMatch((await get("/")).stdout, /^HTTP\/1.1 200 OK\r\n[^]*<!doctype html>/);
    assertMatch((await get("/chat")).stdout, /^HTTP\/1.1 426 [^]*Sec-WebSocket-Version: 13\r\n/);
    const old = ["-H", "Upgrade: websocket", "-H", "Connection: Upgrade"];
    const version = ["-H", "Sec-WebSocket-Version: 8"];
    assertMatch((await get("/", ...old, ...version)).stdout, /^HTTP\/1.1 426 /);
    const known = ["-H", "Sec-WebSocket-Version: 13"];
    assertMatch((await get("/", ...old, ...known)).stdout, /^HTTP\/1.1 400 /);
  });
});

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

test("frames behind the request are heard, and one who does not read is let go", async () => {
  const told = await withServer(async (port) => {
    const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);
    const eager = connect(port, "127.0.0.1");
    eager.write(Buffer.concat([Buffer.from(UPGRADE), ping]));
    let text = "";
    eager.setEncoding("latin1").on("data", (piece) => text += piece);
    while (!text.endsWith("\r\n\r\n\x8a\0")) await once(eager, "data");
    eager.destroy();

    const deaf = new Attacker(port, { receiveBufferBytes: 64 * 1024 });
    await until(() => deaf.push(Buffer.from(UPGRADE)) > 0, "the deaf one asks");
    await until(() => deaf.take() > 0 && deaf.received.startsWith("HTTP/1.1 101 "), "it is let in");
    // Each message is heard by the one who says it, and not by the other: 60 MB in all.
    const talker = new WebSocket(`ws://127.0.0.1:${port}/chat`);
    await once(talker as never, "open");
    for (let n = 0; n < 60; n++) {
      const heard = once(talker as never, "message");
      talker.send("x".repeat(1_000_000));
      await heard;
    }
    await until(() => deaf.take() === 0 && deaf.isOver, "the deaf one is let go");
    deaf.close();
    talker.close();
    await once(talker as never, "close");
  });
  assertEquals(told, "");
});

/** Those of compression are left out: it is not offered. */
const SPEC = {
  cases: ["*"],
  "exclude-cases": ["12.*", "13.*"],
  "exclude-agent-cases": {},
};

test(
  "Autobahn finds no case that fails",
  { skip: lacks("wstest") },
  () =>
    withDirectory(async (directory) => {
      await withServer(async (port) => {
        const servers = [{ agent: "netpoll", url: `ws://127.0.0.1:${port}` }];
        const spec = { outdir: `${directory}/reports`, servers, ...SPEC };
        writeFileSync(`${directory}/spec.json`, JSON.stringify(spec));
        await runTool("wstest", ["-m", "fuzzingclient", "-s", `${directory}/spec.json`]);
      });
      const report = JSON.parse(readFileSync(`${directory}/reports/index.json`, "utf8")).netpoll;
      const all = Object.entries<{ behavior: string; behaviorClose: string }>(report);
      assert(all.length > 290, `${all.length} cases`);
      const fine = ["OK", "NON-STRICT", "INFORMATIONAL"];
      const failed = all.filter(([, { behavior, behaviorClose }]) => {
        return ![behavior, behaviorClose].every((each) => fine.includes(each));
      });
      assertEquals(failed, []);
    }),
);
