import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  EofError,
  type EventLoop,
  pipe,
  type RequestHandler,
  socketPair,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { insideOf } from "../../src/connection/socket_connection.ts";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { Option, setOption } from "../../src/net/socket.ts";
import { serveHandler } from "../support/echo_server.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, send, tcpPair } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, ticks, until } from "../support/until.ts";

const MUCH = 8 << 20;

/** Flushes more than the kernel has room for. */
function block({ writer }: Connection): void {
  writer.writeBinary(pattern(MUCH));
  void writer.flush();
}

test("a wait is told of a reset, and not of an end, when bytes of ours waited for room", () =>
  leaks(async () => {
    // One event tells of room, of bytes and of the error, which the send takes: a read finds an end.
    const [a, b] = await tcpPair();
    const waited = a.reader.wait(1);
    block(a);
    await ticks(3);
    b.reset();
    const error = await assertRejects(() => soon(waited), EofError);
    assertInstanceOf(error.cause, SystemError, "it was no end in order");
    assertEquals(error.cause.code, "ECONNRESET");
    await closeAll(a, b);
  }));

test("pipe() passes a reset on as a reset, when its own bytes waited for room", () =>
  leaks(async () => {
    const [front, client] = await tcpPair();
    const [back, server] = await tcpPair();
    const piped = pipe(front, back);
    block(client);
    await until(() => server.reader.length > 0, "bytes come through");
    server.pauseRead();
    await ticks(20);
    const ended = client.reader.wait(1);
    server.reset();
    await assertRejects(() => soon(piped), EofError);
    const error = await assertRejects(() => soon(ended), EofError);
    assertInstanceOf(error.cause, SystemError, "the client saw no end in order");
    await closeAll(client, server);
  }));

/** Receives all that a socket has, as a program elsewhere would. The code that ended it. */
function receiveAll(fd: number): number {
  const block = blocks.take(65_536);
  let count = 1;
  while (count > 0) count = native.recv(fd, block.slab.id, block.offset, block.capacity);
  block.release();
  return count;
}

test(
  "pipe() passes a reset on as a reset, when it hears at once of that and of room",
  needs("descriptor", "plain bytes"),
  () =>
    leaks(async () => {
      const [front, client] = await tcpPair();
      const [back, server] = await tcpPair();
      client.pauseRead();
      setOption(client.fd, Option.RECEIVE_BUFFER, 4096);
      setOption(front.fd, Option.SEND_BUFFER, 4096);
      const piped = pipe(front, back);
      const isBlocked = () => front.metrics().unsent.bytes > 0;
      const isTaken = () => insideOf(back, "look at").unreadBytes === 0;
      while (!isBlocked()) {
        server.writer.writeBinary(pattern(512));
        await server.writer.flush();
        // Much at a time would be spliced, and wait in the kernel's pipe.
        await until(() => isBlocked() || isTaken(), "the pipe takes it");
      }
      const fd = client.detach();
      // Both happen before the poller looks: the reset comes first, and then there is room.
      server.reset();
      let code = receiveAll(fd);
      await assertRejects(() => soon(piped), EofError);
      await until(() => (code = receiveAll(fd)) !== NOT_READY, "the client hears of the end");
      assertEquals(code, -ERRNO.ECONNRESET);
      native.close(fd);
    }),
);

test("what was received before a close is read without what comes after a gap, when it is reset", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      const [a, b] = await tcpPair({ lifetimeMs: 40, writeTimeoutMs: 1 });
      await send(b, "before");
      await until(() => a.reader.length === 6, "it is received");
      a.writer.writeBinary(pattern(MUCH));
      const flushed = assertRejects(() => a.writer.flush(), TimeoutError);
      await clock.advance(10);
      await flushed;
      // It closes at the end of its life, which leaves what came before to its user.
      await clock.advance(50);
      assert(!a.isActive, "its life is over");
      await send(b, "dropped");
      await ticks(5);
      void send(b, "after the gap");
      b.reset();
      await assertRejects(() => soon(a.closed));
      assertEquals(a.reader.length, 6);
      assertEquals(a.reader.readString(6), "before");
      await closeAll(a, b);
    })
  ));

/** Counts close callbacks of the connections of a server. */
function counting(options: { writeBufferBytesMax?: number } = {}) {
  const closed = { count: 0, opened: 0 };
  return {
    closed,
    options: {
      ...options,
      onPrepare: (connection: Connection): undefined => {
        closed.opened += 1;
        connection.addCloseCallback(() => closed.count += 1);
      },
    },
  };
}

async function untilShutDown(loop: EventLoop): Promise<void> {
  await soon(loop.shutdown(), "the shutdown settles");
}

