/**
 * Beginnings of a handshake that no honest client sends: to a server that tells each why, keeps nothing of
 * them, and serves others.
 */
import { assert, assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  createListener,
  dial,
  EventLoop,
  type EventLoopOptions,
  type NetpollError,
  SystemError,
  TimeoutError,
  TlsError,
  type TlsServerOptions,
} from "../../mod.ts";
import {
  clientHello,
  helloMessage,
  inRecords,
  serverNameOf,
  sized,
} from "../support/client_hello.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, identity, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echoBack, type Secure, serveSecure } from "../support/secure.ts";
import { delay, soon, until } from "../support/until.ts";

/** A server that writes down what it refuses. */
function refusing(
  tls: Partial<TlsServerOptions> = {},
  options: EventLoopOptions<undefined> = {},
): [Secure, NetpollError[]] {
  const errors: NetpollError[] = [];
  const onHandshakeError = (error: NetpollError) => void errors.push(error);
  return [serveSecure(echoBack, tls, { onHandshakeError, ...options }), errors];
}

async function isServed(secure: Secure): Promise<void> {
  const other = await secure.dial();
  await send(other, "hello");
  assertEquals(await receive(other, 5), "hello");
  await other.close();
}

const SSL2 = Buffer.from([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, ...Array(0x2e - 9).fill(1)]);
const TLS_1_3 = [0x0304] as const;
const NAME = "localhost";

