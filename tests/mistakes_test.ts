/**
 * Mistakes of callers, each told at once and by name: what is no function, no signal, no number. Those
 * in the names of options are in options_test.ts.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  Cluster,
  configure,
  Connection,
  createListener,
  dial,
  EventLoop,
  frames,
  lengthPrefixed,
  lines,
  LinkBuffer,
  Multiplexer,
  ordered,
  pipe,
  prometheus,
  readableOf,
  readerFrom,
  resp,
  responder,
  ShardQueue,
  shutdownOnSignals,
  socketPair,
  tagged,
  writableOf,
  writerTo,
} from "../mod.ts";
import { leaks } from "./support/leaks.ts";
import { closeAll } from "./support/pair.ts";
import { soon, until } from "./support/until.ts";

/** Anything at all: what a program without types may pass. */
// deno-lint-ignore no-explicit-any -- mistakes have no types
type Any = any;

const HANDLER = new URL("file:///nowhere.ts");
const codec = tagged(lengthPrefixed());
const ignore = () => undefined;

/** Returns the error that a call throws, or rejects with; fails when it does neither. */
async function errorOf(call: () => unknown): Promise<Error> {
  let error: unknown;
  try {
    await soon(Promise.resolve(call()));
    throw new AggregateError([], "it did nothing of the kind");
  } catch (caught) {
    error = caught;
  }
  assert(error instanceof Error);
  return error;
}

async function socketPairEnd(use: (end: Connection) => unknown): Promise<void> {
  const [a, b] = socketPair();
  try {
    await use(a);
  } finally {
    a.reset();
    b.reset();
  }
}

test("what is no signal is a TypeError wherever a signal is taken", async () => {
  const [a, b] = socketPair();
  const reader = readerFrom(new ReadableStream());
  const writer = writerTo({ write: ignore });
  const client = new Multiplexer(b, codec);
  const calls: ((options: Any) => unknown)[] = [
    (options) => a.reader.wait(1, options),
    (options) => a.reader.waitUntil(1, options),
    (options) => a.writer.flush(options),
    (options) => a.sendFile("/nowhere", options),
    (options) => a.receiveFile("/nowhere/file", 1, options),
    (options) => socketPairEnd((end) => pipe(a, end, options)),
    (options) => dial("tcp", "127.0.0.1:9", options),
    (options) => new EventLoop(null).shutdown(options),
    (options) => client.request("x", options),
    (options) => frames(a, lines(), options),
    (options) => reader.wait(1, options),
    (options) => reader.waitUntil(1, options),
    (options) => writer.flush(options),
  ];
  for (const call of calls) {
    for (const signal of [null, new AbortController(), 5, {}]) {
      const error = await errorOf(() => call({ signal }));
      assert(
        error instanceof TypeError && error.message.endsWith("it is no AbortSignal"),
        `${call}`,
      );
    }
  }
  a.reset();
  b.reset();
});

test("a missing handler is told when the loop is made, with what to write", () => {
  for (const handler of [undefined, { onRequest() {} }, "handler", 5, []]) {
    assertThrows(() => new EventLoop(handler as Any), TypeError, "as the handler of EventLoop");
  }
  const wrong = [
    () => new EventLoop(null, { onConnect: 5 as Any }),
    () => new EventLoop(null, { onError: {} as Any }),
    () => Connection.fromFd(0, { onRequest: "x" as Any }),
    () => responder(codec, undefined as Any),
    () => responder(undefined as Any, ignore),
    () => new Multiplexer(undefined as Any, codec),
    () => new ShardQueue({} as Any),
    () => tagged(undefined as Any),
    () => tagged(resp() as Any),
    () => ordered(undefined as Any),
    () => ordered(resp as Any),
    () => frames(undefined as Any, lines()),
    () => frames({} as Any, lines()),
    () => prometheus(undefined as Any),
    () => readableOf({} as Any),
    () => writableOf(undefined as Any),
    () => shutdownOnSignals({} as Any),
    () => configure(undefined as Any),
    () => configure({ log: "stderr" as Any }),
  ];
  for (const call of wrong) assertThrows(call, TypeError, undefined, `${call}`);
});

test("setOnRequest(), addCloseCallback() and add() refuse what is no function", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    for (const other of [undefined, null, {}, "x"]) {
      assertThrows(() => a.setOnRequest(other as Any), TypeError, "it is no function");
      assertThrows(() => a.addCloseCallback(other as Any), TypeError, "it is no function");
      assertThrows(() => new ShardQueue(a).add(other as Any), TypeError, "it is no function");
    }
    await closeAll(a, b);
  }));

