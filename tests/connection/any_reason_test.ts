/**
 * Whatever is thrown, rejected with or given to `abort` is a reason: null and undefined, too.
 */
import { assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  dial,
  type FromFdOptions,
  lengthPrefixed,
  Multiplexer,
  pipe,
  readerFrom,
  ShardQueue,
  tagged,
  writerTo,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

const REASONS = [null, undefined, 0, "", false, "a text", Symbol("a symbol"), Object.create(null)];

/** Returns the reason of a rejection; fails when the promise resolves. */
async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await soon(promise.then(() => "resolved", (reason) => ({ reason })));
  if (outcome === "resolved") throw new Error("it did not reject");
  return (outcome as { reason: unknown }).reason;
}

/** Ways for a callback to fail. */
const FAILURES: Record<string, (reason: unknown) => () => Promise<undefined>> = {
  throws: (reason) => () => {
    throw reason;
  },
  rejects: (reason) => () => Promise.reject(reason),
  "rejects later": (reason) => async () => {
    await null;
    throw reason;
  },
};

for (const callback of ["onConnect", "onRequest", "onDisconnect"] as const) {
  for (const [how, failing] of Object.entries(FAILURES)) {
    test(`${callback} that ${how} fails by any reason: onError hears of it, once`, () =>
      leaks(async () => {
        for (const reason of REASONS) {
          const heard: unknown[] = [];
          const onError = (error: unknown) => void heard.push(error);
          const options: FromFdOptions = { onRequest: () => {}, onError };
          const [a, b] = pairWith({ ...options, [callback]: failing(reason) });
          const { closed } = a;
          if (callback === "onRequest") await send(b, "x");
          if (callback === "onDisconnect") await b.close();
          const outcome = await soon(closed.then(() => null, (error) => ({ error })));
          assertEquals(heard.length, 1, String(how));
          assertStrictEquals(heard[0], reason);
          // A failure to take leave is no reason of the end, which had come before.
          if (callback !== "onDisconnect") assertStrictEquals(outcome!.error, reason);
          await closeAll(a, b);
        }
      }));
  }
}

test("close callbacks and onError itself may throw any reason: one line in the log each", () =>
  leaks(async () => {
    for (const reason of REASONS) {
      const heard: unknown[] = [];
      const [a, b] = pairWith({ onError: (error) => void heard.push(error) });
      const over = Promise.withResolvers<void>();
      a.addCloseCallback(() => over.resolve());
      a.addCloseCallback(() => {
        throw reason;
      });
      await a.close();
      await soon(over.promise);
      assertEquals(heard.length, 1);
      assertStrictEquals(heard[0], reason);
      await closeAll(a, b);
    }
  }));

/** Waits that a signal gives up, each with a way to end it. */
type Given = (signal: AbortSignal, a: Connection) => Promise<unknown>;

const WAITS: Record<string, Given> = {
  "wait()": (signal, a) => a.reader.wait(1, { signal }),
  "waitUntil()": (signal, a) => a.reader.waitUntil(10, { signal }),
  "flush()": (signal, a) => {
    a.writer.writeBinary(pattern(4 << 20));
    return a.writer.flush({ signal });
  },
  "request()": (signal, a) =>
    new Multiplexer(a, tagged(lengthPrefixed())).request("question", { signal }),
  "readerFrom().wait()": (signal) =>
    readerFrom(new ReadableStream({ pull: () => new Promise(() => {}) })).wait(1, { signal }),
  "writerTo().flush()": (signal) => {
    const writer = writerTo({ write: () => new Promise(() => {}) });
    writer.writeString("x");
    return writer.flush({ signal });
  },
};

for (const [name, begin] of Object.entries(WAITS)) {
  test(`${name} given up for any reason rejects with it, before and amid`, async () => {
    for (const reason of [null, 0, "", false]) {
      const [a, b] = pairWith();
      const aborting = new AbortController();
      const waiting = reasonOf(begin(aborting.signal, a));
      aborting.abort(reason);
      assertStrictEquals(await waiting, reason);
      a.reset();
      b.reset();
      const [c, d] = pairWith();
      assertStrictEquals(await reasonOf(begin(AbortSignal.abort(reason), c)), reason);
      c.reset();
      d.reset();
    }
  });
}

test("dial() given up for any reason rejects with it, also while the name is looked up", () =>
  leaks(async () => {
    for (const reason of [null, 0, "", false]) {
      const aborting = new AbortController();
      const dialling = reasonOf(dial("tcp", "localhost:9", { signal: aborting.signal }));
      aborting.abort(reason);
      assertStrictEquals(await dialling, reason);
      const { signal } = aborting;
      assertStrictEquals(await reasonOf(dial("tcp", "127.0.0.1:9", { signal })), reason);
    }
  }));

test("pipe() and sendFile() given up for any reason reject with it, and closed does", () =>
  leaks(async () => {
    for (const reason of [null, 0, "", false]) {
      const [a, b] = pairWith();
      const [c, d] = pairWith();
      const aborting = new AbortController();
      const piped = reasonOf(pipe(b, c, { signal: aborting.signal }));
      aborting.abort(reason);
      assertStrictEquals(await piped, reason);
      for (const end of [b, c]) assertStrictEquals(await reasonOf(end.closed), reason);
      await closeAll(a, b, c, d);
    }
  }));

test("ShardQueue.add() rejects with whatever a getter throws", () =>
  leaks(async () => {
    for (const reason of REASONS) {
      const [a, b] = pairWith();
      const queue = new ShardQueue(a);
      const added = queue.add(() => {
        throw reason;
      });
      assertStrictEquals(await reasonOf(added), reason);
      await queue.close();
      await closeAll(a, b);
    }
  }));
