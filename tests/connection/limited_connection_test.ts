import { assert, assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  FakeClock,
  frames,
  lengthPrefixed,
  memoryPair,
  metrics,
  Multiplexer,
  pipe,
  responder,
  tagged,
  TimeoutError,
} from "../../mod.ts";
import { native } from "../../ffi/load.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { withDirectory } from "../support/library.ts";
import { pairWith } from "../support/pair.ts";
import { needs, transport } from "../support/transport.ts";
import { seededRandom } from "../support/random.ts";
import { soon, stateOf, until } from "../support/until.ts";

function take({ reader }: Connection): void {
  reader.skip(reader.length);
  reader.release();
}

test("bytesPerSecond lets a burst through, then so many bytes a second, and loses none", async () => {
  using clock = new FakeClock();
  let got = 0;
  const [a, b] = memoryPair({
    windowBytes: 1 << 20,
    second: {
      limits: { bytesPerSecond: 1000, bytesBurst: 500 },
      onRequest: ({ reader }) => {
        got += reader.length;
        reader.skip(reader.length);
        reader.release();
      },
    },
  });
  const before = metrics().limits.byteWaits;
  a.writer.writeBinary(new Uint8Array(5500));
  await a.writer.flush();
  await clock.advance(0);
  // A few tokens are not worth a turn: a quarter of those of 20 ms.
  assert(got <= 500 && got > 495 - 1, `${got} of 500`);
  assert(b.isReadPaused);
  for (let second = 1; second <= 5; second++) {
    await clock.advance(1000);
    const most = 500 + 1000 * second;
    assert(got <= most && got > most - 30, `${got} of ${most}`);
  }
  await clock.advance(1000);
  assertEquals(got, 5500);
  assert(metrics().limits.byteWaits > before);
  await Promise.all([a.close(), b.closed]);
});

test("requestsPerSecond calls the handler so often, and everything in the end", async () => {
  using clock = new FakeClock();
  let calls = 0;
  const [a, b] = memoryPair({
    second: {
      limits: { requestsPerSecond: 10, requestsBurst: 3 },
      onRequest: ({ reader }) => {
        calls += 1;
        reader.readByte();
        reader.release();
      },
    },
  });
  a.writer.writeBinary(new Uint8Array(24));
  await a.writer.flush();
  await clock.advance(0);
  assertEquals(calls, 3);
  await clock.advance(1000);
  assertEquals(calls, 13);
  await a.close();
  await clock.advance(2000);
  assertEquals(calls, 24);
  await b.closed;
});

/** More than the waits that are met at once. */
const FRAME_BYTES = 48;
/** Handlers that serve one message, or as many as come, each in its own way. */
const SERVING: Record<string, (connection: Connection, onServed: () => void) => Promise<void>> = {
  async wait({ reader }, onServed) {
    await reader.wait(FRAME_BYTES);
    reader.skip(FRAME_BYTES);
    reader.release();
    onServed();
  },
  async "a wait for each byte"({ reader }, onServed) {
    for (let i = 0; i < FRAME_BYTES; i++) {
      await reader.wait(1);
      reader.skip(1);
      reader.release();
    }
    onServed();
  },
  async "a head, released, and a body"({ reader }, onServed) {
    for (const count of [4, FRAME_BYTES - 4]) {
      await reader.wait(count);
      reader.skip(count);
      reader.release();
    }
    onServed();
  },
  async waitUntil({ reader }, onServed) {
    reader.skip(await reader.waitUntil("\n"));
    reader.release();
    onServed();
  },
  async receiveFile(connection, onServed) {
    await connection.receiveFile("/dev/null", FRAME_BYTES);
    onServed();
  },
  async frames(connection, onServed) {
    for await (const _ of frames(connection, lengthPrefixed())) onServed();
  },
  responder: async (connection, onServed) =>
    await responder(tagged(lengthPrefixed()), () => onServed() as undefined)(connection),
};

