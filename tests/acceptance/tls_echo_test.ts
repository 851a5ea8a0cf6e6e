/**
 * examples/tls_echo.ts, to which openssl talks while its certificate changes.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { copyFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { start } from "../support/child.ts";
import { withDirectory } from "../support/library.ts";
import { talkTo } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { lacks, runTool, TOOL_MS_MAX } from "../support/tool.ts";
import { until } from "../support/until.ts";

const FILE = "examples/tls_echo.ts";

/** Talks to it by openssl, which trusts the authority of these tests. */
function client(at: string) {
  const trust = ["-CAfile", authority().certificateFile, "-verify_return_error"];
  return talkTo("openssl", ["s_client", "-connect", at, "-servername", "localhost", ...trust]);
}

test("openssl hears what it says, before a certificate changes and behind it", {
  skip: NO_TLS || lacks("openssl"),
}, () =>
  withDirectory(async (directory) => {
    const [key, certificate] = [`${directory}/key.pem`, `${directory}/certificate.pem`];
    const use = (name: string) => {
      const made = identity(name);
      copyFileSync(made.keyFile, key);
      copyFileSync(made.certificateFile, certificate);
    };
    use("before");
    const server = start(FILE, {
      args: ["127.0.0.1:0", key, certificate],
      timeoutMs: 2 * TOOL_MS_MAX,
    });
    try {
      const [, at] = await server.find(/Listening on (\S+); .*\nTry: openssl s_client .*\n/);
      await using first = client(at!);
      await first.find(/subject=.*before/);
      first.write("hello\n");
      await first.find(/^hello$/m);

      writeFileSync(certificate, "half a certificate");
      server.signal("SIGHUP");
      await until(() => server.stderr.includes("\n"), "a word on the certificate");
      assertMatch(server.stderr, /^The old certificate stays: .+\n$/);
      use("behind");
      server.signal("SIGHUP");
      for (;;) {
        await using next = client(at!);
        const [, name] = await next.find(/subject=.*(before|behind)/);
        if (name === "behind") break;
      }
      first.write("still here\n");
      await first.find(/^still here$/m);

      // A client without TLS gets no connection, and harms nobody.
      await runTool("sh", ["-c", `echo hello | nc -N -w 5 ${at!.replace(":", " ")} || true`]);
    } finally {
      await server.stop("SIGINT");
    }
    const { code, stdout } = await server.ended;
    assertEquals(code, 0);
    assertMatch(stdout, /Stopped\n$/);
  }));

test("tls_echo.ts says how it is used, and that a file is not there", async () => {
  const told = async (...args: string[]) => {
    const { code, stdout, stderr } = await start(FILE, { args }).ended;
    return { code, text: stdout + stderr };
  };
  assertMatch((await told("--help")).text, /^Usage: tls_echo.ts HOST:PORT KEY CERTIFICATE\n/);
  assertEquals((await told()).code, 2);
  const { code, text } = await told("127.0.0.1:0", "/nowhere/key.pem", "/nowhere/cert.pem");
  assertEquals(code, 1);
  assertMatch(text, /^ENOENT.*\/nowhere\/key\.pem.*\n$/);
});