test("what is neither true nor false is refused where it has to be one of them", () => {
  const calls: ((value: Any) => unknown)[] = [
    (noDelay) => new EventLoop(null, { noDelay }),
    (keepAlive) => createListener("tcp", "127.0.0.1:0", { keepAlive }),
    (reusePort) => createListener("tcp", "127.0.0.1:0", { reusePort }),
    (v6Only) => createListener("tcp6", "[::1]:0", { v6Only }),
    (strip) => lines({ strip }),
    (inline) => resp({ inline }),
    (exit) => shutdownOnSignals(new EventLoop(null), { exit }),
    (debug) => configure({ debug }),
    (watchRuntime) => configure({ watchRuntime }),
    (copy) => new LinkBuffer().writeBinary(new Uint8Array(1), { copy }),
  ];
  for (const call of calls) {
    for (const value of [null, 0, 1, "true", ignore]) {
      assertThrows(() => call(value), TypeError, undefined, `${call} ${String(value)}`);
    }
  }
});

test("numbers that mean nothing are refused at once, in each option that is a number", async () => {
  const [a, b] = socketPair();
  const calls: Record<string, (value: Any) => unknown> = {
    readTimeoutMs: (value) => new EventLoop(null, { readTimeoutMs: value }),
    lifetimeMs: (value) => new EventLoop(null, { lifetimeMs: value }),
    messageBytesMax: (value) => new EventLoop(null, { messageBytesMax: value }),
    connectionsMax: (value) => new EventLoop(null, { connectionsMax: value }),
    "close timeoutMs": (value) => socketPairEnd((end) => end.close({ timeoutMs: value })),
    "shutdown timeoutMs": (value) => new EventLoop(null).shutdown({ timeoutMs: value }),
    "dial timeoutMs": (value) => dial("tcp", "127.0.0.1:9", { timeoutMs: value }),
    backlog: (value) => createListener("tcp", "127.0.0.1:0", { backlog: value }),
    "receiveFile bytes": (value) => a.receiveFile("/nowhere/file", value),
    "receiveFile offset": (value) => a.receiveFile("/nowhere/file", 1, { offset: value }),
    "sendFile offset": (value) => a.sendFile("/nowhere", { offset: value }),
    "sendFile length": (value) => a.sendFile("/nowhere", { length: value }),
    frameBytesMax: (value) => lengthPrefixed({ frameBytesMax: value }),
    pendingMax: (value) => new Multiplexer(a, codec, { pendingMax: value }),
    "request timeoutMs": (value) => new Multiplexer(a, codec, { timeoutMs: value }),
    runningMax: (value) => responder(codec, ignore, { runningMax: value }),
    pollerCount: (value) => new Cluster(HANDLER, { pollerCount: value }),
    idleTimeoutMs: (value) => a.idleTimeoutMs = value,
    spinMicros: (value) => configure({ spinMicros: value }),
  };
  for (const [name, call] of Object.entries(calls)) {
    for (const value of [NaN, -1, "5", 5n, {}, null]) {
      const error = await errorOf(() => call(value));
      const isTold = error instanceof TypeError || error instanceof RangeError;
      assert(isTold, `${name} ${typeof value} ${String(value)}: ${error}`);
    }
  }
  assertEquals(a.idleTimeoutMs, 0);
  a.reset();
  b.reset();
});

/** Options of which each answers as it should once, and means nothing when it is asked again. */
function once(options: Record<string, unknown>): Record<string, unknown> {
  const asked = new Set<string>();
  const answers: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    Object.defineProperty(answers, name, {
      enumerable: true,
      get() {
        if (asked.has(name)) return Symbol("asked again");
        asked.add(name);
        return value;
      },
    });
  }
  return answers;
}

test("what was checked of options is what is used: each is read once", async () => {
  const heard: string[] = [];
  const hear = (name: string) => () => void heard.push(name);
  const [a, b] = socketPair();
  const callbacks = () =>
    once({ onConnect: hear("connect"), onError: hear("error"), readTimeoutMs: 5000 });
  const loop = new EventLoop(null, callbacks());
  const listener = createListener("unix", "@netpoll-read-once", once({ backlog: 5 }));
  const served = loop.serve(listener);
  const dialled = await dial("unix", "@netpoll-read-once", callbacks());
  const adopted = Connection.fromFd(a.detach(), callbacks());
  await until(() => heard.length === 3, "all are told");
  assertEquals(heard, ["connect", "connect", "connect"]);
  assertEquals([dialled.readTimeoutMs, adopted.readTimeoutMs], [5000, 5000]);
  const cluster = new Cluster(
    new URL("file:///nowhere.ts"),
    once({
      pollerCount: 3,
      loadBalance: "random",
      acceptMode: "handover",
      onWorkerError: hear("x"),
    }),
  );
  assertEquals(cluster.pollerCount, 3);
  for (const each of [adopted, b, dialled]) await each.close({ timeoutMs: 0 });
  await loop.shutdown();
  await served;
});
