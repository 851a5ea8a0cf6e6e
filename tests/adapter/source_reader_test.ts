import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { readerFrom } from "../../src/adapter/source_reader.ts";
import { BusyError, ClosedError, EofError } from "../../src/core/errors.ts";
import { assertBytes, balanced, bytesOfText, sequence, textOf } from "../buffer/balanced.ts";

/** A source of the pieces given, which says what was asked of it. */
class Pieces implements AsyncIterable<Uint8Array> {
  asked = 0;
  hasEnded = false;

  constructor(readonly pieces: Uint8Array[], readonly error: unknown = null) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (const piece of this.pieces) {
        this.asked += 1;
        yield piece;
      }
      this.asked += 1;
      if (this.error !== null) throw this.error;
    } finally {
      this.hasEnded = true;
    }
  }
}

/** A source without end, whose pieces all lie in the same array. */
async function* endless(count: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(count);
  for (let from = 0;; from += count) {
    piece.set(sequence(count, from));
    yield piece;
  }
}

balanced("readerFrom() of an endless source has what was waited for (netpoll 85)", async () => {
  const reader = readerFrom(endless(1024));
  await reader.wait(8192);
  assertBytes(reader.next(8192), sequence(8192));
  assertEquals(reader.length, 0);
  await reader.wait(4096);
  assertBytes(reader.peek(4096), sequence(4096, 8192));
  assertEquals(reader.length, 4096);
  reader.skip(4096);
  assertEquals(reader.length, 0);
  await reader.close();
});

balanced("wait() rejects for a piece whose memory is gone: it was not empty", async () => {
  const gone = new Uint8Array(5);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  const reader = readerFrom(new Pieces([bytesOfText("abc"), gone, bytesOfText("def")]));
  await assertRejects(() => reader.wait(4), TypeError, "taken away");
  assertEquals(reader.readString(3), "abc");
  await reader.close();
});

balanced("wait() rejects with EofError at the end of the source (netpoll 86)", async () => {
  const reader = readerFrom(new Pieces([]));
  await assertRejects(() => reader.wait(1), EofError, "the source has ended");
  await assertRejects(() => reader.waitUntil(10), EofError);
  await reader.wait(0);
  await reader.close();
});

balanced("wait() keeps what came before the end (netpoll 87)", async () => {
  const reader = readerFrom(new Pieces([bytesOfText("hel"), bytesOfText("lo")]));
  await assertRejects(() => reader.wait(6), EofError);
  assertEquals(reader.length, 5);
  assertThrows(() => reader.next(6), RangeError);
  await reader.wait(5);
  assertEquals(reader.readString(5), "hello");
  await assertRejects(() => reader.wait(1), EofError);
  await reader.close();
});

balanced("waitUntil() fetches until the delimiter is there (netpoll 88)", async () => {
  const pieces = ["GET / HT", "TP/1.1\r", "\n", "\r", "\nbody"].map(bytesOfText);
  const source = new Pieces(pieces);
  const reader = readerFrom(source);
  const length = await reader.waitUntil(bytesOfText("\r\n\r\n"));
  assertEquals([length, source.asked], [18, 5]);
  assertEquals(textOf(reader.until("\r\n\r\n")), "GET / HTTP/1.1\r\n\r\n");
  assertEquals(reader.readString(4), "body");
  await reader.close();
});

balanced("wait() fetches no more than it needs, and nothing when it has it", async () => {
  const source = new Pieces([sequence(10), sequence(10), sequence(10)]);
  const reader = readerFrom(source);
  assertEquals(source.asked, 0);
  await reader.wait(5);
  assertEquals(source.asked, 1);
  assertStrictEquals(reader.wait(10), reader.wait(0)); // at once: the same settled promise
  await reader.wait(11);
  assertEquals([source.asked, reader.length], [2, 20]);
  await reader.close();
});

balanced("readerFrom() takes pieces of any size, none among them", async () => {
  const sizes = [0, 1, 0, 4096, 4097, 3_000_000, 0, 7];
  const total = sizes.reduce((sum, count) => sum + count, 0);
  let from = 0;
  const reader = readerFrom(new Pieces(sizes.map((count) => sequence(count, from += count))));
  await reader.wait(total);
  from = 0;
  for (const count of sizes) assertBytes(reader.readBinary(count), sequence(count, from += count));
  assertEquals(reader.length, 0);
  await reader.close();
});

balanced("waits reject with the error of a source that fails, and what came stays", async () => {
  const error = new Error("the disk is gone");
  const reader = readerFrom(new Pieces([sequence(3)], error));
  assertStrictEquals(await assertRejects(() => reader.wait(4), Error), error);
  assertStrictEquals(await assertRejects(() => reader.waitUntil(200), Error), error);
  assertBytes(reader.next(3), sequence(3));
  await reader.close();
});

balanced("a piece that is no Uint8Array is a TypeError", async () => {
  const reader = readerFrom(new Pieces(["text" as unknown as Uint8Array]));
  await assertRejects(() => reader.wait(1), TypeError, "no Uint8Array");
  await reader.close();
});

balanced("wait() of what is no whole number, or too much, is refused", async () => {
  const reader = readerFrom(new Pieces([sequence(3)]));
  await assertRejects(() => reader.wait(NaN), TypeError);
  await assertRejects(() => reader.wait(0.5), TypeError);
  await assertRejects(() => reader.wait(2 ** 30), RangeError, "messageBytesMax is 134217728");
  await assertRejects(() => reader.waitUntil(256), RangeError);
  await reader.wait(3);
  await reader.close();
});

