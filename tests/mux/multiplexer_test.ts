import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { test } from "node:test";
import type { Connection } from "../../mod.ts";
import type { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { type Tagged, tagged } from "../../src/codec/tagged.ts";
import {
  BusyError,
  ClosedError,
  EofError,
  FrameError,
  TimeoutError,
  UnansweredError,
} from "../../src/core/errors.ts";
import { Multiplexer } from "../../src/mux/multiplexer.ts";
import { textOf } from "../buffer/balanced.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, send, tcpPair } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { soon, stateOf, tick, until } from "../support/until.ts";

const codec = tagged(lengthPrefixed());

/** The next request that the other side has received. */
async function receiveRequest({ reader }: Connection): Promise<Tagged<Uint8Array>> {
  for (;;) {
    const message = codec.decode(reader);
    reader.release();
    if (message !== undefined) return message;
    await soon(reader.wait(codec.needed!(reader)), "a request");
  }
}

/** Answers a request. */
async function answer({ writer }: Connection, id: number, body: string): Promise<void> {
  codec.encode(writer, { id, body });
  await writer.flush();
}

test("request() resolves to its own answer, in whatever order they come", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const client = new Multiplexer(a, codec);
    const results = ["one", "two", "three"].map((text) => client.request(text));
    assertEquals(client.pendingCount, 3);
    const requests = [await receiveRequest(b), await receiveRequest(b), await receiveRequest(b)];
    assertEquals(requests.map(({ body }) => textOf(body)), ["one", "two", "three"]);
    for (const { id, body } of requests.toReversed()) await answer(b, id, `${textOf(body)}!`);
    assertEquals((await soon(Promise.all(results))).map(textOf), ["one!", "two!", "three!"]);
    assertEquals([client.pendingCount, client.strayCount], [0, 0]);
    await client.close();
    await closeAll(b);
  });
});

test("request() gives bodies as the codec makes them: slices are the caller's to close", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, tagged(lengthPrefixed(), { body: "sliced" }));
    const late = client.request("given up", { signal: AbortSignal.abort(new Error("early")) });
    await assertRejects(() => late, Error, "early");
    const result = client.request("one");
    const { id } = await receiveRequest(b);
    await answer(b, id, "answer");
    await answer(b, id, "a stray one, which is closed");
    const body: LinkBuffer = await soon(result);
    assertEquals(body.readString(body.length), "answer");
    body.close();
    await until(() => client.strayCount === 1, "the stray answer");
    await client.close();
    await closeAll(b);
  });
});

test("request() rejects when its deadline passes, and its late answer is dropped", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, codec, { timeoutMs: 5 });
    const error = await soon(assertRejects(() => client.request("slow"), TimeoutError));
    assertEquals([error.operation, error.message], [
      "request",
      "The answer did not come within 5 ms",
    ]);
    const patient = client.request("patient", { timeoutMs: 0 });
    const [slow, second] = [await receiveRequest(b), await receiveRequest(b)];
    await answer(b, slow.id, "late");
    await answer(b, second.id, "in time");
    assertEquals(textOf(await soon(patient)), "in time");
    assertEquals([client.pendingCount, client.strayCount], [0, 1]);
    await client.close();
    await closeAll(b);
  });
});

test("request() rejects with the signal's reason, and others go on", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, codec);
    const aborting = new AbortController();
    const { signal } = aborting;
    const reason = new Error("enough");
    const given = client.request("given up", { signal });
    const kept = client.request("kept", { signal: AbortSignal.any([]) });
    await tick();
    aborting.abort(reason);
    assertStrictEquals(await soon(assertRejects(() => given, Error)), reason);
    assertStrictEquals(
      await assertRejects(() => client.request("x", { signal }), Error),
      reason,
    );
    const requests = [await receiveRequest(b), await receiveRequest(b)];
    for (const { id } of requests) await answer(b, id, String(id));
    assertEquals(textOf(await soon(kept)), String(requests[1]!.id));
    assertEquals(client.strayCount, 1);
    await client.close();
    await closeAll(b);
  });
});

test(
  "request() waits while too much is unsent, and what is given up meanwhile is not sent",
  needs("kernel buffer"),
  async () => {
    await leaks(async () => {
      const [a, b] = pairWith({ writeBufferBytesMax: 64 * 1024 });
      const client = new Multiplexer(a, codec);
      const large = pattern(1 << 20);
      const first = client.request(large);
      const aborting = new AbortController();
      const second = client.request("given up", { signal: aborting.signal });
      const third = client.request("third");
      await tick();
      assertEquals(client.pendingCount, 3);
      aborting.abort(new Error("enough"));
      await assertRejects(() => second, Error, "enough");
      const one = await receiveRequest(b);
      assertBytes(one.body, large);
      const next = await receiveRequest(b);
      assertEquals(textOf(next.body), "third");
      await answer(b, next.id, "3");
      await answer(b, one.id, "1");
      assertEquals((await soon(Promise.all([first, third]))).map(textOf), ["1", "3"]);
      // And sending does not stop there.
      const fourth = client.request("fourth");
      await answer(b, (await receiveRequest(b)).id, "4");
      assertEquals(textOf(await soon(fourth)), "4");
      await client.close();
      await closeAll(b);
    });
  },
);

