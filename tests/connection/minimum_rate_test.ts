import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { type Connection, FakeClock, memoryPair, metrics, TimeoutError } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";

const limits = { bytesPerSecondMin: 100, graceMs: 1000 };

async function answer512({ reader, writer }: Connection): Promise<void> {
  await reader.wait(512);
  writer.writeBinary(reader.readBinary(512));
  await writer.flush();
  reader.release();
}

async function write(connection: Connection, bytes: number): Promise<void> {
  connection.writer.writeBinary(new Uint8Array(bytes));
  await connection.writer.flush();
}

test("bytesPerSecondMin closes who says a part of a message and no more, and counts it", async () => {
  using clock = new FakeClock();
  const before = metrics().timeouts.rate;
  const [a, b] = memoryPair({ second: { limits, onRequest: answer512 } });
  await write(a, 1);
  const ended = assertRejects(() => b.closed, TimeoutError, "slower than bytesPerSecondMin");
  await clock.advance(999);
  assert(b.isActive);
  await clock.advance(1);
  assert(!b.isActive);
  assertEquals(((await ended) as TimeoutError).operation, "rate");
  assertEquals(metrics().timeouts.rate - before, 1);
  await a.close();
});

test("bytesPerSecondMin closes who drips bytes, and not who is as fast as it", async () => {
  using clock = new FakeClock();
  const [slow, b] = memoryPair({ second: { limits, onRequest: answer512 } });
  const [fair, c] = memoryPair({ second: { limits, onRequest: answer512 } });
  for (let i = 0; i < 40; i++) {
    if (slow.isActive) void write(slow, 9).catch(() => {});
    await write(fair, 11);
    await clock.advance(100);
  }
  assert(!b.isActive && c.isActive);
  await slow.close();
  await fair.close();
});

test("bytesPerSecondMin closes who drips bytes after lifetimeMs has passed", async () => {
  using clock = new FakeClock();
  const [slow, b] = memoryPair({ second: { limits, lifetimeMs: 500, onRequest: answer512 } });
  for (let i = 0; i < 40; i++) {
    if (slow.isActive) void write(slow, i < 10 ? 11 : 1).catch(() => {});
    await clock.advance(100);
  }
  assert(!b.isActive);
  await slow.close();
});

test("bytesPerSecondMin judges nobody between messages, nor while a handler works", async () => {
  using clock = new FakeClock();
  const timers = threadPoller().timerCount;
  const working = Promise.withResolvers<void>();
  const [a, b] = memoryPair({ second: { limits, onRequest: answer512 } });
  const [c, d] = memoryPair({
    second: {
      limits,
      onRequest: async ({ reader }) => {
        reader.skip(1);
        await working.promise;
      },
    },
  });
  await clock.advance(60_000);
  await write(a, 512);
  await write(c, 5);
  await a.reader.wait(512);
  await clock.advance(60_000);
  assert(b.isActive && d.isActive);
  assert(threadPoller().timerCount <= timers, "who owes nothing has no timer");
  working.resolve();
  await Promise.all([a.close(), c.close(), b.closed, d.closed]);
});

test("bytesPerSecondMin does not judge who is not read by us", async () => {
  using clock = new FakeClock();
  const [a, b] = memoryPair({ second: { limits, onRequest: answer512 } });
  await write(a, 3);
  await clock.advance(300);
  b.pauseRead();
  await clock.advance(10_000);
  assert(b.isActive);
  b.resumeRead();
  await write(a, 509);
  await a.reader.wait(512);
  await a.close();
  await b.closed;
});

test("bytesPerSecondMin closes who takes nothing of what was flushed", async () => {
  using clock = new FakeClock();
  const [a, b] = memoryPair({ windowBytes: 1000, second: { limits } });
  a.pauseRead();
  b.writer.writeBinary(new Uint8Array(5000));
  const flushed = assertRejects(() => b.writer.flush());
  const ended = assertRejects(() => b.closed);
  await clock.advance(1000);
  assert(!b.isActive);
  await Promise.all([flushed, ended]);
  await a.close().catch(() => {});
});

test("bytesPerSecondMin lets who takes as much as it, and closes a closing one that does not", async () => {
  using clock = new FakeClock();
  const [a, b] = memoryPair({ windowBytes: 100, second: { limits, closeTimeoutMs: 0 } });
  a.pauseRead();
  b.writer.writeBinary(new Uint8Array(5000));
  void b.writer.flush();
  const take = async (bytes: number) => {
    a.resumeRead();
    await a.reader.wait(bytes);
    a.pauseRead();
    a.reader.skip(bytes);
    a.reader.release();
  };
  for (let i = 0; i < 20; i++) {
    await take(20);
    await clock.advance(100);
  }
  assert(b.isActive);
  const closed = b.close();
  await clock.advance(3000);
  assert((await closed).unsentBytes > 0);
  await a.close().catch(() => {});
});
