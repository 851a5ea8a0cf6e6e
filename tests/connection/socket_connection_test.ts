import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  configure,
  Connection,
  EofError,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { echoServer, serveHandler } from "../support/echo_server.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import {
  assertBytes,
  closeAll,
  pairWith,
  pattern,
  receive,
  send,
  tcpPair,
} from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { delay, soon, stateOf, ticks, until } from "../support/until.ts";
import { socketPair } from "../../mod.ts";

// ---- how it ends -------------------------------------------------------------------------------------

test("Connection tells the peer's end: EofError without a cause, what came before is readable (netpoll 105)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await send(a, "0123456789");
    await a.close();
    const error = await assertRejects(() => soon(b.reader.wait(20)), EofError);
    assertEquals(error.cause, undefined);
    assertEquals(b.reader.length, 10);
    assertEquals(b.reader.readString(10), "0123456789");
    await assertRejects(() => b.reader.wait(1), EofError);
    assert(b.isActive, "the peer's end leaves it active");
    await b.close();
  }));

test("Connection delivers what a closing peer sent to a wait under way (netpoll 94)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const waiting = b.reader.wait(256);
    a.writer.writeBinary(pattern(256));
    await a.writer.flush();
    await a.close();
    await soon(waiting);
    assertBytes(b.reader.readBinary(256), pattern(256));
    await b.close();
  }));

test("Connection tells a reset: EofError with cause ECONNRESET, after what came before (netpoll 116 x)", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    await send(a, "before");
    await until(() => b.reader.length === 6, "the bytes");
    a.reset();
    const error = await assertRejects(() => soon(b.reader.wait(7)), EofError);
    assertInstanceOf(error.cause, SystemError);
    assertEquals(error.cause.code, "ECONNRESET");
    assert(!b.isActive, "a reset ends it");
    assertEquals(b.reader.readString(6), "before");
    const closed = await assertRejects(() => b.closed, EofError);
    assertEquals((closed.cause as SystemError).code, "ECONNRESET");
    assertThrows(() => b.writer.writeString("more"), EofError);
    await assertRejects(() => b.writer.flush(), EofError);
    await b.close();
  }));

test("Connection.close() of ours ends a wait with ClosedError, which is no EofError (netpoll 106)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const waiting = assertRejects(() => soon(a.reader.wait(1)), ClosedError);
    await a.close();
    assert(!((await waiting) instanceof EofError));
    assertEquals(a.fd, -1);
    assert(!a.isActive);
    await a.closed;
    await b.close();
  }));

test("Connection refuses every use after close(), and never what cleans up (netpoll 104)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await a.close();
    const { reader, writer } = a;
    const uses: (() => unknown)[] = [
      () => reader.next(1),
      () => reader.peek(1),
      () => reader.skip(1),
      () => reader.readString(1),
      () => reader.until(10),
      () => reader.slice(1),
      () => writer.malloc(1),
      () => writer.mallocAck(1),
      () => writer.writeString("a"),
      () => writer.writeBinary(new Uint8Array(1)),
      () => writer.writeByte(1),
      () => writer.writeDirect(new Uint8Array(1), 0),
    ];
    for (const use of uses) assertThrows(use, ClosedError, "", String(use));
    await assertRejects(() => writer.flush(), ClosedError);
    await assertRejects(() => reader.wait(1), ClosedError);
    await assertRejects(() => reader.wait(0), ClosedError);
    await assertRejects(() => reader.waitUntil(10), ClosedError);
    assertThrows(() => a.detach(), ClosedError);
    reader.release();
    a.reset();
    a.pauseRead();
    a.resumeRead();
    await a.closeWrite();
    assertEquals(await a.close(), { unsentBytes: 0 });
    assertEquals([a.isActive, a.fd, reader.length], [false, -1, 0]);
    await b.close();
  }));

test("Connection.close() twice is once (netpoll 108)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    let closes = 0;
    a.addCloseCallback(() => closes += 1);
    await Promise.all([a.close(), a.close()]);
    await a.close();
    assertEquals(closes, 1);
    await b.close();
  }));

test("Connection.close() drops what was written and not flushed (netpoll 109, 110)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await send(a, "sent");
    a.writer.writeString("kept back");
    assertEquals(await a.close(), { unsentBytes: 0 });
    await assertRejects(() => soon(b.reader.wait(5)), EofError);
    assertEquals(b.reader.readString(b.reader.length), "sent");
    await b.close();
  }));