test("request() is answered although lifetimeMs passes, and the next one is told why not", () =>
  leaks(() =>
    withFakeClock(async (fake) => {
      const [a, b] = pairWith({ lifetimeMs: 1000 });
      const client = new Multiplexer(a, codec);
      const [first, second] = [client.request("one"), client.request("two")];
      await fake.advance(1100);
      const error = await assertRejects(() => client.request("three"), ClosedError);
      assertInstanceOf(error.cause, TimeoutError);
      assertEquals(error.cause.operation, "lifetime");
      await fake.advance(20_000); // an answer takes as long as it takes
      const requests = [await receiveRequest(b), await receiveRequest(b)];
      await answer(b, requests[1]!.id, "2");
      assertEquals(textOf(await soon(second)), "2");
      assertEquals(await stateOf(a.closed), "pending");
      await answer(b, requests[0]!.id, "1");
      assertEquals(textOf(await soon(first)), "1");
      await soon(a.closed);
      await client.close();
      await closeAll(b);
    })
  ));

test("request() that waits for room is sent and answered, although lifetimeMs passes", () =>
  leaks(() =>
    withFakeClock(async (fake) => {
      const [a, b] = pairWith({ lifetimeMs: 1000, writeBufferBytesMax: 64 * 1024 });
      const client = new Multiplexer(a, codec);
      const answers = [client.request(pattern(1 << 20)), client.request("second")];
      await fake.advance(1100);
      for (const name of ["1", "2"]) await answer(b, (await receiveRequest(b)).id, name);
      assertEquals((await soon(Promise.all(answers))).map(textOf), ["1", "2"]);
      await soon(a.closed);
      await client.close();
      await closeAll(b);
    })
  ));

test("a Multiplexer without requests lets its connection go when lifetimeMs passes", () =>
  leaks(() =>
    withFakeClock(async (fake) => {
      const [a, b] = pairWith({ lifetimeMs: 1000 });
      const client = new Multiplexer(a, codec);
      await fake.advance(1100);
      await soon(a.closed);
      const error = await assertRejects(() => client.request("late"), ClosedError);
      assertEquals((error.cause as TimeoutError).operation, "lifetime");
      await client.close();
      await closeAll(b);
    })
  ));

test("request() rejects with BusyError above pendingMax", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, codec, { pendingMax: 2 });
    const two = [client.request("1"), client.request("2")];
    await assertRejects(() => client.request("3"), BusyError, "2 requests have no answer");
    for (const _ of two) await answer(b, (await receiveRequest(b)).id, "ok");
    await soon(Promise.all(two));
    const third = client.request("3");
    await answer(b, (await receiveRequest(b)).id, "ok");
    await soon(third);
    await client.close();
    await closeAll(b);
  });
});

test("request() rejects what cannot be encoded, and the connection goes on", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, tagged(lengthPrefixed({ frameBytesMax: 100 })));
    await assertRejects(() => client.request("x".repeat(100)), RangeError, "frameBytesMax");
    await assertRejects(() => client.request(5 as unknown as string), TypeError);
    assertEquals(client.pendingCount, 0);
    const fine = client.request("fine");
    await answer(b, (await receiveRequest(b)).id, "ok");
    assertEquals(textOf(await soon(fine)), "ok");
    await client.close();
    await closeAll(b);
  });
});

test("when the peer ends its side, requests without an answer reject with EofError", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const client = new Multiplexer(a, codec);
    const [first, second] = [client.request("1"), client.request("2")];
    await answer(b, (await receiveRequest(b)).id, "answered");
    await b.closeWrite();
    assertEquals(textOf(await soon(first)), "answered");
    const error = await soon(assertRejects(() => second, EofError));
    assertEquals(error.cause, undefined);
    await soon(assertRejects(() => client.request("3"), EofError));
    assertEquals(a.isActive, false);
    await client.close();
    await closeAll(b);
  });
});

test("when the peer resets, requests without an answer reject with why", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const client = new Multiplexer(a, codec);
    const result = client.request("1");
    await receiveRequest(b);
    b.reset();
    const error = await soon(assertRejects(() => result, EofError));
    assertEquals((error.cause as { code: string }).code, "ECONNRESET");
    a.closed.catch(() => {});
    await client.close();
    await closeAll(b);
  });
});

test("when the peer sends what is no message, requests reject with FrameError", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, codec);
    const result = client.request("1");
    await send(b, "\xff\xff\xff\xff");
    await soon(assertRejects(() => result, FrameError));
    assertEquals(a.isActive, false);
    await client.close();
    await closeAll(b);
  });
});

