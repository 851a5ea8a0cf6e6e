/**
 * Somebody between a client and a server, who changes what they agree on.
 */
import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type Connection, dial, EofError, type NetpollError, TlsError } from "../../mod.ts";
import { forge, Kind, prepareForging } from "../support/forger.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, tlsTest } from "../support/pki.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { soon, until } from "../support/until.ts";

/** Changes the first bytes of a client; Buffer.indexOf finds where. */
type Change = (hello: Buffer) => void;

function put(hello: Buffer, find: readonly number[], bytes: readonly number[]): void {
  const at = hello.indexOf(Buffer.from(find));
  if (at < 0) throw new Error(`${find} is not in ${hello.toString("hex")}`);
  Buffer.from(bytes).copy(hello, at);
}

/** A relay before a port, which changes the first message of its one client. */
async function relayTo(port: number, change: Change) {
  const relay = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    let isFirst = true;
    // No pipe(): it looks at process.stdout, which Bun opens for that.
    client.on("data", (bytes: Buffer) => {
      const passed = Buffer.from(bytes);
      if (isFirst) change(passed);
      isFirst = false;
      server.write(passed);
    });
    server.on("data", (bytes: Buffer) => client.write(bytes));
    for (const [one, other] of [[client, server], [server, client]] as const) {
      one.on("error", () => other.destroy());
      one.on("end", () => other.end());
      one.on("close", () => other.destroy());
    }
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const address = relay.address() as { port: number };
  return {
    at: `127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      relay.close();
      await once(relay, "close");
    },
  };
}

const VERSIONS = [0, 43, 0, 5, 4, 3, 4, 3, 3];

const CHANGES: readonly [what: string, change: Change, atClient: RegExp][] = [
  // The server says by its random number that it could do better (RFC 8446 §4.1.3).
  [
    "takes TLS 1.3 out of the offer",
    (hello) => put(hello, VERSIONS, [0xfa, 0xfa]),
    /older version/,
  ],
  [
    "takes the better cipher out of the offer",
    (hello) => put(hello, [0x13, 0x02], [0xfa, 0xfa]),
    /changed|refuses us|digest|mac/,
  ],
  [
    "asks for another name",
    (hello) => put(hello, [...Buffer.from("localhost")], [...Buffer.from("evil.test")]),
    /changed|refuses us|digest|mac/,
  ],
  [
    "offers another protocol",
    (hello) => put(hello, [...Buffer.from("http/1.1")], [...Buffer.from("http/1.0")]),
    /changed|refuses us|digest|mac/,
  ],
];

for (const [what, change, why] of CHANGES) {
  tlsTest(
    `a client refuses a server before which somebody ${what}, and the server does, too`,
    async () => {
      await leaks(async () => {
        const errors: NetpollError[] = [];
        await using secure = serveSecure(echoBack, { alpnProtocols: ["http/1.1", "http/1.0"] }, {
          onHandshakeError: (error) => void errors.push(error),
        });
        await using relay = await relayTo(secure.port, change);
        const tls = {
          authorities: authority().certificate,
          serverName: "localhost",
          alpnProtocols: ["http/1.1"],
        };
        const error = await dial("tcp", relay.at, { tls, timeoutMs: 5000 }).catch((error) => error);
        assertInstanceOf(error, TlsError, String(error));
        assertMatch(error.message, why);
        await until(() => errors.length === 1, "the server's refusal");
      });
    },
  );
}

tlsTest("a peer whose record was changed on its way hears why, at either side", async () => {
  prepareForging();
  await leaks(async () => {
    for (const victim of ["server", "client"] as const) {
      const accepted: Connection[] = [];
      await using secure = serveSecure(null, {}, { onConnect: (each) => void accepted.push(each) });
      const { client, asClient, asServer } = await forge(secure);
      await until(() => accepted.length === 1, "the connection");
      const server = accepted[0]!;
      await send(server, "tickets are read");
      await receive(client, 16);
      const [forger, liar] = victim === "server"
        ? [asClient, client]
        : [asServer(server.fd), server];
      const ended = liar.reader.wait(1).catch((error) => error);
      forger.send(forger.record(Kind.DATA, [1, 2, 3]).fill(0, 20));
      const end = await soon(ended);
      assertInstanceOf(end, EofError);
      assertInstanceOf(end.cause, TlsError, String(end.cause));
      assertEquals(end.cause.reason, "alert");
      assertMatch(end.cause.message, /bad record mac/);
      await Promise.all([client, server].map((each) => each.close({ timeoutMs: 0 })));
    }
  });
});
