/**
 * examples/one_line.ts, in every example: an address that is in use, and one where nobody listens, are
 * told in one line.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { lineOf } from "../../examples/one_line.ts";
import { run } from "../support/child.ts";
import { root, withDirectory } from "../support/library.ts";
import { serverIdentity } from "../support/pki.ts";

/** The arguments of those that take others than an address first; null: they do not listen. */
const ARGUMENTS: Readonly<Record<string, (at: string, files: readonly string[]) => string[]>> = {
  "dashboard.ts": (at) => ["localhost:0", at],
  "metered_server.ts": (at) => ["localhost:0", at],
  "deploy/probed_server.ts": (at) => ["127.0.0.1:0", at],
  "tls_echo.ts": (at, files) => [at, ...files],
  "runtime_tls.ts": (at, files) => [at, ...files],
  "mqtt_broker.ts": (at) => ["--host", at.split(":")[0]!, "--port", at.split(":")[1]!],
};

/** Clients, and those whose addresses are fixed or any that is free. */
const CLIENTS = ["echo_client.ts", "rpc_client.ts"];
const OTHERS = /^(one_line|command_line|tls_files|rpc_pool|top|postgres_client)\.ts$/;

const programs = [...readdirSync(`${root}examples`), "deploy/probed_server.ts"]
  .filter((name) => name.endsWith(".ts") && !OTHERS.test(name) && !CLIENTS.includes(name));

const taken = createServer();
const sockets: Socket[] = [];
let port = 0;

/** Takes one port for streams and for datagrams. Whether both were free. */
async function take(): Promise<boolean> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  await once(socket.bind(0, "127.0.0.1"), "listening");
  port = socket.address().port;
  return await once(taken.listen(port, "127.0.0.1"), "listening").then(() => true, () => false);
}

before(async () => {
  while (!await take());
});
after(() => {
  taken.close();
  for (const socket of sockets) socket.close();
});

for (const name of programs) {
  test(`examples/${name} says in one line that its address is in use`, () =>
    withDirectory(async (directory) => {
      const { key, certificate } = serverIdentity();
      const files = [`${directory}/key.pem`, `${directory}/certificate.pem`];
      writeFileSync(files[0]!, key as string);
      writeFileSync(files[1]!, certificate as string);
      const at = `127.0.0.1:${port}`;
      const args = ARGUMENTS[name]?.(at, files) ?? [at];
      const { code, stderr } = await run(`examples/${name}`, { args });
      assertMatch(stderr, new RegExp(`^Cannot .* ${at}.*; another program has it.*\n$`));
      assertEquals(code, 1);
    }));
}

for (const name of CLIENTS) {
  test(`examples/${name} says in one line that nobody listens`, async () => {
    const { code, stderr } = await run(`examples/${name}`, { args: ["127.0.0.1:1"] });
    assertMatch(stderr, /^Cannot .*127\.0\.0\.1:1.*; nobody listens there.*\n$/);
    assertEquals(code, 1);
  });
}

test("every example imports one_line.ts", () => {
  const without = readdirSync(`${root}examples`).filter((name) => {
    if (!name.endsWith(".ts") || /^(one_line|tls_files)\.ts$/.test(name)) return false;
    return !/\/(one_line|command_line)\.ts"/.test(readFileSync(`${root}examples/${name}`, "utf8"));
  });
  assertEquals(without, []);
});

test("lineOf() has a line for what the kernel refuses, and none for a bug", () => {
  assertEquals(lineOf(new TypeError("a bug")), null);
  assertEquals(lineOf(undefined), null);
  assertEquals(lineOf(Object.assign(new Error("no"), { code: "toString" })), null);
  assertMatch(lineOf(Object.assign(new Error("Cannot x"), { code: "EACCES" }))!, /^Cannot x; this/);
});