test("close() rejects what has no answer, sent or not, and may be called again", async () => {
  await leaks(async () => {
    const [a, b] = pairWith({ writeBufferBytesMax: 64 * 1024 });
    const client = new Multiplexer(a, codec, { timeoutMs: 60_000 });
    const results = [client.request(pattern(4 << 20)), client.request("unsent")];
    const closing = client.close();
    for (const each of results) await soon(assertRejects(() => each, ClosedError));
    await assertRejects(() => client.request("x"), ClosedError);
    b.reset();
    await soon(closing);
    await client.close();
    await client[Symbol.asyncDispose]();
  });
});

test("a read timeout of the connection is none of a request's", async () => {
  await leaks(async () => {
    const [a, b] = pairWith({ readTimeoutMs: 2 });
    const client = new Multiplexer(a, codec);
    const result = client.request("1", { timeoutMs: 30 });
    await soon(assertRejects(() => result, TimeoutError, "within 30 ms"));
    assert(a.isActive);
    const second = client.request("2");
    await receiveRequest(b);
    await answer(b, (await receiveRequest(b)).id, "ok");
    assertEquals(textOf(await soon(second)), "ok");
    await client.close();
    await closeAll(b);
  });
});

test("answers that come in pieces, and large ones, arrive whole", async () => {
  await leaks(async () => {
    const [a, b] = await tcpPair();
    const client = new Multiplexer(a, codec);
    const result = client.request("1");
    const { id } = await receiveRequest(b);
    for (const byte of [0, 0, 0, 6, 0, 0, 0, id, 104]) {
      b.writer.writeByte(byte);
      await b.writer.flush();
      await tick();
    }
    assertEquals(await stateOf(result), "pending");
    await send(b, "i");
    assertEquals(textOf(await soon(result)), "hi");
    const large = client.request("2");
    const bytes = pattern(3_000_000);
    codec.encode(b.writer, { id: (await receiveRequest(b)).id, body: bytes });
    await soon(b.writer.flush());
    assertBytes(await soon(large), bytes);
    await client.close();
    await closeAll(b);
  });
});

test("Multiplexer refuses options that make no sense", async () => {
  const [a, b] = pairWith();
  for (const options of [{ pendingMax: 0 }, { pendingMax: 1.5 }, { timeoutMs: -1 }]) {
    assertThrows(() => new Multiplexer(a, codec, options), RangeError);
  }
  const client = new Multiplexer(a, codec);
  await assertRejects(() => client.request("x", { timeoutMs: NaN }), RangeError);
  await client.close();
  await closeAll(b);
});

test("a loss tells which requests had been sent, and closed tells why", async () => {
  await leaks(async () => {
    const [a, b] = pairWith();
    const client = new Multiplexer(a, codec);
    b.pauseRead();
    const sent = client.request("sent");
    await tick();
    // So much that the kernel does not take all of it: what is written behind has not left.
    const large = client.request(new Uint8Array(8 << 20));
    const waiting = client.request("never sent");
    assertEquals([client.isActive, await stateOf(client.closed)], [true, "pending"]);
    const errors = Promise.all(
      [sent, large, waiting].map((each) => assertRejects(() => each, UnansweredError)),
    );
    await tick();
    b.reset();
    const [first, second, third] = await soon(errors);
    assertEquals([first!.sent, second!.sent, third!.sent], [true, true, false]);
    assertEquals([first!.code, third!.code], ["ERR_UNANSWERED", "ERR_NOT_SENT"]);
    assertInstanceOf(await soon(client.closed), EofError);
    assertEquals(client.isActive, false);
    const late = await assertRejects(() => client.request("late"), UnansweredError);
    assertEquals(late.sent, false);
    a.closed.catch(() => {});
    await client.close();
    await closeAll(b);
  });
});

test("drain() takes no new request, and resolves when all have their answers or time is over", async () => {
  await leaks(async () => {
    await withFakeClock(async (clock) => {
      const [a, b] = pairWith();
      const client = new Multiplexer(a, codec);
      const [one, two] = [client.request("1"), client.request("2")];
      const requests = [await receiveRequest(b), await receiveRequest(b)];
      const late = client.drain({ timeoutMs: 50 });
      assertEquals(client.isActive, false);
      await assertRejects(() => client.request("3"), ClosedError, "is drained");
      await clock.advance(52);
      assertEquals(await soon(late), { unansweredCount: 2 });
      const drained = client.drain();
      await answer(b, requests[1]!.id, "two");
      assertEquals(textOf(await soon(two)), "two");
      assertEquals(await stateOf(drained), "pending");
      await answer(b, requests[0]!.id, "one");
      assertEquals(textOf(await soon(one)), "one");
      assertEquals([await soon(drained), await client.drain()], [
        { unansweredCount: 0 },
        { unansweredCount: 0 },
      ]);
      const signal = AbortSignal.abort(new Error("enough"));
      await assertRejects(() => client.drain({ signal }), Error, "enough");
      await client.close();
      assertInstanceOf(await soon(client.closed), ClosedError);
      await closeAll(b);
    });
  });
});
