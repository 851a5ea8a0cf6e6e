import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { TimeoutError } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { Timer } from "../../src/poll/timer_wheel.ts";
import { type FakeClock, withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { soon, stateOf, until } from "../support/until.ts";

/** A test in which time passes when it says so, and which gives everything back. */
function timed(name: string, run: (clock: FakeClock) => Promise<void>, need = needs()): void {
  test(name, need, () => leaks(() => withFakeClock(run)));
}

timed("readTimeoutMs fires in time, never early (netpoll 124)", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 50 });
  const waiting = a.reader.wait(1);
  waiting.catch(() => {});
  await clock.advance(49.9);
  assertEquals(await stateOf(waiting), "pending");
  await clock.advance(1.2); // a timer's grain is a millisecond
  const error = await assertRejects(() => soon(waiting), TimeoutError);
  assertEquals(error.operation, "read");
  await closeAll(a, b);
});

timed("readTimeoutMs is for the whole wait, not for each piece (netpoll 129)", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 50 });
  const waiting = a.reader.wait(100);
  waiting.catch(() => {});
  for (let i = 0; i < 4; i++) {
    await clock.advance(12);
    assertEquals(await stateOf(waiting), "pending");
    await send(b, "x");
  }
  await clock.advance(4);
  await assertRejects(() => soon(waiting), TimeoutError);
  assertEquals(a.reader.length, 4);
  await closeAll(a, b);
});

timed("a wait that is met at once needs no time (netpoll 125, 127)", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 1 });
  await send(b, "x");
  await soon(a.reader.wait(1));
  await clock.advance(5);
  await a.reader.wait(1);
  await closeAll(a, b);
});

timed("a timeout that was met fires no more (netpoll 133)", async (clock) => {
  const [a, b] = pairWith({ readTimeoutMs: 600 });
  await send(b, "x");
  await receive(a, 1);
  await clock.advance(400);
  const waiting = a.reader.wait(1);
  await clock.advance(300); // the first one's time is over, the second one's is not
  await send(b, "y");
  await soon(waiting);
  await closeAll(a, b);
});

timed(
  "a timeout that is set, shortened or taken away holds for a wait under way (netpoll 126, 132 x)",
  async (clock) => {
    const [a, b] = pairWith();
    for (const before of [undefined, 0, 60_000]) {
      if (before !== undefined) a.readTimeoutMs = before;
      const waiting = assertRejects(() => a.reader.wait(1), TimeoutError);
      await clock.advance(5);
      a.readTimeoutMs = 10;
      await clock.advance(11);
      await soon(waiting);
    }
    a.readTimeoutMs = 300;
    const waiting = a.reader.wait(1);
    await clock.advance(5);
    a.readTimeoutMs = 0;
    await clock.advance(350);
    await send(b, "x");
    await soon(waiting);
    assertEquals(a.readTimeoutMs, 0);
    await closeAll(a, b);
  },
);

const LARGE = 4 * 1024 * 1024;

timed(
  "writeTimeoutMs fails the flush, and what was flushed stays queued (netpoll 122, 194)",
  async (clock) => {
    const [a, b] = pairWith({ writeTimeoutMs: 20 });
    b.pauseRead();
    a.writer.writeBinary(pattern(LARGE));
    const late = assertRejects(() => a.writer.flush(), TimeoutError);
    await clock.advance(22);
    assertEquals((await soon(late)).operation, "write");
    a.writeTimeoutMs = 0;
    const flushed = a.writer.flush();
    b.resumeRead();
    await soon(b.reader.wait(LARGE));
    assertBytes(b.reader.readBinary(LARGE), pattern(LARGE));
    await soon(flushed);
    await closeAll(a, b);
  },
);

timed("writeTimeoutMs is for each flush: a later one has its own time", async (clock) => {
  const [a, b] = pairWith({ writeTimeoutMs: 40 });
  b.pauseRead();
  a.writer.writeBinary(pattern(LARGE));
  const first = a.writer.flush();
  await clock.advance(25);
  a.writer.writeByte(1);
  const second = a.writer.flush();
  await clock.advance(14.9);
  assertEquals(await stateOf(first), "pending");
  await clock.advance(1.2);
  assertEquals([await stateOf(first), await stateOf(second)], ["failed", "pending"]);
  await clock.advance(23);
  assertEquals(await stateOf(second), "pending");
  await clock.advance(2);
  assertEquals(await stateOf(second), "failed");
  await closeAll(a, b);
});

