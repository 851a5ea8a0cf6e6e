import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  type Connection,
  dial,
  metrics,
  type NetpollError,
  TimeoutError,
  type TlsClientOptions,
  TlsError,
  type TlsIdentity,
  type TlsServerOptions,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, serverIdentity, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { until } from "../support/until.ts";

const plain = ({ certificate, key }: TlsIdentity) => ({ certificate, key });
const ca = () => authority().certificate;

/** The error of a client that dials a server. */
async function refusal(
  server: Partial<TlsServerOptions>,
  client: TlsClientOptions | true,
): Promise<TlsError> {
  await using secure = serveSecure(echoBack, server);
  const dialled = dial("tcp", secure.at, { tls: client, timeoutMs: 10_000 });
  // A server tells its refusal with the first bytes.
  const error = await dialled.then(async (connection) => {
    await send(connection, "hello").catch(() => {});
    const told = await receive(connection, 5).catch((error) => error);
    await connection.close({ timeoutMs: 0 });
    return (told as { cause?: unknown }).cause ?? told;
  }, (error) => error);
  assertInstanceOf(error, TlsError, String(error));
  return error;
}

const REFUSED: readonly [
  what: string,
  server: () => Partial<TlsServerOptions>,
  client: () => TlsClientOptions | true,
  reason: TlsError["reason"],
][] = [
  ["an unknown authority", () => ({}), () => true, "certificate"],
  [
    "a certificate that signed itself",
    () => plain(identity("itself", { by: "itself" })),
    () => ({ authorities: ca() }),
    "certificate",
  ],
  [
    "a certificate that has expired",
    () => plain(identity("expired", { days: -1 })),
    () => ({ authorities: ca() }),
    "certificate",
  ],
  [
    "a certificate that is no authority, as one",
    () => plain(identity("signed-by-server", { by: identity("server") })),
    () => ({ authorities: ca() }),
    "certificate",
  ],
  ["another host", () => ({}), () => ({ authorities: ca(), serverName: "evil.test" }), "hostname"],
  [
    "another address",
    () => plain(identity("other-address", { names: "IP:127.0.0.2" })),
    () => ({ authorities: ca() }),
    "hostname",
  ],
  [
    "a wildcard for two labels",
    () => plain(identity("wildcard", { names: "DNS:*.example.org" })),
    () => ({ authorities: ca(), serverName: "a.b.example.org" }),
    "hostname",
  ],
  [
    "a wildcard within a label",
    () => plain(identity("partial", { names: "DNS:w*.example.org" })),
    () => ({ authorities: ca(), serverName: "www.example.org" }),
    "hostname",
  ],
  [
    "a name as the common name alone",
    () => plain(identity("common.example.org", { names: "DNS:else.example.org" })),
    () => ({ authorities: ca(), serverName: "common.example.org" }),
    "hostname",
  ],
  [
    "no application protocol in common",
    () => ({ alpnProtocols: ["h2"] }),
    () => ({ authorities: ca(), alpnProtocols: ["http/1.1"] }),
    "alert",
  ],
  [
    "no version in common",
    () => ({ versionMin: "1.3" }),
    () => ({ authorities: ca(), versionMax: "1.2" }),
    "alert",
  ],
  [
    "a client without a certificate",
    () => ({ authorities: ca(), clientCertificate: "require" }),
    () => ({ authorities: ca() }),
    "alert",
  ],
  [
    "a client with a certificate of its own making",
    () => ({ authorities: ca(), clientCertificate: "request" }),
    () => ({ authorities: ca(), ...plain(identity("stranger", { by: "itself" })) }),
    "alert",
  ],
  [
    "a weak key",
    () => plain(identity("weak", { rsaBits: 512 })),
    () => ({ authorities: ca() }),
    "certificate",
  ],
];

for (const [what, server, client, reason] of REFUSED) {
  tlsTest(`a handshake is refused for ${what}`, () =>
    leaks(async () => {
      // OpenSSL makes no server of a key that is too weak: that is a refusal as well.
      const error = await refusal(server(), client()).catch((error) => error);
      assertInstanceOf(error, TlsError, String(error));
      assertEquals(error.reason, reason, error.message);
    }));
}

const ADMITTED: readonly [
  what: string,
  server: () => Partial<TlsServerOptions>,
  client: () => TlsClientOptions,
][] = [
  [
    "a wildcard for one label",
    () => plain(identity("wildcard", { names: "DNS:*.example.org" })),
    () => ({ authorities: ca(), serverName: "www.example.org" }),
  ],
  ["TLS 1.2", () => ({ versionMax: "1.2" }), () => ({ authorities: ca() })],
  [
    "a client with a certificate",
    () => ({ authorities: ca(), clientCertificate: "require" }),
    () => ({ authorities: ca(), ...plain(identity("client", { names: "DNS:client" })) }),
  ],
  [
    "a client that shows none where one may be shown",
    () => ({ authorities: ca(), clientCertificate: "request" }),
    () => ({ authorities: ca() }),
  ],
  ["anybody, where the client verifies nothing", () => ({}), () => ({ verify: false })],
  ["RSA", () => plain(identity("rsa", { rsaBits: 2048 })), () => ({ authorities: ca() })],
];

for (const [what, server, client] of ADMITTED) {
  tlsTest(`a handshake succeeds with ${what}`, () =>
    leaks(async () => {
      await using secure = serveSecure(echoBack, server());
      const connection = await secure.dial(client());
      await send(connection, "hello");
      assertEquals(await receive(connection, 5), "hello");
      await connection.close();
    }));
}

