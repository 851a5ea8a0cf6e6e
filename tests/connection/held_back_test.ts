/**
 * Every deadline that blames a peer, with every reason for which we hold the peer back: its time runs
 * only while we wait for it.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  type ConnectionOptions,
  createListener,
  dial,
  EventLoop,
  type EventLoopOptions,
  FakeClock,
  lengthPrefixed,
  memoryPair,
  metrics,
  Multiplexer,
  responder,
  tagged,
} from "../../mod.ts";
import { needs } from "../support/transport.ts";
import { soon, until } from "../support/until.ts";

const MESSAGE_BYTES = 10;
const MESSAGES = 5;
/** Much less than each of the reasons lasts. */
const DEADLINE_MS = 200;

const DEADLINES: Record<string, EventLoopOptions> = {
  idle: { idleTimeoutMs: DEADLINE_MS },
  read: { readTimeoutMs: DEADLINE_MS },
  lifetime: { lifetimeMs: DEADLINE_MS, closeTimeoutMs: DEADLINE_MS },
  rate: { limits: { connection: { bytesPerSecondMin: 20, graceMs: DEADLINE_MS } } },
};

let addressCount = 0;

/** An address of its own for each test: one that fails leaves its listener behind. */
function nextAddress(): string {
  return `@netpoll-held-back-${addressCount++}`;
}

/** A reason for which bytes wait, and when it is over. */
interface Reason {
  limits?: EventLoopOptions["limits"];
  begin?(connection: Connection): void;
  end?(connection: Connection): void;
}

const REASONS: Record<string, Reason> = {
  "requestsPerSecond of the connection": {
    limits: { connection: { requestsPerSecond: 2, requestsBurst: 1 } },
  },
  "requestsPerSecond of the listener": { limits: { requestsPerSecond: 2, requestsBurst: 1 } },
  // A message needs twice the time of the deadline.
  "bytesPerSecond of the connection": {
    limits: { connection: { bytesPerSecond: 25, bytesBurst: 5 } },
  },
  "bytesPerSecond of the listener": { limits: { bytesPerSecond: 25, bytesBurst: 5 } },
  "pauseRead()": {
    begin: (connection) => connection.pauseRead(),
    end: (connection) => connection.resumeRead(),
  },
};

/** Sends a part of a message, and the rest of all when the reason has begun. */
async function serveHeldBack(clock: FakeClock, reason: Reason, options: EventLoopOptions) {
  let served = 0;
  let connection: Connection | undefined;
  const errors: unknown[] = [];
  const listener = createListener("unix", nextAddress());
  const loop = new EventLoop(async (opened) => {
    connection = opened;
    await opened.reader.wait(MESSAGE_BYTES);
    opened.reader.skip(MESSAGE_BYTES);
    opened.reader.release();
    opened.writer.writeByte(1);
    void opened.writer.flush();
    served += 1;
  }, {
    onError: (error) => void errors.push(error),
    ...options,
    limits: {
      ...reason.limits,
      connection: { ...reason.limits?.connection, ...options.limits?.connection },
    },
  });
  const over = loop.serve(listener);
  const client = await dial(listener.address);
  client.writer.writeBinary(new Uint8Array(4));
  await client.writer.flush();
  await until(() => connection !== undefined, "the first call");
  reason.begin?.(connection!);
  client.writer.writeBinary(new Uint8Array(MESSAGES * MESSAGE_BYTES - 4));
  await client.writer.flush();
  for (let i = 0; i < 10; i++) await clock.advance(100);
  if (reason.end !== undefined) {
    reason.end(connection!);
    await until(() => served === MESSAGES, "all is served");
  }
  for (let i = 0; i < 20; i++) await clock.advance(100);
  const end = async () => {
    client.reset();
    const down = loop.shutdown({ timeoutMs: 0 });
    await clock.advance(10);
    await down;
    await over;
  };
  return { served, errors, connection: connection!, end };
}

