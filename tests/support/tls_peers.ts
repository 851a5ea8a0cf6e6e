/**
 * Programs in other languages that speak TLS, and the two ends that talk with them: see
 * tests/acceptance/tls_peers.
 */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { type Connection, EofError, type TlsServerOptions } from "../../mod.ts";
import { authority } from "./pki.ts";
import { runTool } from "./tool.ts";

/** A program that speaks TLS by a library of its language. */
export interface Peer {
  /** The name of its library or its language. */
  readonly name: string;
  /** The program that runs or builds it. */
  readonly tool: string;
  /** The mode of its client. */
  readonly client: string;
  /** The mode of its server. */
  readonly server: string;
  /** Whether its clients go on with sessions. */
  readonly resumes: boolean;
  /** Whether its servers send what they have after our end. Python's asyncio drops it. */
  readonly halfCloses: boolean;
}

/** All of them. */
export const PEERS: readonly Peer[] = [
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

/** The one that is quick. */
export const GO: Peer = PEERS[2]!;

const FILES = { python3: "peer.py", node: "peer.mjs", go: "peer.go" } as const;
let built: string | null = null;

/** The command of a peer. What Go has to build is built once. */
export async function commandOf({ tool }: Peer): Promise<[string, ...string[]]> {
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

/** Runs a peer to its end. Its standard output. */
export async function runPeer(peer: Peer, ...args: string[]): Promise<string> {
  const [program, ...more] = await commandOf(peer);
  return (await runTool(program, [...more, ...args])).stdout;
}

/** The options of a server that wants certificates of its clients, beside its own. */
export function strictTls(): Partial<TlsServerOptions> {
  return {
    alpnProtocols: ["echo"],
    authorities: authority().certificate,
    clientCertificate: "require",
  };
}

/**
 * Sends random bytes while it reads them, ends its side, at once or when all has come back, and reads
 * until the peer has ended its own. `look` is called for each piece that comes.
 */
export async function echoThrough(
  connection: Connection,
  count: number,
  halfCloses: boolean,
  look: () => void = () => {},
): Promise<void> {
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
      look();
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