tlsTest("onConnect sees who the client is", () =>
  leaks(async () => {
    const seen: (string | undefined)[] = [];
    await using secure = serveSecure(
      echoBack,
      { authorities: ca(), clientCertificate: "require" },
      { onConnect: ({ tls }) => void seen.push(tls?.peerCertificate?.subject) },
    );
    const client = plain(identity("client", { names: "DNS:client" }));
    const connection = await secure.dial({ authorities: ca(), ...client });
    await until(() => seen.length > 0, "the connection");
    assertEquals(seen, ["CN=client"]);
    await connection.close();
  }));

tlsTest(
  "names choose the certificate: an exact name, a wildcard, and the one for all others",
  () =>
    leaks(async () => {
      const names = {
        "a.example.org": plain(identity("exact", { names: "DNS:a.example.org" })),
        "*.example.org": plain(identity("wildcard", { names: "DNS:*.example.org" })),
      };
      await using secure = serveSecure(echoBack, { names });
      for (
        const [serverName, subject] of [
          ["a.example.org", "CN=exact"],
          ["A.Example.org", "CN=exact"],
          ["b.example.org", "CN=wildcard"],
          ["localhost", "CN=server"],
        ] as const
      ) {
        const connection = await secure.dial({ authorities: ca(), serverName });
        assertEquals(connection.tls?.peerCertificate?.subject, subject, serverName);
        await connection.close();
      }
    }),
);

tlsTest(
  "chooseIdentity decides for each name, and refuses; the handshake waits for its promise",
  () =>
    leaks(async () => {
      const one = plain(identity("chosen", { names: "DNS:chosen.example.org" }));
      const asked: (string | null)[] = [];
      await using secure = serveSecure(echoBack, {
        chooseIdentity: async (name) => {
          asked.push(name);
          await new Promise((resolve) => setImmediate(resolve));
          return name === "chosen.example.org" ? one : null;
        },
      });
      const good = await secure.dial({ authorities: ca(), serverName: "chosen.example.org" });
      assertEquals(good.tls?.peerCertificate?.subject, "CN=chosen");
      await good.close();
      const refused = secure.dial({ authorities: ca(), serverName: "else.example.org" });
      await assertRejects(() => refused, TlsError);
      assertEquals(asked, ["chosen.example.org", "else.example.org"]);
    }),
);

tlsTest(
  "reloadTls() shows new clients the new certificate; those that are there go on",
  () =>
    leaks(async () => {
      await using secure = serveSecure();
      const before = await secure.dial({ authorities: ca() });
      const renewed = plain(identity("renewed"));
      secure.listener.reloadTls(renewed);
      const after = await secure.dial({ authorities: ca() });
      assertEquals(before.tls?.peerCertificate?.subject, "CN=server");
      assertEquals(after.tls?.peerCertificate?.subject, "CN=renewed");
      for (const connection of [before, after] as Connection[]) {
        await send(connection, "hello");
        assertEquals(await receive(connection, 5), "hello");
        await connection.close();
      }
      const wrong = { ...renewed, key: serverIdentity().key };
      const error = await Promise.resolve().then(() => secure.listener.reloadTls(wrong))
        .catch((error) => error);
      assertInstanceOf(error, TlsError);
      const still = await secure.dial({ authorities: ca() });
      assertEquals(still.tls?.peerCertificate?.subject, "CN=renewed");
      await still.close();
    }),
);

tlsTest(
  "chooseIdentity that fails ends the handshake, and its error is the cause",
  () =>
    leaks(async () => {
      const [why, errors] = [new Error("no store"), [] as NetpollError[]];
      await using secure = serveSecure(echoBack, { chooseIdentity: () => Promise.reject(why) }, {
        onHandshakeError: (error) => void errors.push(error),
      });
      await assertRejects(() => secure.dial({ authorities: ca() }));
      await until(() => errors.length === 1, "the server is told");
      assertInstanceOf(errors[0], TlsError);
      assertEquals([errors[0].reason, errors[0].cause], ["certificate", why]);
    }),
);

tlsTest("a peer that resets amid a handshake is counted as lost", () =>
  leaks(async () => {
    const { lost } = metrics().tls.failures;
    const errors: NetpollError[] = [];
    await using secure = serveSecure(echoBack, {}, {
      onHandshakeError: (error) => void errors.push(error),
    });
    const peer = new RawPeer(secure.listener);
    peer.send("\x16\x03\x01");
    peer.reset();
    await until(() => errors.length === 1, "the server is told");
    assertEquals(metrics().tls.failures.lost, lost + 1);
  }));

tlsTest(
  "a handshake has a deadline, and one that ends half-way is forgotten",
  () =>
    leaks(async () => {
      const errors: NetpollError[] = [];
      await using secure = serveSecure(echoBack, { handshakeTimeoutMs: 30 }, {
        onHandshakeError: (error) => void errors.push(error),
      });
      const silent = new RawPeer(secure.listener);
      await until(() => errors.length === 1, "the silent one is given up");
      assertInstanceOf(errors[0], TimeoutError);
      silent.close();
      const half = new RawPeer(secure.listener);
      half.send("\x16\x03\x01");
      half.close();
      await until(() => errors.length === 2, "the other one, too");
      assertEquals(secure.loop.connectionCount, 0);
    }),
);
