/**
 * examples/file_server.ts, asked by clients that others wrote.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

/** More than socket buffers hold: it leaves in parts. */
const FILE_BYTES = 24 * 1024 * 1024 + 1;

/** The file that is served, and its place. */
interface Served {
  readonly url: string;
  readonly directory: string;
  /** The file, and its bytes. */
  readonly path: string;
  readonly bytes: Buffer;
}

/** Serves a file of random bytes. Nothing may have gone wrong in the server. */
async function withFiles(call: (served: Served) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/file`;
    const bytes = randomBytes(FILE_BYTES);
    writeFileSync(path, bytes);
    const options = { args: [directory], timeoutMs: 5 * TOOL_MS_MAX };
    const ended = await withExample("examples/file_server.ts", "127.0.0.1:0", (at) => {
      return call({ url: `http://127.0.0.1:${portOf(at)}/file`, directory, path, bytes });
    }, options);
    assertEquals(ended, { code: 0, signal: null, stderr: "" });
  });
}

function curl(...args: string[]): ReturnType<typeof runTool> {
  return runTool("curl", ["-sS", "--max-time", "40", ...args]);
}

const NO_CURL = lacks("curl");
const NO_WRK = lacks("wrk");

test(
  "curl gets a file, and any range of it",
  { skip: NO_CURL },
  () =>
    withFiles(async ({ url, directory, bytes }) => {
      const out = `${directory}/out`;
      await curl("-o", out, url);
      assert(readFileSync(out).equals(bytes), "the whole file");
      const last = FILE_BYTES - 1;
      const ranges: readonly (readonly [string, number, number])[] = [
        ["0-0", 0, 1],
        ["1-1000", 1, 1001],
        [`${last}-`, last, FILE_BYTES],
        ["5000000-9999999", 5_000_000, 10_000_000],
        [`8192-${FILE_BYTES + 5}`, 8192, FILE_BYTES],
        ["-70000", FILE_BYTES - 70_000, FILE_BYTES],
      ];
      for (const [range, from, to] of ranges) {
        const { stdout } = await curl("-o", out, "-w", "%{http_code}", "-r", range, url);
        assertEquals(stdout, "206", range);
        assert(readFileSync(out).equals(bytes.subarray(from, to)), range);
      }
      const beyond = await curl("-w", "%{http_code}", "-r", `${FILE_BYTES}-`, url);
      assertEquals(beyond.stdout, "416");
    }),
);

test(
  "curl resumes a download that broke off",
  { skip: NO_CURL },
  () =>
    withFiles(async ({ url, directory, bytes }) => {
      const out = `${directory}/out`;
      await curl("-o", out, url);
      truncateSync(out, 10_000_001);
      const { stdout } = await curl("-C", "-", "-o", out, "-w", "%{size_download}", url);
      assertEquals(stdout, `${FILE_BYTES - 10_000_001}`);
      assert(readFileSync(out).equals(bytes));
    }),
);

test("curl gets many files over kept connections, several at once, and slowly", {
  skip: NO_CURL,
}, () =>
  withFiles(async ({ url, directory, bytes }) => {
    const outs = Array.from({ length: 8 }, (_, n) => `${directory}/out${n}`);
    await curl("-Z", ...outs.flatMap((out) => ["-o", out, url]));
    for (const out of outs) assert(readFileSync(out).equals(bytes), out);
    const limited = `${directory}/limited`;
    await curl("--limit-rate", "20M", "-o", limited, url); // its buffers fill: we wait for it
    assert(readFileSync(limited).equals(bytes), "slowly");
    const head = await curl("-I", url);
    assertMatch(
      head.stdout,
      new RegExp(`^HTTP/1.1 200 OK\r\n(.+\r\n)*Content-Length: ${FILE_BYTES}\r\n`),
    );
    const missing = await curl(
      "-w",
      "%{http_code}",
      `${url}/none`,
      `${url.replace("file", "%2e%2e/")}`,
    );
    assertEquals(missing.stdout.replace(/[^0-9]/g, ""), "404404");
  }));

test("wrk gets pieces of every size, each byte right, and leaves in the middle", {
  skip: NO_WRK,
}, () =>
  withFiles(async ({ url, path }) => {
    const args = ["-t4", "-c4", `-d${SCALE}s`, "-s", "tests/acceptance/files.lua", url, "--"];
    const { stdout } = await runTool("wrk", [...args, path, "/file"]);
    assertMatch(stdout, /^checked: [1-9]\d* right, 0 wrong, 0 errors$/m);
    // It ends all connections at once, most of them within 24 MiB: the next client finds a server.
    const whole = await runTool("wrk", ["-t1", "-c50", `-d${SCALE}s`, url]);
    assert(!/Socket errors|Non-2xx/.test(whole.stdout), whole.stdout);
    const again = await runTool("wrk", [...args, path, "/file"]);
    assertMatch(again.stdout, /^checked: [1-9]\d* right, 0 wrong, 0 errors$/m);
  }));