balanced("waitUntil() gives up after maxBytes and consumes nothing", async () => {
  const reader = readerFrom(endless(100));
  await assertRejects(() => reader.waitUntil(250, { maxBytes: 150 }), RangeError, "150 bytes came");
  assertEquals(reader.length, 200);
  assertEquals(await reader.waitUntil(250, { maxBytes: 251 }), 251);
  await assertRejects(() => reader.waitUntil(250, { maxBytes: 250 }), RangeError);
  await reader.close();
});

balanced("waitUntil() keeps to the delimiter it was given, whatever the caller does", async () => {
  const delimiter = bytesOfText("b");
  const reader = readerFrom(new Pieces([bytesOfText("a"), bytesOfText("b")]));
  const found = reader.waitUntil(delimiter);
  delimiter[0] = 0x61;
  assertEquals(await found, 2);
  await reader.close();
});

balanced("two waits at once are a BusyError for the second", async () => {
  const reader = readerFrom(new Pieces([sequence(1), sequence(1)]));
  const first = reader.wait(2);
  await assertRejects(() => reader.wait(1), BusyError);
  await assertRejects(() => reader.waitUntil(1), BusyError);
  await first;
  await reader.wait(2);
  await reader.close();
});

balanced("an aborted wait consumes nothing and loses nothing", async () => {
  const gate = Promise.withResolvers<void>();
  const source = async function* () {
    await gate.promise;
    yield sequence(5);
  };
  const reader = readerFrom(source());
  const controller = new AbortController();
  const waiting = reader.wait(5, { signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => waiting, Error), reason);
  await assertRejects(() => reader.wait(5, { signal: controller.signal }), Error, "enough");
  gate.resolve();
  await reader.wait(5);
  assertBytes(reader.next(5), sequence(5));
  await reader.close();
});

balanced("close() ends the source and the reader, also twice", async () => {
  const source = new Pieces([sequence(5), sequence(5)]);
  const reader = readerFrom(source);
  await reader.wait(3);
  await reader.close();
  await reader.close();
  assertEquals(source.hasEnded, true);
  await assertRejects(() => reader.wait(1), ClosedError);
  assertThrows(() => reader.next(1), ClosedError);
});

balanced("close() ends a pending wait with ClosedError", async () => {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
  const reader = readerFrom(stream);
  const waiting = assertRejects(() => reader.wait(1), ClosedError);
  await reader.close();
  await waiting;
  assertEquals(cancelled, true);
});

balanced("readerFrom() reads a ReadableStream", async () => {
  const reader = readerFrom(new Blob(["one\ntwo\n"]).stream());
  assertEquals(await reader.waitUntil(0x0a), 4);
  assertEquals(reader.readString(4), "one\n");
  await reader.wait(4);
  assertEquals(reader.readString(4), "two\n");
  await assertRejects(() => reader.wait(1), EofError);
  await reader.close();
});

balanced("await using closes the reader", async () => {
  const source = new Pieces([sequence(5)]);
  {
    await using reader = readerFrom(source);
    await reader.wait(1);
  }
  assertEquals(source.hasEnded, true);
});

balanced(
  "close() unlocks a ReadableStream: before its end, after it, and after its failure",
  async () => {
    const endless = new ReadableStream<Uint8Array>();
    await readerFrom(endless).close();
    assertEquals(endless.locked, false);
    const ended = new Blob([]).stream();
    const reader = readerFrom(ended);
    await assertRejects(() => reader.wait(1), EofError);
    await reader.close();
    assertEquals(ended.locked, false);
    const failed = new ReadableStream<Uint8Array>({ start: (to) => to.error(new Error("cut")) });
    const closing = readerFrom(failed).close();
    await new Promise((resolve) => setImmediate(resolve)); // no unhandled rejection either
    await assertRejects(() => closing, Error, "cut");
    assertEquals(failed.locked, false);
  },
);

balanced("close() ends a pending wait, also of a source that does not end", async () => {
  const gate = Promise.withResolvers<void>();
  async function* stuck(): AsyncGenerator<Uint8Array> {
    await gate.promise;
    yield new Uint8Array(1);
  }
  const reader = readerFrom(stuck());
  const waited = reader.wait(1);
  const closing = reader.close();
  await assertRejects(() => waited, ClosedError);
  gate.resolve();
  await closing;
});

balanced("readerFrom() of what is none throws where it is called, and shows it", () => {
  for (const value of [undefined, null, 5, 5n, "x", Symbol("s"), {}, [], () => {}]) {
    assertThrows(() => readerFrom(value as never), TypeError, `Cannot read `);
  }
});

balanced("readerFrom() what fills memory reads it to its end, and leaves it open", async () => {
  const pieces = ["one", "", "two"];
  const source = {
    read(into: Uint8Array): Promise<number | null> {
      const piece = pieces.shift();
      if (piece === undefined) return Promise.resolve(null);
      into.set(bytesOfText(piece));
      return Promise.resolve(piece.length);
    },
    close() {
      throw new Error("it is its owner's");
    },
  };
  const reader = readerFrom(source);
  await reader.wait(6);
  await assertRejects(() => reader.wait(7), EofError, "the source has ended");
  assertEquals(reader.readString(6), "onetwo");
  await reader.close();
});
