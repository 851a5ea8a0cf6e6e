import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { BusyError, EofError, TimeoutError } from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, send } from "../support/pair.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

test("Reader.wait() of what is there resolves at once, with one and the same promise", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "hello");
    await b.reader.wait(5);
    assert(b.reader.wait(5) === b.reader.wait(1));
    assert(b.reader.wait(0) === b.reader.wait(-1));
    await closeAll(a, b);
  }));

test("Reader.wait() puts halves together (netpoll 95)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const waiting = b.reader.wait(16 * 1024);
    a.writer.writeBinary(pattern(8 * 1024));
    await a.writer.flush();
    await until(() => b.reader.length === 8 * 1024, "the first half");
    assertEquals(await stateOf(waiting), "pending");
    a.writer.writeBinary(pattern(8 * 1024, 8 * 1024));
    await a.writer.flush();
    await soon(waiting);
    assertBytes(b.reader.next(16 * 1024), pattern(16 * 1024));
    b.reader.release();
    await closeAll(a, b);
  }));

test("Reader.peek() stays valid while more is read, until release() (netpoll 92, 93)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    for (let i = 0; i < 100; i++) {
      a.writer.writeBinary(pattern(256, 256 * i));
      a.writer.flush();
      await soon(b.reader.wait(256));
      const peeked = b.reader.peek(16);
      assertBytes(b.reader.next(256), pattern(256, 256 * i));
      assertEquals(peeked, pattern(16, 256 * i));
      b.reader.release();
    }
    await closeAll(a, b);
  }));

test("Reader.wait() of 1 MiB that comes in pieces takes at most 4 MiB of blocks (netpoll 97)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const before = blocks.counts().usedBytes;
    const waiting = b.reader.wait(1024 * 1024);
    for (let i = 0; i < 1024; i++) {
      a.writer.writeBinary(pattern(1024, i * 1024));
      await a.writer.flush();
      await ticks(i % 4 === 0 ? 1 : 0);
    }
    await soon(waiting);
    assertBytes(b.reader.next(1024 * 1024), pattern(1024 * 1024));
    assert(blocks.counts().usedBytes - before <= 4 * 1024 * 1024);
    b.reader.release();
    await closeAll(a, b);
  }));

test("Reader.wait() twice at once is a BusyError, and leaves the first alone", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const first = b.reader.wait(3);
    await assertRejects(() => b.reader.wait(3), BusyError);
    await assertRejects(() => b.reader.waitUntil(10), BusyError);
    await send(a, "abc");
    await soon(first);
    await closeAll(a, b);
  }));

test("Reader.wait() for more than messageBytesMax is a RangeError at once; for no number a TypeError", () =>
  leaks(async () => {
    const [a, b] = pairWith({ messageBytesMax: 1000 });
    await assertRejects(() => a.reader.wait(1001), RangeError, "messageBytesMax is 1000");
    for (const count of [NaN, 1.5, Infinity]) {
      await assertRejects(() => a.reader.wait(count), TypeError);
    }
    await closeAll(a, b);
  }));

test("Reader.wait() that is aborted rejects with the reason, consumes nothing, and can be repeated", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const controller = new AbortController();
    const reason = { why: "any value" };
    const waiting = b.reader.wait(4, { signal: controller.signal }).catch((error) => error);
    await send(a, "ab");
    await until(() => b.reader.length === 2, "half of it");
    controller.abort(reason);
    assertEquals(await soon(waiting), reason);
    assertEquals(await b.reader.wait(4, { signal: controller.signal }).catch((e) => e), reason);
    await send(a, "cd");
    await soon(b.reader.wait(4));
    assertEquals(b.reader.readString(4), "abcd");
    await closeAll(a, b);
  }));

test("Reader.wait() that was met forgets its signal", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const controller = new AbortController();
    const waiting = b.reader.wait(1, { signal: controller.signal });
    await send(a, "x");
    await soon(waiting);
    const next = b.reader.wait(2);
    controller.abort();
    await send(a, "y");
    await soon(next);
    await closeAll(a, b);
  }));

test("Reader.waitUntil() finds a delimiter however it is cut", () =>
  leaks(async () => {
    for (const delimiter of [Buffer.from("\r\n\r\n"), "\r\n\r\n"]) {
      const [a, b] = pairWith();
      const waiting = b.reader.waitUntil(delimiter);
      for (const piece of ["GET /", "\r", "\nHost: x\r\n", "\r", "\nrest"]) {
        await send(a, piece);
        await ticks(3);
      }
      const length = await soon(waiting);
      assertEquals(b.reader.readString(length), "GET /\r\nHost: x\r\n\r\n");
      await soon(b.reader.wait(4));
      assertEquals(b.reader.readString(4), "rest");
      await closeAll(a, b);
    }
  }));

test("Reader.waitUntil() does not search again what it searched, nor miss what follows bytes that were read", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "0123456789");
    await soon(b.reader.wait(10));
    const waiting = b.reader.waitUntil(10);
    b.reader.skip(10); // somebody else reads meanwhile
    await send(a, "abc\n");
    assertEquals(await soon(waiting), 4);
    assertEquals(b.reader.readString(4), "abc\n");
    await closeAll(a, b);
  }));

test("Reader.waitUntil() is bounded by maxBytes, and consumes nothing then", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const waiting = assertRejects(() => soon(b.reader.waitUntil(10, { maxBytes: 8 })), RangeError);
    await send(a, "0123");
    await send(a, "456789\n");
    await waiting;
    await soon(b.reader.wait(11));
    await assertRejects(() => b.reader.waitUntil(10, { maxBytes: 10 }), RangeError);
    assertEquals(await b.reader.waitUntil(10, { maxBytes: 11 }), 11);
    await closeAll(a, b);
  }));

test("Reader.waitUntil() keeps a copy of the delimiter, and ends by timeout, abort and end", () =>
  leaks(async () => {
    const [a, b] = pairWith({}, { readTimeoutMs: 10 });
    await assertRejects(() => soon(b.reader.waitUntil(10)), TimeoutError);
    b.readTimeoutMs = 0;
    const delimiter = Buffer.from("##");
    const waiting = b.reader.waitUntil(delimiter);
    delimiter.fill(0);
    await send(a, "a##");
    assertEquals(await soon(waiting), 3);
    b.reader.skip(3);
    const signal = AbortSignal.timeout(5);
    assertEquals(
      await soon(b.reader.waitUntil(10, { signal }).catch((error) => error)),
      signal.reason,
    );
    const ended = assertRejects(() => soon(b.reader.waitUntil(10)), EofError);
    await send(a, "no delimiter");
    await a.close();
    await ended;
    assertEquals(b.reader.length, 12);
    await b.close();
  }));

test("Reader.wait() and waitUntil() refuse at once what is no number of bytes", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "0123456789");
    await soon(b.reader.wait(10));
    for (const count of [NaN, 0.5, 9.5, "9", 9n, null, undefined, Infinity, -Infinity, [9]]) {
      await assertRejects(() => b.reader.wait(count as number), TypeError, "not a whole number");
    }
    for (const maxBytes of [NaN, 0.5, 9.5, "9", 9n, Infinity, {}]) {
      const options = { maxBytes: maxBytes as number };
      await assertRejects(() => b.reader.waitUntil(57, options), TypeError, "no whole number");
    }
    for (const maxBytes of [0, -1, 2 ** 40]) {
      await assertRejects(() => b.reader.waitUntil(57, { maxBytes }), RangeError, "not 1 to mes");
    }
    assertEquals(await b.reader.waitUntil(57, { maxBytes: 10 }), 10);
    await closeAll(a, b);
  }));
