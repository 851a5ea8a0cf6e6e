/**
 * Adapters over what lives for a month: very often on one reader, writer or stream, whose other side
 * stalls or answers. Nothing of a call may stay.
 *
 * A test that stalls waits for a promise that the test holds, as a runtime holds a socket: without that, the
 * collector takes the whole chain of waits, and a leak is not seen.
 */
import { assertEquals } from "@std/assert";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { bytesOf, readableOf, readerFrom, writableOf, writerTo } from "../../mod.ts";
import { ignore } from "../../src/core/promises.ts";
import { staysSmall } from "../support/collection.ts";
import { echoed, givenUp, stalled } from "../support/month.ts";
import { tick } from "../support/until.ts";

const OFTEN = 100_000;
/** Streams are several objects each. */
const LESS_OFTEN = 20_000;
const SELDOM = 2_000;

/** Something that does not come until the test is over. */
async function withheld(use: (never: () => Promise<void>) => Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  await use(() => promise);
  resolve();
}

test("readableOf() read and cancelled: nothing stays while the peer stalls", () =>
  stalled((a) =>
    staysSmall(LESS_OFTEN, async () => {
      const stream = readableOf(a.reader).getReader();
      const read = stream.read();
      await stream.cancel();
      await read;
    })
  ));

test("readableOf() and bytesOf() that nobody reads: nothing stays", () =>
  stalled(async (a) => {
    await staysSmall(LESS_OFTEN, () => void readableOf(a.reader));
    await staysSmall(OFTEN, () => bytesOf(a.reader).return());
  }));

test("pipeTo() given up by its signal: nothing stays of either stream", () =>
  stalled((a) =>
    staysSmall(
      LESS_OFTEN,
      givenUp((signal) => readableOf(a.reader).pipeTo(writableOf(a.writer), { signal })),
    )
  ));

test("writableOf() aborted amid a flush: nothing stays while the peer stalls", () =>
  stalled((a) =>
    staysSmall(LESS_OFTEN, async () => {
      const stream = writableOf(a.writer).getWriter();
      stream.closed.catch(ignore);
      const written = stream.write(new Uint8Array(0)).catch(ignore);
      await tick(); // now it is being flushed
      await stream.abort(null);
      await written;
    })
  ));

test("round trips through readableOf(), bytesOf() and writableOf(): nothing stays", () =>
  echoed((a) =>
    staysSmall(SELDOM, async () => {
      const sink = writableOf(a.writer).getWriter();
      await sink.write(new Uint8Array(10));
      await sink.close();
      const stream = readableOf(a.reader).getReader();
      assertEquals((await stream.read()).value?.length, 10);
      await stream.cancel();
      a.writer.writeString("ping");
      await a.writer.flush();
      for await (const bytes of bytesOf(a.reader)) {
        assertEquals(bytes.length, 4);
        break;
      }
    }, 200)
  ));

test("readerFrom(): nothing stays of what is given up while its source stalls", () =>
  withheld(async (never) => {
    const stream = new PassThrough();
    for (const source of [new ReadableStream({ pull: never }), stream]) {
      const reader = readerFrom(source);
      await staysSmall(OFTEN, givenUp((signal) => reader.wait(1, { signal })));
      await staysSmall(OFTEN, givenUp((signal) => reader.waitUntil(10, { signal })));
      void reader.close();
    }
    stream.destroy();
  }));

test("writerTo(): nothing stays of flushes that bring nothing new while its sink stalls", () =>
  withheld(async (never) => {
    for (const sink of [{ write: never }, new WritableStream({ write: never })]) {
      const writer = writerTo(sink);
      writer.writeString("x");
      await staysSmall(OFTEN, givenUp((signal) => writer.flush({ signal })));
      await staysSmall(OFTEN, () => void writer.flush());
      await staysSmall(OFTEN, () => void writer.released());
      await staysSmall(OFTEN, () => void writer.close());
    }
  }));

test("readerFrom() and writerTo() one after the other on a socket: it has one listener an event", async () => {
  const stream = new PassThrough(); // a Duplex, as a socket is
  const listeners = () =>
    ["end", "error", "close", "readable"].map((event) => stream.listenerCount(event));
  await staysSmall(SELDOM, async () => {
    const reader = readerFrom(stream);
    const writer = writerTo(stream);
    writer.writeString("x");
    const flushed = writer.flush();
    await reader.wait(1);
    await Promise.all([flushed, reader.close()]);
    await tick(); // Node takes the listener away in its next tick
  }, 400); // a reader that stays holds more than 1 KiB; the collector leaves up to 270 bytes a round
  const [end, error, close, readable] = listeners();
  // A Duplex has "end" listeners of its own.
  assertEquals([end! <= 2, error, close, readable], [true, 1, 1, 0], listeners().join());
  stream.destroy();
});

test("readerFrom() and writerTo() of streams that come and go: nothing stays", () =>
  withheld((never) =>
    staysSmall(LESS_OFTEN, async () => {
      const reader = readerFrom(new ReadableStream({ pull: never }));
      const waited = reader.wait(1).catch(ignore);
      await reader.close();
      await waited;
      const stream = new PassThrough();
      const writer = writerTo(stream);
      writer.writeString("x");
      await writer.flush();
      stream.destroy();
    }, 200)
  ));
