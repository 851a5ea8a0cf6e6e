import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ClosedError, Connection, EofError, SystemError, TimeoutError } from "../../mod.ts";
import { echoServer, serveHandler } from "../support/echo_server.ts";
import { withFakeClock } from "../support/fake_clock.ts";
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
import { needs } from "../support/transport.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

// ---- how it ends --------------------------------------------------------------------------------

test("Connection tells the peer's end: EofError without a cause, what came before is readable (netpoll 105)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
    let closes = 0;
    a.addCloseCallback(() => closes += 1);
    await Promise.all([a.close(), a.close()]);
    await a.close();
    assertEquals(closes, 1);
    await b.close();
  }));

test("Connection.close() drops what was written and not flushed (netpoll 109, 110)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
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

test(
  "Connection.close() gives up in time, and says what did not leave",
  needs("exact account"),
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
      b.pauseRead();
      a.writer.writeBinary(pattern(LARGE));
      const flushed = assertRejects(() => a.writer.flush(), ClosedError);
      const { unsentBytes } = await soon(a.close({ timeoutMs: 20 }));
      await flushed;
      b.resumeRead();
      await assertRejects(() => soon(b.reader.wait(LARGE)), EofError);
      assertEquals(b.reader.length + unsentBytes, LARGE);
      await b.close();
    }),
);

test("Connection.close({ timeoutMs: 0 }) drops at once; what is no duration is refused", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    a.writer.flush();
    for (const timeoutMs of [-1, NaN]) assertThrows(() => a.close({ timeoutMs }), RangeError);
    assert(a.isActive);
    const { unsentBytes } = await soon(a.close({ timeoutMs: 0 }));
    assert(unsentBytes > 0);
    await b.close();
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

test(
  "Connection.detach() gives the descriptor away, open (netpoll 101)",
  needs("plain bytes"),
  () =>
    leaks(async () => {
      const [a, b] = pairWith();
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
    }),
);

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

// ---- half-close ---------------------------------------------------------------------------------

test("Connection.closeWrite() ends our side only: the peer's answer still comes", () =>
  leaks(async () => {
    const [a, b] = pairWith();
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
    const [a, b] = pairWith();
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
      await ticks(20);
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
    const [a, b] = pairWith();
    await a.close();
    await assertRejects(() => soon(b.reader.wait(1)), EofError);
    b.setOnRequest(() => {});
    await soon(b.closed);
  }));

// ---- timeouts, aborts ---------------------------------------------------------------------------

test("Connection tells a timeout: nothing is consumed, a later wait goes on (netpoll 123, 128, 194)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
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
  leaks(() =>
    withFakeClock(async (clock) => {
      const [a, b] = pairWith({ idleTimeoutMs: 500 });
      for (let i = 0; i < 4; i++) {
        await clock.advance(450); // together longer than it may be idle
        await send(i % 2 ? a : b, "x"); // either way counts
      }
      assert(a.isActive);
      await clock.advance(520);
      const error = await assertRejects(() => soon(a.closed), TimeoutError);
      assertEquals(error.operation, "idle");
      assertThrows(() => a.writer.writeString("x"), ClosedError);
      await b.close();
    })
  ));

test("Connection ends after lifetimeMs as soon as it is idle", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
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
      await clock.advance(30);
      assert(a.isActive, "its handler still runs");
      gate.resolve();
      assertEquals(await soon(receive(b, 4)), "done");
      await soon(a.closed);
      await b.close();
    })
  ));
