import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { connect, type TLSSocket } from "node:tls";
import {
  type Connection,
  dial,
  EofError,
  metrics,
  NetpollError,
  pipe,
  TlsError,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pattern } from "../support/pair.ts";
import { authority, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echoBack, serveSecure } from "../support/secure.ts";
import { soon, until } from "../support/until.ts";

const MIB = 1 << 20;

/** Reads exactly so many bytes, a copy. */
async function take(connection: Connection, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    await connection.reader.wait(1);
    at += connection.reader.readInto(bytes.subarray(at));
    connection.reader.release();
  }
  return bytes;
}

/** More than a turn. */
const TURN_MS_MAX = 5;

/** Keeps the thread for so many milliseconds. */
function spin(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

/** A client of the runtime's own. */
async function stranger(port: number, ca = authority().certificate): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port, ca, servername: "localhost" });
  await once(socket, "secureConnect");
  return socket;
}

tlsTest("TLS brings bytes of every size both ways, in order", () =>
  leaks(async () => {
    await using server = serveSecure();
    const client = await server.dial();
    for (const count of [1, 2, 1000, 16_383, 16_384, 16_385, 100_000, 3 * MIB]) {
      client.writer.writeBinary(pattern(count), { copy: true });
      const flushed = client.writer.flush();
      assertBytes(await take(client, count), pattern(count));
      await flushed;
    }
    assertEquals(await client.close(), { unsentBytes: 0 });
  }));

tlsTest(
  "TLS sends many pieces, borrowed ones between them, as one stream",
  () =>
    leaks(async () => {
      await using server = serveSecure();
      const client = await server.dial();
      let at = 0;
      for (let i = 0; i < 200; i++) {
        const count = i % 3 === 0 ? 5000 : 900; // above 4 KiB an array is borrowed
        client.writer.writeBinary(pattern(count, at));
        at += count;
      }
      const flushed = client.writer.flush();
      assertBytes(await take(client, at), pattern(at));
      await flushed;
      await client.close();
    }),
);

tlsTest(
  "TLS: a reader of many small messages has them all, though no more comes",
  () =>
    leaks(async () => {
      const size = 320 * 1024;
      await using server = serveSecure(({ reader, writer }) => {
        reader.skip(reader.length);
        reader.release();
        writer.writeBinary(pattern(size));
        void writer.flush();
      });
      const client = await server.dial();
      client.writer.writeByte(1);
      await client.writer.flush();
      const read = async () => {
        for (let left = size; left > 0; left -= 32) {
          if (left % 32_768 === 0) spin(TURN_MS_MAX); // what follows has to wait for its turn
          await client.reader.wait(32);
          client.reader.skip(32);
          client.reader.release();
        }
      };
      await soon(read(), "the last of the messages");
      await client.close();
    }),
);

tlsTest(
  "TLS: a peer that does not read holds the writer back, and gets all when it does",
  () =>
    leaks(async () => {
      const size = 24 * MIB;
      await using server = serveSecure(({ reader, writer }) => {
        reader.skip(reader.length);
        reader.release();
        writer.writeBinary(pattern(size));
        void writer.flush();
      });
      const client = await server.dial();
      client.pauseRead();
      client.writer.writeByte(1);
      await client.writer.flush();
      await until(
        () => (server.loop.metrics({ listedMax: 1 }).connections[0]?.unsent.bytes ?? 0) > MIB,
        "bytes that the peer does not take",
      );
      client.resumeRead();
      assertBytes(await take(client, size), pattern(size));
      await client.close();
    }),
);

tlsTest(
  "TLS bounds what a peer can make us hold that sends and never reads an echo",
  () =>
    leaks(async () => {
      const bound = 256 * 1024;
      await using server = serveSecure(echoBack, {}, {
        readBufferBytesMax: bound,
        writeBufferBytesMax: bound,
      });
      const client = await server.dial();
      client.pauseRead();
      client.writer.writeBinary(new Uint8Array(32 * MIB));
      void client.writer.flush();
      const state = () => server.loop.metrics({ listedMax: 1 }).connections[0];
      await until(() => state()?.isWritable === false, "the server is held back");
      const { unread, unsent } = state()!;
      assert(
        unread.heldBytes + unsent.heldBytes < 8 * bound,
        `${unread.heldBytes} ${unsent.heldBytes}`,
      );
      await client.close({ timeoutMs: 0 });
    }),
);

/**
 * Passes bytes on to a server, both ways. What the client sends after `hold()` waits for its end, and
 * then leaves in one piece; the socket's end stays here.
 */
