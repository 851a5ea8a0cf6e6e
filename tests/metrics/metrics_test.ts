import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertRejects,
} from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import {
  Connection,
  createListener,
  datagramPair,
  dial,
  lengthPrefixed,
  metrics,
  Multiplexer,
  socketPair,
  tagged,
  TimeoutError,
} from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";
import { closeAll, pairWith, receive, send, tcpPair } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, until } from "../support/until.ts";

test("metrics() is about this process, in the units of its names", () => {
  const { process: about, takenAtMs } = metrics();
  assertEquals(about.pid, process.pid);
  assertGreater(about.uptimeMs, 0);
  assertGreater(about.userMicros + about.systemMicros, 1000);
  assertGreater(about.residentBytes, 1 << 20);
  assertGreater(about.heapBytes, 1 << 18);
  assertGreaterOrEqual(Date.now(), takenAtMs);
  assertGreater(takenAtMs, Date.UTC(2024, 0));
});

test("metrics() counts connections by how they began and ended", async () => {
  const before = metrics().connections;
  const [a, b] = socketPair();
  const [c, d] = socketPair();
  assertEquals(metrics().connections.activeCount, before.activeCount + 4);
  const [g, h] = socketPair();
  const [e, f] = [g, h].map((each) => Connection.fromFd(each.detach()));
  a.reset();
  await closeAll(a, b, c, d, e!, f!);
  const after = metrics().connections;
  assertEquals(after.opened - before.opened, 8);
  assertEquals(after.activeCount, before.activeCount);
  assertEquals(after.detached - before.detached, 2);
  assertEquals(after.lost - before.lost, 1);
});

test("metrics() counts failures of handlers", async () => {
  const before = metrics().connections.failures;
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const [a, b] = pairWith({
    onRequest() {
      throw new Error("on purpose");
    },
    onError: resolve,
  });
  await send(b, "x");
  await soon(promise);
  assertEquals(metrics().connections.failures - before, 1);
  await closeAll(a, b);
});

test("metrics() counts deadlines by what was late", async () => {
  const before = metrics().timeouts;
  const [a, b] = pairWith({ readTimeoutMs: 1 });
  await assertRejects(() => soon(a.reader.wait(1)), TimeoutError);
  b.idleTimeoutMs = 1;
  await soon(b.closed.catch(() => {}), "the idle one is closed");
  const after = metrics().timeouts;
  assertEquals([after.read - before.read, after.idle - before.idle], [1, 1]);
  assertEquals([after.write, after.dial], [before.write, before.dial]);
  await closeAll(a, b);
});

test("metrics() counts flushes, lives, requests and dials that took too long", async () => {
  const before = metrics().timeouts;
  const [a, b] = pairWith({ writeTimeoutMs: 1, lifetimeMs: 1 });
  b.pauseRead();
  a.writer.writeBinary(new Uint8Array(4 << 20));
  await assertRejects(() => soon(a.writer.flush()), TimeoutError);
  await until(() => metrics().timeouts.lifetime > before.lifetime, "its life is over");
  a.reset();
  const [c, d] = socketPair();
  const client = new Multiplexer(c, tagged(lengthPrefixed()), { timeoutMs: 1 });
  await assertRejects(() => soon(client.request("slow")), TimeoutError);
  await client.close();
  // The one place of its queue is taken, and nobody accepts: the kernel lets the next one wait.
  using listener = createListener("tcp", "127.0.0.1:0", { backlog: 1 });
  using first = new RawPeer(listener);
  using second = new RawPeer(listener);
  assert(first.fd !== second.fd);
  const at = listener.address.transport === "tcp" ? `127.0.0.1:${listener.address.port}` : "";
  await assertRejects(() => soon(dial("tcp", at, { timeoutMs: 20 })), TimeoutError);
  const { write, lifetime, request, dial: dials } = metrics().timeouts;
  assertEquals([write, lifetime, request, dials], [
    before.write + 1,
    before.lifetime + 1,
    before.request + 1,
    before.dial + 1,
  ]);
  await closeAll(a, b, d);
});

