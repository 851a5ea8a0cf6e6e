import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { test } from "node:test";
import { EofError, type SystemError } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, send, tcpPair } from "../support/pair.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

const LARGE = 4 * 1024 * 1024;

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

// 1028: the rest of a small frame lies in a block of 1 MiB when its peer is fast; 700 KiB: less than
// may be held, but the two blocks it lies in are more; 1000: a block never ends where a frame does.
for (
  const { frameBytes, ...settings } of [
    { frameBytes: 1028 },
    { frameBytes: 700 * 1024 },
    { frameBytes: 1000, readBufferBytesMax: 64 * 1024 },
  ]
) {
  test(`Connection reads on when a handler leaves a part of a frame of ${frameBytes} bytes`, () =>
    leaks(async () => {
      const errors: unknown[] = [];
      let seen = 0;
      const [a, b] = await tcpPair({
        ...settings,
        onRequest: ({ reader }) => {
          while (reader.length >= frameBytes) {
            assertBytes(reader.next(frameBytes), pattern(frameBytes, seen));
            seen += frameBytes;
          }
          reader.release();
        },
        onError: (error) => void errors.push(error),
      });
      const sent = Math.ceil(16 * LARGE / frameBytes) * frameBytes;
      b.writer.writeBinary(pattern(sent));
      await Promise.race([soon(b.writer.flush()), a.closed]);
      await until(() => seen === sent || errors.length > 0, "every frame is read");
      assertEquals(errors, []);
      await closeAll(a, b);
    }));
}

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

test("Connection stops serving a peer that asks and never reads, one small answer at a time", () =>
  leaks(async () => {
    let calls = 0;
    const [a, b] = pairWith({
      writeBufferBytesMax: 1024 * 1024,
      onRequest: ({ reader, writer }) => {
        calls += 1;
        reader.skip(1);
        reader.release();
        writer.writeBinary(new Uint8Array(16 * 1024));
        void writer.flush();
      },
    });
    b.pauseRead();
    const asked = 1000;
    let sent = 0;
    while (sent < asked && !a.isReadPaused) {
      await send(b, "x");
      sent += 1;
      await until(() => calls === sent || a.isReadPaused, "an answer");
    }
    assert(calls < asked / 4, `${calls} answers of 16 KiB are held`);
    b.resumeRead();
    await soon(b.reader.wait(sent * 16 * 1024));
    assert(a.writer.isWritable && !a.isReadPaused);
    await closeAll(a, b);
  }));

test("Connection.pauseRead() keeps bytes and the peer's end back until resumeRead()", () =>
  leaks(async () => {
    const [a, b] = pairWith();
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
  const { threadPoller } = await import("../../src/poll/thread_poller.ts");
  for (const end of ["close", "reset"] as const) {
    const [a, b] = await tcpPair();
    b.pauseRead();
    await a[end]();
    await ticks(20);
    const before = threadPoller().counts.events;
    await ticks(50);
    assert(threadPoller().counts.events - before < 5, `a storm after ${end}`);
    await b.close();
  }
});

test("Reader.wait() of bytes that are there does not raise readBufferBytesMax, when it is put off", () =>
  leaks(async () => {
    const [a, b] = pairWith({}, { readBufferBytesMax: 64 * 1024 });
    a.writer.writeBinary(pattern(LARGE));
    void a.writer.flush();
    await until(() => b.isReadPaused, "reading pauses");
    const held = b.reader.length;
    // Each is met, and those that the turn has no time for are put off to the next one.
    for (let i = 0; i < 20_000; i++) await b.reader.wait(i % 2);
    for (let i = 0; i < 2000; i++) await b.reader.waitUntil(pattern(1));
    assertEquals([b.reader.length, b.isReadPaused], [held, true]);
    await soon(b.reader.wait(LARGE)); // for what is not there it does
    await closeAll(a, b);
  }));
