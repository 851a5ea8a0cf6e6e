import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { socketPair, TimeoutError } from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { delay, soon } from "../support/until.ts";

async function millis(run: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await run();
  return performance.now() - begin;
}

test("readTimeoutMs fires in time, never early (netpoll 124)", () =>
  leaks(async () => {
    const [a, b] = pairWith({ readTimeoutMs: 50 });
    const took = await millis(() => assertRejects(() => soon(a.reader.wait(1)), TimeoutError));
    assert(took >= 49.9 && took < 1000, `${took} ms`);
    await closeAll(a, b);
  }));

test("readTimeoutMs is for the whole wait, not for each piece (netpoll 129)", () =>
  leaks(async () => {
    const [a, b] = pairWith({ readTimeoutMs: 50 });
    const waiting = assertRejects(() => soon(a.reader.wait(100)), TimeoutError);
    let sent = 0;
    const trickle = setInterval(() => {
      sent += 1;
      send(b, "x");
    }, 10);
    await waiting;
    clearInterval(trickle);
    assert(a.reader.length < 100 && a.reader.length <= sent);
    await closeAll(a, b);
  }));

test("a wait that is met at once needs no time (netpoll 125, 127)", () =>
  leaks(async () => {
    const [a, b] = pairWith({ readTimeoutMs: 1 });
    await send(b, "x");
    await soon(a.reader.wait(1).catch(() => a.reader.wait(1)));
    await delay(5);
    await a.reader.wait(1);
    await closeAll(a, b);
  }));

test("a timeout that was met fires no more (netpoll 133)", () =>
  leaks(async () => {
    const [a, b] = pairWith({ readTimeoutMs: 600 });
    await send(b, "x");
    await receive(a, 1);
    await delay(400);
    const waiting = a.reader.wait(1);
    await delay(300); // the first one's time is over, the second one's is not
    await send(b, "y");
    await soon(waiting);
    await closeAll(a, b);
  }));

test("a timeout that is set, shortened or taken away holds for a wait under way (netpoll 126, 132 x)", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    for (const before of [undefined, 0, 60_000]) {
      if (before !== undefined) a.readTimeoutMs = before;
      const waiting = assertRejects(() => soon(a.reader.wait(1)), TimeoutError);
      await delay(5);
      a.readTimeoutMs = 10;
      await waiting;
    }
    a.readTimeoutMs = 300;
    const waiting = a.reader.wait(1);
    await delay(5);
    a.readTimeoutMs = 0;
    await delay(350);
    await send(b, "x");
    await soon(waiting);
    assertEquals(a.readTimeoutMs, 0);
    await closeAll(a, b);
  }));

const LARGE = 4 * 1024 * 1024;

test("writeTimeoutMs fails the flush, and what was flushed stays queued (netpoll 122, 194)", () =>
  leaks(async () => {
    const [a, b] = pairWith({ writeTimeoutMs: 20 });
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const error = await assertRejects(() => soon(a.writer.flush()), TimeoutError);
    assertEquals(error.operation, "write");
    a.writeTimeoutMs = 0;
    const flushed = a.writer.flush();
    b.resumeRead();
    await soon(b.reader.wait(LARGE));
    assertBytes(b.reader.readBinary(LARGE), pattern(LARGE));
    await soon(flushed);
    await closeAll(a, b);
  }));

test("writeTimeoutMs is for each flush: a later one has its own time", () =>
  leaks(async () => {
    const [a, b] = pairWith({ writeTimeoutMs: 40 });
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const begin = performance.now();
    const ends: number[] = [];
    const first = a.writer.flush().catch(() => ends.push(performance.now() - begin));
    await delay(25);
    a.writer.writeByte(1);
    const second = a.writer.flush().catch(() => ends.push(performance.now() - begin));
    await soon(Promise.all([first, second]));
    assertEquals(ends.length, 2);
    assert(ends[0]! >= 39.9 && ends[1]! >= 64, `${ends}`);
    await closeAll(a, b);
  }));

test("writeTimeoutMs set while a flush is under way takes effect", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const flushed = assertRejects(() => soon(a.writer.flush()), TimeoutError);
    a.writeTimeoutMs = 10;
    await flushed;
    await closeAll(a, b);
  }));

test("idleTimeoutMs can be set, and taken away", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.idleTimeoutMs = 20;
    a.idleTimeoutMs = 0;
    await delay(40);
    assert(a.isActive);
    a.idleTimeoutMs = 10;
    await assertRejects(() => soon(a.closed), TimeoutError);
    await b.close();
  }));

test("ten thousand idle timeouts that are never due cost no turns", () =>
  leaks(async () => {
    const { threadPoller } = await import("../../src/poll/poller_pool.ts");
    const { Timer } = await import("../../src/poll/timer_wheel.ts");
    const poller = threadPoller();
    const [a, b] = socketPair(); // somebody is watched
    const timers = Array.from({ length: 10_000 }, () => new Timer({ onTimer() {} }));
    for (const timer of timers) poller.setTimer(timer, 3_600_000);
    await delay(20);
    const before = poller.counts.waits;
    await delay(100);
    assert(poller.counts.waits - before < 20, `${poller.counts.waits - before} waits`);
    for (const timer of timers) poller.cancelTimer(timer);
    await closeAll(a, b);
  }));
