import { assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { packPeer, TimeoutError } from "../../mod.ts";
import { type DatagramDeadline, DatagramDeadlines } from "../../src/datagram/deadlines.ts";
import { datagramSettings } from "../../src/datagram/options.ts";
import { clock } from "../../src/poll/clock.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { bound, bytes } from "../support/datagrams.ts";
import { soon, ticks, until } from "../support/until.ts";

test("each deadline is told once it has passed, and not after its end", async () => {
  await using _ = bound(); // a poller that waits
  const told: [DatagramDeadline, number][] = [];
  const owner = {
    isHeldBack: false,
    flushingSince: clock.now(),
    onDeadline: (...what: [DatagramDeadline, number]) => void told.push(what),
  };
  const settings = datagramSettings({ readTimeoutMs: 2, writeTimeoutMs: 3, idleTimeoutMs: 4 });
  const deadlines = new DatagramDeadlines(threadPoller(), owner, settings);
  deadlines.beginRead();
  deadlines.beginWrite();
  await until(() => told.length === 3, "all pass");
  assertEquals(new Set(told.map(String)), new Set(["read,2", "write,3", "idle,4"]));
  deadlines.beginRead();
  deadlines.endRead();
  owner.flushingSince = clock.now();
  deadlines.beginWrite();
  deadlines.endWrite();
  deadlines.close();
  await ticks(5);
  assertEquals(told.length, 3);
});

test("a wait or a flush that has ended leaves no timer, nor does a socket that has", async () => {
  const before = threadPoller().timerCount;
  const options = { readTimeoutMs: 60_000, writeTimeoutMs: 60_000, idleTimeoutMs: 60_000 };
  const owner = { isHeldBack: false, flushingSince: clock.now(), onDeadline() {} };
  const deadlines = new DatagramDeadlines(threadPoller(), owner, datagramSettings(options));
  const timers = () => threadPoller().timerCount - before;
  assertEquals(timers(), 1); // of the silence
  deadlines.beginRead();
  deadlines.beginWrite();
  assertEquals(timers(), 3);
  deadlines.endRead();
  assertEquals(timers(), 2);
  deadlines.endWrite();
  assertEquals(timers(), 1);
  deadlines.beginRead();
  deadlines.close();
  assertEquals(timers(), 0);
  await ticks(1);
});

test("without a setting there is no deadline", async () => {
  const before = threadPoller().timerCount;
  const deadlines = new DatagramDeadlines(
    threadPoller(),
    { isHeldBack: false, flushingSince: Infinity, onDeadline() {} },
    datagramSettings({}),
  );
  deadlines.beginRead();
  deadlines.beginWrite();
  deadlines.active();
  assertEquals(threadPoller().timerCount, before);
  deadlines.close();
  await ticks(1);
});

test("no time passes for a peer whose datagrams nobody takes", async () => {
  await using client = bound();
  await using server = bound({ readTimeoutMs: 2, idleTimeoutMs: 2 });
  server.pauseRead();
  client.writeTo(packPeer(server.localAddress), bytes("here"));
  const flushed = client.flush();
  const waited = server.wait();
  waited.catch(() => {});
  await flushed;
  // The deadlines of two others pass, many times over.
  await using late = bound({ readTimeoutMs: 2 });
  for (let i = 0; i < 8; i++) await assertRejects(() => late.wait(), TimeoutError);
  await using idle = bound({ idleTimeoutMs: 8, onError() {} });
  await assertRejects(() => soon(idle.closed), TimeoutError);
  server.resumeRead();
  await soon(waited);
  assertEquals(Buffer.from(server.datagrams.at(0).bytes).toString(), "here");
});
