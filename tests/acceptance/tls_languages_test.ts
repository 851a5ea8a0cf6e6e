/**
 * Python, Go and Node as clients of our TLS, and as servers of our dial, each with client certificates.
 */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { startServer } from "../../bench/harness/child.ts";
import {
  type Connection,
  dial,
  EofError,
  metrics,
  type TlsClientOptions,
  TlsError,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { pemFolder, shown } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { echoBack, type Secure, serveSecure } from "../support/secure.ts";
import { lacks, runTool, SCALE, TOOL_MS_MAX } from "../support/tool.ts";
import { until } from "../support/until.ts";

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
/** More than all buffers on the way take. */
const BYTES = 12_000_007;
const SHORT_COUNT = SCALE === 1 ? 2000 : 10_000;
const SHORT_AT_ONCE = 16;
/** More would be left behind if each connection left what one needs, some 12 KiB. */
const SHORT_KIB_MAX = 6 * SHORT_COUNT;

/** A program that speaks TLS by a library of its language. */
interface Peer {
  readonly name: string;
  readonly tool: string;
  /** The modes of its client and its server. */
  readonly client: string;
  readonly server: string;
  /** Whether its clients go on with sessions. */
  readonly resumes: boolean;
  /** Whether its servers send what they have after our end. Python's asyncio drops it. */
  readonly halfCloses: boolean;
}

const PEERS: readonly Peer[] = [
  {
    name: "Python's ssl",
    tool: "python3",
    client: "client",
    server: "server",
    resumes: true,
    halfCloses: true,
  },
  {
    name: "Python's asyncio",
    tool: "python3",
    client: "asyncio-client",
    server: "asyncio-server",
    resumes: false,
    halfCloses: false,
  },
  { name: "Go", tool: "go", client: "client", server: "server", resumes: true, halfCloses: true },
  {
    name: "Node",
    tool: "node",
    client: "client",
    server: "server",
    resumes: true,
    halfCloses: true,
  },
];

const FILES = { python3: "peer.py", node: "peer.mjs", go: "peer.go" } as const;
let built: string | null = null;

/** The command of a peer. What Go has to build is built once. */
async function commandOf({ tool }: Peer): Promise<[string, ...string[]]> {
  const file = `tests/acceptance/tls_peers/${FILES[tool as keyof typeof FILES]}`;
  if (tool !== "go") return [tool, file];
  if (built === null) {
    const folder = mkdtempSync(`${tmpdir()}/netpoll-go-`);
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    await runTool("go", ["build", "-o", `${folder}/peer`, file]);
    built = `${folder}/peer`;
  }
  return [built];
}

async function runPeer(peer: Peer, ...args: string[]): Promise<string> {
  const [program, ...more] = await commandOf(peer);
  return (await runTool(program, [...more, ...args])).stdout;
}

/** An echo that wants certificates of its clients. */
function serveStrictly(): Secure {
  return serveSecure(echoBack, {
    alpnProtocols: ["echo"],
    authorities: authority().certificate,
    clientCertificate: "require",
  });
}

function peerTest(name: string, peer: Peer, run: () => Promise<void>): void {
  test(name, { skip: NO_TLS || lacks(peer.tool) }, () => leaks(run));
}

for (const peer of PEERS) {
  for (const version of VERSIONS) {
    peerTest(`${peer.name} with ${version} gets back what it sends us`, peer, async () => {
      await using server = serveStrictly();
      const args = [peer.client, `${server.port}`, pemFolder(), version, `${BYTES}`];
      const found = JSON.parse(await runPeer(peer, ...args));
      const { resumed, refused, ...rest } = found;
      const three = (value: unknown) => [value, value, value];
      assertEquals(rest, {
        protocols: three(version),
        alpn: three("echo"),
        equal: 3,
        clean: 3,
      });
      if (peer.resumes) assertEquals([resumed, refused], [[false, true, true], 2]);
    });

    peerTest(`our dial with ${version} gets back what it sends to ${peer.name}`, peer, async () => {
      const [program, ...more] = await commandOf(peer);
      const argv = [program, ...more, peer.server, pemFolder()];
      const server = await startServer({ argv, cwd: root, timeoutMs: TOOL_MS_MAX });
      try {
        const versionMax = version === "TLSv1.2" ? "1.2" : "1.3";
        const trust = { authorities: authority().certificate, versionMax } as const;
        const tls = { ...trust, ...shown(identity("client")), alpnProtocols: ["echo"] };
        const resumed: boolean[] = [];
        for (let n = 0; n < 3; n++) {
          const connection = await connect(server.port, tls);
          const { protocol, isResumed, alpnProtocol, peerCertificate } = connection.tls!;
          assertEquals([protocol, alpnProtocol], [version, "echo"]);
          assertEquals(peerCertificate!.subject, "CN=server");
          resumed.push(isResumed);
          await echoThrough(connection, BYTES, peer.halfCloses);
          assertEquals(await server.line(), "clean client");
        }
        assertEquals(resumed[0], false);
        if (peer.tool === "go") assertEquals(resumed, [false, true, true]);
        await refusals(server.port, tls, trust);
      } finally {
        await server.stop();
      }
    });
  }
}

function connect(port: number, tls: TlsClientOptions): Promise<Connection> {
  return dial("tcp", `localhost:${port}`, { tls, timeoutMs: 20_000 });
}

/**
 * Sends random bytes while it reads them, ends its side, at once or when all has come back, and reads
 * until the peer has ended its own.
 */
async function echoThrough(connection: Connection, count: number, halfCloses: boolean) {
  const { reader, writer } = connection;
  const [sent, received] = [createHash("sha256"), createHash("sha256")];
  const send = async () => {
    for (let left = count; left > 0;) {
      const bytes = randomBytes(Math.min(left, 100_000));
      left -= bytes.length;
      sent.update(bytes);
      writer.writeBinary(bytes);
      await writer.flush();
    }
    if (halfCloses) await connection.closeWrite();
  };
  let receivedBytes = 0;
  const receive = async () => {
    for (;;) {
      const end = await reader.wait(1).catch((error) => error);
      if (end !== undefined) return end;
      receivedBytes += reader.length;
      received.update(reader.next(reader.length));
      reader.release();
      if (!halfCloses && receivedBytes === count) await connection.closeWrite();
    }
  };
  const [end] = await Promise.all([receive(), send()]);
  assertInstanceOf(end, EofError);
  assertEquals(end.cause, undefined);
  assertEquals(received.digest("hex"), sent.digest("hex"));
  assertEquals(await connection.close(), { unsentBytes: 0 });
}

/** A reset is no end in order; without a certificate nobody is let in; another name is not theirs. */
async function refusals(port: number, tls: TlsClientOptions, bare: TlsClientOptions) {
  (await connect(port, tls)).reset();
  const stranger = connect(port, bare).then(async (connection) => {
    await connection.reader.wait(1).finally(() => connection.close());
  });
  const told = await stranger.catch((error) => error);
  const error = told instanceof TlsError ? told : told.cause;
  assert(error instanceof Error, `${told}`);
  const elsewhere = { ...tls, serverName: "other.example.org" };
  await assertRejects(() => connect(port, elsewhere), TlsError, "hostname mismatch");
}

// ---- many short connections -------------------------------------------------------------------------

const GO = PEERS[2]!;

peerTest(`${SHORT_COUNT} short connections leave nothing`, GO, async () => {
  await using server = serveStrictly();
  const run = (count: number) =>
    runPeer(GO, "short", `${server.port}`, pemFolder(), `${count}`, `${SHORT_AT_ONCE}`);
  assertEquals(await run(SHORT_COUNT / 4), `${SHORT_COUNT / 4}\n`);
  const [resident, before] = [process.memoryUsage().rss, metrics().tls.handshakes];
  assertEquals(await run(SHORT_COUNT), `${SHORT_COUNT}\n`);
  assertEquals(metrics().tls.handshakes - before, SHORT_COUNT);
  await until(() => server.loop.connectionCount === 0, "the end of all");
  const grownKib = Math.round((process.memoryUsage().rss - resident) / 1024);
  console.log(`  ${SHORT_COUNT} short connections: ${grownKib} KiB more resident`);
  assert(grownKib < SHORT_KIB_MAX, `${grownKib} KiB more are resident`);
});
