/**
 * examples/postgres_client.ts at a real server: TLS that begins in the middle of a connection.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { run } from "../support/child.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { POSTGRES_TOOLS, withPostgres } from "../support/postgres.ts";
import { lacks, runTool } from "../support/tool.ts";

const PASSWORD = "correct horse battery staple";
const SSL = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";

/** A server with TLS alone, to which users log in by SCRAM. */
function withTls(call: (port: number) => Promise<void>): Promise<void> {
  const { certificate, key } = identity("server");
  const files = {
    "server.crt": certificate,
    "server.key": key,
    "pg_hba.conf": `hostssl all nobody 127.0.0.1/32 trust
hostssl all alice 127.0.0.1/32 scram-sha-256
`,
  };
  return withPostgres(async (port) => {
    const at = ["-h", "127.0.0.1", "-p", `${port}`, "-U", "nobody", "-q"];
    const create = `create role alice login password '${PASSWORD}'`;
    await runTool("psql", [...at, "-c", create, "postgres"]);
    await call(port);
  }, { settings: ["ssl=on", "password_encryption=scram-sha-256"], files });
}

function ask(at: string, user: string, query: string, password = PASSWORD, ca = authority()) {
  const args = [at, ca.certificateFile, user, query];
  return run("examples/postgres_client.ts", { args, env: { PGPASSWORD: password } });
}

test("examples/postgres_client.ts verifies a server, logs in, and reads rows over TLS", {
  skip: NO_TLS || lacks(...POSTGRES_TOOLS),
}, () =>
  withTls(async (port) => {
    for (const [at, user] of [[`localhost:${port}`, "nobody"], [`127.0.0.1:${port}`, "alice"]]) {
      const { code, stdout, stderr } = await ask(at!, user!, SSL);
      assertEquals([code, stdout, stderr], [0, "t\tTLSv1.3\n", ""]);
    }
    const rows = "select n, md5(n::text) from generate_series(1, 50000) n";
    const { stdout } = await ask(`localhost:${port}`, "alice", rows);
    const own = [
      "-h",
      "127.0.0.1",
      "-p",
      `${port}`,
      "-U",
      "nobody",
      "-qAt",
      "-F",
      "\t",
      "-c",
      rows,
    ];
    assertEquals(stdout === (await runTool("psql", [...own, "postgres"])).stdout, true);
    const failed = await ask(`localhost:${port}`, "alice", "select 1 / 0");
    assertEquals([failed.code, failed.stdout], [1, ""]);
    assertMatch(failed.stderr, /division by zero/);
  }));

test("examples/postgres_client.ts refuses a server that it cannot trust, and is refused itself", {
  skip: NO_TLS || lacks(...POSTGRES_TOOLS),
}, () =>
  withTls(async (port) => {
    const at = `localhost:${port}`;
    const stranger = identity("stranger", { by: "itself" });
    const untrusted = await ask(at, "alice", SSL, PASSWORD, stranger);
    assertEquals(untrusted.code, 1);
    assertMatch(untrusted.stderr, /TlsError/);
    const wrong = await ask(at, "alice", SSL, "a wrong password");
    assertEquals(wrong.code, 1);
    assertMatch(wrong.stderr, /password authentication failed/);
  }));

test("examples/postgres_client.ts goes no further with a server that has no TLS", {
  skip: NO_TLS || lacks(...POSTGRES_TOOLS),
}, () =>
  withPostgres(async (port) => {
    const { code, stderr } = await ask(`localhost:${port}`, "nobody", SSL);
    assertEquals(code, 1);
    assertMatch(stderr, /The server has no TLS/);
  }));
