/**
 * A connection that lives for a month: each public call that takes a signal or returns a promise,
 * very often, on one connection whose peer stalls, or answers. Nothing of a call may stay.
 *
 * Growth is compared by the call, so that what the collector leaves for later does not matter: a
 * promise that somebody waits for has more than 100 bytes.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  frames,
  lengthPrefixed,
  lines,
  LinkBuffer,
  metrics,
  Multiplexer,
  pipe,
  responder,
  ShardQueue,
  tagged,
} from "../../mod.ts";
import { ignore } from "../../src/core/promises.ts";
import { countedSignal, staysSmall } from "../support/collection.ts";
import { echoed, givenUp, stalled } from "../support/month.ts";
import { tick, until } from "../support/until.ts";
import { pairWith } from "../support/pair.ts";

const OFTEN = 100_000;
/** Calls that need system calls, or several promises each. */
const LESS_OFTEN = 20_000;
const SELDOM = 2_000;

const codec = tagged(lengthPrefixed());

const STALLED: Record<string, (a: Connection) => () => unknown> = {
  "wait() given up": (a) => givenUp((signal) => a.reader.wait(1, { signal })),
  "waitUntil() given up": (a) => givenUp((signal) => a.reader.waitUntil(10, { signal })),
  "flush() given up": (a) => givenUp((signal) => a.writer.flush({ signal })),
  "flush() with a signal aborted already": (a) => () =>
    a.writer.flush({ signal: AbortSignal.abort(0) }).catch(ignore),
  "flush() that nobody awaits": (a) => () => void a.writer.flush(),
  "released()": (a) => () => void a.writer.released(),
  "closed": (a) => () => void a.closed,
  "wait() that is refused": (a) => () => a.reader.wait(NaN).catch(ignore),
};

for (const [name, make] of Object.entries(STALLED)) {
  test(`${name}: nothing stays while the peer stalls`, () =>
    stalled((a) => staysSmall(OFTEN, make(a))));
}

test("request() given up: nothing stays while the peer stalls", () =>
  stalled(async (a) => {
    const client = new Multiplexer(a, codec);
    await staysSmall(OFTEN, givenUp((signal) => client.request("question", { signal })));
    assertEquals(client.pendingCount, 0);
    void client.close();
  }));

test("closeWrite() and close() asked for again: nothing stays while the peer stalls", () =>
  stalled(async (a) => {
    await staysSmall(OFTEN, () => void a.closeWrite());
    await staysSmall(OFTEN, () => void a.close({ timeoutMs: 60_000 }));
  }));

/** The path of a file of 11 bytes. */
async function withFile(use: (path: string) => Promise<void>): Promise<void> {
  const path = join(tmpdir(), `netpoll-month-${process.pid}`);
  writeFileSync(path, "a few bytes");
  try {
    await use(path);
  } finally {
    rmSync(path);
  }
}

test("sendFile() given up: nothing stays while the peer stalls", () =>
  withFile((path) =>
    stalled((a) => staysSmall(SELDOM, givenUp((signal) => a.sendFile(path, { signal })), 100))
  ));

test("addCloseCallback() taken back: nothing stays, and none is called", () =>
  stalled(async (a) => {
    let called = "";
    await staysSmall(OFTEN, () => a.addCloseCallback(() => called += "!")());
    const added = Array.from({ length: 3 }, (_, i) => a.addCloseCallback(() => called += i));
    added[1]!();
    added[1]!();
    a.reset();
    await a.closed.catch(ignore);
    await tick();
    assertEquals(called, "20");
  }));

test("deadlines set anew: nothing stays, while something waits for each", () =>
  stalled(async (a) => {
    const waiting = a.reader.wait(1).catch(ignore);
    let ms = 3_600_000;
    await staysSmall(OFTEN, () => {
      ms += 1;
      a.readTimeoutMs = ms;
      a.writeTimeoutMs = ms;
      a.idleTimeoutMs = ms;
    });
    a.reset();
    await waiting;
  }));

test("metrics(), pauseRead(), setOnRequest(): nothing stays", () =>
  stalled(async (a) => {
    await staysSmall(OFTEN, () => void a.metrics());
    await staysSmall(OFTEN, () => void metrics());
    await staysSmall(LESS_OFTEN, () => {
      a.pauseRead();
      a.resumeRead();
    });
    await staysSmall(OFTEN, () => a.setOnRequest(() => {}));
  }));

test("requests whose time is up: nothing stays while the peer stalls", () =>
  stalled(async (a) => {
    const client = new Multiplexer(a, codec, { pendingMax: 1000 });
    await staysSmall(50, () =>
      Promise.all(
        Array.from({ length: 500 }, () => client.request("?", { timeoutMs: 1 }).catch(ignore)),
      ), 500 * 100);
    assertEquals(client.pendingCount, 0);
    void client.close();
  }));

