import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type Connection, EofError, FakeClock, memoryPair, TimeoutError } from "../../mod.ts";
import { type LineFaults, linePlan } from "../../src/transport/line.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, receive, send } from "../support/pair.ts";
import { soon, stateOf, ticks } from "../support/until.ts";

/** Notes each piece that comes, in a handler, until the end. */
function pieces(connection: Connection): string[] {
  const heard: string[] = [];
  connection.setOnRequest(({ reader }) => {
    heard.push(reader.readString(reader.length));
  });
  return heard;
}

async function piecesOf(toSecond: LineFaults, text: string): Promise<string[]> {
  const [a, b] = memoryPair({ toSecond });
  const heard = pieces(b);
  await send(a, text);
  await a.close();
  await soon(b.closed);
  return heard;
}

test("Line gives a piece that ends at each offset, and no longer one than is wanted", () =>
  leaks(async () => {
    assertEquals(await piecesOf({ splitAt: [5, 1, 3] }, "abcdefg"), ["a", "bc", "de", "fg"]);
    assertEquals(await piecesOf({ chunkBytesMax: 3 }, "abcdefg"), ["abc", "def", "g"]);
    assertEquals(await piecesOf({ chunkBytesMax: 3, splitAt: [4] }, "abcdefgh"), [
      "abc",
      "d",
      "efg",
      "h",
    ]);
    assertEquals(await piecesOf({ splitAt: [7, 7, 20] }, "abcdefg"), ["abcdefg"]);
    assertEquals(await piecesOf({}, "abc"), ["abc"]);
  }));

test("Line gives the next piece when whoever awaits has seen the first", () =>
  leaks(async () => {
    const [a, b] = memoryPair({ toSecond: { splitAt: [2] } });
    const flushed = send(a, "abcd");
    await soon(b.reader.wait(1));
    assertEquals(b.reader.length, 2);
    await soon(b.reader.wait(4));
    await flushed;
    await closeAll(a, b);
  }));

test("Line inverts the lowest bit of the bytes that are named, wherever the pieces end", () =>
  leaks(async () => {
    const flipAt = [3, 0, 4];
    assertEquals(await piecesOf({ flipAt, splitAt: [4] }, "00000000"), ["1001", "1000"]);
    assertEquals((await piecesOf({ flipAt, chunkBytesMax: 1 }, "000000")).join(""), "100110");
  }));

test("Line lets time pass where it pauses, by the clock, from when something lies behind", () =>
  leaks(async () => {
    using clock = new FakeClock();
    const [a, b] = memoryPair({ toSecond: { delays: [{ at: 2, ms: 50 }, { at: 4, ms: 30 }] } });
    const heard = pieces(b);
    await send(a, "ab");
    await clock.advance(1000);
    await send(a, "cdef");
    await clock.advance(49);
    assertEquals(heard, ["ab"]);
    await clock.advance(1);
    assertEquals(heard, ["ab", "cd"]);
    await clock.advance(29);
    assertEquals(heard, ["ab", "cd"]);
    await clock.advance(1);
    assertEquals(heard, ["ab", "cd", "ef"]);
    await closeAll(a, b);
  }));

test("Line pauses until a promise has settled, however it does", () =>
  leaks(async () => {
    for (const settle of ["resolve", "reject"] as const) {
      const gate = Promise.withResolvers<void>();
      const [a, b] = memoryPair({ toSecond: { delays: [{ at: 1, until: gate.promise }] } });
      const heard = pieces(b);
      await send(a, "abc");
      await ticks(20);
      assertEquals(heard, ["a"]);
      gate[settle]();
      await a.close();
      await soon(b.closed);
      assertEquals(heard, ["a", "bc"]);
    }
  }));

test("Line that pauses at its first byte, or before its end, lets neither pass", () =>
  leaks(async () => {
    using clock = new FakeClock();
    const delays = [{ at: 0, ms: 10 }, { at: 1, ms: 10 }];
    const [a, b] = memoryPair({ toSecond: { delays } });
    const [c, d] = memoryPair({ toSecond: { delays: [{ at: 0, ms: 10 }], resetAt: 0 } });
    await send(a, "a");
    await a.close();
    const ended = soon(assertRejects(() => b.reader.wait(2), EofError));
    const reset = soon(assertRejects(() => d.reader.wait(1), EofError));
    await clock.advance(9);
    assertEquals([b.reader.length, await stateOf(reset)], [0, "pending"]);
    await clock.advance(1);
    await reset;
    assertEquals([b.reader.length, await stateOf(ended)], [1, "pending"]);
    await clock.advance(10);
    await ended;
    await closeAll(b, c, d);
  }));