test("metrics() sums what zero copy did, of connections that are closed too", async () => {
  const before = metrics().zeroCopy;
  const [a, b] = await tcpPair();
  a.zeroCopy = "always";
  a.writer.malloc(200_000).fill(1);
  await a.writer.flush();
  await receive(b, 200_000);
  await soon(a.writer.released());
  await closeAll(a, b);
  const after = metrics().zeroCopy;
  const own = a.zeroCopyCounts;
  for (const name of Object.keys(after) as (keyof typeof after)[]) {
    assertEquals(after[name] - before[name], own[name], name);
  }
  assertGreater(own.calls + own.fallBacks, 0); // where nothing may be pinned it falls back
});

test("metrics() counts turns, waits and what they brought", async () => {
  const before = metrics().poller;
  const [a, b] = socketPair();
  assertEquals(metrics().poller.watchedCount, before.watchedCount + 2);
  a.readTimeoutMs = 60_000;
  const waiting = receive(a, 1);
  assertEquals(metrics().poller.timerCount, before.timerCount + 1);
  await send(b, "x");
  await waiting;
  const after = metrics().poller;
  assertGreater(after.turns, before.turns);
  assertGreater(after.hotWaits + after.warmWaits, before.hotWaits + before.warmWaits);
  assertGreater(after.events, before.events);
  assertEquals(after.timerCount, before.timerCount);
  await closeAll(a, b);
});

test("metrics() has the blocks in use", async () => {
  const before = metrics().memory;
  const [a, b] = socketPair();
  a.writer.malloc(100_000);
  const during = metrics().memory;
  assertEquals(during.blockCount, before.blockCount + 1);
  assertEquals(during.blockBytes, before.blockBytes + (1 << 17));
  assertEquals(during.blockBytes, blocks.counts().usedBytes);
  assertGreaterOrEqual(during.slabBytes, during.blockBytes);
  assertGreaterOrEqual(during.slabCount, during.wrappedSlabCount);
  await closeAll(a, b);
  assertEquals(metrics().memory.blockCount, before.blockCount);
});

test("metrics() is a copy: what happens later does not change it", async () => {
  const then = metrics();
  const text = JSON.stringify(then);
  const [a, b] = socketPair();
  await send(a, "hello");
  await receive(b, 5);
  await closeAll(a, b);
  assertEquals(JSON.stringify(then), text);
});

test("metrics() of a thread that has watched nothing opens nothing, and asks for no permission", async () => {
  const ended = await run(`${root}tests/support/metrics_alone.ts`, {
    permissions: ["--allow-ffi"],
  });
  assertEquals([ended.stderr, ended.stdout], ["", "0 0\n"]);
});

test("metrics() tells what it can, when no descriptor is left", async () => {
  const ended = await run(`${root}tests/support/metrics_without_descriptors.ts`, {
    descriptorsMax: 64,
  });
  assertEquals([ended.stderr, ended.stdout], ["", "EMFILE 0 true\n"]);
});

test("metrics() counts datagrams of sockets that are open and of those that were, bytes as bytes", async () => {
  const before = metrics();
  const [a, b] = datagramPair({ receiveBufferBytes: 4096 }, { readTimeoutMs: 3000 });
  assertEquals(metrics().datagrams.activeCount - before.datagrams.activeCount, 2);
  a.writeTrain(null, new Uint8Array(1000), 100);
  await a.flush();
  await b.wait();
  for (let i = 0; i < 300; i++) b.write(new Uint8Array(i % 2)); // no train, and more than fits
  await b.flush();
  const open = metrics();
  assert(open.datagrams.droppedByKernel > before.datagrams.droppedByKernel);
  assert(open.calls.receive.bytes - before.calls.receive.bytes === 1000);
  await a.close();
  await b.close();
  const { datagrams } = metrics();
  assertEquals(datagrams.droppedByKernel, open.datagrams.droppedByKernel);
  assertEquals(datagrams.opened - before.datagrams.opened, 2);
  assertEquals(datagrams.activeCount, before.datagrams.activeCount);
  assertEquals(datagrams.receivedCount - before.datagrams.receivedCount, 10);
  assertEquals(datagrams.receivedMessages - before.datagrams.receivedMessages, 1);
  assertEquals(datagrams.sentCount - before.datagrams.sentCount, 310);
  assertEquals(datagrams.sentBytes - before.datagrams.sentBytes, 1150);
});