const LARGE = 4 * 1024 * 1024;

test("Connection.close() sends what was flushed first (netpoll 111 x)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.writer.writeBinary(pattern(LARGE));
    a.writer.flush();
    const closing = a.close();
    assertEquals(await stateOf(closing), "pending");
    assert(!a.isActive);
    await soon(b.reader.wait(LARGE));
    assertBytes(b.reader.readBinary(LARGE), pattern(LARGE));
    assertEquals(await soon(closing), { unsentBytes: 0 });
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    await b.close();
  }));

test("Connection.close() drains what pauses its reading, too, and in one piece", () =>
  leaks(async () => {
    // So small a bound that it is exceeded until the very last byte leaves at once.
    const [a, b] = pairWith({ writeBufferBytesMax: 1024 });
    a.writer.writeBinary(pattern(LARGE));
    const flushed = a.writer.flush();
    const closing = a.close();
    await soon(b.reader.wait(LARGE));
    await soon(flushed);
    assertEquals(await soon(closing), { unsentBytes: 0 });
    await b.close();
  }));

test("Connection.closeWrite() ends our side although what pauses reading has just left in one piece", () =>
  leaks(async () => {
    const [a, b] = pairWith({ writeBufferBytesMax: 1024 });
    a.writer.writeBinary(pattern(LARGE));
    a.writer.flush();
    const ended = a.closeWrite();
    await soon(b.reader.wait(LARGE));
    await soon(ended);
    await closeAll(a, b);
  }));

test("Connection.close() gives up in time, and says what did not leave", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const flushed = assertRejects(() => a.writer.flush(), ClosedError);
    const { unsentBytes } = await soon(a.close({ timeoutMs: 20 }));
    await flushed;
    b.resumeRead();
    await assertRejects(() => soon(b.reader.wait(LARGE)), EofError);
    assertEquals(b.reader.length + unsentBytes, LARGE);
    await b.close();
  }));

test("Connection.close({ timeoutMs: 0 }) drops at once; what is no duration does, too", () =>
  leaks(async () => {
    for (const timeoutMs of [0, -1, NaN]) {
      const [a, b] = socketPair();
      b.pauseRead();
      a.writer.writeBinary(pattern(LARGE));
      a.writer.flush();
      const { unsentBytes } = await soon(a.close({ timeoutMs }));
      assert(unsentBytes > 0);
      await b.close();
    }
  }));

test("Connection.close() says what did not leave when the peer resets meanwhile", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    b.pauseRead();
    a.writer.writeBinary(pattern(4 * LARGE));
    a.writer.flush();
    const closing = a.close();
    await ticks(3);
    b.reset();
    const { unsentBytes } = await soon(closing);
    assert(unsentBytes > 0, "bytes that were flushed did not leave");
  }));

test("Connection.close() after a reset gives back what was left unread", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    await send(a, "unread");
    await until(() => b.reader.length === 6, "the bytes");
    a.reset();
    await assertRejects(() => soon(b.closed), EofError);
    await ticks(3);
    assertEquals(b.reader.length, 6);
    await b.close();
    assertThrows(() => b.reader.next(1), ClosedError);
  }));

test("Connection.reset() is a reset to the peer, and drops what is unsent (TCP)", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    const waiting = assertRejects(() => soon(a.reader.wait(1)), ClosedError);
    const peer = assertRejects(() => soon(b.reader.wait(1)), EofError);
    a.reset();
    assertEquals((((await peer).cause) as SystemError).code, "ECONNRESET");
    await waiting;
    await a.closed;
    await b.close();
  }));

test("Connection.detach() gives the descriptor away, open (netpoll 101)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    let closes = 0;
    a.addCloseCallback(() => closes += 1);
    const waiting = assertRejects(() => soon(a.reader.wait(1)), ClosedError);
    const fd = a.detach();
    await waiting;
    assert(fd >= 0);
    assertEquals(a.fd, -1);
    await a.close();
    assertEquals(closes, 1);
    const again = Connection.fromFd(fd);
    await send(again, "still there");
    assertEquals(await soon(receive(b, 11)), "still there");
    await closeAll(again, b);
  }));

test("Connection is AsyncDisposable, and knows its addresses after close (netpoll 160)", () =>
  leaks(async () => {
    await using server = echoServer();
    const { dial } = await import("../../mod.ts");
    let kept: Connection;
    {
      await using connection = await dial("tcp", server.at);
      kept = connection;
    }
    assertEquals(kept.remoteAddress, {
      transport: "tcp",
      hostname: "127.0.0.1",
      port: server.port,
    });
    assertEquals(kept.localAddress.transport, "tcp");
    assert(!kept.isActive);
  }));

