/**
 * examples/http_server.ts, asked by clients that others wrote. `make acceptance` installs them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const TEXT = "Hello, World!";
const BODY_BYTES = 3_000_000;
const TOO_LARGE_BYTES = 64 * 1024 * 1024 + 1;

/** Serves at a free port while it calls with the URL. Nothing may have gone wrong in the server. */
async function withServer(call: (url: string) => Promise<void>): Promise<void> {
  const options = { timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample("examples/http_server.ts", "127.0.0.1:0", async (at) => {
    await call(`http://127.0.0.1:${portOf(at)}`);
  }, options);
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
}

/** A file of random bytes, and what `/digest` says of it. */
function bodyFile(directory: string): { path: string; bytes: Uint8Array; digest: string } {
  const path = `${directory}/body`;
  const bytes = randomBytes(BODY_BYTES);
  writeFileSync(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path, bytes, digest: JSON.stringify({ bytes: BODY_BYTES, sha256 }) };
}

/** The number that a tool printed behind a name. */
function numberOf(printed: string, pattern: RegExp): number {
  const found = pattern.exec(printed)?.[1];
  assert(found !== undefined, `${pattern} is not in what was printed:\n${printed}`);
  return Number(found);
}

test(
  "wrk finds every answer right, one at a time and 16 at once",
  { skip: lacks("wrk") },
  () =>
    withServer(async (url) => {
      for (const depth of [1, 16]) {
        for (const connections of [1, 50, 500]) {
          const args = ["-t1", `-c${connections}`, `-d${SCALE}s`, "-s", "tests/acceptance/wrk.lua"];
          const { stdout } = await runTool("wrk", [...args, url, "--", `${depth}`]);
          assertMatch(stdout, /^checked: \d+ right, 0 wrong, 0 errors$/m);
          assert(numberOf(stdout, /^checked: (\d+) right/m) > 0, stdout);
        }
      }
    }),
);

test("ab gets answers of the same length, with a connection each and with kept ones, and posts", {
  skip: lacks("ab"),
}, () =>
  withServer((url) =>
    withDirectory(async (directory) => {
      const { path } = bodyFile(directory);
      const counts = ["-q", "-n", `${1000 * SCALE}`, "-c", "50"];
      const posts = ["-q", "-k", "-n", `${40 * SCALE}`, "-c", "4", "-p", path, "-T", "text/plain"];
      const runs: readonly (readonly [args: string[], bytes: number, total: number])[] = [
        [[...counts, `${url}/`], TEXT.length, 1000 * SCALE],
        [["-k", ...counts, `${url}/`], TEXT.length, 1000 * SCALE],
        [[...posts, `${url}/digest`], 93, 40 * SCALE],
      ];
      for (const [args, bytes, total] of runs) {
        const { stdout } = await runTool("ab", args);
        assertEquals(numberOf(stdout, /Complete requests: +(\d+)/), total);
        assertEquals(numberOf(stdout, /Failed requests: +(\d+)/), 0, stdout);
        assertEquals(numberOf(stdout, /Document Length: +(\d+)/), bytes, stdout);
        assertEquals(numberOf(stdout, /HTML transferred: +(\d+)/), bytes * total, stdout);
        assertEquals(/Non-2xx/.test(stdout), false, stdout);
        if (args.includes("-k")) {
          assertEquals(numberOf(stdout, /Keep-Alive requests: +(\d+)/), total);
        }
      }
    })
  ));

test(
  "h2load gets every answer over kept and pipelined connections",
  { skip: lacks("h2load") },
  () =>
    withServer(async (url) => {
      for (const depth of [1, 8]) {
        const total = 5000 * SCALE;
        const args = ["--h1", "-n", `${total}`, "-c", "50", "-m", `${depth}`, `${url}/`];
        const { stdout } = await runTool("h2load", args);
        assertMatch(
          stdout,
          new RegExp(`${total} done, ${total} succeeded, 0 failed, 0 errored, 0 timeout`),
        );
        assertMatch(stdout, new RegExp(`status codes: ${total} 2xx, 0 3xx, 0 4xx, 0 5xx`));
        assertMatch(stdout, new RegExp(`\\(${total * TEXT.length}\\) data`));
      }
    }),
);

test(
  "curl keeps its connection, and reads heads, chunks and errors",
  { skip: lacks("curl") },
  () =>
    withServer(async (url) => {
      const curl = (...args: string[]) => runTool("curl", ["-sSv", "--max-time", "20", ...args]);
      const both = await curl(`${url}/`, `${url}/count?to=3`);
      assertEquals(both.stdout, `${TEXT}1\n2\n3\n`);
      assertMatch(both.stderr, /Re-using existing connection/);
      const many = await curl(`${url}/count?to=100000`);
      assertEquals(many.stdout, Array.from({ length: 100_000 }, (_, n) => `${n + 1}\n`).join(""));
      const head = await curl("-I", `${url}/`, `${url}/count`);
      assertMatch(head.stdout, /Content-Length: 13\r\n\r\nHTTP\/1.1 200 OK\r\n(.+\r\n)+\r\n$/);
      const old = await curl("-0", `${url}/count?to=2`);
      assertEquals(old.stdout, "1\n2\n");
      const wrong = await curl("-w", "%{http_code} ", "-X", "DELETE", `${url}/`, `${url}/none`);
      assertEquals(wrong.stdout, "405 There is no /none\n404 ");
      const long = await curl(
        "-w",
        "%{http_code}",
        "-o",
        "/dev/null",
        "-H",
        `A: ${"a".repeat(20_000)}`,
        url,
      );
      assertEquals(long.stdout, "431");
    }),
);

test(
  "curl uploads, with a length and in chunks, told to go on and unasked, and gets the bytes back",
  {
    skip: lacks("curl"),
  },
  () =>
    withServer((url) =>
      withDirectory(async (directory) => {
        const { path, bytes, digest } = bodyFile(directory);
        const curl = (...args: string[]) => runTool("curl", ["-sSv", "--max-time", "20", ...args]);
        for (const coding of ["Content-Length:", "Transfer-Encoding: chunked"]) {
          const how = coding.endsWith(":") ? [] : ["-H", coding];
          for (const expect of ["Expect:", "Expect: 100-continue"]) {
            const again = [...how, "-H", expect, "-T", path, `${url}/digest`];
            const { stdout, stderr } = await curl(...again, "-T", path, `${url}/digest`);
            assertEquals(stdout, digest + digest);
            assertEquals(/< HTTP\/1.1 100 Continue/.test(stderr), !expect.endsWith(":"));
            assertMatch(stderr, /Re-using existing connection/);
            const back = `${directory}/back`;
            await curl(...how, "-H", expect, "-T", path, "-o", back, `${url}/echo`);
            assert(readFileSync(back).equals(bytes), `other bytes came back: ${coding} ${expect}`);
          }
        }
      })
    ),
);

test("curl is told at once that a body is too large, whether it asks or sends", {
  skip: lacks("curl"),
}, () =>
  withServer((url) =>
    withDirectory(async (directory) => {
      const path = `${directory}/large`;
      writeFileSync(path, "");
      truncateSync(path, TOO_LARGE_BYTES);
      const write = ["-w", "%{http_code} %{size_upload}", "-o", "/dev/null"];
      const args = ["-sS", "--max-time", "20", ...write, "-T", path, `${url}/digest`];
      const { stdout } = await runTool("curl", args);
      assertEquals(stdout, "413 0");
      const sent = await runTool("curl", ["-H", "Expect:", ...args]);
      assertMatch(sent.stdout, /^413 /);
    })
  ));

test(
  "curl asks over a Unix socket, by path and by abstract name",
  { skip: lacks("curl") },
  () =>
    withDirectory(async (directory) => {
      const places: readonly (readonly [string, string[]])[] = [
        [`${directory}/socket`, ["--unix-socket", `${directory}/socket`]],
        [`@netpoll-${process.pid}`, ["--abstract-unix-socket", `netpoll-${process.pid}`]],
      ];
      for (const [place, args] of places) {
        const ended = await withExample("examples/http_server.ts", place, async (at) => {
          assertEquals(at, place);
          const { stdout } = await runTool("curl", ["-sS", ...args, "http://localhost/count?to=2"]);
          assertEquals(stdout, "1\n2\n");
        });
        assertEquals(ended, { code: 0, signal: null, stderr: "" });
      }
    }),
);

test("node:http's agent keeps its connections, and gets back what it sends", {
  skip: lacks("node"),
}, () =>
  withServer(async (url) => {
    const count = 2000 * SCALE;
    const { stdout } = await runTool("node", ["tests/acceptance/http_client.mjs", url, `${count}`]);
    assertEquals(JSON.parse(stdout), { requests: count, sockets: 20, wrong: 0 });
  }));
