import { assert, assertEquals } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import { type Connection, dial } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { echoServer, serveHandler } from "../support/echo_server.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, send } from "../support/pair.ts";
import { soon, ticks, until } from "../support/until.ts";

const MIB = 1024 * 1024;

/** Reads all of a stream that repeats a pattern, a little at a time. How many bytes. */
async function readSlowly(
  connection: Connection,
  total: number,
  expected: Uint8Array,
): Promise<void> {
  const { reader } = connection;
  for (let seen = 0; seen < total;) {
    await reader.wait(1);
    const bytes = reader.next(Math.min(reader.length, 32 * 1024));
    for (const at of [0, bytes.length - 1]) {
      assertEquals(bytes[at], expected[(seen + at) % expected.length], `byte ${seen + at}`);
    }
    seen += bytes.length;
    reader.release();
    await ticks(1);
  }
}

/** Writes as fast as it is allowed to, and waits whenever it is told to. */
async function writeAll(connection: Connection, total: number, chunk: Uint8Array): Promise<void> {
  const { writer } = connection;
  for (let sent = 0; sent < total; sent += chunk.length) {
    writer.writeBinary(chunk, { copy: true });
    const flushed = writer.flush();
    if (!writer.isWritable) await flushed;
  }
  await writer.flush();
}

test("a slow reader leaves the writer's memory flat and loses nothing, in both directions at once", () =>
  leaks(async () => {
    const chunk = pattern(64 * 1024);
    const total = 24 * MIB;
    const bounds = { writeBufferBytesMax: MIB, readBufferBytesMax: MIB / 4 };
    const [a, b] = pairWith(bounds, bounds);
    const before = blocks.counts().usedBytes;
    let most = 0;
    const watching = setInterval(
      () => most = Math.max(most, blocks.counts().usedBytes - before),
      1,
    );
    await soon(Promise.all([
      writeAll(a, total, chunk),
      writeAll(b, total, chunk),
      readSlowly(a, total, chunk),
      readSlowly(b, total, chunk),
    ]));
    clearInterval(watching);
    assert(most > 0 && most < 10 * MIB, `${most} bytes were held`);
    await closeAll(a, b);
  }));

test("a synchronous handler is not called for who reads nothing, however the kernel's room ran out", () =>
  leaks(async () => {
    let calls = 0;
    // One answer is more than a socket takes, and less than the bound.
    const answer = pattern(MIB);
    const handler = ({ reader, writer }: Connection) => {
      calls += 1;
      reader.skip(1);
      reader.release();
      writer.writeBinary(answer, { copy: true });
      writer.flush();
    };
    const [a, b] = pairWith({ onRequest: handler, writeBufferBytesMax: 3 * MIB }, {});
    b.pauseRead();
    let asked = 0;
    while (a.writer.isWritable) {
      send(b, "?"); // one at a time: what one event brings is answered at once
      asked += 1;
      await until(() => calls === asked, `call ${asked}`);
      assert(asked <= 6, `${asked} answers are not too much`);
    }
    assert(a.isReadPaused);
    for (let more = asked; more < 20; more++) send(b, "?");
    await ticks(50);
    assertEquals(calls, asked);
    b.resumeRead();
    for (let read = 0; read < 20; read++) {
      await soon(b.reader.wait(MIB));
      assertBytes(b.reader.next(MIB), answer);
      b.reader.release();
    }
    assertEquals(calls, 20);
    await closeAll(a, b);
  }));

test("two that write more than their bounds and read all of it do not wait for each other", () =>
  leaks(async () => {
    await using server = echoServer();
    const client = await dial("tcp", server.at);
    const chunk = pattern(MIB);
    for (let i = 0; i < 64; i++) {
      client.writer.writeBinary(chunk, { copy: true });
      client.writer.flush();
    }
    for (let i = 0; i < 64; i++) {
      await soon(client.reader.wait(MIB));
      assertBytes(client.reader.next(MIB), chunk);
      client.reader.release();
    }
    await closeAll(client);
  }));