// ---- half-close --------------------------------------------------------------------------------------

test("Connection.closeWrite() ends our side only: the peer's answer still comes", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await send(a, "question");
    await a.closeWrite();
    assertThrows(() => a.writer.writeString("more"), ClosedError, "closeWrite");
    await assertRejects(() => a.writer.flush(), ClosedError);
    await assertRejects(() => soon(b.reader.wait(9)), EofError);
    assertEquals(b.reader.readString(8), "question");
    await send(b, "answer");
    assertEquals(await soon(receive(a, 6)), "answer");
    await b.closeWrite();
    await assertRejects(() => soon(a.reader.wait(1)), EofError);
    assert(a.isActive && b.isActive, "both are open until they are closed");
    await closeAll(a, b);
  }));

test("Connection.closeWrite() sends what was flushed first, drops the rest, and is the same promise twice", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.writer.writeBinary(pattern(LARGE));
    a.writer.flush();
    a.writer.writeString("not flushed");
    const ended = a.closeWrite();
    assert(ended === a.closeWrite());
    assertEquals(await stateOf(ended), "pending");
    await soon(b.reader.wait(LARGE));
    await soon(ended);
    await assertRejects(() => soon(b.reader.wait(LARGE + 1)), EofError);
    await closeAll(a, b);
  }));

test("EventLoop answers a client that has ended its side, late (netpoll 120 x)", () =>
  leaks(async () => {
    await using server = serveHandler(async ({ reader, writer }) => {
      await reader.wait(4);
      const question = reader.readString(4);
      reader.release();
      await delay(20);
      writer.writeString(question + "!");
      await writer.flush();
    });
    using peer = new RawPeer(server.listener);
    peer.send("ping");
    peer.end();
    assertEquals(await peer.receiveAll(), "ping!");
  }));

test("EventLoop closes by itself after the peer's end: nothing stays in CLOSE_WAIT", () =>
  leaks(async () => {
    await using server = serveHandler(async ({ reader, writer }) => {
      await reader.wait(512);
      writer.writeBinary(reader.next(512));
      await writer.flush();
      reader.release();
    });
    const { dial } = await import("../../mod.ts");
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 10 }, async () => {
        const client = await dial("tcp", server.at);
        client.writer.writeBinary(pattern(512));
        await client.writer.flush();
        await client.reader.wait(512);
        await client.close();
      }));
    }
    await until(() => server.loop.connectionCount === 0, "the server's connections are gone");
  }));

test("Connection.setOnRequest() after the peer's end closes by itself", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await a.close();
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    b.setOnRequest(() => {});
    await soon(b.closed);
  }));

// ---- timeouts, aborts --------------------------------------------------------------------------------

test("Connection tells a timeout: nothing is consumed, a later wait goes on (netpoll 123, 128, 194)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    b.readTimeoutMs = 20;
    await send(a, "half");
    const error = await assertRejects(() => soon(b.reader.wait(8)), TimeoutError);
    assertEquals(error.operation, "read");
    assertEquals(b.reader.length, 4);
    await send(a, "half");
    await soon(b.reader.wait(8));
    assertEquals(b.reader.readString(8), "halfhalf");
    await closeAll(a, b);
  }));

test("Connection ends when no byte moves for idleTimeoutMs, and says so", () =>
  leaks(async () => {
    const [a, b] = pairWith({ idleTimeoutMs: 30 });
    for (let i = 0; i < 4; i++) {
      await delay(15);
      await send(i % 2 ? a : b, "x"); // either way counts
    }
    assert(a.isActive);
    const error = await assertRejects(() => soon(a.closed), TimeoutError);
    assertEquals(error.operation, "idle");
    assertThrows(() => a.writer.writeString("x"), ClosedError);
    await b.close();
  }));

test("Connection ends after lifetimeMs as soon as it is idle", () =>
  leaks(async () => {
    const gate = Promise.withResolvers<void>();
    const [a, b] = pairWith({
      lifetimeMs: 10,
      onRequest: async ({ reader, writer }) => {
        reader.skip(reader.length);
        await gate.promise;
        writer.writeString("done");
        await writer.flush();
      },
    });
    await send(b, "x");
    await delay(30);
    assert(a.isActive, "its handler still runs");
    gate.resolve();
    assertEquals(await soon(receive(b, 4)), "done");
    await soon(a.closed);
    await b.close();
  }));

