import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { bytesOf, readerFrom } from "../../mod.ts";
import type { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { Codec } from "../../src/codec/codec.ts";
import { lines } from "../../src/codec/delimited.ts";
import { frames } from "../../src/codec/frames.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { resp } from "../../src/codec/resp.ts";
import { configure } from "../../src/core/config.ts";
import { ClosedError, EofError, FrameError } from "../../src/core/errors.ts";
import { bytesOfText, textOf } from "../buffer/balanced.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, send, tcpPair } from "../support/pair.ts";
import { soon, until } from "../support/until.ts";

test("frames() gives every frame until the peer ends its side", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const codec = lengthPrefixed();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const frame of frames(b, codec)) seen.push(textOf(frame));
    })();
    for (const text of ["one", "", "three"]) {
      codec.encode(a.writer, text);
      await a.writer.flush();
      await until(() => seen.at(-1) === text, text);
    }
    await a.closeWrite();
    await soon(reading);
    assertEquals(seen, ["one", "", "three"]);
    await closeAll(a, b);
  });
});

test("frames() gives frames that are larger than what may be held unread", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair({ readBufferBytesMax: 64 * 1024 });
    const codec = lengthPrefixed();
    const bytes = pattern(5_000_000);
    const sending = (async () => {
      for (let i = 0; i < 3; i++) {
        codec.encode(b.writer, bytes);
        await b.writer.flush();
      }
      await b.closeWrite();
    })();
    let count = 0;
    for await (const frame of frames(a, codec)) {
      assertBytes(frame, bytes, `frame ${count}`);
      count += 1;
    }
    await sending;
    assertEquals(count, 3);
    await closeAll(a, b);
  });
});

test("frames() lends a frame until the next step, and slices outlive the loop", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    configure({ debug: true });
    try {
      await send(a, "one\ntwo\nthree\n");
      await a.closeWrite();
      const lent: Uint8Array[] = [];
      for await (const frame of frames(b, lines())) {
        lent.push(frame);
        assertEquals(lent.map((each) => each.length > 0), lent.map((each) => each === frame));
      }
      assertEquals(lent.length, 3);
    } finally {
      configure({ debug: false });
    }
    await closeAll(a, b);
    const [c, d] = pairWith();
    await send(c, "one\ntwo\n");
    await c.closeWrite();
    const kept: LinkBuffer[] = [];
    for await (const slice of frames(d, lines(), { memory: "sliced" })) kept.push(slice);
    await closeAll(c, d);
    assertEquals(kept.map((each) => each.readString(each.length)), ["one", "two"]);
    for (const slice of kept) slice.close();
  });
});

test("frames() that is left early loses nothing", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "one\ntwo\nthree\n");
    for await (const frame of frames(b, lines())) {
      assertEquals(textOf(frame), "one");
      break;
    }
    for await (const frame of frames(b, lines())) {
      assertEquals(textOf(frame), "two");
      break;
    }
    b.reader.release();
    assertEquals(b.reader.readString(6), "three\n");
    await closeAll(a, b);
  });
});

test("frames() throws for a frame that the peer's end cut off, which stays readable", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "one\ntw");
    await a.closeWrite();
    const seen: string[] = [];
    const error = await assertRejects(async () => {
      for await (const frame of frames(b, lines())) seen.push(textOf(frame));
    }, FrameError);
    assertEquals([seen, error.fault, error.offset], [["one"], "truncated", 2]);
    assertEquals(error.cause instanceof EofError, true);
    assertEquals(b.reader.readString(2), "tw");
    await closeAll(a, b);
  });
});

test("frames() throws what is wrong: a bad frame, a reset, our own close", async () => {
  await leaks(async () => {
    const take = async (of: AsyncIterable<unknown>) => {
      for await (const _ of of);
    };
    const [a, b] = pairWith();
    await send(a, "x\r\n");
    await assertRejects(() => take(frames(b, resp())), FrameError, "no type");
    assertEquals(b.reader.length, 3);
    await closeAll(a, b);
    const [c, d] = await tcpPair();
    const reading = take(frames(c, resp()));
    d.reset();
    const error = await soon(assertRejects(() => reading, EofError));
    assertEquals((error.cause as { code: string }).code, "ECONNRESET");
    await closeAll(c, d);
    const [e, f] = pairWith();
    const waiting = take(frames(e, resp()));
    await e.close();
    await soon(assertRejects(() => waiting, ClosedError));
    await closeAll(f);
  });
});

test("frames() ends its wait with the signal's reason, and loses nothing", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "on");
    await until(() => b.reader.length === 2, "the first bytes");
    const aborting = new AbortController();
    const next = frames(b, lines(), { signal: aborting.signal }).next();
    aborting.abort(new Error("enough"));
    await soon(assertRejects(() => next, Error, "enough"));
    await send(a, "e\n");
    const { value } = await frames(b, lines()).next();
    assertEquals(textOf(value!), "one");
    b.reader.release();
    await closeAll(a, b);
  });
});

test("frames() gives null, which RESP has, and works over any reader and any codec", async () => {
  const reader = readerFrom(new Blob(["_\r\n:1\r\n"]).stream());
  const seen: unknown[] = [];
  for await (const value of frames({ reader }, resp())) seen.push(value);
  assertEquals(seen, [null, 1]);
  await reader.close();
  // Without needed(): one more byte than there are.
  const pairs: Codec<string> = {
    decode: (from) => from.length < 2 ? undefined : from.readString(2),
    encode: (to, text) => void to.writeString(text),
  };
  const pieces = async function* () {
    for (const text of ["a", "bc", "d"]) yield await Promise.resolve(bytesOfText(text));
  };
  const source = readerFrom(pieces());
  const all: string[] = [];
  for await (const pair of frames({ reader: source }, pairs)) all.push(pair);
  assertEquals(all, ["ab", "cd"]);
  for await (const _ of bytesOf(source)) throw new Error("it is at its end");
  await source.close();
  const unsliced = frames({ reader }, pairs as never, { memory: "sliced" });
  const error = await assertRejects(() => unsliced.next(), TypeError);
  assertStrictEquals(error.message, "Cannot slice frames: this codec's are no bytes");
});

test("frames() refuses a kind of memory that there is not, before anything is read", () => {
  const [a, b] = pairWith();
  const options = { memory: "borrowed" } as unknown as { memory: "lent" };
  assertThrows(() => frames(a, lines(), options), TypeError, 'memory is "lent" or "sliced"');
  a.reset();
  b.reset();
});