test("100 peers that do not read hold a bounded amount of an echo server's memory, and lose nothing", () =>
  leaks(async () => {
    const each = 1 * MIB;
    const bound = 64 * 1024;
    await using server = echoServer({ readBufferBytesMax: bound, writeBufferBytesMax: bound });
    const peers = await Promise.all(
      Array.from(
        { length: 100 },
        () => dial("tcp", server.at, { sendBufferBytes: 64 * 1024, receiveBufferBytes: 64 * 1024 }),
      ),
    );
    const before = blocks.counts().usedBytes;
    // Borrowed until flushed: none of it is in our blocks, what is there is the server's.
    const message = pattern(each);
    for (const peer of peers) {
      peer.pauseRead();
      peer.writer.writeBinary(message);
      peer.writer.flush();
    }
    await ticks(300);
    const heldBytes = blocks.counts().usedBytes - before;
    assert(heldBytes < 100 * 8 * bound, `${heldBytes} bytes are held for 100 peers`);
    for (const peer of peers) peer.resumeRead();
    await soon(Promise.all(peers.map(async ({ reader }) => {
      for (let seen = 0; seen < each;) {
        await reader.wait(1);
        const bytes = reader.next(reader.length);
        assertEquals(bytes[0], message[seen]);
        seen += bytes.length;
        reader.release();
      }
    })));
    await closeAll(...peers);
  }));

test(
  "short connections leave no descriptor, no block and no node behind",
  { timeout: 120_000 },
  () =>
    leaks(async () => {
      const count = Number(process.env["NETPOLL_SHORT_CONNECTIONS"] ?? 5000);
      await using server = echoServer();
      let left = count;
      const client = async () => {
        while (left-- > 0) {
          const connection = await dial("tcp", server.at);
          connection.writer.writeString("ping");
          connection.writer.flush();
          await connection.reader.wait(4);
          assertEquals(connection.reader.readString(4), "ping");
          // Resets in turn with ends, lest the machine runs out of ports.
          if (left % 10 > 0) connection.reset();
          else await connection.close();
        }
      };
      await Promise.all(Array.from({ length: 50 }, client));
      await until(() => server.loop.connectionCount === 0, "the server's are gone");
    }),
);

test("a message of many MiB comes back whole, in sizes that descend (netpoll 100)", () =>
  leaks(async () => {
    await using server = serveHandler(async ({ reader, writer }) => {
      await reader.wait(4);
      const count = reader.readUint32BE();
      await reader.wait(count);
      writer.writeBinary(reader.next(count));
      await writer.flush();
      reader.release();
    });
    const client = await dial("tcp", server.at);
    for (let size = 16 * MIB; size >= 1; size = Math.floor(size / 8)) {
      const message = pattern(size);
      client.writer.writeUint32BE(size);
      client.writer.writeBinary(message);
      client.writer.flush();
      await soon(client.reader.wait(size));
      assertBytes(client.reader.next(size), message, `${size} bytes`);
      client.reader.release();
    }
    await client.close();
  }));

test("40 pieces of 4097 bytes leave in one flush (netpoll 114)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const piece = pattern(4097);
    for (let i = 0; i < 40; i++) a.writer.writeBinary(piece);
    const flushed = a.writer.flush();
    await soon(b.reader.wait(163_880));
    await soon(flushed);
    for (let i = 0; i < 40; i++) assertBytes(b.reader.next(4097), piece);
    await closeAll(a, b);
  }));

test("an idle connection holds no block, before and after its traffic (netpoll 118, 119 x)", () =>
  leaks(async () => {
    const before = blocks.counts().usedCount;
    const [a, b] = pairWith();
    assertEquals(blocks.counts().usedCount, before);
    a.writer.writeBinary(pattern(4 * MIB));
    const flushed = a.writer.flush();
    await soon(b.reader.wait(4 * MIB));
    b.reader.skip(4 * MIB);
    b.reader.release();
    await soon(flushed);
    assertEquals(blocks.counts().usedCount, before);
    await closeAll(a, b);
  }));

test("128 flushes of 2 MiB to a slow reader, and a close while one more is under way (netpoll 96)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const chunk = pattern(2 * MIB);
    const count = 32; // 128 in netpoll; the same thing four times as long
    const reading = readSlowly(b, count * chunk.length, chunk);
    for (let i = 0; i < count; i++) {
      a.writer.writeBinary(chunk);
      await soon(a.writer.flush());
    }
    await soon(reading);
    b.pauseRead();
    a.writer.writeBinary(chunk);
    a.writer.flush();
    const { unsentBytes } = await soon(a.close({ timeoutMs: 10 }));
    assert(unsentBytes > 0);
    await closeAll(a, b);
  }));