// ---- pressure ----------------------------------------------------------------------------------------

test("Connection pauses reading above readBufferBytesMax, and goes on below half", () =>
  leaks(async () => {
    const [a, b] = pairWith({}, { readBufferBytesMax: 64 * 1024 });
    a.writer.writeBinary(pattern(LARGE));
    const flushed = a.writer.flush();
    await until(() => b.isReadPaused, "reading pauses");
    await ticks(20);
    assert(b.reader.length < 1024 * 1024 + 64 * 1024, `it read on: ${b.reader.length}`);
    assertEquals(await stateOf(flushed), "pending");
    let seen = 0;
    while (seen < LARGE) {
      await soon(b.reader.wait(1));
      const bytes = b.reader.next(Math.min(b.reader.length, 10_000));
      assertEquals(bytes[0], pattern(1, seen)[0]);
      seen += bytes.length;
      b.reader.release();
    }
    await soon(flushed);
    assert(!b.isReadPaused);
    await closeAll(a, b);
  }));

test("Reader.wait() raises readBufferBytesMax for as long as it waits", () =>
  leaks(async () => {
    const [a, b] = pairWith({}, { readBufferBytesMax: 16 * 1024 });
    a.writer.writeBinary(pattern(LARGE));
    a.writer.flush();
    await until(() => b.isReadPaused, "reading pauses");
    await soon(b.reader.wait(LARGE));
    assertBytes(b.reader.readBinary(LARGE), pattern(LARGE));
    await closeAll(a, b);
  }));

test("Connection ends a handler that leaves more than readBufferBytesMax, with a RangeError", () =>
  leaks(async () => {
    const errors: unknown[] = [];
    const [a, b] = pairWith({
      readBufferBytesMax: 16 * 1024,
      onRequest: () => {},
      onError: (error) => void errors.push(error),
    });
    b.writer.writeBinary(pattern(LARGE));
    b.writer.flush();
    await assertRejects(() => soon(a.closed), RangeError, "readBufferBytesMax");
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], RangeError);
    await closeAll(a, b);
  }));

test("Connection neither reads nor serves while too much is unsent, and goes on below half", () =>
  leaks(async () => {
    let calls = 0;
    const [a, b] = pairWith({
      writeBufferBytesMax: 64 * 1024,
      onRequest: ({ reader, writer }) => {
        calls += 1;
        reader.skip(1);
        reader.release();
        writer.writeBinary(pattern(1024 * 1024));
        writer.flush();
      },
    });
    b.pauseRead();
    for (let i = 0; i < 5; i++) await send(b, "x");
    await until(() => !a.writer.isWritable, "too much is unsent");
    await ticks(20);
    const before = calls;
    assert(a.isReadPaused);
    assert(before < 5, "it is not called while too much is unsent");
    b.resumeRead();
    await soon(b.reader.wait(5 * 1024 * 1024));
    assertEquals(calls, 5);
    assert(a.writer.isWritable);
    await closeAll(a, b);
  }));

test("Connection.pauseRead() keeps bytes and the peer's end back until resumeRead()", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    b.pauseRead();
    assert(b.isReadPaused);
    await send(a, "kept");
    await a.close();
    const waiting = b.reader.wait(4);
    await ticks(10);
    assertEquals(await stateOf(waiting), "pending");
    assertEquals(b.reader.length, 0);
    b.resumeRead();
    await soon(waiting);
    assertEquals(b.reader.readString(4), "kept");
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    await b.close();
  }));

test("Connection.resumeRead() finds a reset that came while paused, after the bytes before it", () =>
  leaks(async () => {
    const [a, b] = await tcpPair();
    b.pauseRead();
    await send(a, "kept");
    a.reset();
    await ticks(20);
    assertEquals(b.reader.length, 0);
    b.resumeRead();
    const error = await assertRejects(() => soon(b.reader.wait(100)), EofError);
    assertEquals((error.cause as SystemError).code, "ECONNRESET");
    await b.close();
  }));

test("Connection.pauseRead() uses no turns while the peer's end and a reset are kept back", async () => {
  const { threadPoller } = await import("../../src/poll/poller_pool.ts");
  for (const end of ["close", "reset"] as const) {
    const [a, b] = await tcpPair();
    b.pauseRead();
    await a[end]();
    await delay(20);
    const before = threadPoller().counts.events;
    await delay(50);
    assert(threadPoller().counts.events - before < 5, `a storm after ${end}`);
    await b.close();
  }
});

