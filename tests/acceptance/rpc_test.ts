/**
 * examples/rpc_server.ts, asked by a client that shares no code with it.
 */
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { portOf, withExample } from "../support/example.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const CONNECTIONS = 4;

test("a client in Python finds every answer right, quick ones first, and is cut off for nonsense", {
  skip: lacks("python3"),
}, async () => {
  const count = 2000 * SCALE;
  const options = { timeoutMs: 2 * TOOL_MS_MAX };
  const ended = await withExample("examples/rpc_server.ts", "127.0.0.1:0", async (at) => {
    const args = ["tests/acceptance/rpc_client.py", `${portOf(at)}`, `${count}`];
    const { stdout } = await runTool("python3", args);
    assertEquals(JSON.parse(stdout), {
      right: CONNECTIONS * (count + 1),
      wrong: 0,
      overtaken: CONNECTIONS,
      benchmark: CONNECTIONS,
      ended: CONNECTIONS,
    });
  }, options);
  assertEquals([ended.code, ended.signal], [0, null]);
  const lines = ended.stderr.match(/^A client was cut off: .* of 3 bytes: it has no id/gm);
  assertEquals(lines?.length, CONNECTIONS, ended.stderr);
});

test(
  "bytes that a shell writes are answered as bytes",
  { skip: lacks("sh", "nc", "od") },
  async () => {
    const ended = await withExample("examples/rpc_server.ts", "127.0.0.1:0", async (at) => {
      // Two requests: an echo of "hi", numbered 7, and a method that there is none, numbered 8.
      const requests = "\\0\\0\\0\\7\\0\\0\\0\\7\\0hi\\0\\0\\0\\5\\0\\0\\0\\10\\115";
      const pipe = `printf '${requests}' | nc -N 127.0.0.1 ${portOf(at)} | od -An -c -w64`;
      const { stdout } = await runTool("sh", ["-c", pipe]);
      const text = stdout.trim().split(/\s+/).join(" ");
      const failure = "\\0 \\0 \\0 032 \\0 \\0 \\0 \\b 001 T h e r e i s n o m e t h o d 7 7";
      assertEquals(text, `\\0 \\0 \\0 \\a \\0 \\0 \\0 \\a \\0 h i ${failure}`);
    });
    assertEquals(ended, { code: 0, signal: null, stderr: "" });
  },
);