timed("writeTimeoutMs set while a flush is under way takes effect", async (clock) => {
  const [a, b] = pairWith();
  b.pauseRead();
  a.writer.writeBinary(pattern(LARGE));
  const flushed = assertRejects(() => a.writer.flush(), TimeoutError);
  a.writeTimeoutMs = 10;
  await clock.advance(12);
  await soon(flushed);
  await closeAll(a, b);
});

timed("idleTimeoutMs can be set, and taken away", async (clock) => {
  const [a, b] = pairWith();
  a.idleTimeoutMs = 20;
  a.idleTimeoutMs = 0;
  await clock.advance(40);
  assert(a.isActive);
  a.idleTimeoutMs = 10;
  await clock.advance(12);
  await assertRejects(() => soon(a.closed), TimeoutError);
  await b.close();
});

timed("ten thousand idle timeouts that are never due cost no turns", async (clock) => {
  const poller = threadPoller();
  const [a, b] = pairWith(); // somebody is watched
  const timers = Array.from({ length: 10_000 }, () => new Timer({ onTimer() {} }));
  for (const timer of timers) poller.setTimer(timer, 3_600_000);
  const before = poller.counts.expiries;
  await clock.advance(3_000_000);
  // One for each level of the wheel, as its time comes nearer.
  assert(poller.counts.expiries - before <= 6, `${poller.counts.expiries - before} looks`);
  for (const timer of timers) poller.cancelTimer(timer);
  await closeAll(a, b);
});

/** Takes bytes from a descriptor as a peer that reads slowly. How many. */
function take(fd: number, most: number): number {
  const block = blocks.take(most);
  const count = native.recv(fd, block.slab.id, block.offset, most);
  block.release();
  return count;
}

timed(
  "idleTimeoutMs: a peer that takes what was sent, however slowly, is not idle",
  async (clock) => {
    const [a, b] = pairWith({ idleTimeoutMs: 1000 });
    const fd = b.detach();
    for (let i = 0; i < 12; i++) {
      a.writer.writeBinary(pattern(4096)); // a piece for the kernel, which holds all of them
      await soon(a.writer.flush());
    }
    for (let i = 0; i < 12; i++) {
      await clock.advance(700);
      assert(a.isActive, `after ${i} pieces`);
      assertEquals(take(fd, 4096), 4096);
    }
    await clock.advance(2100);
    await assertRejects(() => soon(a.closed), TimeoutError, "1000 ms");
    native.close(fd);
  },
  needs("descriptor", "plain bytes"),
);

timed("idleTimeoutMs: a peer that takes nothing of what was sent is idle", async (clock) => {
  const [a, b] = pairWith({ idleTimeoutMs: 1000 });
  b.pauseRead();
  a.writer.writeBinary(pattern(LARGE));
  a.writer.flush();
  await clock.advance(900);
  assert(a.isActive);
  await clock.advance(1200);
  await assertRejects(() => soon(a.closed), TimeoutError);
  await b.close();
});

timed(
  "idleTimeoutMs: a peer whose bytes we do not read is not idle, nor for ever busy",
  async (clock) => {
    const [a, b] = pairWith({ idleTimeoutMs: 1000 });
    a.pauseRead();
    send(b, "x");
    await clock.advance(10_000);
    assert(a.isActive);
    a.resumeRead();
    await soon(a.reader.wait(1));
    await clock.advance(1020);
    await assertRejects(() => soon(a.closed), TimeoutError);
    await b.close();
  },
);

timed("idleTimeoutMs: who asks on and takes no answers is idle", async (clock) => {
  const [a, b] = pairWith({
    idleTimeoutMs: 1000,
    writeBufferBytesMax: 1 << 16,
    onRequest: ({ reader, writer }) => {
      reader.skip(reader.length);
      writer.writeBinary(pattern(LARGE));
      writer.flush();
    },
  });
  b.pauseRead();
  await send(b, "first");
  await until(() => !a.writer.isWritable, "too much is unsent");
  send(b, "second");
  await clock.advance(2100);
  await assertRejects(() => soon(a.closed), TimeoutError);
  await b.close();
});

timed(
  "readTimeoutMs: what came in time is received, also while too much is unsent",
  async (clock) => {
    let question = "";
    const [a, b] = pairWith({
      readTimeoutMs: 100,
      writeBufferBytesMax: 1 << 16,
      onRequest: async ({ reader, writer }) => {
        writer.writeBinary(pattern(LARGE));
        writer.flush();
        await reader.wait(5 + 6);
        question = reader.readString(11);
      },
    });
    b.pauseRead();
    await send(b, "first");
    await until(() => !a.writer.isWritable, "too much is unsent");
    send(b, "second");
    await clock.advance(99);
    await clock.advance(3);
    await until(() => question === "firstsecond", "the rest");
    await closeAll(a, b);
  },
);
