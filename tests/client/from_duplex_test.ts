import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { type Duplex, PassThrough, Readable, Writable } from "node:stream";
import { test } from "node:test";
import { Connection, dial, NetpollError, TimeoutError } from "../../mod.ts";
import { memoryEnds } from "../support/duplexes.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

test("Connection.fromDuplex() refuses what is no Duplex of bytes, and takes each once", () =>
  leaks(async () => {
    const others = [null, undefined, 5, {}, new Readable(), new Writable(), "stream"];
    for (const other of others as unknown as Duplex[]) {
      assertThrows(() => Connection.fromDuplex(other), TypeError, "it is no Duplex");
    }
    const objects = new PassThrough({ objectMode: true });
    assertThrows(() => Connection.fromDuplex(objects), TypeError, "of objects");
    const text = new PassThrough().setEncoding("utf8");
    assertThrows(() => Connection.fromDuplex(text), TypeError, "of text");
    const stream = new PassThrough();
    assertThrows(() => Connection.fromDuplex(stream, { readTimeoutMs: -1 }), RangeError);
    const mistaken = { idleTimeoutMS: 1 } as object;
    assertThrows(() => Connection.fromDuplex(stream, mistaken), TypeError, "idleTimeoutMs");
    const a = Connection.fromDuplex(stream);
    assertThrows(() => Connection.fromDuplex(stream), TypeError, "a connection has it");
    await a.close();
  }));

test("Connection.fromDuplex() serves a socket of node:net by its callbacks, in their order", () =>
  leaks(async () => {
    const calls: string[] = [];
    const ended = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      const connection = Connection.fromDuplex<number>(socket, {
        onConnect: () => (calls.push("connect"), 5),
        onRequest: async ({ reader, writer }, context) => {
          calls.push(`request ${context}`);
          await reader.wait(4);
          writer.writeBinary(reader.next(4));
          await writer.flush();
          reader.release();
        },
        onDisconnect: (_, __, { reason }) => void calls.push(`disconnect ${reason}`),
      });
      connection.addCloseCallback((_, { reason }) => {
        calls.push(reason);
        ended.resolve();
      });
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const client = await dial("tcp", `127.0.0.1:${(server.address() as AddressInfo).port}`);
    await send(client, "pi");
    await send(client, "ng");
    assertEquals(await soon(receive(client, 4)), "ping");
    await client.close();
    await soon(ended.promise);
    assertEquals(calls, ["connect", "request 5", "disconnect peer", "peer"]);
    server.close();
    await once(server, "close");
  }));

test("Connection.fromDuplex() has deadlines, and goes on after one", () =>
  leaks(async () => {
    const [x, y] = memoryEnds();
    const a = Connection.fromDuplex(x, { readTimeoutMs: 20 });
    const b = Connection.fromDuplex(y, { writeTimeoutMs: 20 });
    await assertRejects(() => soon(a.reader.wait(1)), TimeoutError);
    a.pauseRead();
    b.writer.writeBinary(new Uint8Array(8 << 20));
    await assertRejects(() => soon(b.writer.flush()), TimeoutError);
    a.readTimeoutMs = 0;
    a.resumeRead();
    await soon(a.reader.wait(8 << 20));
    a.idleTimeoutMs = 10;
    await assertRejects(() => soon(a.closed), TimeoutError);
    b.reset();
  }));

test("Connection.fromDuplex() has no descriptor: what needs one says so", () =>
  leaks(async () => {
    const [x, y] = memoryEnds();
    const [a, b] = [Connection.fromDuplex(x, { zeroCopy: "always" }), Connection.fromDuplex(y)];
    assertEquals([a.fd, a.tls, a.metrics().tcp, a.isActive], [-1, null, null, true]);
    assertThrows(() => a.detach(), NetpollError, "it has no descriptor");
    await assertRejects(() => a.startTls("server", { certificate: "", key: "" }), TypeError);
    assertEquals(a.zeroCopyCounts.obstacle, "unsupported");
    await send(a, "x");
    assertEquals(await soon(receive(b, 1)), "x");
    await closeAll(a, b);
  }));

test("Connection.fromDuplex(): the stream's own listeners hear what they would hear anyway", () =>
  leaks(async () => {
    const [x, y] = memoryEnds();
    const heard: unknown[] = [];
    x.on("error", (error) => heard.push(error));
    const a = Connection.fromDuplex(x);
    const closed = new Promise((resolve) => x.once("close", resolve));
    a.reset();
    await soon(closed);
    assertEquals(heard.length, 1);
    assert(heard[0] instanceof NetpollError);
    y.destroy();
    const z = new PassThrough();
    const c = Connection.fromDuplex(z);
    const gone = once(z, "close");
    await c.close();
    await soon(gone);
    assertStrictEquals(z.destroyed, true);
  }));
