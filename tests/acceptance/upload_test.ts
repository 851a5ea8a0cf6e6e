/**
 * examples/upload_server.ts, to which curl uploads.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { portOf, withExample } from "../support/example.ts";
import { withDirectory } from "../support/library.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";

const FILE_BYTES = 24 * 1024 * 1024 * SCALE + 1;
const skip = lacks("curl");

/** Runs the server on a directory of its own, beside one with files to upload. */
async function withUploads(
  args: readonly string[],
  call: (url: string, from: string, to: string) => Promise<void>,
): Promise<string> {
  let told = "";
  await withDirectory((from) =>
    withDirectory(async (to) => {
      const options = { args: [to, ...args], timeoutMs: 5 * TOOL_MS_MAX };
      const ended = await withExample("examples/upload_server.ts", "127.0.0.1:0", (at) => {
        return call(`http://127.0.0.1:${portOf(at)}`, from, to);
      }, options);
      assertEquals([ended.code, ended.signal], [0, null]);
      told = ended.stderr;
    })
  );
  return told;
}

async function curl(...args: string[]): Promise<string> {
  return (await runTool("curl", ["-sS", "--max-time", "40", ...args])).stdout;
}

for (const way of ["--hash", "--no-hash"]) {
  test(`curl uploads files, many over one connection, which are stored to the byte: ${way}`, {
    skip,
  }, async () => {
    const told = await withUploads(way === "--no-hash" ? [way] : [], async (url, from, to) => {
      for (const bytes of [randomBytes(FILE_BYTES), randomBytes(10), new Uint8Array(0)]) {
        writeFileSync(`${from}/file`, bytes);
        const put = ["-T", `${from}/file`];
        const hash = createHash("sha256").update(bytes).digest("hex");
        const sum = way === "--no-hash" ? `${bytes.length} bytes` : hash;
        const answer = await curl(...put, `${url}/a`, ...put, `${url}/b`);
        assertEquals(answer, `${sum}  a\n${sum}  b\n`);
        for (const name of ["a", "b"]) {
          assertEquals(
            createHash("sha256").update(readFileSync(`${to}/${name}`)).digest("hex"),
            hash,
          );
        }
      }
      assertEquals(readdirSync(to).sort(), ["a", "b"]);
    });
    assertEquals(told, "");
  });
}

test("curl is told what is refused", {
  skip,
}, async () => {
  await withUploads([], async (url, from, to) => {
    writeFileSync(`${from}/file`, "bytes");
    const status = (...args: string[]) => curl("-o", "/dev/null", "-w", "%{http_code}", ...args);
    assertEquals(await status(`${url}/a`), "405");
    assertEquals(await status("-T", `${from}/file`, `${url}/.hidden`), "400");
    assertEquals(await status("--path-as-is", "-T", `${from}/file`, `${url}/../a`), "400");
    assertEquals(
      await status("-H", "Transfer-Encoding: chunked", "-T", `${from}/file`, `${url}/a`),
      "501",
    );
    assertEquals(readdirSync(to), []);
    // A whole file takes the place of whatever had its name.
    symlinkSync("/dev/full", `${to}/full`);
    assertMatch(await curl("-T", `${from}/file`, `${url}/full`), /^[0-9a-f]{64} {2}full\n$/);
    assertEquals(readFileSync(`${to}/full`, "utf8"), "bytes");
  });
});