async function relayTo(port: number) {
  const held: Uint8Array[] = [];
  let holds = false;
  const sockets: Socket[] = [];
  const relay = createServer({ allowHalfOpen: true }, (client) => {
    const server = connectPlain(port, "127.0.0.1");
    sockets.push(client, server);
    server.pipe(client);
    client.on("data", (piece: Uint8Array) => void (holds ? held.push(piece) : server.write(piece)));
    client.on("end", () => server.write(Buffer.concat(held)));
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  return {
    at: `127.0.0.1:${(relay.address() as AddressInfo).port}`,
    hold: () => void (holds = true),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      relay.close();
      await once(relay, "close");
    },
  };
}

for (const versionMax of ["1.2", "1.3"] as const) {
  tlsTest(
    `TLS ${versionMax}: an end that comes with the last bytes needs no end of the socket`,
    async () => {
      const ended = Promise.withResolvers<unknown>();
      await using server = serveSecure(async ({ reader, writer }) => {
        await reader.wait(5);
        writer.writeString(reader.readString(5).toUpperCase());
        ended.resolve(await reader.wait(1).catch((error) => error));
        await writer.flush();
      });
      await using relay = await relayTo(server.port);
      const tls = { authorities: authority().certificate, versionMax };
      const client = await dial("tcp", relay.at, { tls });
      relay.hold();
      client.writer.writeString("hello");
      await client.writer.flush();
      await client.closeWrite();
      const end = await soon(ended.promise, "the end");
      assertInstanceOf(end, EofError);
      assertEquals(end.cause, undefined);
      assertEquals(new TextDecoder().decode(await take(client, 5)), "HELLO");
      await client.close();
    },
  );
}

tlsTest("TLS: an end in order is an end, and our side may go on", () =>
  leaks(async () => {
    await using server = serveSecure(async (connection) => {
      const { reader, writer } = connection;
      await reader.wait(5);
      const text = reader.readString(5);
      await reader.wait(1).catch((error) => {
        assertInstanceOf(error, EofError);
        assertEquals(error.cause, undefined);
      });
      writer.writeString(text.toUpperCase());
      await writer.flush();
    });
    const client = await server.dial();
    client.writer.writeString("hello");
    await client.writer.flush();
    await client.closeWrite();
    await client.reader.wait(5);
    assertEquals(client.reader.readString(5), "HELLO");
    const end = await client.reader.wait(1).catch((error) => error);
    assertInstanceOf(end, EofError);
    assertEquals(end.cause, undefined);
    await client.close();
  }));

tlsTest(
  "TLS: a peer that is cut without having told its end is an error, and no end",
  () =>
    leaks(async () => {
      const ends: unknown[] = [];
      await using server = serveSecure(null, {}, {
        onConnect: (connection) => void connection.closed.catch((error) => ends.push(error)),
      });
      // A relay that passes the handshake on, and then cuts: nobody has told TLS.
      const client = await server.dial();
      const { fd } = client;
      const { native } = await import("../../ffi/load.ts");
      native.shutdown(fd, 1);
      await until(() => ends.length > 0, "the server hears of it");
      assertInstanceOf(ends[0], EofError);
      const { cause } = ends[0] as EofError;
      assertInstanceOf(cause, TlsError);
      assertEquals(cause.reason, "truncated");
      await client.close({ timeoutMs: 0 });
    }),
);

tlsTest("TLS: a reset is a reset", () =>
  leaks(async () => {
    const ends: unknown[] = [];
    await using server = serveSecure(null, {}, {
      onConnect: (connection) => void connection.closed.catch((error) => ends.push(error)),
    });
    const client = await server.dial();
    client.reset();
    await until(() => ends.length > 0, "the server hears of it");
    assertInstanceOf(ends[0], EofError);
    assertEquals((ends[0] as { cause: { code?: string } }).cause.code, "ECONNRESET");
  }));

tlsTest(
  "TLS: connection.tls tells version, cipher, names and the peer's certificate",
  () =>
    leaks(async () => {
      await using server = serveSecure(echoBack, { alpnProtocols: ["h2", "http/1.1"] });
      const client = await server.dial({
        authorities: authority().certificate,
        alpnProtocols: ["http/1.1"],
        serverName: "localhost",
      });
      const { tls } = client;
      assert(tls !== null);
      assertEquals([tls.protocol, tls.alpnProtocol, tls.serverName, tls.isResumed], [
        "TLSv1.3",
        "http/1.1",
        "localhost",
        false,
      ]);
      assertEquals(tls.cipher.startsWith("TLS_"), true);
      assertEquals(tls.peerCertificate?.names, ["DNS:localhost", "IP Address:127.0.0.1"]);
      await client.close();
      assertEquals(client.tls, tls);
    }),
);

tlsTest(
  "TLS: a second connection of a client goes on with the session, and a third one too",
  () =>
    leaks(async () => {
      await using server = serveSecure();
      const options = { authorities: authority().certificate };
      const resumed: boolean[] = [];
      for (let i = 0; i < 4; i++) {
        const client = await server.dial(options);
        client.writer.writeByte(i);
        await client.writer.flush();
        await take(client, 1);
        resumed.push(client.tls!.isResumed);
        await client.close();
      }
      assertEquals(resumed, [false, true, true, true]);
    }),
);

for (const versionMax of ["1.2", "1.3"] as const) {
  tlsTest(
    `TLS ${versionMax}: a client goes on with the session of a connection that was reset`,
    () =>
      leaks(async () => {
        await using server = serveSecure();
        const tls = { authorities: authority().certificate, versionMax };
        const resumed: boolean[] = [];
        for (let n = 0; n < 4; n++) {
          const client = await server.dial(tls);
          client.writer.writeByte(1);
          await client.writer.flush();
          await client.reader.wait(1); // behind what TLS 1.3 gives for the next connection
          resumed.push(client.tls!.isResumed);
          client.reset();
        }
        assertEquals(resumed, [false, true, true, true]);
        await until(() => server.loop.connectionCount === 0, "the server hears of it");
      }),
  );
}

tlsTest("TLS: sendFile() sends a file by reading it", () =>
  leaks(async () => {
    const path = `${tmpdir()}/netpoll-tls-${process.pid}`;
    writeFileSync(path, pattern(2 * MIB));
    try {
      await using server = serveSecure(async (connection) => {
        connection.reader.skip(connection.reader.length);
        connection.reader.release();
        assertEquals(await connection.sendFile(path), 2 * MIB);
      });
      const client = await server.dial();
      client.writer.writeByte(1);
      await client.writer.flush();
      assertBytes(await take(client, 2 * MIB), pattern(2 * MIB));
      await client.close();
    } finally {
      rmSync(path);
    }
  }));

tlsTest("TLS: pipe() passes decrypted bytes on, and an end as an end", () =>
  leaks(async () => {
    await using back = serveSecure();
    await using front = serveSecure(null, {}, {
      onConnect: async (client) => {
        const upstream = await back.dial();
        void pipe(client, upstream).catch(() => {});
      },
    });
    const client = await front.dial();
    client.writer.writeBinary(pattern(5 * MIB));
    const flushed = client.writer.flush();
    assertBytes(await take(client, 5 * MIB), pattern(5 * MIB));
    await flushed;
    await client.close();
  }));

tlsTest(
  "TLS: detach() is refused: nobody else can go on with the session",
  () =>
    leaks(async () => {
      await using server = serveSecure();
      const client = await server.dial();
      const error = await Promise.resolve().then(() => client.detach()).catch((error) => error);
      assertInstanceOf(error, NetpollError);
      assert(client.isActive);
      await client.close();
    }),
);

tlsTest("TLS serves the runtime's own clients, and ends in order with them", async () => {
  await using server = serveSecure();
  const socket = await stranger(server.port);
  socket.write("hello");
  const [bytes] = await once(socket, "data");
  assertEquals(String(bytes), "hello");
  socket.end();
  await once(socket, "close");
});

tlsTest(
  "TLS: plain bytes to a TLS port are refused, and the server says why",
  () =>
    leaks(async () => {
      const errors: NetpollError[] = [];
      await using server = serveSecure(echoBack, {}, {
        onHandshakeError: (error) => void errors.push(error),
      });
      const peer = new RawPeer(server.listener);
      peer.send("GET / HTTP/1.1\r\n\r\n");
      await until(() => errors.length > 0, "the handshake fails");
      assertInstanceOf(errors[0], TlsError);
      assertEquals([errors[0].reason, errors[0].message.includes("plain HTTP")], [
        "protocol",
        true,
      ]);
      peer.close();
    }),
);

tlsTest("TLS: closing sends what was flushed, however much", () =>
  leaks(async () => {
    await using server = serveSecure((connection) => {
      const { reader, writer } = connection;
      reader.skip(reader.length);
      reader.release();
      writer.writeBinary(pattern(4 * MIB));
      void writer.flush();
      void connection.close();
    });
    const client = await server.dial();
    client.writer.writeByte(1);
    await client.writer.flush();
    assertBytes(await take(client, 4 * MIB), pattern(4 * MIB));
    await assertRejects(() => client.reader.wait(1), EofError);
    await client.close();
  }));

tlsTest("TLS counts handshakes, and failures by reason", () =>
  leaks(async () => {
    const before = structuredClone(metrics().tls);
    await using server = serveSecure();
    const client = await server.dial();
    await assertRejects(() => dial("tcp", server.at, { tls: true, timeoutMs: 10_000 }), TlsError);
    await until(
      () => metrics().tls.failures.alert > before.failures.alert,
      "the server hears the alert",
    );
    assertEquals(metrics().tls.handshakes - before.handshakes, 2);
    assertEquals(metrics().tls.failures.certificate - before.failures.certificate, 1);
    await client.close();
  }));
