/**
 * Python, Go and Node as clients of our TLS, and as servers of our dial, each with client certificates.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { startServer } from "../../bench/harness/child.ts";
import { type Connection, dial, type TlsClientOptions, TlsError } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { pemFolder, shown } from "../support/outside.ts";
import { authority, identity, NO_TLS } from "../support/pki.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import {
  commandOf,
  echoThrough,
  type Peer,
  PEERS,
  runPeer,
  strictTls,
} from "../support/tls_peers.ts";
import { lacks, TOOL_MS_MAX } from "../support/tool.ts";

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
/** More than all buffers on the way take. */
const BYTES = 12_000_007;

function peerTest(name: string, peer: Peer, run: () => Promise<void>): void {
  test(name, { skip: NO_TLS || lacks(peer.tool) }, () => leaks(run));
}

for (const peer of PEERS) {
  for (const version of VERSIONS) {
    peerTest(`${peer.name} with ${version} gets back what it sends us`, peer, async () => {
      await using server = serveSecure(echoBack, strictTls());
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
