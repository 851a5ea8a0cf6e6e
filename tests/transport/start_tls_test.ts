import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  BusyError,
  ClosedError,
  type Connection,
  metrics,
  NetpollError,
  pipe,
  TimeoutError,
  TlsError,
  type TlsServerOptions,
} from "../../mod.ts";
import { ignore } from "../../src/core/promises.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send, tcpPair } from "../support/pair.ts";
import { authority, serverIdentity, tlsTest } from "../support/pki.ts";
import { until } from "../support/until.ts";

const trusted = () => ({ authorities: authority().certificate, serverName: "localhost" });

/** Two ends that have talked without TLS. */
async function talked(): Promise<[server: Connection, client: Connection]> {
  const [server, client] = await tcpPair();
  await send(client, "STARTTLS");
  assertEquals(await receive(server, 8), "STARTTLS");
  await send(server, "go on");
  assertEquals(await receive(client, 5), "go on");
  return [server, client];
}

async function closeBoth(...ends: Connection[]): Promise<void> {
  await Promise.all(ends.map((end) => end.close({ timeoutMs: 0 })));
}

tlsTest(
  "startTls() goes on with TLS on both sides, and nothing is lost before or after",
  () =>
    leaks(async () => {
      const [server, client] = await talked();
      assertEquals([server.tls, client.tls], [null, null]);
      await Promise.all([
        server.startTls("server", serverIdentity()),
        client.startTls("client", trusted()),
      ]);
      assertEquals([server.tls?.protocol, client.tls?.serverName], ["TLSv1.3", "localhost"]);
      await send(client, "hello");
      assertEquals(await receive(server, 5), "hello");
      await send(server, "world");
      assertEquals(await receive(client, 5), "world");
      await assertRejects(() => client.startTls("client", trusted()), TypeError, "plain socket");
      assertEquals(await client.close(), { unsentBytes: 0 });
      await closeBoth(server);
    }),
);

tlsTest(
  "startTls() never takes bytes that came before it for protected ones: the handshake fails",
  () =>
    leaks(async () => {
      const [server, client] = await tcpPair();
      await send(client, "STARTTLSinjected");
      assertEquals(await receive(server, 8), "STARTTLS");
      await server.reader.wait(8);
      const error = await server.startTls("server", serverIdentity()).catch((error) => error);
      assertInstanceOf(error, TlsError);
      assertEquals([server.isActive, server.reader.length], [false, 0]);
      await closeBoth(server, client);
    }),
);

for (const early of [1, 5, 6, 100, null]) {
  const part = early === null ? "all" : `${early} bytes`;
  tlsTest(`startTls() goes on from ${part} of the peer's first message`, () =>
    leaks(async () => {
      const [client, near] = await tcpPair();
      const [far, server] = await tcpPair();
      const secured = client.startTls("client", trusted());
      await near.reader.wait(128);
      const count = early ?? near.reader.length;
      far.writer.writeBinary(near.reader.readBinary(count));
      await far.writer.flush();
      await server.reader.wait(count); // it has come before the server begins
      const securing = server.startTls("server", serverIdentity());
      assertEquals(server.reader.length, 0);
      const piped = pipe(near, far).catch(ignore); // both ends are gone when it ends
      await Promise.all([secured, securing]);
      await send(client, "hello");
      assertEquals(await receive(server, 5), "hello");
      await send(server, "world");
      assertEquals(await receive(client, 5), "world");
      assertEquals(await client.close(), { unsentBytes: 0 });
      await closeBoth(server);
      await piped;
    }));
}

tlsTest(
  "startTls() refuses while bytes wait to be sent, or somebody waits for some",
  () =>
    leaks(async () => {
      const [server, client] = await talked();
      server.writer.writeString("unflushed");
      await assertRejects(() => server.startTls("server", serverIdentity()), BusyError);
      await server.writer.flush();
      const waiting = server.reader.wait(1).catch((error) => error);
      await assertRejects(() => server.startTls("server", serverIdentity()), BusyError);
      await closeBoth(server, client);
      assertInstanceOf(await waiting, ClosedError);
    }),
);

tlsTest(
  "startTls() lets nobody read or write before it has finished, and ends with the connection",
  () =>
    leaks(async () => {
      const { activeCount } = metrics().connections;
      const [server, client] = await talked();
      const started = server.startTls("server", serverIdentity()).catch((error) => error);
      assertEquals(server.metrics().state, "open");
      await assertRejects(() => server.reader.wait(1), BusyError);
      await assertRejects(() => server.startTls("server", serverIdentity()), BusyError);
      await server.close({ timeoutMs: 1000 });
      await closeBoth(client);
      assertInstanceOf(await started, NetpollError);
      assertEquals(metrics().connections.activeCount, activeCount);
    }),
);

tlsTest(
  "startTls() that fails resets the connection, and both sides say why",
  () =>
    leaks(async () => {
      const [server, client] = await talked();
      const [atServer, atClient] = await Promise.all([
        server.startTls("server", serverIdentity()).catch((error) => error),
        client.startTls("client", { serverName: "localhost" }).catch((error) => error),
      ]);
      assertInstanceOf(atClient, TlsError);
      assertEquals(atClient.reason, "certificate");
      assertInstanceOf(atServer, NetpollError);
      await until(() => !server.isActive && !client.isActive, "both are closed");
      assertEquals(await client.closed.catch((error) => error), atClient);
      await closeBoth(server, client);
    }),
);

tlsTest(
  "startTls() has a deadline: a peer that says nothing does not hold it for ever",
  () =>
    leaks(async () => {
      const [server, client] = await talked();
      const options: TlsServerOptions = { ...serverIdentity(), handshakeTimeoutMs: 20 };
      const error = await server.startTls("server", options).catch((error) => error);
      assertInstanceOf(error, TimeoutError);
      assertEquals([error.operation, server.isActive], ["handshake", false]);
      await closeBoth(server, client);
    }),
);

tlsTest("startTls() of a client wants to know who the server is", () =>
  leaks(async () => {
    const [server, client] = await tcpPair();
    await assertRejects(() => client.startTls("client", true), TypeError, "serverName");
    await assertRejects(() => client.startTls("peer" as "client", true), TypeError, "client");
    await closeBoth(server, client);
  }));

for (const when of ["after", "before and after"] as const) {
  tlsTest(
    `startTls() encrypts what zero copy is asked for ${when}: it has an obstacle`,
    () =>
      leaks(async () => {
        const [server, client] = await talked();
        if (when !== "after") client.zeroCopy = "always";
        await Promise.all([
          server.startTls("server", serverIdentity()),
          client.startTls("client", trusted()),
        ]);
        client.zeroCopy = "auto";
        client.zeroCopy = "always";
        assertEquals(client.zeroCopyCounts.obstacle, "unsupported");
        const text = "secret".repeat(10_000);
        await send(client, text);
        assertEquals(await receive(server, text.length), text);
        assertEquals(client.zeroCopyCounts.calls, 0);
        await closeBoth(server, client);
      }),
  );
}