const HELLOS: readonly [what: string, bytes: () => Uint8Array, why: RegExp][] = [
  ["SSL 2", () => SSL2, /version|does not speak|not allowed|unsupported/],
  ["SSL 3", () => clientHello({ version: 0x0300 }), /not allowed here/],
  ["TLS 1.0", () => clientHello({ version: 0x0301 }), /not allowed here/],
  ["TLS 1.1", () => clientHello({ version: 0x0302 }), /not allowed here/],
  ["TLS 1.1 as 1.3 offers it", () => clientHello({ versions: [0x0302] }), /not allowed here/],
  [
    "an older version than both sides have",
    () => clientHello({ ciphers: [0xc02b, 0x5600] }),
    /inappropriate fallback/,
  ],
  [
    "no encryption",
    () => clientHello({ ciphers: [0x0001, 0x0002, 0x003b, 0xc006] }),
    /no cipher in common/,
  ],
  [
    "ciphers for export",
    () => clientHello({ ciphers: [0x0003, 0x0006, 0x0008, 0x0014] }),
    /no cipher in common/,
  ],
  [
    "nobody's keys",
    () => clientHello({ ciphers: [0x0018, 0x0034, 0x006c, 0xc018] }),
    /no cipher in common/,
  ],
  [
    "RC4, DES and 3DES",
    () => clientHello({ ciphers: [0x0004, 0x0005, 0x0009, 0x000a, 0xc007] }),
    /no cipher in common/,
  ],
  [
    "CBC",
    () => clientHello({ ciphers: [0x002f, 0x0035, 0xc009, 0xc00a, 0xc013, 0xc014, 0xc023] }),
    /no cipher in common/,
  ],
  ["no cipher", () => clientHello({ ciphers: [] }), /./],
  ["compression alone", () => clientHello({ compressions: [1] }), /compression/],
  ["no compression, not even none", () => clientHello({ compressions: [] }), /./],
  [
    "compression in 1.3",
    () => clientHello({ versions: TLS_1_3, compressions: [1, 0] }),
    /compression/,
  ],
  [
    "a server name with a zero byte",
    () => clientHello({ serverName: "localhost\0.evil.test" }),
    /bad extension|server name|./,
  ],
  ["a server name of 256 bytes", () => clientHello({ serverName: "a".repeat(256) }), /./],
  [
    "an empty list of server names",
    () => clientHello({ serverNames: sized(2, []) }),
    /bad extension/,
  ],
  [
    "a server name that is longer than its list",
    () => clientHello({ serverNames: Buffer.from([0, 12, 0, 0, 99, ...Buffer.from(NAME)]) }),
    /bad extension/,
  ],
  [
    "two lists of server names",
    () => clientHello({ serverName: NAME, more: [[0, serverNameOf(NAME)]] }),
    /bad extension/,
  ],
  [
    "no protocol in a list of them",
    () => clientHello({ protocols: sized(2, []) }),
    /bad extension/,
  ],
  [
    "an empty protocol",
    () => clientHello({ protocols: sized(2, [0, 2, 0x68, 0x32]) }),
    /bad extension/,
  ],
  [
    "a protocol that is longer than its list",
    () => clientHello({ protocols: sized(2, [200, 0x68, 0x32]) }),
    /bad extension/,
  ],
  [
    "none of our protocols",
    () => clientHello({ protocols: sized(2, sized(1, Buffer.from("h3"))) }),
    /no application protocol in common/,
  ],
  [
    "half of our protocol",
    () => clientHello({ protocols: sized(2, sized(1, Buffer.from("h"))) }),
    /no application protocol in common/,
  ],
  [
    "1.3 without keys",
    () => clientHello({ version: 0x0303, more: [[43, sized(1, [3, 4])]] }),
    /key share|curve|extension/,
  ],
  [
    "an answer in place of a question",
    () => inRecords(Buffer.from([2, ...helloMessage().subarray(1)])),
    /unexpected message/,
  ],
  [
    "a message that is too long",
    () => inRecords(Buffer.concat([Buffer.from([1]), sized(3, Buffer.alloc(140_000))])),
    /excessive message size/,
  ],
  [
    "a record that is too long",
    () => Buffer.from([22, 3, 1, 0x50, 0, ...Array(100).fill(1)]),
    /length too long|does not speak/,
  ],
  [
    "a flood of empty records",
    () => Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([22, 3, 1, 0, 0]))),
    /record too small|bad length|length/,
  ],
  ["data before the handshake", () => Buffer.from([23, 3, 3, 0, 2, 1, 2]), /./],
  ["a change of ciphers before the handshake", () => Buffer.from([20, 3, 3, 0, 1, 1]), /./],
  ["a fatal alert", () => Buffer.from([21, 3, 3, 0, 2, 2, 40]), /unexpected message/],
  [
    "plain HTTP",
    () => Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    /plain HTTP to a TLS port/,
  ],
  [
    "plain HTTP/2",
    () => Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    /does not speak TLS|wrong version|plain HTTP|./,
  ],
  ["SSH", () => Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n"), /does not speak TLS/],
  ["SMTP", () => Buffer.from("EHLO localhost\r\n"), /does not speak TLS/],
  ["zeros", () => Buffer.alloc(500), /./],
  ["garbage", () => Buffer.from(Array.from({ length: 900 }, (_, i) => (i * 7919 + 77) & 255)), /./],
];

for (const [what, bytes, why] of HELLOS) {
  tlsTest(
    `a server refuses a handshake that begins with ${what}, and serves others`,
    () =>
      leaks(async () => {
        const [secure, errors] = refusing({ alpnProtocols: ["h2", "http/1.1"] });
        await using _ = secure;
        using peer = new RawPeer(secure.listener);
        peer.send(bytes());
        await until(() => errors.length === 1, "the refusal");
        assertInstanceOf(errors[0], TlsError, String(errors[0]));
        assertMatch(errors[0].message, why);
        await until(() => peer.isOver, "the end of the connection");
        await isServed(secure);
      }),
  );
}

/** A certificate of that name, of which the subject tells the name as well. */
function own(name: string) {
  const { certificate, key } = identity(name, { names: `DNS:${name}` });
  return { certificate, key };
}

/** The handshake goes on with these; the certificate is the one for all others, unless a name fits. */
const NAMES: readonly [serverName: string | Uint8Array, subject: string, asked: string | null][] = [
  ["a.example.org", "a.example.org", "a.example.org"],
  ["A.EXAMPLE.ORG", "a.example.org", "a.example.org"],
  ["a.example.org.", "a.example.org", "a.example.org"],
  ["b.example.org", "*.example.org", "b.example.org"],
  ["b.a.example.org", "server", "b.a.example.org"],
  [".example.org", "server", null],
  ["*.example.org", "*.example.org", null],
  ["127.0.0.1", "server", "127.0.0.1"],
  ["::1", "server", null],
  ["bücher.example.org", "*.example.org", null],
  ["../../etc/passwd", "server", null],
  ["a\nb", "server", null],
  ["x".repeat(255), "server", null],
  [Buffer.from([0xff, 0xfe, 0x2e, 0x61]), "server", null],
];

