/**
 * Deadlines over a bad network: each passes when it should, and does not when it should not.
 */
import { assert, assertEquals, assertGreaterOrEqual, assertRejects } from "@std/assert";
import {
  type Connection,
  dial,
  EofError,
  type FrameInput,
  lengthPrefixed,
  Multiplexer,
  responder,
  SystemError,
  tagged,
  TimeoutError,
  type TimeoutOperation,
  UnsentError,
  type ZeroCopyMode,
} from "../../mod.ts";
import { assertCalm } from "../support/calm.ts";
import { delay } from "../support/until.ts";
import {
  call,
  CUT,
  echo,
  HEALED,
  NOBODY,
  type Scenario,
  serveWith,
  type Serving,
  withFile,
} from "./scenario.ts";
import { digestOf, receive, Sink, Source } from "./source.ts";

const KIB = 1024;
/** 256 KiB take two seconds. */
const SLOW = "rate=1000000";
/** There and back takes 600 ms. */
const FAR = "delay=300";
/** Sooner than the kernel's buffers take all that is sent here. */
const SMALL_BUFFER = { sendBufferBytes: 64 * KIB };
/** Timers may be as much early. */
const EARLY_MS = 5;

/** Fails unless a deadline passes, and not too early. */
export async function passes(
  operation: TimeoutOperation,
  timeoutMs: number,
  waiting: () => Promise<unknown>,
): Promise<void> {
  const began = performance.now();
  const error = await assertRejects(waiting, TimeoutError);
  assertEquals(error.operation, operation);
  assertGreaterOrEqual(performance.now() - began, timeoutMs - EARLY_MS);
}

/** Fails unless the kernel says that the peer does not answer any more, or has no such connection. */
export async function isLost(
  code: "ETIMEDOUT" | "ECONNRESET",
  waiting: () => Promise<unknown>,
): Promise<void> {
  const { cause } = await assertRejects(waiting, EofError);
  assert(cause instanceof SystemError);
  assertEquals(cause.code, code);
}

/** Writes so many bytes of a seed, and does not wait for them. */
export function write({ writer }: Connection, seed: number, bytes: number): Promise<void> {
  new Source(seed).fill(writer.malloc(bytes));
  return writer.flush();
}

const read: Scenario = {
  title: "readTimeoutMs",
  isOwnNetwork: true,
  serve: () => serveWith(echo),
  async call({ seed, link }) {
    await link(FAR, FAR);
    await using connection = await call({ readTimeoutMs: 200 });
    await write(connection, seed, KIB);
    await passes("read", 200, () => connection.reader.wait(1));
    connection.readTimeoutMs = 30_000;
    await receive(connection, seed, KIB);
    await link(CUT, CUT);
    await write(connection, seed, KIB);
    const received = receive(connection, seed, KIB);
    await delay(1000);
    await link(HEALED, HEALED);
    await received;
  },
};

const written: Scenario = {
  title: "writeTimeoutMs",
  isOwnNetwork: true,
  serve: () => serveWith(echo),
  async call(work) {
    const { seed, link } = work;
    const bytes = 1024 * KIB;
    await using connection = await call({ ...SMALL_BUFFER, writeTimeoutMs: 1000 });
    await link(CUT, CUT);
    await passes("write", 1000, () => write(connection, seed, bytes));
    await assertCalm();
    connection.writeTimeoutMs = 0;
    await link(HEALED, HEALED);
    await receive(connection, seed, bytes); // nothing of it is lost
    await link(SLOW, HEALED);
    connection.writeTimeoutMs = 2000;
    await withFile({ ...work, bytes: 512 * KIB }, async (path) => {
      const received = receive(connection, seed, 512 * KIB);
      await connection.sendFile(path); // takes four seconds, and some of it leaves in each of them
      await received;
      await link(CUT, CUT);
      await passes("write", 2000, () => connection.sendFile(path));
    });
    connection.reset();
    await link(HEALED, HEALED);
  },
};

const idle: Scenario = {
  title: "idleTimeoutMs",
  isOwnNetwork: true,
  serve({ seed }) {
    const outcomes: Promise<void>[] = [];
    const serving = serveWith(null, {
      idleTimeoutMs: 1500,
      onConnect(connection) {
        // All with the kernel at once: for four seconds nothing moves here, but the peer takes it.
        void write(connection, seed, 256 * KIB);
        outcomes.push(passes("idle", 4000, () => connection.closed));
      },
    }, { sendBufferBytes: 512 * KIB });
    return {
      async stop() {
        await Promise.all(outcomes);
        await serving.stop();
      },
    };
  },
  async call({ seed, link }) {
    await link(HEALED, "rate=500000");
    await using connection = await call();
    await receive(connection, seed, 256 * KIB);
    await assertRejects(() => connection.reader.wait(1), EofError);
  },
};