for (const [name, serve] of Object.entries(SERVING)) {
  test(`requestsPerSecond lets ${name} finish a message that was begun, and begins no other`, async () => {
    using clock = new FakeClock();
    let served = 0;
    const [a, b] = memoryPair({
      second: {
        limits: { requestsPerSecond: 1, requestsBurst: 2 },
        onRequest: (connection) => serve(connection, () => void (served += 1)),
      },
    });
    const frame = new Uint8Array(FRAME_BYTES);
    frame.set([FRAME_BYTES - 4], 3); // a length before it, a line's end behind it
    frame[FRAME_BYTES - 1] = 10;
    const send = async (from: number, to: number) => {
      a.writer.writeBinary(frame.slice(from, to));
      await a.writer.flush();
      await clock.advance(0);
    };
    for (let i = 1; i <= 2; i++) {
      for (let at = 0; at < FRAME_BYTES; at++) await send(at, at + 1);
      assertEquals(served, i); // the last token was taken before its second byte came
    }
    for (let i = 3; i <= 5; i++) {
      await send(0, FRAME_BYTES);
      assertEquals(served, i - 1);
      await clock.advance(1000);
      assertEquals(served, i);
    }
    b.reset();
    await clock.advance(0);
    a.reset();
  });
}

test("requestsPerSecond serves what a lost connection has brought", async () => {
  using clock = new FakeClock();
  let calls = 0;
  const [a, b] = memoryPair({
    second: {
      limits: { requestsPerSecond: 1 },
      onRequest: ({ reader }) => {
        calls += 1;
        reader.readByte();
        reader.release();
      },
    },
  });
  a.writer.writeBinary(new Uint8Array(5));
  await a.writer.flush();
  await clock.advance(0);
  assertEquals(calls, 1);
  b.reset();
  await clock.advance(0);
  await b.closed;
  assertEquals(metrics().poller.againCount, 0);
  await a.close();
});

test("requestsPerSecond counts the frames of frames(), and the requests of a responder", async () => {
  using clock = new FakeClock();
  const codec = lengthPrefixed();
  const limits = { requestsPerSecond: 10, requestsBurst: 4 };
  const counts = { frames: 0, requests: 0 };
  const [a, b] = memoryPair({
    second: {
      limits,
      readTimeoutMs: 50, // waiting for its turn is not late
      onRequest: async (connection) => {
        for await (const _ of frames(connection, codec)) counts.frames += 1;
      },
    },
  });
  const [c, d] = memoryPair({
    second: {
      limits,
      onRequest: responder(tagged(codec), () => {
        counts.requests += 1;
        return undefined;
      }),
    },
  });
  for (let i = 0; i < 20; i++) {
    codec.encode(a.writer, "hello");
    tagged(codec).encode(c.writer, { id: i, body: "hello" });
  }
  await a.writer.flush();
  await c.writer.flush();
  await clock.advance(0);
  assertEquals(counts, { frames: 4, requests: 4 });
  await clock.advance(1000);
  assertEquals(counts, { frames: 14, requests: 14 });
  await clock.advance(600);
  assertEquals(counts, { frames: 20, requests: 20 });
  await Promise.all([a.closeWrite(), c.close()]);
  await clock.advance(1000);
  await Promise.all([b.closed, d.closed, a.close()]);
});

test("limits leave every byte as it was, whatever they are and however it is read", async () => {
  const random = seededRandom();
  for (let round = 0; round < 6; round++) {
    const rate = 400_000 + random.below(4_000_000);
    const limits = {
      bytesPerSecond: rate,
      bytesBurst: 1 + random.below(50_000),
      requestsPerSecond: 500 + random.below(5000),
    };
    const sent = createHash("sha256");
    const got = createHash("sha256");
    let count = 0;
    const [a, b] = pairWith(undefined, { limits });
    b.setOnRequest(async ({ reader }) => {
      const most = Math.min(reader.length, 1 + random.below(20_000));
      if (random.chance(0.2)) await reader.wait(Math.min(most, reader.length));
      const bytes = reader.readBinary(Math.min(most, reader.length));
      got.update(bytes);
      count += bytes.length;
      reader.release();
    });
    let total = 0;
    for (let i = 0; i < 30; i++) {
      const bytes = crypto.getRandomValues(new Uint8Array(1 + random.below(20_000)));
      sent.update(bytes);
      total += bytes.length;
      a.writer.writeBinary(bytes, { copy: true });
      await soon(a.writer.flush());
    }
    await until(() => count === total, `all bytes of seed ${random.seed}`);
    assertEquals(got.digest("hex"), sent.digest("hex"));
    await a.close();
    await soon(b.closed);
  }
});

