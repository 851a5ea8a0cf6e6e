import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  createListener,
  dial,
  EventLoop,
  FakeClock,
  memoryPair,
  socketPair,
  TimeoutError,
} from "../../mod.ts";
import { clock } from "../../src/poll/clock.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, send } from "../support/pair.ts";
import { soon, stateOf, ticks } from "../support/until.ts";

const MINUTE_MS = 60_000;

test("FakeClock.advance() lets deadlines pass at their time, in the order of time", () =>
  leaks(async () => {
    using fake = new FakeClock();
    const begin = fake.nowMs;
    const [a, b] = memoryPair({
      first: { readTimeoutMs: 2 * MINUTE_MS },
      second: { readTimeoutMs: MINUTE_MS },
    });
    const passed: string[] = [];
    const late = [
      a.reader.wait(1).catch(() => passed.push(`a at ${fake.nowMs - begin}`)),
      b.reader.wait(1).catch(() => passed.push(`b at ${fake.nowMs - begin}`)),
    ];
    await fake.advance(MINUTE_MS - 1);
    assertEquals(passed, []);
    await fake.advance(1);
    assertEquals(passed, ["b at 60000"]);
    await fake.advance(2 * MINUTE_MS);
    assertEquals(passed, ["b at 60000", "a at 120000"]);
    assertEquals(fake.nowMs - begin, 3 * MINUTE_MS);
    await Promise.all(late);
    await closeAll(a, b);
  }));

test("FakeClock stands while nobody advances it, whatever happens", () =>
  leaks(async () => {
    using fake = new FakeClock();
    const { nowMs } = fake;
    const [a, b] = memoryPair({ first: { readTimeoutMs: 1, idleTimeoutMs: 1, lifetimeMs: 1 } });
    const waiting = a.reader.wait(5);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await ticks(20);
    assertEquals([fake.nowMs, await stateOf(waiting)], [nowMs, "pending"]);
    await send(b, "hello");
    await soon(waiting);
    await closeAll(a, b);
  }));

test("FakeClock holds for sockets, servers and dial, too", () =>
  leaks(async () => {
    using fake = new FakeClock();
    const listener = createListener("tcp", "127.0.0.1:0");
    const loop = new EventLoop(null, { idleTimeoutMs: MINUTE_MS });
    const served = loop.serve(listener);
    const port = listener.address.transport === "tcp" ? listener.address.port : 0;
    const client = await soon(dial("tcp", `127.0.0.1:${port}`, { timeoutMs: 1 }));
    const [a, b] = socketPair();
    a.readTimeoutMs = MINUTE_MS;
    const late = assertRejects(() => a.reader.wait(1), TimeoutError);
    await ticks(20);
    assertEquals(loop.connectionCount, 1);
    await fake.advance(1.1 * MINUTE_MS);
    await soon(late);
    assertEquals(loop.connectionCount, 0);
    await closeAll(client, a, b);
    await loop.shutdown();
    await served;
  }));

test("FakeClock lets others have their turns beside two ends that never cease to talk", () =>
  leaks(async () => {
    using fake = new FakeClock();
    const [a, b] = memoryPair();
    let count = 0;
    for (const each of [a, b]) {
      each.setOnRequest(({ reader, writer }) => {
        count += 1;
        writer.writeBinary(reader.next(reader.length));
        void writer.flush();
        reader.release();
      });
    }
    await send(a, "ball");
    await ticks(50);
    const before = count;
    await ticks(50);
    assert(count > before);
    await closeAll(a, b);
    await fake.advance(10);
  }));

test("FakeClock gives the clock back: what was set before and on it passes by real time", () =>
  leaks(async () => {
    const [a, b] = memoryPair();
    a.readTimeoutMs = 30;
    const before = a.reader.wait(1);
    const fake = new FakeClock();
    b.readTimeoutMs = 20;
    const late = b.reader.wait(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals([await stateOf(before), await stateOf(late)], ["pending", "pending"]);
    await fake.advance(5);
    const { nowMs } = fake;
    fake[Symbol.dispose]();
    fake[Symbol.dispose]();
    assert(clock.now() >= nowMs * 1000);
    await assertRejects(() => soon(late), TimeoutError);
    await assertRejects(() => soon(before), TimeoutError);
    await closeAll(a, b);
  }));

test("FakeClock is one at a time, and advances by milliseconds", async () => {
  const fake = new FakeClock();
  assertThrows(() => new FakeClock(), TypeError, "dispose of the first one");
  await assertRejects(() => fake.advance(-1), RangeError);
  await assertRejects(() => fake.advance(NaN), RangeError);
  fake[Symbol.dispose]();
  await assertRejects(() => fake.advance(1), TypeError);
  new FakeClock()[Symbol.dispose]();
});

test("FakeClock.advanceToNext() lets one deadline after the other pass, until there is none", () =>
  leaks(async () => {
    using fake = new FakeClock();
    const begin = fake.nowMs;
    const [a, b] = memoryPair({
      first: { readTimeoutMs: MINUTE_MS },
      second: { readTimeoutMs: 2 * MINUTE_MS },
    });
    const passed: number[] = [];
    for (const each of [a, b]) {
      each.reader.wait(1).catch(() => passed.push(fake.nowMs - begin));
    }
    for (let count = 0; count < 2;) {
      assertEquals(await fake.advanceToNext(), true);
      if (passed.length > count) assertEquals(passed.length, ++count);
    }
    assertEquals(passed, [MINUTE_MS, 2 * MINUTE_MS]);
    await closeAll(a, b);
    while (await fake.advanceToNext());
    assertEquals(await fake.advanceToNext(), false);
    fake[Symbol.dispose]();
    await assertRejects(() => fake.advanceToNext(), TypeError);
  }));
