/**
 * The protocol of Redis over TLS: examples/redis_server.ts asked by the tools of Redis, and a client of
 * ours at a real server.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { Program } from "../../scripts/program.ts";
import { freePort } from "../../bench/harness/child.ts";
import { dial, Multiplexer, ordered, resp, TlsError } from "../../mod.ts";
import { portOf, withExample } from "../support/example.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { filesOf, shown } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX, withServerOf } from "../support/tool.ts";

const [CLIENT_KEY, CLIENT_CERTIFICATE] = NO_TLS ? ["", ""] : filesOf(identity("client"));
const TLS_ARGS = NO_TLS ? [] : ["--tls", "--cacert", authority().certificateFile];
const IDENTITY_ARGS = ["--key", CLIENT_KEY, "--cert", CLIENT_CERTIFICATE];

/** Serves with TLS while it calls with the port; with authorities, clients show certificates. */
async function withOurs(isStrict: boolean, call: (port: number) => Promise<void>): Promise<void> {
  const args: string[] = filesOf(identity("server"));
  if (isStrict) args.push(authority().certificateFile);
  const options = { args, timeoutMs: 5 * TOOL_MS_MAX };
  const ended = await withExample("examples/redis_server.ts", "127.0.0.1:0", (at) => {
    return call(portOf(at));
  }, options);
  assertEquals(ended, { code: 0, signal: null, stderr: "" });
}

test("redis-cli --tls asks examples/redis_server.ts, and refuses one that it cannot trust", {
  skip: NO_TLS || lacks("redis-cli"),
}, () =>
  withOurs(false, async (port) => {
    const cli = (...args: string[]) =>
      runTool("redis-cli", ["-h", "localhost", "-p", `${port}`, ...TLS_ARGS, ...args]);
    const large = "x".repeat(100_000);
    assertEquals((await cli("SET", "greeting", large)).stdout, "OK\n");
    assertEquals((await cli("GET", "greeting")).stdout, `${large}\n`);
    assertEquals((await cli("-3", "HELLO", "3")).stdout.includes("proto"), true);
    const stranger = identity("stranger", { by: "itself" }).certificateFile;
    const argv = ["redis-cli", "-p", `${port}`, "--tls", "--cacert", stranger, "PING"];
    const { code, stderr } = await new Program({ argv, cwd: root, timeoutMs: TOOL_MS_MAX }).ended;
    assertEquals(code, 1);
    assertMatch(stderr, /certificate verify failed|SSL_connect failed/);
  }));

test("redis-cli --tls shows its certificate to examples/redis_server.ts, or is refused", {
  skip: NO_TLS || lacks("redis-cli"),
}, () =>
  withOurs(true, async (port) => {
    const args = ["-h", "localhost", "-p", `${port}`, ...TLS_ARGS];
    assertEquals(
      (await runTool("redis-cli", [...args, ...IDENTITY_ARGS, "PING"])).stdout,
      "PONG\n",
    );
    const argv = ["redis-cli", ...args, "PING"];
    const { stdout } = await new Program({ argv, cwd: root, timeoutMs: TOOL_MS_MAX }).ended;
    assert(!stdout.includes("PONG"), stdout);
  }));

test("redis-benchmark --tls has every request answered, small, pipelined and large", {
  skip: NO_TLS || lacks("redis-benchmark"),
}, () =>
  withOurs(false, async (port) => {
    const at = ["-h", "localhost", "-p", `${port}`, "-q", ...TLS_ARGS];
    const count = 3000 * SCALE;
    await runTool("redis-benchmark", [...at, "-n", `${count}`, "-c", "20", "-t", "set,get"]);
    const many = ["-n", `${5 * count}`, "-c", "20", "-P", "16", "-t", "set,get,lpush"];
    await runTool("redis-benchmark", [...at, ...many]);
    const large = ["-n", `${50 * SCALE}`, "-c", "4", "-d", "1000000", "-t", "set,get"];
    await runTool("redis-benchmark", [...at, ...large]);
  }));

test("a Multiplexer over TLS asks redis-server --tls-port, with a certificate", {
  skip: NO_TLS || lacks("redis-server"),
}, () =>
  leaks(async () => {
    const port = await freePort();
    const [key, certificate] = filesOf(identity("server"));
    const secure = ["--tls-port", `${port}`, "--port", "0", "--tls-key-file", key];
    const files = [
      "--tls-cert-file",
      certificate,
      "--tls-ca-cert-file",
      authority().certificateFile,
    ];
    const rest = ["--bind", "127.0.0.1", "--save", "", "--dir", tmpdir()];
    await withServerOf(port, ["redis-server", ...secure, ...files, ...rest], async () => {
      const trust = { authorities: authority().certificate };
      const tls = { ...trust, ...shown(identity("client")) };
      const connection = await dial("tcp", `localhost:${port}`, { tls, timeoutMs: 10_000 });
      const redis = new Multiplexer(connection, ordered(resp({ bulk: "text" })));
      const value = "v".repeat(50_000);
      const all = Array.from({ length: 200 }, async (_, n) => {
        const set = await redis.request(["SET", `key ${n}`, `${n}${value}`]);
        return [set, await redis.request(["GET", `key ${n}`])];
      });
      const answers = await Promise.all(all);
      assertEquals(answers.length, 200);
      for (const [n, answer] of answers.entries()) {
        assert(answer[0] === "OK" && answer[1] === `${n}${value}`, `${n}: ${answer}`);
      }
      await redis.close();
      const bare = dial("tcp", `localhost:${port}`, { tls: trust, timeoutMs: 10_000 });
      const refused = await bare.then((each) => each.reader.wait(1).finally(() => each.close()))
        .then(() => null, (error) => error);
      const told = refused instanceof TlsError ? refused : refused?.cause;
      assert(told instanceof Error, `${refused}`);
    });
  }));
