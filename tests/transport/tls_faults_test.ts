import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type Connection, dial, EofError, NetpollError, pipe, SystemError } from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { failWith, faultTest, usedFaults } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { receiveAll } from "../support/line.ts";
import { assertBytes, pattern, tcpPair } from "../support/pair.ts";
import { authority, NO_TLS, serverIdentity } from "../support/pki.ts";
import { serveSecure, trust } from "../support/secure.ts";
import { until } from "../support/until.ts";

const BYTES = 5000;

function test(name: string, run: () => Promise<void>): void {
  faultTest(name, async () => {
    if (NO_TLS === false) await leaks(run);
  });
}

/** Two ends with TLS between them. */
async function securePair(): Promise<[Connection, Connection]> {
  const [server, client] = await tcpPair();
  const trusted = { authorities: authority().certificate, serverName: "localhost" };
  await Promise.all([
    server.startTls("server", serverIdentity()),
    client.startTls("client", trusted),
  ]);
  return [server, client];
}

/** Sends some bytes; what ends its side behind them finds no room in the kernel at first. */
async function sendThenBlock(connection: Connection): Promise<void> {
  connection.writer.writeBinary(pattern(BYTES));
  await connection.writer.flush();
  failWith("send", ERRNO.EAGAIN, { fd: connection.fd, count: 3 });
}

test("TLS: closeWrite() tells the peer of the end when there is room for it", async () => {
  const [server, client] = await securePair();
  await sendThenBlock(server);
  const ended = server.closeWrite();
  assertBytes(await receiveAll(client), pattern(BYTES)); // a cut would reject
  await ended;
  assertEquals(usedFaults("send"), 3);
  await client.close();
  await server.close();
});

test("TLS: close() tells the peer of the end when there is room for it", async () => {
  for (const endsFirst of [false, true]) {
    const [server, client] = await securePair();
    if (endsFirst) {
      await client.closeWrite();
      await assertRejects(() => server.reader.wait(1), EofError);
    }
    await sendThenBlock(server);
    const closed = server.close();
    assertBytes(await receiveAll(client), pattern(BYTES));
    assertEquals(usedFaults("send"), 3);
    await client.close();
    assertEquals(await closed, { unsentBytes: 0 });
  }
});

test("TLS: pipe() passes an end on when there is room for it", async () => {
  const [server, client] = await securePair();
  const [from, source] = await tcpPair();
  const piped = pipe(from, server);
  source.writer.writeBinary(pattern(BYTES));
  await source.writer.flush();
  await client.reader.wait(BYTES);
  failWith("send", ERRNO.EAGAIN, { fd: server.fd, count: 3 });
  await source.closeWrite();
  assertBytes(await receiveAll(client), pattern(BYTES));
  assertEquals(usedFaults("send"), 3);
  await client.closeWrite();
  assertEquals((await receiveAll(source)).length, 0);
  await piped;
  await source.close();
  await client.close();
});

test("TLS: an end that is refused is told to both sides, and is none in order", async () => {
  for (const end of ["closeWrite", "close"] as const) {
    const [server, client] = await securePair();
    server.writer.writeBinary(pattern(BYTES));
    await server.writer.flush();
    const broken = server.closed.catch((error) => error);
    failWith("send", ERRNO.EINVAL, { fd: server.fd });
    await server[end]();
    assertInstanceOf(await broken, SystemError);
    const error = await assertRejects(() => receiveAll(client), NetpollError);
    assertInstanceOf(error, EofError);
    await client.close();
    await server.close();
  }
});

test("TLS: nothing follows a record that was lost", async () => {
  const lost: unknown[] = [];
  await using server = serveSecure(undefined, {}, {
    onConnect: (connection) => void connection.closed.catch((error) => lost.push(error)),
    onHandshakeError: (error) => lost.push(error),
  });
  // The second send of a server has the tickets. OpenSSL goes on when the peer seems to be gone.
  failWith("send", ERRNO.EPIPE, { skip: 3, count: 1 });
  const client = await dial("tcp", server.at, { tls: trust() });
  client.writer.writeBinary(pattern(BYTES));
  await client.writer.flush().catch(() => {});
  const error = await client.reader.wait(BYTES).then(() => null, (reason) => reason);
  assertEquals(usedFaults("send"), 1);
  assertInstanceOf(error, EofError);
  assertEquals(String(error).includes("bad record mac"), false, String(error));
  await until(() => lost.length === 1, "the server hears of it");
  await client.close({ timeoutMs: 0 });
});

test("a handshake that cannot be watched any more ends at once, and says so", async () => {
  const failures: NetpollError[] = [];
  await using server = serveSecure(undefined, {
    chooseIdentity: async () => {
      await Promise.resolve();
      return serverIdentity();
    },
  }, { onHandshakeError: (error) => failures.push(error) });
  for (let skip = 0; skip < 15; skip++) {
    failWith("epollCtl", ERRNO.ENOMEM, { skip });
    await dial("tcp", server.at, { tls: trust() }).then((client) => client.close(), () => {});
  }
  const codes = failures.map((error) => error instanceof SystemError ? error.code : error.name);
  assertEquals(codes.includes("ENOMEM"), true, codes.join());
  assertEquals(codes.includes("TimeoutError"), false, codes.join());
});