test("idleTimeoutMs does not close a connection whose messages wait for their turn", async () => {
  using clock = new FakeClock();
  let calls = 0;
  const [a, b] = memoryPair({
    second: {
      limits: { requestsPerSecond: 1, requestsBurst: 1 },
      idleTimeoutMs: 300,
      onRequest: ({ reader }) => {
        calls += 1;
        reader.readByte();
        reader.release();
      },
    },
  });
  a.writer.writeBinary(new Uint8Array(4));
  await a.writer.flush();
  for (let i = 0; i < 40 && calls < 4; i++) await clock.advance(100);
  assertEquals(calls, 4);
  for (let i = 0; i < 10; i++) await clock.advance(100);
  assert(!b.isActive, "now it is idle");
  await a.close();
});

test("readTimeoutMs counts the time for which the peer is late, and not that of a limit", async () => {
  using clock = new FakeClock();
  const limits = { bytesPerSecond: 100, bytesBurst: 10 };
  const [a, b] = memoryPair({ second: { limits, readTimeoutMs: 1000 } });
  a.writer.writeBinary(new Uint8Array(200));
  await a.writer.flush();
  const late = assertRejects(() => b.reader.wait(300), TimeoutError, "1000 ms");
  let isLate = false;
  late.then(() => isLate = true);
  await clock.advance(2700); // in 1900 ms all that was sent has come
  assertEquals([b.reader.length, isLate], [200, false]);
  await clock.advance(300);
  await soon(late);
  await Promise.all([a.close(), b.close()]);
});

test("the rates of a listener are those of all its connections", needs("listener"), async () => {
  using clock = new FakeClock();
  const got = [0, 0, 0, 0];
  let next = 0;
  const listener = createListener("tcp", "127.0.0.1:0");
  const loop = new EventLoop(({ reader }, at: number) => {
    got[at]! += reader.length;
    reader.skip(reader.length);
    reader.release();
  }, { onPrepare: () => next++, limits: { bytesPerSecond: 100_000, bytesBurst: 10_000 } });
  const served = loop.serve(listener);
  const clients = await Promise.all(got.map(() => dial("tcp", listener.address)));
  for (const client of clients) {
    client.writer.writeBinary(new Uint8Array(100_000));
    void client.writer.flush();
  }
  await until(() => got.some((each) => each > 0), "the first bytes");
  await clock.advance(3000);
  const sum = got.reduce((a, b) => a + b, 0);
  assert(sum <= 310_000 && sum > 200_000, `${sum} of 310000`);
  for (const each of got) assert(each > 40_000, `each has its part: ${got}`);
  for (const client of clients) client.reset();
  const over = loop.shutdown({ timeoutMs: 0 });
  await clock.advance(1000);
  await over;
  await served;
});

test(
  "acceptsPerSecond leaves connections in the queue, and takes all of them",
  needs("listener"),
  async () => {
    using clock = new FakeClock();
    const before = metrics().limits.acceptWaits;
    const listener = createListener("tcp", "127.0.0.1:0");
    const loop = new EventLoop(take, { limits: { acceptsPerSecond: 10, acceptsBurst: 5 } });
    const served = loop.serve(listener);
    const clients = await Promise.all(
      Array.from({ length: 25 }, () => dial("tcp", listener.address)),
    );
    await clock.advance(0);
    assertEquals(loop.metrics().accepted, 5);
    await clock.advance(1000);
    assertEquals(loop.metrics().accepted, 15);
    await clock.advance(1000);
    assertEquals(loop.metrics().accepted, 25);
    assert(metrics().limits.acceptWaits > before);
    await Promise.all(clients.map((client) => client.close()));
    await loop.shutdown();
    await served;
  },
);

test("a shutdown serves what waits for its turn, and leaves no timer", async () => {
  using clock = new FakeClock();
  const timers = threadPoller().timerCount;
  let calls = 0;
  const listener = createListener("unix", "@netpoll-limits-shutdown");
  const loop = new EventLoop(({ reader }) => {
    calls += 1;
    reader.readByte();
    reader.release();
  }, { limits: { requestsPerSecond: 10, requestsBurst: 1, connection: { bytesPerSecondMin: 1 } } });
  const served = loop.serve(listener);
  const client = await dial("unix", "@netpoll-limits-shutdown");
  client.writer.writeBinary(new Uint8Array(5));
  await client.writer.flush();
  await until(() => calls === 1, "the first call");
  const over = loop.shutdown();
  await clock.advance(1000);
  assertEquals([calls, (await soon(over)).cut], [5, 0]);
  await served;
  await client.close();
  assert(threadPoller().timerCount <= timers);
});