const dialled: Scenario = {
  title: "timeoutMs and signal of dial",
  isOwnNetwork: true,
  serve: () => serveWith(echo),
  async call({ link }) {
    const { code } = await assertRejects(() => dial("tcp", NOBODY), SystemError);
    assertEquals(code, "EHOSTUNREACH");
    await link(CUT, CUT);
    await passes("dial", 700, () => call({ timeoutMs: 700 }));
    const reason = new Error("never mind");
    const thoughts = new AbortController();
    const unwanted = call({ signal: thoughts.signal });
    await delay(100);
    thoughts.abort(reason);
    assertEquals(await unwanted.catch((error) => error), reason);
    const patient = call({ timeoutMs: 30_000 });
    await delay(500);
    await link(FAR, FAR);
    await (await patient).close();
    await passes("dial", 300, () => call({ timeoutMs: 300 }));
    await (await call({ timeoutMs: 30_000 })).close();
    await link(HEALED, HEALED);
  },
};

const requested: Scenario = {
  title: "timeoutMs of a request",
  isOwnNetwork: true,
  serve: () =>
    serveWith(responder<Uint8Array, FrameInput>(tagged(lengthPrefixed()), (body) => body)),
  async call({ link }) {
    await link(FAR, FAR);
    await using client = new Multiplexer<Uint8Array, FrameInput>(
      await call(),
      tagged(lengthPrefixed()),
    );
    await passes("request", 200, () => client.request("late", { timeoutMs: 200 }));
    const answer = await client.request("in time", { timeoutMs: 30_000 });
    assertEquals(new TextDecoder().decode(answer), "in time");
    await link(HEALED, HEALED);
  },
};

/** Receives all of the first connections, so many, and less of those that come later. */
function receives(bytes: number, seed: number, count: number): Serving {
  const received: Promise<"all" | "less">[] = [];
  const one = async ({ reader }: Connection): Promise<"all" | "less"> => {
    const sink = new Sink(seed);
    try {
      for (;;) {
        await reader.wait(1);
        sink.add(reader.next(reader.length));
        reader.release();
      }
    } catch (error) {
      assert(error instanceof EofError);
      if (error.cause !== undefined || sink.count < bytes) return "less";
      assertEquals([sink.count, sink.digest()], [bytes, digestOf(seed, bytes)]);
      return "all";
    }
  };
  const serving = serveWith(null, {
    onConnect(connection) {
      received.push(one(connection));
    },
    keepAlive: { idleMs: 3000, intervalMs: 2000, count: 3 },
  });
  return {
    async stop() {
      const outcomes = await Promise.all(received);
      assertEquals(outcomes, outcomes.map((_, i) => i < count ? "all" : "less"));
      assertGreaterOrEqual(outcomes.length, count);
      await serving.stop();
    },
  };
}

const CLOSE_BYTES = 256 * KIB;

function closed(zeroCopy: ZeroCopyMode): Scenario {
  return {
    title: `closeTimeoutMs, with zeroCopy: "${zeroCopy}"`,
    isOwnNetwork: true,
    serve: ({ seed }) => receives(CLOSE_BYTES, seed, 2),
    async call({ seed, link }) {
      const begin = async (closeTimeoutMs: number) => {
        const connection = await call({ ...SMALL_BUFFER, zeroCopy, closeTimeoutMs });
        write(connection, seed, CLOSE_BYTES).catch(() => {}); // its end is what close() tells
        return connection;
      };
      await link(SLOW, HEALED);
      const slow = await begin(1500);
      assertEquals(await slow.close(), { unsentBytes: 0 }); // takes two seconds

      const outage = await begin(30_000);
      await link(CUT, CUT);
      const closing = outage.close();
      await delay(2000);
      await link(HEALED, HEALED);
      assertEquals(await closing, { unsentBytes: 0 });

      await link(SLOW, HEALED);
      const lost = await begin(1500);
      await link(CUT, CUT);
      const began = performance.now();
      const losing = lost.close();
      await assertCalm();
      const { unsentBytes } = await losing;
      assertGreaterOrEqual(performance.now() - began, 1500 - EARLY_MS);
      assertGreaterOrEqual(unsentBytes, 1);
      await assertRejects(() => lost.closed, UnsentError);
      await link(HEALED, HEALED);
    },
  };
}

const shutDown: Scenario = {
  title: "a shutdown while a slow link takes the last bytes",
  isOwnNetwork: true,
  serve({ seed }) {
    const done = Promise.withResolvers<number>();
    const serving = serveWith(null, {
      closeTimeoutMs: 1500,
      onConnect(connection) {
        void write(connection, seed, CLOSE_BYTES); // two seconds
        serving.loop.shutdown().then(({ cut }) => done.resolve(cut), done.reject);
      },
    }, SMALL_BUFFER);
    return {
      async stop() {
        assertEquals(await done.promise, 0);
        await serving.stop();
      },
    };
  },
  async call({ seed, link }) {
    await link(HEALED, SLOW);
    await using connection = await call();
    await receive(connection, seed, CLOSE_BYTES);
    await assertRejects(() => connection.reader.wait(1), EofError);
  },
};

/** By name. */
export const DEADLINES: Readonly<Record<string, Scenario>> = {
  "read-deadline": read,
  "write-deadline": written,
  "idle-deadline": idle,
  "dial-deadline": dialled,
  "request-deadline": requested,
  "close-deadline": closed("off"),
  "close-deadline-zero-copy": closed("always"),
  "shutdown": shutDown,
};