// ---- faults ------------------------------------------------------------------------------------------

const ECONNRESET = 104, ENOMEM = 12, EAGAIN = 11;

faultTest("Connection tells a reset that a receive finds", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    await send(a, "first");
    await until(() => b.reader.length === 5, "the bytes");
    failWith("recv", ECONNRESET, { fd: b.fd });
    const waiting = assertRejects(() => soon(b.reader.wait(20)), EofError);
    await send(a, "second");
    assertEquals(((await waiting).cause as SystemError).code, "ECONNRESET");
    assertEquals(b.reader.readString(b.reader.length), "firstsecond");
    await closeAll(a, b);
  }));

faultTest(
  "Connection tells a reset that a send finds: flush() rejects, and nothing runs within it (netpoll 115)",
  () =>
    leaks(async () => {
      let isInFlush = false;
      const calls: string[] = [];
      const [a, b] = pairWith({
        onRequest: ({ reader }) => void calls.push(`request ${reader.length} ${isInFlush}`),
        onDisconnect: () => void calls.push(`disconnect ${isInFlush}`),
      });
      a.addCloseCallback(() => calls.push(`close ${isInFlush}`));
      failWith("send", ECONNRESET, { fd: a.fd });
      a.writer.writeString("x");
      isInFlush = true;
      const flushed = a.writer.flush();
      isInFlush = false;
      const error = await assertRejects(() => soon(flushed), EofError);
      assertEquals((error.cause as SystemError).code, "ECONNRESET");
      assertThrows(() => a.writer.writeString("more"), EofError);
      await assertRejects(() => soon(a.closed), EofError);
      await ticks(2);
      assertEquals(calls, ["disconnect false", "close false"]);
      await closeAll(a, b);
    }),
);

faultTest("Connection.fromFd() throws when the poller cannot watch", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    const fd = a.detach();
    failWith("epollCtl", ENOMEM, { fd });
    const error = assertThrows(() => Connection.fromFd(fd), SystemError);
    assertEquals((error as SystemError).code, "ENOMEM");
    const again = Connection.fromFd(fd); // it is still its owner's
    await closeAll(again, b);
  }));

faultTest("EventLoop goes on after a connection that cannot be watched", () =>
  leaks(async () => {
    const errors: unknown[] = [];
    await using server = serveHandler(({ reader, writer }) => {
      writer.writeBinary(reader.next(reader.length));
      writer.flush();
      reader.release();
    }, { onError: (error) => void errors.push(error) });
    failWith("epollCtl", ENOMEM);
    using first = new RawPeer(server.listener);
    await until(() => first.isOver, "it is closed");
    assertEquals(errors.length, 1);
    using second = new RawPeer(server.listener);
    second.send("x");
    assertEquals(await second.receive(1), "x");
  }));

faultTest("Connection survives a receive without memory: it ends alone, and says so", async () => {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    const [a, b] = pairWith({}, { readBufferBytesMax: 64 * 1024 * 1024 });
    const [c, d] = socketPair();
    failWith("slabMap", ENOMEM, { count: 1000 });
    const size = 40 * 1024 * 1024;
    const waiting = b.reader.wait(size).then(() => null, (error) => error);
    const chunk = new Uint8Array(1024 * 1024);
    for (let i = 0; i < 40 && a.isActive; i++) {
      a.writer.writeBinary(chunk);
      const outcome = await Promise.race([a.writer.flush().then(() => 0, () => 1), waiting]);
      if (outcome !== 0) break;
    }
    const error = await soon(waiting);
    assert(error instanceof Error, "the wait fails");
    failWith("slabMap", ENOMEM, { count: 0 });
    await send(c, "others go on");
    assertEquals(await soon(receive(d, 12)), "others go on");
    assert(lines.length >= 1, "it is said in the log");
    await closeAll(a, b, c, d);
  } finally {
    configure({ log: (line) => console.error(line) });
  }
});

faultTest(
  "Connection goes on after receives and sends that are not ready",
  () =>
    leaks(async () => {
      const [a, b] = socketPair();
      failWith("send", EAGAIN, { fd: a.fd, count: 3 });
      failWith("recv", EAGAIN, { fd: b.fd, count: 3 });
      a.writer.writeString("later");
      const flushed = a.writer.flush();
      assertEquals(await soon(receive(b, 5)), "later");
      await soon(flushed);
      await closeAll(a, b);
    }),
);