for (const [deadline, options] of Object.entries(DEADLINES)) {
  for (const [name, reason] of Object.entries(REASONS)) {
    // Its user has paused it, and a server that shuts down does not wait for him for ever.
    if (deadline === "lifetime" && reason.begin !== undefined) continue;
    test(
      `the ${deadline} deadline blames no peer that ${name} holds back`,
      needs("listener"),
      async () => {
        using clock = new FakeClock();
        const before = metrics().timeouts;
        const { served, errors, connection, end } = await serveHeldBack(clock, reason, options);
        assertEquals([served, errors], [MESSAGES, []]);
        const { idle, read, rate } = metrics().timeouts;
        assertEquals([read, rate], [before.read, before.rate]);
        // When all was served nothing is held back any more.
        if (deadline === "idle" || deadline === "lifetime") assert(!connection.isActive);
        assertEquals(idle - before.idle, deadline === "idle" ? 1 : 0);
        await end();
      },
    );
  }
}

const KiB = 1 << 10;

for (const [deadline, options] of Object.entries(DEADLINES)) {
  test(
    `the ${deadline} deadline blames no peer that memoryBytesMax holds back`,
    needs("listener"),
    async () => {
      using clock = new FakeClock();
      const before = metrics();
      const bytes = 20 * KiB;
      let served = 0;
      const errors: unknown[] = [];
      const listener = createListener("unix", nextAddress());
      const opened: Connection[] = [];
      const loop = new EventLoop(async ({ reader }) => {
        await reader.wait(bytes);
        reader.skip(bytes);
        reader.release();
        served += 1;
      }, {
        onPrepare: (connection) => void opened.push(connection),
        onError: (error) => void errors.push(error),
        readBufferBytesMax: 64 * KiB,
        ...options,
        limits: { memoryBytesMax: 64 * KiB, ...options.limits },
      });
      const over = loop.serve(listener);
      const clients = await Promise.all(
        Array.from({ length: 12 }, () => dial(listener.address)),
      );
      await until(() => loop.connectionCount === 12, "all are there");
      // So much of each message is there that all parts of the memory are full.
      const send = (client: Connection, count: number) => {
        client.writer.writeBinary(new Uint8Array(count));
        void client.writer.flush();
      };
      for (const client of clients) send(client, 6 * KiB);
      await until(
        () => metrics().limits.memoryPauses >= before.limits.memoryPauses + 12,
        "all are held back",
      );
      for (const client of clients) send(client, bytes - 6 * KiB);
      for (let i = 0; i < 8; i++) await clock.advance(100);
      const { timeouts } = metrics();
      assertEquals([errors, timeouts.idle, timeouts.read, timeouts.rate], [
        [],
        before.timeouts.idle,
        before.timeouts.read,
        before.timeouts.rate,
      ]);
      // With fewer of them there is room for the others.
      for (const connection of opened.slice(2)) connection.reset();
      for (let i = 0; i < 20 && served < 2; i++) await clock.advance(100);
      assertEquals(served, 2);
      for (const client of clients) client.reset();
      const down = loop.shutdown({ timeoutMs: 0 });
      await clock.advance(10);
      await down;
      await over;
    },
  );
}

const codec = tagged(lengthPrefixed());
const BUSY: Record<string, ConnectionOptions> = {
  idle: { idleTimeoutMs: DEADLINE_MS },
  read: { readTimeoutMs: DEADLINE_MS },
  rate: { limits: { bytesPerSecondMin: 20, graceMs: DEADLINE_MS } },
};

for (const [deadline, options] of Object.entries(BUSY)) {
  test(`the ${deadline} deadline blames no peer whose requests wait for a busy responder()`, async () => {
    using clock = new FakeClock();
    const working: PromiseWithResolvers<void>[] = [];
    const [a, b] = memoryPair({ second: options });
    b.setOnRequest(responder(codec, async (body) => {
      const work = Promise.withResolvers<void>();
      working.push(work);
      await work.promise;
      return body;
    }, { runningMax: 1 }));
    const client = new Multiplexer(a, codec);
    const answers = Promise.all([client.request("1"), client.request("2")]);
    await until(() => working.length === 1, "the first request");
    await clock.advance(1000);
    assert(b.isActive);
    working[0]!.resolve();
    await until(() => working.length === 2, "the second request");
    working[1]!.resolve();
    assertEquals((await soon(answers)).length, 2);
    await client.close();
    await soon(b.closed);
  });
}
