/**
 * Our clients with TLS, at openssl s_server.
 */
import { assert, assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { freePort } from "../../bench/harness/child.ts";
import {
  type Connection,
  dial,
  EofError,
  type TlsClientOptions,
  TlsError,
  type TlsReason,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { chained, serverOf, shown } from "../support/outside.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, type Made, NO_TLS } from "../support/pki.ts";

const VERSIONS = [["-tls1_2", "TLSv1.2"], ["-tls1_3", "TLSv1.3"]] as const;
const FILE_BYTES = 5_000_003;

/** The arguments that show a certificate, and its chain where it has one. */
function certificateArgs(made: Made & { chainFile?: string }): string[] {
  const { certificateFile, keyFile, chainFile } = made;
  const chain = chainFile === undefined ? [] : ["-cert_chain", chainFile];
  return ["-cert", certificateFile, "-key", keyFile, ...chain];
}

/** Starts a server with a certificate. */
async function server(made: Made, ...more: string[]) {
  const port = await freePort();
  const args = ["s_server", "-accept", `127.0.0.1:${port}`, ...certificateArgs(made), ...more];
  return await serverOf(port, "openssl", args);
}

/** Our client's options: a new object, and so without a session from before. */
function trusting(more: TlsClientOptions = {}): TlsClientOptions {
  return { authorities: authority().certificate, ...more };
}

function connect(port: number, tls: TlsClientOptions, host = "127.0.0.1"): Promise<Connection> {
  return dial("tcp", `${host}:${port}`, { tls, timeoutMs: 10_000 });
}

/** Sends a line to a server that turns each around. */
async function askReversed(connection: Connection): Promise<void> {
  await send(connection, "hello world\n");
  assertEquals(await receive(connection, 12), "dlrow olleh\n");
}

/** The reason for which a promise rejects. */
async function reasonOf(promise: Promise<unknown>): Promise<TlsReason> {
  const error = await promise.then(() => null, (error) => error);
  const told = error instanceof EofError ? error.cause : error;
  assertInstanceOf(told, TlsError, `${error}`);
  return told.reason;
}

function opensslTest(name: string, run: () => Promise<void>): void {
  test(name, { skip: NO_TLS }, () => leaks(run));
}

for (const [flag, protocol] of VERSIONS) {
  opensslTest(
    `dial() verifies the chain of s_server ${flag}, and goes on with its sessions`,
    async () => {
      const more = [flag, "-rev", "-alpn", "b,c"];
      await using peer = await server(chained("server-of-middle"), ...more);
      const tls = trusting({ alpnProtocols: ["a", "c", "b"] });
      for (const isResumed of [false, true, true, true]) {
        const connection = await connect(peer.port, tls, "localhost");
        await askReversed(connection);
        const { peerCertificate, serverName, alpnProtocol, ...info } = connection.tls!;
        assertEquals([info.protocol, info.isResumed], [protocol, isResumed]);
        assertEquals([serverName, alpnProtocol], ["localhost", "b"]);
        assertEquals(peerCertificate!.subject, "CN=server-of-middle");
        assertEquals(await connection.close(), { unsentBytes: 0 });
      }
    },
  );

  opensslTest(`dial() shows s_server ${flag} its certificate and its chain`, async () => {
    const verify = ["-Verify", "4", "-verify_return_error", "-CAfile", authority().certificateFile];
    await using peer = await server(identity("server"), flag, "-rev", ...verify);
    const client = shown(chained("client-of-middle"));
    const connection = await connect(peer.port, trusting(client));
    await askReversed(connection);
    await connection.close();
    const alone = { certificate: identity("client-of-middle").certificate, key: client.key };
    const stranger = shown(identity("stranger", { by: "itself" }));
    for (const wrong of [{}, alone, stranger]) {
      // In TLS 1.3 a client is done before the server has looked at its certificate.
      const asked = connect(peer.port, trusting(wrong)).then((connection) =>
        askReversed(connection).finally(() => connection.close())
      );
      assertEquals(await reasonOf(asked), "alert");
    }
  });

  opensslTest(
    `dial() at s_server ${flag} reads a file in records of every size`,
    () =>
      withDirectory(async (directory) => {
        const bytes = randomBytes(FILE_BYTES);
        writeFileSync(`${directory}/file`, bytes);
        for (const fragment of ["512", "16384"]) {
          const port = await freePort();
          const { certificateFile, keyFile } = identity("rsa", { rsaBits: 2048 });
          const openssl =
            `exec openssl s_server -accept 127.0.0.1:${port} -cert ${certificateFile} ` +
            `-key ${keyFile} ${flag} -HTTP -max_send_frag ${fragment}`;
          await using _peer = await serverOf(port, "sh", ["-c", `cd ${directory}; ${openssl}`]);
          const connection = await connect(port, trusting());
          await send(connection, "GET /file HTTP/1.0\r\n\r\n");
          const { reader } = connection;
          const hash = createHash("sha256");
          for (let left = FILE_BYTES; left > 0;) {
            await reader.wait(1);
            const count = Math.min(left, reader.length);
            hash.update(reader.next(count));
            reader.release();
            left -= count;
          }
          assertEquals(hash.digest("hex"), createHash("sha256").update(bytes).digest("hex"));
          await connection.close();
        }
      }),
  );
}

opensslTest("dial() follows the changes of keys that s_server asks for", async () => {
  await using peer = await server(identity("server"), "-tls1_3", "-msg");
  const connection = await connect(peer.port, trusting());
  for (const command of ["k", "K", "K"]) {
    peer.write(`${command}\n`);
    await peer.find(/>>> .*KeyUpdate/);
    peer.write("from them\n");
    assertEquals(await receive(connection, 10), "from them\n");
    await send(connection, `from us, after ${command}\n`);
    await peer.find(new RegExp(`from us, after ${command}`));
  }
  await connection.close();
});

/** Reads on until the connection ends. The reason of a TlsError, or null for an end in order. */
async function endOf(connection: Connection): Promise<TlsReason | null> {
  const error = await connection.reader.wait(1).catch((error) => error);
  assertInstanceOf(error, EofError);
  const { closed } = connection;
  await connection.close({ timeoutMs: 1000 });
  const reason = error.cause === undefined ? null : (error.cause as TlsError).reason;
  const ended = await closed.then(() => undefined, (error) => error);
  assertEquals(ended, reason === null ? undefined : error);
  return reason;
}

opensslTest("dial() ends with s_server: in order, by its death, by bytes without TLS", async () => {
  for (const flag of ["-tls1_2", "-tls1_3"]) {
    {
      await using peer = await server(identity("server"), flag, "-rev");
      const connection = await connect(peer.port, trusting());
      await send(connection, "CLOSE\n");
      assertEquals(await endOf(connection), null);
    }
    for (const [how, reason] of [["q\n", "truncated"], ["P\n", "protocol"], ["", "truncated"]]) {
      await using peer = await server(identity("server"), flag);
      const connection = await connect(peer.port, trusting());
      await send(connection, "hello\n");
      await peer.find(/hello\n/);
      if (how === "") peer.signal("SIGKILL");
      else peer.write(how!);
      assertEquals(await endOf(connection), reason as TlsReason, `${flag} ${how}`);
    }
  }
});

opensslTest("dial() refuses a renegotiation", async () => {
  await using peer = await server(identity("server"), "-tls1_2");
  const connection = await connect(peer.port, trusting());
  await send(connection, "hello\n");
  await peer.find(/hello\n/);
  peer.write("R\n");
  const error = await connection.reader.wait(1).catch((error) => error);
  assertInstanceOf(error, EofError);
  await connection.close();
});

opensslTest(
  "dial() refuses s_server: its host, its authority, its time, its versions",
  async () => {
    const elsewhere = identity("elsewhere", { names: "DNS:elsewhere.example.org" });
    const wrong: readonly (readonly [Made, string[], TlsClientOptions, TlsReason[]])[] = [
      [elsewhere, [], {}, ["hostname"]],
      [identity("stranger", { by: "itself" }), [], {}, ["certificate"]],
      [identity("expired", { days: -1 }), [], {}, ["certificate"]],
      [identity("middle-leaf", { by: chainedAuthority() }), [], {}, ["certificate"]],
      [identity("server"), ["-tls1_2"], { versionMin: "1.3" }, ["alert", "protocol"]],
      [identity("server"), ["-alpn", "a"], { alpnProtocols: ["b"] }, ["alert", "protocol"]],
    ];
    for (const [made, args, tls, reasons] of wrong) {
      await using peer = await server(made, ...args);
      const reason = await reasonOf(connect(peer.port, trusting(tls)));
      assert(reasons.includes(reason), `${args.join(" ")}: ${reason}`);
    }
  },
);

function chainedAuthority(): Made {
  return identity("middle", { isAuthority: true, by: authority() });
}

opensslTest("dial() takes each cipher and each group that both have", async () => {
  const kinds: readonly (readonly [string[], RegExp])[] = [
    [["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], /^TLS_CHACHA20_POLY1305/],
    [["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], /^TLS_AES_128_GCM_SHA256$/],
    [["-tls1_3", "-groups", "P-384"], /^TLS_AES_256/], // a second hello is asked for
    [["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], /AES_128_GCM/],
    [["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"], /CHACHA20/],
  ];
  for (const [args, cipher] of kinds) {
    await using peer = await server(identity("rsa", { rsaBits: 2048 }), "-rev", ...args);
    const connection = await connect(peer.port, trusting());
    await askReversed(connection);
    assertMatch(connection.tls!.cipher, cipher);
    await connection.close();
  }
});