test("a lost connection is torn down, when its handler had paused because of unsent bytes", () =>
  leaks(async () => {
    const { closed, options } = counting({ writeBufferBytesMax: 1024 });
    // Each byte is answered with much, so that most of what was received waits.
    const handler: RequestHandler<undefined> = ({ reader, writer }) => {
      reader.skip(1);
      reader.release();
      writer.writeBinary(pattern(MUCH));
      void writer.flush();
    };
    await using server = serveHandler(handler, options);
    using peer = new RawPeer(server.listener);
    peer.send("many questions");
    await until(() => closed.opened === 1, "it is accepted");
    await ticks(5);
    peer.reset();
    await until(() => closed.count === 1, "the close callback is called");
    await untilShutDown(server.loop);
  }));

test("a lost connection is torn down, when more came after its server began to shut down", () =>
  leaks(async () => {
    const { closed, options } = counting();
    const gate = Promise.withResolvers<void>();
    let isCalled = false;
    const handler: RequestHandler<undefined> = async ({ reader, writer }) => {
      isCalled = true;
      reader.skip(reader.length);
      reader.release();
      await gate.promise;
      writer.writeString("too late");
      await writer.flush();
    };
    await using server = serveHandler(handler, options);
    using peer = new RawPeer(server.listener);
    peer.send("question");
    await until(() => isCalled, "the handler is called");
    const shutDown = untilShutDown(server.loop);
    peer.send("more");
    await ticks(3);
    peer.reset();
    await ticks(3);
    gate.resolve();
    await shutDown;
    assertEquals(closed.count, 1);
  }));

test("a connection that failed is torn down, when nothing was left to be delivered", () =>
  leaks(async () => {
    const errors: unknown[] = [];
    const [a, b] = pairWith({ onError: (error) => errors.push(error) });
    let isClosed = false;
    a.addCloseCallback(() => isClosed = true);
    await ticks(2);
    const bug = new Error("a bug, told by the poller");
    insideOf(a, "test").onFailure(bug);
    await ticks(1);
    assert(isClosed, "the close callback is called");
    assertEquals(errors, [bug]);
    await assertRejects(() => soon(a.closed));
    await closeAll(a, b);
  }));

faultTest(
  "a closing connection is torn down, when a read tells of the reset before an event does",
  () =>
    leaks(async () => {
      const { closed, options } = counting();
      let fd = -1;
      const handler: RequestHandler<undefined> = async (connection) => {
        connection.reader.skip(connection.reader.length);
        connection.writeTimeoutMs = 1;
        connection.writer.writeBinary(pattern(MUCH));
        // Nobody waits for it any more, whom the reset would be told.
        await assertRejects(() => connection.writer.flush(), TimeoutError);
        fd = connection.fd;
        void connection.close();
      };
      await using server = serveHandler(handler, options);
      using peer = new RawPeer(server.listener);
      peer.send("question");
      await until(() => fd >= 0, "the handler has closed it");
      failWith("recv", ERRNO.ECONNRESET, { fd });
      peer.send("more");
      await until(() => closed.count === 1, "the close callback is called");
      await untilShutDown(server.loop);
    }),
);

test("onRequest is not called again on a lost connection, when it has failed on it", async () => {
  const gate = Promise.withResolvers<void>();
  const errors: unknown[] = [];
  let calls = 0;
  const [a, b] = await tcpPair({
    async onRequest({ reader, writer }) {
      calls += 1;
      reader.skip(1);
      reader.release();
      await gate.promise;
      writer.writeString("answer"); // throws: the peer is gone
      await writer.flush();
    },
    onError: (error) => void errors.push(error),
  });
  await send(b, "three requests"); // of a byte each
  await until(() => calls === 1, "the first call");
  b.reset();
  await until(() => !a.isActive, "the reset");
  gate.resolve();
  await assertRejects(() => soon(a.closed), EofError);
  await until(() => a.metrics().unread.heldBytes === 0, "the memory of what came before");
  assertEquals([calls, errors], [1, []]);
});

faultTest(
  "a connection that is lost delivers what had come, though the kernel has no buffer at first",
  () =>
    leaks(async () => {
      const [a, b] = socketPair();
      a.pauseRead();
      await send(b, "farewell");
      await b.close();
      failWith("recv", ERRNO.ENOBUFS, { fd: a.fd, count: 3 });
      a.writer.writeString("too late");
      void a.writer.flush().catch(() => {});
      await assertRejects(() => soon(a.closed), EofError);
      assertEquals(a.reader.readString(a.reader.length), "farewell");
      await closeAll(a);
    }),
);
