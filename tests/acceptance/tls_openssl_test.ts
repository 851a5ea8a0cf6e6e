/**
 * Our servers with TLS, asked by openssl s_client.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import type { Connection, TlsInfo, TlsServerOptions } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { chained, shown, talkTo } from "../support/outside.ts";
import { authority, identity, NO_TLS, serverIdentity } from "../support/pki.ts";
import { echoBack, type Secure, serveSecure } from "../support/secure.ts";
import { serve } from "../support/serve.ts";
import { until } from "../support/until.ts";

const VERSIONS = [["-tls1_2", "TLSv1.2"], ["-tls1_3", "TLSv1.3"]] as const;

/** The arguments of a client that trusts the authority of these tests alone. */
function clientArgs(port: number, ...more: string[]): string[] {
  const verify = ["-verify_return_error", "-verify_hostname", "localhost"];
  const trust = ["-CAfile", authority().certificateFile, "-no-CApath", "-no-CAstore"];
  return ["s_client", "-connect", `127.0.0.1:${port}`, ...trust, ...verify, ...more];
}

/** A client of openssl whose lines the test writes. */
function client(port: number, ...more: string[]) {
  return talkTo("openssl", clientArgs(port, "-servername", "localhost", ...more));
}

function opensslTest(name: string, run: () => Promise<void>): void {
  test(name, { skip: NO_TLS }, () => leaks(run));
}

/** An echo, and the TLS of each connection it had, and the errors that ended them. */
function watched(tls: Partial<TlsServerOptions> = {}): Secure & {
  infos: TlsInfo[];
  ends: unknown[];
  refused: Error[];
} {
  const [infos, ends, refused]: [TlsInfo[], unknown[], Error[]] = [[], [], []];
  const secure = serveSecure(echoBack, tls, {
    onConnect(connection) {
      infos.push(connection.tls!);
      connection.closed.then(() => ends.push(null), (error) => ends.push(error));
      return undefined;
    },
    onHandshakeError: (error) => refused.push(error),
  });
  return Object.assign(secure, { infos, ends, refused });
}

for (const [flag, protocol] of VERSIONS) {
  opensslTest(
    `s_client ${flag} verifies our chain, agrees on a protocol, and ends in order`,
    async () => {
      await using server = watched({
        ...shown(chained("server-of-middle")),
        alpnProtocols: ["b", "c"],
      });
      await using peer = client(server.port, flag, "-alpn", "a,b,c");
      await peer.find(new RegExp(`^New, ${protocol}, Cipher is .+`, "m"));
      await peer.find(/Verify return code: 0/);
      peer.write("hello\n");
      await peer.find(/hello\n/);
      peer.endInput();
      const { code, stdout } = await peer.ended;
      assertMatch(stdout, /^ALPN protocol: b$/m);
      assertEquals(code, 0);
      await until(() => server.ends.length === 1, "the end of the connection");
      assertEquals(server.ends, [null]);
      const [{ alpnProtocol, serverName, protocol: ours }] = server.infos as [TlsInfo];
      assertEquals([ours, alpnProtocol, serverName], [protocol, "b", "localhost"]);
    },
  );

  opensslTest(
    `s_client ${flag} goes on with a session of ours`,
    () =>
      withDirectory(async (directory) => {
        await using server = watched();
        const session = `${directory}/session`;
        const ask = async (how: string[], expected: RegExp) => {
          await using peer = client(server.port, flag, ...how);
          await peer.find(expected);
          peer.write("hello\n");
          await peer.find(/hello\n/);
          peer.endInput();
          assertEquals((await peer.ended).code, 0);
        };
        await ask(["-sess_out", session], new RegExp(`^New, ${protocol}`, "m"));
        for (let n = 0; n < 3; n++) {
          const again = ["-sess_in", session, "-sess_out", session];
          await ask(again, new RegExp(`^Reused, ${protocol}`, "m"));
        }
        assertEquals(server.infos.map((info) => info.isResumed), [false, true, true, true]);
      }),
  );

  opensslTest(
    `s_client ${flag} shows us its certificate, with a chain, or is refused`,
    async () => {
      const tls = {
        authorities: authority().certificate,
        clientCertificate: "require",
      } as const;
      await using server = watched(tls);
      const { certificateFile, keyFile, chainFile } = chained("client-of-middle");
      const leaf = ["-cert", certificateFile, "-key", keyFile];
      const stranger = identity("stranger", { by: "itself" });
      {
        await using peer = client(server.port, flag, ...leaf, "-cert_chain", chainFile);
        await peer.find(/Verification: OK/);
        peer.write("hello\n");
        await peer.find(/hello\n/);
        peer.endInput();
        assertEquals((await peer.ended).code, 0);
      }
      assertEquals(server.infos[0]!.peerCertificate!.subject, "CN=client-of-middle");
      const wrong = [[], leaf, ["-cert", stranger.certificateFile, "-key", stranger.keyFile]];
      const told: RegExp[] = [
        flag === "-tls1_3" ? /certificate required/ : /handshake failure/,
        /unknown ca/,
        /unknown ca/,
      ];
      for (const [n, how] of wrong.entries()) {
        await using peer = client(server.port, flag, ...how);
        const { code, stderr } = await peer.ended;
        assert(code !== 0, stderr);
        assertMatch(stderr, told[n]!);
      }
      await until(() => server.refused.length === 3, "three refusals");
      assertEquals(server.infos.length, 1);
    },
  );
}