tlsTest(
  "names of clients choose the certificate they are for, however they are written",
  () =>
    leaks(async () => {
      const [secure] = refusing({
        names: {
          "a.example.org": own("a.example.org"),
          "*.example.org": own("*.example.org"),
        },
      });
      await using _ = secure;
      for (const [serverName, subject] of NAMES) {
        using peer = new RawPeer(secure.listener);
        peer.send(clientHello({ serverName }));
        await until(() => peer.received.length > 500, "the certificate");
        const { received } = peer;
        const shown = ["a.example.org", "*.example.org", "server"].filter((name) =>
          received.includes(`\x0c${String.fromCharCode(name.length)}${name}`)
        );
        assertEquals(shown[0], subject, String(serverName));
      }
    }),
);

tlsTest("the protocols of a listener hold under each of its names", () =>
  leaks(async () => {
    const names = { "a.example.org": own("a.example.org") };
    const [secure, errors] = refusing({ names, alpnProtocols: ["h2"] });
    await using _ = secure;
    for (const serverName of ["a.example.org", NAME]) {
      const wrong = secure.dial({ verify: false, serverName, alpnProtocols: ["http/1.1"] });
      assertEquals((await wrong.catch((error) => error)).reason, "alert");
      const right = await secure.dial({ verify: false, serverName, alpnProtocols: ["x", "h2"] });
      assertEquals(right.tls?.alpnProtocol, "h2");
      await right.close();
    }
    await until(() => errors.length === 2, "both refusals");
  }));

tlsTest(
  "chooseIdentity is asked for names of hosts, and null for all that is none",
  () =>
    leaks(async () => {
      const asked: (string | null)[] = [];
      const [secure, errors] = refusing({
        chooseIdentity: (name) => {
          asked.push(name);
          return null;
        },
      });
      await using _ = secure;
      for (const [serverName] of NAMES) {
        using peer = new RawPeer(secure.listener);
        peer.send(clientHello({ serverName }));
        await until(() => peer.isOver, "the refusal");
      }
      assertEquals(asked, NAMES.map(([, , name]) => name));
      assertEquals(errors.length, NAMES.length);
    }),
);

tlsTest(
  "a handshake that comes byte by byte ends at handshakeTimeoutMs, however busy it looks",
  () =>
    leaks(async () => {
      const [secure, errors] = refusing({ handshakeTimeoutMs: 300 });
      await using _ = secure;
      using peer = new RawPeer(secure.listener);
      const bytes = inRecords(helloMessage({ serverName: NAME }), 1);
      for (let at = 0; at < bytes.length && errors.length === 0; at++) {
        if (!peer.isOver) peer.send(bytes.subarray(at, at + 1));
        await delay(10);
      }
      assertInstanceOf(errors[0], TimeoutError);
      assertEquals(errors[0].operation, "handshake");
      await until(() => peer.isOver, "the end of the connection");
      await isServed(secure);
    }),
);

tlsTest("a handshake in records of one byte each is one as any other", () =>
  leaks(async () => {
    const [secure, errors] = refusing();
    await using _ = secure;
    using peer = new RawPeer(secure.listener);
    peer.send(inRecords(helloMessage({ serverName: NAME }), 1));
    await until(() => peer.received.length > 500, "the server's part");
    assertEquals(errors, []);
  }));