test("limits leave no timer when a connection ends while it waits, however it ends", async () => {
  using clock = new FakeClock();
  const ends: ((connection: Connection) => unknown)[] = [
    (connection) => connection.close(),
    (connection) => connection.reset(),
    (connection) => native.close(connection.detach()),
  ];
  for (const end of transport.lacks["plain bytes"] ? ends.slice(0, 2) : ends) {
    const timers = threadPoller().timerCount;
    const limits = { bytesPerSecond: 1, requestsPerSecond: 1, requestsBurst: 5 };
    const [a, b] = pairWith(undefined, { limits });
    b.setOnRequest(take);
    a.writer.writeBinary(new Uint8Array(100));
    await a.writer.flush();
    await until(() => b.isReadPaused, "it waits");
    await end(b);
    await clock.advance(0);
    await soon(b.closed.catch(() => {}));
    a.reset();
    await clock.advance(10);
    assert(threadPoller().timerCount <= timers, "a timer is left");
  }
});

test("limits hold for a Multiplexer: answers come as fast as they may", async () => {
  using clock = new FakeClock();
  const codec = tagged(lengthPrefixed());
  const [a, b] = memoryPair({
    windowBytes: 1 << 20,
    first: { limits: { bytesPerSecond: 1000, bytesBurst: 100 } },
  });
  b.setOnRequest(responder(codec, () => [new Uint8Array(1000)]));
  const client = new Multiplexer(a, codec);
  const answers = Promise.all([client.request("x"), client.request("y")]);
  await clock.advance(1000);
  assertEquals(await stateOf(answers), "pending");
  await clock.advance(1100);
  assertEquals((await soon(answers)).map((answer) => answer.length), [1000, 1000]);
  await client.close();
  await soon(b.closed);
});

test("bytesPerSecond holds in a pipe, spliced or copied, and every byte arrives", async () => {
  const limits = { bytesPerSecond: 4_000_000, bytesBurst: 100_000 };
  const [a, front] = pairWith(undefined, { limits });
  const [back, b] = pairWith({ limits }, undefined);
  const before = metrics().limits.byteWaits;
  const piped = pipe(front, back);
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const [sent, got] = [createHash("sha256"), createHash("sha256")];
  const write = (async () => {
    for (let i = 0; i < 20; i++) {
      sent.update(bytes);
      a.writer.writeBinary(bytes);
      await soon(a.writer.flush());
    }
    await a.closeWrite();
  })();
  for (let left = 20 * bytes.length; left > 0;) {
    await soon(b.reader.wait(1));
    left -= b.reader.length;
    got.update(b.reader.readBinary(b.reader.length));
    b.reader.release();
  }
  await write;
  assertEquals(got.digest("hex"), sent.digest("hex"));
  const waits = metrics().limits.byteWaits - before;
  assert(waits >= 5, `${waits} waits`);
  await b.close();
  assertEquals(await soon(piped), { aToB: 20 * bytes.length, bToA: 0 });
  await a.close();
});

test("bytesPerSecond holds for receiveFile(), spliced or copied", async () => {
  using clock = new FakeClock();
  await withDirectory(async (directory) => {
    for (const onBytes of [undefined, () => {}]) {
      const limits = { bytesPerSecond: 100_000, bytesBurst: 20_000 };
      const [a, b] = pairWith(undefined, { limits });
      const path = `${directory}/received`;
      const received = b.receiveFile(path, 100_000, onBytes === undefined ? {} : { onBytes });
      a.writer.writeBinary(new Uint8Array(100_000).fill(7));
      const flushed = a.writer.flush();
      await until(() => b.isReadPaused, "it waits");
      await clock.advance(500);
      assertEquals(await stateOf(received), "pending");
      assert(statSync(path).size <= 70_000);
      // A runtime tells of the kernel's events when it likes: then they wait for a later token.
      for (let i = 0; i < 200 && await stateOf(received) === "pending"; i++) {
        await clock.advance(100);
      }
      await soon(received);
      await soon(flushed);
      assert(readFileSync(path).every((byte) => byte === 7));
      await Promise.all([a.close(), b.close()]);
    }
  });
});