opensslTest("s_client changes its keys, and ours with them, between messages", async () => {
  await using server = watched();
  await using peer = client(server.port, "-tls1_3");
  await peer.find(/Verify return code: 0/);
  for (const command of ["k", "K", "K"]) {
    peer.write(`${command}\n`);
    await until(() => /KEYUPDATE/.test(peer.stderr), "the change of keys");
    peer.stderr = "";
    for (let n = 0; n < 3; n++) {
      peer.write(`message ${n}\n`);
      await peer.find(new RegExp(`message ${n}\n`));
    }
  }
  peer.endInput();
  assertEquals((await peer.ended).code, 0);
});

opensslTest("s_client is refused a renegotiation, and others are served", async () => {
  await using server = watched();
  await using other = client(server.port, "-tls1_2");
  await using peer = client(server.port, "-tls1_2");
  await other.find(/Verify return code: 0/);
  await peer.find(/Verify return code: 0/);
  peer.write("R\n");
  const { code, stderr } = await peer.ended;
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /no renegotiation/);
  other.write("hello\n");
  await other.find(/hello\n/);
  other.endInput();
  assertEquals((await other.ended).code, 0);
  await until(() => server.ends.length === 2, "the end of both");
});

opensslTest("s_client refuses us: another host, another authority", async () => {
  await using server = watched(
    shown(identity("elsewhere", { names: "DNS:elsewhere.example.org" })),
  );
  await using peer = client(server.port);
  const { code, stderr } = await peer.ended;
  assertEquals(code, 1);
  assertMatch(stderr, /hostname mismatch/i);
  await until(() => server.refused.length === 1, "the refusal");
  await using strange = watched(shown(identity("stranger", { by: "itself" })));
  await using second = client(strange.port);
  const ended = await second.ended;
  assertEquals(ended.code, 1);
  assertMatch(ended.stderr, /self[- ]signed certificate/);
});

opensslTest(
  "s_client gets no protocol, no version and no cipher that we do not speak",
  async () => {
    await using server = watched({ alpnProtocols: ["b"] });
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [["-alpn", "a"], /no application protocol/],
      [["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], /protocol version|no protocols available/],
      [["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], /handshake failure|no shared cipher/],
    ];
    for (const [how, told] of wrong) {
      await using peer = client(server.port, ...how);
      const { code, stderr } = await peer.ended;
      assertEquals(code, 1, how.join(" "));
      assertMatch(stderr, told);
    }
    assertEquals(server.infos.length, 0);
  },
);

// ---- STARTTLS ---------------------------------------------------------------------------------------

/** A protocol as s_client speaks it until TLS begins: greeting, and answers to what it asks. */
type Script = readonly [greeting: string, answers: readonly (readonly [RegExp, string])[]];

const SCRIPTS: Record<string, Script> = {
  smtp: ["220 here\r\n", [[/^EHLO/, "250-here\r\n250 STARTTLS\r\n"], [/^STARTTLS/, "220 go\r\n"]]],
  pop3: ["+OK here\r\n", [[/^STLS/, "+OK go\r\n"]]],
  imap: ["* OK here\r\n", [
    [/^. CAPABILITY/, "* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK done\r\n"],
    [/^. STARTTLS/, ". OK go\r\n"],
  ]],
  ftp: ["220 here\r\n", [[/^AUTH TLS/, "234 go\r\n"]]],
  nntp: ["200 here\r\n", [
    [/^CAPABILITIES/, "101 list\r\nSTARTTLS\r\n.\r\n"],
    [/^STARTTLS/, "382 go\r\n"],
  ]],
  // deno-lint-ignore no-control-regex
  postgres: ["", [[/^\x00\x00\x00\x08\x04\xd2\x16\x2f$/, "S"]]],
};

/** The request for TLS of a client of PostgreSQL, which is no line: its length, and a number. */
const SSL_REQUEST_BYTES = 8;

/** Answers as the script says, and goes on with TLS after its last answer: then it echoes. */
async function follow([greeting, answers]: Script, connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const say = (text: string) => {
    writer.writeString(text);
    return writer.flush();
  };
  await say(greeting);
  for (const [asked, answer] of answers) {
    const isLine = greeting !== "";
    if (!isLine) await reader.wait(SSL_REQUEST_BYTES);
    const count = isLine ? await reader.waitUntil(10) : SSL_REQUEST_BYTES;
    assertMatch(reader.readString(count, "latin1"), asked);
    reader.release();
    await say(answer);
  }
  await connection.startTls("server", serverIdentity());
  connection.setOnRequest(echoBack);
}

for (const [name, script] of Object.entries(SCRIPTS)) {
  opensslTest(`s_client begins TLS in the middle of a connection: ${name}`, async () => {
    const failures: unknown[] = [];
    const { loop, listener, served } = serve(null, {
      onConnect: (connection) => follow(script, connection) as Promise<undefined>,
      onError: (error) => failures.push(error),
    });
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    {
      await using peer = client(port, "-starttls", name);
      await peer.find(/Verify return code: 0/);
      peer.write("hello\n");
      await peer.find(/hello\n/);
      peer.endInput();
      assertEquals((await peer.ended).code, 0);
    }
    await loop.shutdown();
    await served;
    assertEquals(failures, []);
  });
}