tlsTest(
  "a handshake that is cut or reset after any of its bytes leaves nothing",
  () =>
    leaks(async () => {
      const [secure, errors] = refusing();
      await using _ = secure;
      const hello = clientHello({ serverName: NAME });
      let count = 0;
      for (const at of [0, 1, 4, 5, 6, 43, 44, hello.length - 1, hello.length]) {
        for (const way of ["end", "reset"] as const) {
          const peer = new RawPeer(secure.listener);
          peer.send(hello.subarray(0, at));
          peer[way]();
          count += 1;
          await until(() => errors.length === count, `the end after ${at} bytes by ${way}`);
          const error = errors.at(-1)!;
          assert(error instanceof TlsError || error instanceof SystemError, String(error));
          peer.close();
        }
      }
      assertEquals(secure.loop.connectionCount, 0);
      await isServed(secure);
    }),
);

tlsTest(
  "a flood of handshakes that go nowhere holds the others up until their time is over",
  () =>
    leaks(async () => {
      const [secure, errors] = refusing({ handshakeTimeoutMs: 200 }, { handshakesMax: 4 });
      await using _ = secure;
      const peers = Array.from({ length: 20 }, () => new RawPeer(secure.listener));
      for (const peer of peers) peer.send(clientHello({ serverName: NAME }).subarray(0, 50));
      await isServed(secure);
      await until(() => errors.length === 20, "the end of each");
      for (const error of errors) assertInstanceOf(error, TimeoutError);
      for (const peer of peers) peer.close();
    }),
);

/** What a server may answer to our client's first message. */
const ANSWERS: readonly [
  what: string,
  bytes: Uint8Array,
  reason: TlsError["reason"],
  why: RegExp,
][] = [
  ["plain HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), "protocol", /does not speak TLS/],
  ["SSH", Buffer.from("SSH-2.0-OpenSSH_9.2p1\r\n"), "protocol", /does not speak TLS/],
  ["its own first message", clientHello(), "protocol", /unexpected message/],
  ["an empty message", inRecords(Buffer.from([2, 0, 0, 0])), "protocol", /length/],
  [
    "a message that is too long",
    inRecords(Buffer.from([2, 255, 255, 255, 0])),
    "protocol",
    /excessive message size/,
  ],
  [
    "a flood of wishes to negotiate",
    inRecords(Buffer.alloc(4000)),
    "protocol",
    /messages without data|unexpected message/,
  ],
  [
    "empty records",
    Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([22, 3, 3, 0, 0]))),
    "protocol",
    /./,
  ],
  [
    "a record that is too long",
    Buffer.from([22, 3, 3, 0x50, 0, ...Array(100).fill(1)]),
    "protocol",
    /length too long/,
  ],
  ["data", Buffer.from([23, 3, 3, 0, 3, 1, 2, 3]), "protocol", /./],
  ["an end in order", Buffer.from([21, 3, 3, 0, 2, 1, 0]), "truncated", /./],
  ["a refusal", Buffer.from([21, 3, 3, 0, 2, 2, 40]), "alert", /nothing in common/],
  ["a refusal of the name", Buffer.from([21, 3, 3, 0, 2, 2, 112]), "alert", /serverName/],
  [
    "a flood of warnings",
    Buffer.concat(Array.from({ length: 50 }, () => Buffer.from([21, 3, 3, 0, 2, 1, 90]))),
    "protocol",
    /too many warn alerts/,
  ],
  ["zeros", Buffer.alloc(500), "protocol", /./],
];

for (const [what, bytes, reason, why] of ANSWERS) {
  tlsTest(`a client refuses a server that answers with ${what}`, () =>
    leaks(async () => {
      const listener = createListener("tcp", "127.0.0.1:0");
      const loop = new EventLoop(({ reader, writer }) => {
        if (reader.length < 100) return;
        reader.skip(reader.length);
        reader.release();
        writer.writeBinary(bytes, { copy: true });
        void writer.flush();
      });
      const served = loop.serve(listener);
      const { address } = listener;
      const at = `127.0.0.1:${address.transport === "tcp" ? address.port : 0}`;
      const tls = { authorities: authority().certificate };
      const error = await soon(dial("tcp", at, { tls, timeoutMs: 3000 }).catch((error) => error));
      await loop.shutdown({ timeoutMs: 0 });
      await served;
      assertInstanceOf(error, TlsError, String(error));
      assertEquals(error.reason, reason, error.message);
      assertMatch(error.message, why);
    }));
}
