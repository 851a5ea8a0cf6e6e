/**
 * examples/http_server.ts over TLS, asked by clients that others wrote.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { portOf, withExample } from "../support/example.ts";
import { root, withDirectory } from "../support/library.ts";
import { chained, filesOf } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const TEXT = "Hello, World!";
const BODY_BYTES = 3_000_000;

function lacking(...programs: string[]): string | false {
  return NO_TLS || lacks(...programs);
}

/** Serves over TLS while it calls with the place. Nothing may have gone wrong in the server. */
async function withServer(
  call: (at: string) => Promise<void>,
  { place = "127.0.0.1:0", authorities = false } = {},
): Promise<void> {
  const args = [...filesOf(identity("server"))];
  if (authorities) args.push(authority().certificateFile);
  const options = { args, timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample("examples/http_server.ts", place, call, options);
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
}

const CURL = ["-sSv", "--max-time", "20", "--http1.1"];

/** Runs curl, which trusts the authority of these tests, to its end. */
function curl(...args: string[]) {
  return runTool("curl", [...CURL, "--cacert", authority().certificateFile, ...args]);
}

/** The code with which curl ends, where it must fail. */
async function curlFailure(...args: string[]): Promise<number | null> {
  const argv = ["curl", ...CURL, ...args];
  return (await new Program({ argv, cwd: root, timeoutMs: TOOL_MS_MAX }).ended).code;
}

const UNTRUSTED = 60;

test("curl asks over TLS, keeps its connection, and gets back what it sends", {
  skip: lacking("curl"),
}, () =>
  withServer((at) =>
    withDirectory(async (directory) => {
      const url = `https://localhost:${portOf(at)}`;
      for (const version of [["--tls-max", "1.2"], ["--tlsv1.3"]]) {
        const both = await curl(...version, `${url}/`, `${url}/count?to=3`);
        assertEquals(both.stdout, `${TEXT}1\n2\n3\n`);
        assertMatch(both.stderr, /Re-using existing connection/);
        assertMatch(both.stderr, /ALPN: server accepted http\/1.1/);
        assertMatch(both.stderr, /SSL certificate verify ok/);
        const many = await curl(...version, `${url}/count?to=100000`);
        const lines = Array.from({ length: 100_000 }, (_, n) => `${n + 1}\n`);
        assertEquals(many.stdout, lines.join(""));
        const [path, back] = [`${directory}/body`, `${directory}/back`];
        const bytes = randomBytes(BODY_BYTES);
        writeFileSync(path, bytes);
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        const digest = await curl(...version, "-T", path, `${url}/digest`);
        assertEquals(JSON.parse(digest.stdout), { bytes: BODY_BYTES, sha256 });
        const chunked = ["-H", "Transfer-Encoding: chunked", "-T", path, "-o", back];
        await curl(...version, ...chunked, `${url}/echo`);
        assert(readFileSync(back).equals(bytes), "other bytes came back");
      }
    })
  ));

test("curl refuses us where it must: another name, another authority, another version", {
  skip: lacking("curl"),
}, () =>
  withServer(async (at) => {
    const port = portOf(at);
    const trust = ["--cacert", authority().certificateFile];
    const named = (name: string) => ["--resolve", `${name}:${port}:127.0.0.1`];
    const other = `https://other.example.org:${port}/`;
    assertEquals(
      await curlFailure(...trust, ...named("other.example.org"), other),
      UNTRUSTED,
    );
    const stranger = identity("stranger", { by: "itself" }).certificateFile;
    assertEquals(await curlFailure("--cacert", stranger, `https://localhost:${port}/`), UNTRUSTED);
    assertEquals(await curlFailure(`https://localhost:${port}/`), UNTRUSTED);
    assertEquals(await curlFailure(...trust, `http://localhost:${port}/`) === 0, false);
    const old = ["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    assertEquals(await curlFailure(...trust, ...old, `https://localhost:${port}/`), 35);
    // The address is in the certificate, and none of that has hurt the server.
    assertEquals((await curl(`https://127.0.0.1:${port}/`)).stdout, TEXT);
  }));

test("curl shows its certificate, and is refused without a good one", {
  skip: lacking("curl"),
}, () =>
  withServer(async (at) => {
    const url = `https://localhost:${portOf(at)}/`;
    const shows = (key: string, certificate: string) => ["--key", key, "--cert", certificate];
    const client = shows(...filesOf(identity("client")));
    const stranger = shows(...filesOf(identity("stranger", { by: "itself" })));
    for (const version of [["--tls-max", "1.2"], ["--tlsv1.3"]]) {
      assertEquals((await curl(...version, ...client, url)).stdout, TEXT);
      for (const wrong of [[], stranger, shows(...filesOf(chained("client-of-middle")))]) {
        const trust = ["--cacert", authority().certificateFile];
        const code = await curlFailure(...version, ...trust, ...wrong, url);
        assert(code === 35 || code === 56 || code === 58, `${version}: ${code}`);
      }
    }
  }, { authorities: true }));

test("curl asks over TLS at a Unix socket, by path and by abstract name", {
  skip: lacking("curl"),
}, () =>
  withDirectory(async (directory) => {
    const abstract = `netpoll-tls-${process.pid}`;
    const places: readonly (readonly [string, string[]])[] = [
      [`${directory}/socket`, ["--unix-socket", `${directory}/socket`]],
      [`@${abstract}`, ["--abstract-unix-socket", abstract]],
    ];
    for (const [place, args] of places) {
      const ask = async () => {
        assertEquals((await curl(...args, "https://localhost/count?to=2")).stdout, "1\n2\n");
      };
      await withServer(ask, { place });
    }
  }));

test("h2load --h1 gets every answer over TLS, with kept and pipelined connections", {
  skip: lacking("h2load"),
}, () =>
  withServer(async (at) => {
    for (const depth of [1, 8]) {
      const total = 3000 * SCALE;
      const args = ["--h1", "-n", `${total}`, "-c", "30", "-m", `${depth}`];
      const { stdout } = await runTool("h2load", [...args, `https://localhost:${portOf(at)}/`]);
      assertMatch(stdout, new RegExp(`${total} done, ${total} succeeded, 0 failed, 0 errored`));
      assertMatch(stdout, new RegExp(`status codes: ${total} 2xx, 0 3xx, 0 4xx, 0 5xx`));
      assertMatch(stdout, new RegExp(`\\(${total * TEXT.length}\\) data`));
    }
  }));

test("wrk finds every answer over TLS right, one at a time and 16 at once", {
  skip: lacking("wrk"),
}, () =>
  withServer(async (at) => {
    for (const depth of [1, 16]) {
      const args = ["-t1", "-c50", `-d${SCALE}s`, "-s", "tests/acceptance/wrk.lua"];
      const url = `https://localhost:${portOf(at)}`;
      const { stdout } = await runTool("wrk", [...args, url, "--", `${depth}`]);
      assertMatch(stdout, /^checked: [1-9]\d* right, 0 wrong, 0 errors$/m);
    }
  }));

test("ab gets answers over TLS of the same length, with a connection each and with kept ones", {
  skip: lacking("ab"),
}, () =>
  withServer(async (at) => {
    const total = 200 * SCALE;
    for (
      const how of [["-f", "TLS1.2"], ["-f", "TLS1.3"], ["-f", "TLS1.2", "-k"], [
        "-f",
        "TLS1.3",
        "-k",
      ]]
    ) {
      const args = ["-q", ...how, "-n", `${total}`, "-c", "20"];
      const { stdout } = await runTool("ab", [...args, `https://127.0.0.1:${portOf(at)}/`]);
      assertMatch(stdout, new RegExp(`Complete requests: +${total}\n`));
      assertMatch(stdout, /Failed requests: +0\n/);
      assertMatch(stdout, new RegExp(`HTML transferred: +${total * TEXT.length} bytes`));
    }
  }));
