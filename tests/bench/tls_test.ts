/**
 * The load over TLS against servers that are honest, and against servers that lie; and every peer
 * over TLS in this runtime, whose bytes the load compares.
 */
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createServer, type TLSSocket } from "node:tls";
import { runFile } from "../../bench/harness/candidates.ts";
import { startServer } from "../../bench/harness/child.ts";
import { host } from "../../ffi/runtime.ts";
import { Program } from "../../scripts/program.ts";
import { built } from "../support/bench_programs.ts";
import { root } from "../support/library.ts";
import { authority, identity, type Made, NO_TLS } from "../support/pki.ts";

const HEADERS = spawnSync("cc", ["-E", "-x", "c", "-"], { input: "#include <openssl/ssl.h>" });
const SKIP = NO_TLS || (HEADERS.status === 0 ? false : "the headers of OpenSSL are not here");
const PROGRAM_MS_MAX = 30_000;

function start(port: number, trusted: Made, options: string, hasInput = false): Program {
  const at = ["-p", `${port}`, "-a", trusted.certificateFile];
  const argv = [built("tls_load"), ...at, ...options.split(" ")];
  return new Program({ argv, hasInput, timeoutMs: PROGRAM_MS_MAX });
}

/** Runs the load against a server: its line of JSON. */
async function load(port: number, pid: number, options: string): Promise<Record<string, number>> {
  const { code, stdout, stderr } = await start(port, authority(), `-S ${pid} ${options}`).ended;
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Loads a server in every mode. */
async function loadInAllModes(argv: readonly string[]): Promise<void> {
  const server = await startServer({ argv });
  const { port, pid } = server;
  try {
    for (const shape of ["-c 5 -s 64", "-c 3 -s 16384", "-c 2 -s 1048576"]) {
      const { messages, server_us_per_message } = await load(port, pid, `${shape} -t 0.1 -w 0`);
      assertGreater(messages!, 0);
      assertGreater(server_us_per_message!, 0);
    }
    assertEquals((await load(port, pid, "-m full -c 2 -t 0.1 -w 0"))["resumed"], 0);
    assertGreater((await load(port, pid, "-m resumed -c 2 -t 0.2 -w 0.1"))["resumed"]!, 0);
    assertEquals((await load(port, pid, "-m burst -c 20"))["handshakes"], 20);
    for (const shape of ["-m hold -c 10", "-m deaf -s 8000000"]) {
      const held = start(port, authority(), shape, true);
      await held.find(/^ready\n/);
      held.endInput();
      await held.finish();
    }
  } finally {
    await server.stop();
  }
}

const { keyFile, certificateFile } = SKIP
  ? { keyFile: "", certificateFile: "" }
  : identity("server");
const SCRIPT_ARGS = ["0", "16384", "echo", keyFile, certificateFile];
const RUST = `${root}bench/build/rust-tls`;
const SERVERS: Readonly<Record<string, () => string[]>> = {
  "C": () => [built("tls_echo"), keyFile, certificateFile],
  "netpoll": () => runFile(host.name, "bench/servers/tls.ts", [keyFile, certificateFile]),
  "listen of the runtime": () =>
    runFile(host.name, `bench/peers/${host.name}_listen.ts`, SCRIPT_ARGS),
  "node:tls": () => runFile(host.name, "bench/peers/node_net.mjs", SCRIPT_ARGS),
  "rustls": () => [RUST, keyFile, certificateFile],
};

for (const [name, argv] of Object.entries(SERVERS)) {
  const absent = name === "rustls" && !existsSync(RUST) && "not built: make -C bench rust-peers";
  test(
    `tls_load finds every byte right, when ${name} answers`,
    { skip: SKIP || absent },
    () => loadInAllModes(argv()),
  );
}

/** Runs the load against a server in this process that answers as it likes: its complaint. */
async function complaint(
  answer: (socket: TLSSocket, bytes: Buffer) => void,
  options: string,
  trusted = authority(),
): Promise<string> {
  const { key, certificate: cert } = identity("server");
  const server = createServer({ key, cert }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => answer(socket, bytes));
  });
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await start(port, trusted, options).ended;
    assertEquals(code, 3, stderr);
    return stderr;
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const LIES: Readonly<
  Record<string, readonly [RegExp, (socket: TLSSocket, bytes: Buffer) => void]>
> = {
  "changes a byte": [/wrong bytes after 0 bytes$/m, (socket, bytes) => {
    bytes[30]!++;
    socket.write(bytes);
  }],
  "answers more than it was asked": [
    /more bytes came than were sent/,
    (socket, bytes) => void socket.write(Buffer.concat([bytes, bytes])),
  ],
  "closes early": [/the server closed it/, (socket) => void socket.end()],
  "keeps the last byte to itself": [
    /no answer to anybody/,
    (socket, bytes) => void socket.write(bytes.subarray(0, 63)),
  ],
};

for (const [lie, [words, answer]] of Object.entries(LIES)) {
  test(`tls_load ends with an error, when a server ${lie}`, { skip: SKIP }, async () => {
    assertMatch(await complaint(answer, "-S 1 -T 0.5 -t 5"), words);
  });
}

test("tls_load ends with an error, when a server's certificate is of another authority", {
  skip: SKIP,
}, async () => {
  const other = identity("another authority", { isAuthority: true });
  const said = await complaint((socket, bytes) => void socket.write(bytes), "-S 1 -t 5", other);
  assert(/certificate verify failed/.test(said), said);
});
