/**
 * examples/ingest.ts, to which logger and nc report.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "node:net";
import { once } from "node:events";
import { start } from "../support/child.ts";
import { withDirectory } from "../support/library.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const COUNT = 200_000 * SCALE;

/** Runs the server while it calls: what it has printed, and the records that it has written. */
async function withIngest(call: (port: string) => Promise<void>) {
  let result = { stdout: "", stderr: "", lines: [] as unknown[] };
  await withDirectory(async (directory) => {
    const out = `${directory}/out.ndjson`;
    const args = ["127.0.0.1:0", "--out", out];
    const server = start("examples/ingest.ts", { args, timeoutMs: 5 * TOOL_MS_MAX });
    try {
      const [, port] = await server.find(/Listening on .*:(\d+);/);
      await call(port!);
    } finally {
      await server.stop("SIGINT");
    }
    const { code, signal, stdout, stderr } = await server.ended;
    assertEquals([code, signal], [0, null], stderr);
    const text = readFileSync(out, "utf8");
    const lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    result = { stdout, stderr, lines };
  });
  return result;
}

test("logger's lines come in, behind their length and without", {
  skip: lacks("logger"),
}, async () => {
  const { lines, stdout, stderr } = await withIngest(async (port) => {
    const logger = (...args: string[]) =>
      runTool("logger", ["-T", "-n", "127.0.0.1", "-P", port, ...args]);
    await logger("--octet-count", "-p", "user.err", "with a length");
    await logger("-p", "user.debug", "as a line");
    await logger("--rfc3164", "--octet-count", "as in old times");
  });
  const shown = (lines as { severity: string; text: string }[]).map(({ severity, text }) => {
    return `${severity} ${/(with|as) .*/.exec(text)?.[0]}`;
  });
  // Each comes over a connection of its own: in any order.
  const expected = ["debug as a line", "err with a length", "notice as in old times"];
  assertEquals(shown.sort(), expected);
  assertMatch(stdout, /^0 of JSON, 3 of syslog, 0 of neither: .* in \d writes$/m);
  assertEquals(stderr, "");
});

test("every line that nc sends is in the file, and the rate is told", {
  skip: lacks("nc", "seq", "sed"),
}, async () => {
  const { lines, stdout, stderr } = await withIngest(async (port) => {
    const make = `seq ${COUNT} | sed 's/.*/{"n": &}/'`;
    const both = [0, 1].map(() => runTool("sh", ["-c", `${make} | nc -N 127.0.0.1 ${port}`]));
    await Promise.all(both);
    await runTool("sh", ["-c", `printf '{"n": 0}\\nno end' | nc -N 127.0.0.1 ${port}`]);
  });
  assertEquals(lines.length, 2 * COUNT + 2);
  let sum = 0;
  for (const { n = 0 } of lines as { n?: number }[]) sum += n;
  assertEquals(sum, COUNT * (COUNT + 1));
  assertMatch(stdout, /^\d+ records\/s, \d+\.\d MB\/s$/m);
  assertMatch(stdout, new RegExp(`^${2 * COUNT + 1} of JSON, 0 of syslog, 1 of neither`, "m"));
  assertEquals(stderr, "");
});

test("a client that sends what is no record is cut off, and no other", async () => {
  const { lines, stderr } = await withIngest(async (port) => {
    for (const bytes of ["x".repeat(100_000), "99999999 <13>", "\xff".repeat(100_000)]) {
      const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
      socket.write(Buffer.from(bytes, "latin1"));
      if (!socket.closed) await once(socket.resume(), "close").catch(() => {});
    }
    const fine = connect(Number(port), "127.0.0.1");
    fine.end("fine\n");
    await once(fine.resume(), "close");
  });
  assertEquals(lines, [{ text: "fine" }]);
  assertEquals(stderr.match(/^A client was cut off: Cannot decode .*$/gm)?.length, 3, stderr);
});

test("ingest.ts ends when its file cannot be written to, and says so", {
  skip: lacks("nc"),
}, async () => {
  const server = start("examples/ingest.ts", { args: ["127.0.0.1:0", "--out", "/dev/full"] });
  try {
    const [, port] = await server.find(/Listening on .*:(\d+);/);
    await runTool("sh", ["-c", `echo hello | nc -N 127.0.0.1 ${port}`]);
    const { code, stderr } = await server.ended;
    assertEquals(code, 1);
    assertMatch(stderr, /^Cannot write to \/dev\/full: ENOSPC.*\n$/);
  } finally {
    await server.stop();
  }
  const { code, stderr } = await start("examples/ingest.ts", {
    args: ["127.0.0.1:0", "--out", "/nowhere/file"],
  }).ended;
  assertEquals(code, 1);
  assertMatch(stderr, /^ENOENT.*\n$/);
});