test("Line that stalls passes no byte on, no end and no reset; a close tells what was lost", () =>
  leaks(async () => {
    for (const end of ["close", "reset"] as const) {
      using clock = new FakeClock();
      const [a, b] = memoryPair({ toSecond: { stallAt: 2 }, second: { readTimeoutMs: 7000 } });
      await send(a, "abcde");
      const late = assertRejects(() => b.reader.wait(3), TimeoutError);
      await ticks(20);
      assertEquals(b.reader.length, 2);
      const closed = a[end]() as Promise<unknown> | undefined;
      await send(b, "answer");
      await clock.advance(6000);
      if (end === "close") assertEquals(await soon(closed!), { unsentBytes: 3 });
      assertEquals([b.isActive, b.metrics().state], [true, "open"]);
      await clock.advance(1000);
      await soon(late);
      await closeAll(a, b);
    }
  }));

test("Line that stalls leaves what is sent to a peer that is gone in the window, and no more", () =>
  leaks(async () => {
    const [a, b] = memoryPair({ toSecond: { stallAt: 0 }, windowBytes: 10 });
    a.reset();
    await send(b, "12345");
    b.writer.writeString("1234567");
    const flushed = b.writer.flush();
    assertEquals(await stateOf(flushed), "pending");
    assertEquals(await b.close({ timeoutMs: 0 }), { unsentBytes: 2 });
    await assertRejects(() => flushed);
  }));

test("Line that breaks tells both ends of a reset, behind the bytes that came before", () =>
  leaks(async () => {
    for (const resetAt of [1, 3, 6]) {
      const [a, b] = memoryPair({ toSecond: { resetAt } });
      await send(b, "answer");
      const sent = send(a, "abcdef").catch((error) => error);
      for (const [end, count] of [[b, resetAt], [a, 6]] as const) {
        const error = await soon(assertRejects(() => end.reader.wait(7), EofError));
        assertEquals((error.cause as { code?: string }).code, "ECONNRESET");
        assertEquals(end.reader.length, count, `resetAt ${resetAt}`);
      }
      await sent;
      await assertRejects(async () => await send(b, "more"), EofError);
      await closeAll(a, b);
    }
  }));

test("Line that ends early drops the rest, and the other way stays open", () =>
  leaks(async () => {
    for (const endAt of [0, 2, 5]) {
      const [a, b] = memoryPair({ toSecond: { endAt }, windowBytes: 8 });
      await soon(send(a, "abcde".repeat(20)));
      const error = await soon(assertRejects(() => b.reader.wait(99), EofError));
      assertEquals([error.cause, b.reader.length], [undefined, endAt]);
      await send(b, "still");
      assertEquals(await soon(receive(a, 5)), "still");
      await soon(Promise.all([a.close(), b.close()]));
    }
  }));

test("Line that ends where the sender does, and resets where the sender has gone, is one end", () =>
  leaks(async () => {
    for (const fault of [{ endAt: 3 }, { resetAt: 3 }, { endAt: 9 }, { resetAt: 9 }]) {
      const [a, b] = memoryPair({ toSecond: fault, toFirst: fault });
      await Promise.all([send(a, "abc"), send(b, "abc")].map((each) => each.catch(() => {})));
      await soon(Promise.allSettled([a.close(), b.close()]));
      await soon(Promise.allSettled([a.closed, b.closed]));
    }
  }));

test("Line lets a reset overtake bytes that have come and nobody reads, and not those it holds", () =>
  leaks(async () => {
    const [a, b] = memoryPair({ toSecond: { splitAt: [3] } });
    const [c, d] = memoryPair({ toSecond: { splitAt: [9] } });
    for (const [from, to] of [[a, b], [c, d]] as const) {
      to.pauseRead();
      await send(from, "abcd");
      from.reset();
    }
    await ticks(20);
    await send(b, "taken, though nobody is there");
    await soon(assertRejects(() => send(d, "refused"), EofError));
    b.resumeRead();
    await soon(assertRejects(() => b.reader.wait(5), EofError));
    assertEquals(b.reader.length, 4);
    await closeAll(a, b, c, d);
  }));

test("linePlan() refuses what means nothing, and says what it takes", () => {
  const given = (faults: unknown) => () => linePlan("it", faults as LineFaults);
  assertThrows(given({ splitsAt: [1] }), TypeError, "splitAt");
  assertThrows(given({ splitAt: 1 }), TypeError, "list of offsets");
  assertThrows(given({ splitAt: [0] }), RangeError);
  assertThrows(given({ splitAt: [1.5] }), RangeError);
  assertThrows(given({ flipAt: [-1] }), RangeError);
  assertThrows(given({ chunkBytesMax: 0 }), RangeError);
  assertThrows(given({ stallAt: -1 }), RangeError);
  assertThrows(given({ resetAt: NaN }), RangeError);
  assertThrows(given({ endAt: 1, resetAt: 2 }), TypeError, "cut once");
  assertThrows(given({ delays: { at: 1, ms: 1 } }), TypeError, "list");
  assertThrows(given({ delays: [{ at: 1 }] }), TypeError, "either ms or until");
  assertThrows(given({ delays: [{ at: 1, ms: 0 }] }), RangeError);
  assertThrows(given({ delays: [{ at: 1, until: 5 }] }), TypeError, "no promise");
  assertThrows(given({ delays: [{ ms: 1 }] }), RangeError);
  assertThrows(given([]), TypeError);
  assertEquals(linePlan("it", undefined), null);
});