// ---- a peer that answers ------------------------------------------------------------------------

test("round trips under one signal: nothing stays, and nobody listens to it any more", () =>
  echoed((a, signal) =>
    staysSmall(LESS_OFTEN, async () => {
      a.writer.writeString("ping\n");
      await a.writer.flush({ signal });
      await a.reader.wait(1, { signal });
      a.reader.skip(await a.reader.waitUntil(10, { signal }));
      a.reader.release();
      void a.writer.released();
    })
  ));

test("ShardQueue.add() and frames(): nothing stays of what was answered", () =>
  echoed(async (a) => {
    const queue = new ShardQueue(a);
    const answers = frames(a, lines())[Symbol.asyncIterator]();
    await staysSmall(LESS_OFTEN, async () => {
      await queue.add(() => {
        const buffer = new LinkBuffer();
        buffer.writeString("ping\n");
        return buffer;
      });
      await answers.next();
    });
    await queue.close();
    await answers.return?.();
  }));

test("requests whose signal is looked at: nothing stays of those that were answered", async () => {
  const [a, b] = pairWith();
  const given: AbortSignal[] = [];
  b.setOnRequest(responder(codec, async (body: Uint8Array, request) => {
    request.signal.throwIfAborted();
    if (given.length < 3) given.push(request.signal);
    await null;
    return body;
  }));
  const client = new Multiplexer(a, codec);
  const { signal, listeners } = countedSignal();
  await staysSmall(LESS_OFTEN, () => client.request("question", { signal, timeoutMs: 10_000 }));
  assertEquals([listeners(), client.pendingCount], [0, 0]);
  await client.close();
  await b.closed;
  assertEquals(given.map((each) => each.aborted), [false, false, false]);
});

test("a LinkBuffer that is written and read for ever keeps nothing", async () => {
  const buffer = new LinkBuffer();
  await staysSmall(OFTEN, () => {
    buffer.writeString("a few bytes");
    void buffer.flush();
    void buffer.released();
    buffer.slice(3).close();
    buffer.skip(buffer.length);
    buffer.release();
  });
  buffer.close();
});

test("sendFile() under one signal: nothing stays of what was sent", () =>
  withFile((path) =>
    echoed((a, signal) =>
      staysSmall(SELDOM, async () => {
        await a.sendFile(path, { signal });
        await a.reader.wait(11, { signal });
        a.reader.skip(11);
        a.reader.release();
      }, 200)
    )
  ));

test("dial() that fails or is given up: nothing stays", async () => {
  const { signal, listeners } = countedSignal();
  await staysSmall(SELDOM, () => dial("unix", "@netpoll-nobody", { signal }).catch(ignore), 200);
  const refused = () => dial("tcp", "127.0.0.1:1", { signal, timeoutMs: 10_000 }).catch(ignore);
  await staysSmall(SELDOM, refused, 200);
  await staysSmall(SELDOM, givenUp((signal) => dial("tcp", "localhost:1", { signal })), 200);
  assertEquals(listeners(), 0);
});

test("loop.metrics() of its connections: nothing stays", async () => {
  const listener = createListener("unix", `@netpoll-month-metrics-${process.pid}`);
  const loop = new EventLoop(() => {});
  const served = loop.serve(listener);
  const a = await dial("unix", `@netpoll-month-metrics-${process.pid}`);
  await until(() => loop.connectionCount === 1, "it is served");
  await staysSmall(LESS_OFTEN, () => void loop.metrics({ listedMax: 5 }));
  await a.close();
  await loop.shutdown();
  await served;
});

test("dial() and pipe() under one signal leave nothing of connections that have ended", async () => {
  const listener = createListener("unix", `@netpoll-month-${process.pid}`);
  const loop = new EventLoop(() => {});
  const served = loop.serve(listener);
  const { signal, listeners } = countedSignal();
  await staysSmall(SELDOM, async () => {
    const [a, b] = await Promise.all(
      [0, 1].map(() =>
        dial("unix", `@netpoll-month-${process.pid}`, { signal, timeoutMs: 10_000 })
      ),
    ) as [Connection, Connection];
    const piped = pipe(a, b, { signal }).catch(ignore);
    a.reset();
    await piped;
    await tick(); // whoever serves them takes them from the queue
  }, 200);
  assertEquals(listeners(), 0);
  await loop.shutdown();
  await served;
  await staysSmall(OFTEN, () => void loop.shutdown({ signal, timeoutMs: 1000 }));
  assertEquals(listeners(), 0);
});

test("staysSmall() finds what stays, so that the tests above can fail", async () => {
  const kept: object[] = [];
  await assertRejects(
    () => staysSmall(LESS_OFTEN, () => kept.push({ of: "a", call: {} })),
    Error,
    "bytes stay",
  );
});
