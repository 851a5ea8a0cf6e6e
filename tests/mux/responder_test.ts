import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  type EventLoopOptions,
} from "../../mod.ts";
import { lengthPrefixed } from "../../src/codec/length_prefixed.ts";
import { tagged } from "../../src/codec/tagged.ts";
import { EofError, FrameError } from "../../src/core/errors.ts";
import { Multiplexer } from "../../src/mux/multiplexer.ts";
import { type RequestContext, type Respond, responder } from "../../src/mux/responder.ts";
import type { ResponderOptions } from "../../src/mux/responder.ts";
import type { FrameInput } from "../../src/codec/codec.ts";
import { seededRandom } from "../support/random.ts";
import { textOf } from "../buffer/balanced.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pattern, send } from "../support/pair.ts";
import { soon, stateOf, tick, ticks, until } from "../support/until.ts";

const codec = tagged(lengthPrefixed());

type Client = Multiplexer<Uint8Array, FrameInput>;

interface Served {
  readonly loop: EventLoop;
  readonly connection: Connection;
  readonly client: Client;
}

/** Runs something with a server of these answers, and a client of it. */
async function served(
  respond: Respond<Uint8Array, FrameInput>,
  body: (served: Served) => Promise<void>,
  options: ResponderOptions<FrameInput> & { loop?: EventLoopOptions<undefined> } = {},
): Promise<void> {
  await leaks(async () => {
    const listener = createListener("tcp", "127.0.0.1:0");
    const { address } = listener;
    const port = address.transport === "tcp" ? address.port : 0;
    const { loop: loopOptions = {}, ...responding } = options;
    const loop = new EventLoop(responder(codec, respond, responding), loopOptions);
    const serving = loop.serve(listener);
    const connection = await dial("tcp", `127.0.0.1:${port}`);
    connection.closed.catch(() => {});
    const client = new Multiplexer(connection, codec);
    await body({ loop, connection, client });
    await client.close();
    await loop.shutdown({ timeoutMs: 0 });
    await serving;
  });
}

/** A promise for each request, to be settled by hand. */
class Held {
  readonly requests = new Map<string, PromiseWithResolvers<FrameInput | undefined>>();

  readonly respond = (body: Uint8Array): Promise<FrameInput | undefined> => {
    const held = Promise.withResolvers<FrameInput | undefined>();
    this.requests.set(textOf(body), held);
    return held.promise;
  };

  async take(name: string): Promise<PromiseWithResolvers<FrameInput | undefined>> {
    await until(() => this.requests.has(name), name);
    return this.requests.get(name)!;
  }
}

test("responder() answers at once, or when it is ready, in any order", async () => {
  const held = new Held();
  const respond = (body: Uint8Array) =>
    textOf(body).startsWith("now") ? ["and ", body] : held.respond(body);
  await served(respond, async ({ client }) => {
    const [later, latest] = [client.request("later"), client.request("latest")];
    assertEquals(textOf(await soon(client.request("now"))), "and now");
    (await held.take("latest")).resolve("first");
    assertEquals(textOf(await soon(latest)), "first");
    assertEquals(textOf(await soon(client.request("now 2"))), "and now 2");
    (await held.take("later")).resolve("last");
    assertEquals(textOf(await soon(later)), "last");
    assertEquals(textOf(await soon(client.request("now 3"))), "and now 3");
  });
});

test("responder() says nothing when there is nothing to say", async () => {
  const seen: string[] = [];
  await served((body) => {
    seen.push(textOf(body));
    return textOf(body) === "ask" ? "told" : undefined;
  }, async ({ client }) => {
    const silent = client.request("tell", { timeoutMs: 60_000 });
    silent.catch(() => {});
    assertEquals(textOf(await soon(client.request("ask"))), "told");
    assertEquals([await stateOf(silent), seen], ["pending", ["tell", "ask"]]);
  });
});

test("responder() answers many requests of all sizes, each its own", async () => {
  const random = seededRandom();
  const respond = async (body: Uint8Array) => {
    if (random.chance(0.5)) await ticks(random.below(5));
    return [body, body];
  };
  await served(respond, async ({ client }) => {
    const sizes = Array.from({ length: 300 }, () => random.pick([0, 10, 5000, 200_000]));
    const asked = sizes.map(async (size, i) => {
      const body = pattern(size, i);
      const both = await client.request(body);
      assertBytes(both.subarray(0, size), body, `SEED=${random.seed}, request ${i}`);
      assertBytes(both.subarray(size), body, `SEED=${random.seed}, request ${i}`);
    });
    await soon(Promise.all(asked), "all answers");
  });
});

test("a failure ends the connection, and is told to onError of the loop", async () => {
  for (const isAsync of [false, true]) {
    const errors: unknown[] = [];
    const failure = new Error("on purpose");
    const respond = () => {
      if (isAsync) return Promise.reject(failure);
      throw failure;
    };
    await served(respond, async ({ client }) => {
      await soon(assertRejects(() => client.request("x"), EofError));
      assertEquals(errors, [failure]);
    }, { loop: { onError: (error) => errors.push(error) } });
  }
});

test("onError answers for what failed, and the connection goes on", async () => {
  const respond = (body: Uint8Array): Promise<FrameInput> | FrameInput => {
    if (textOf(body) === "sync") throw new Error("one");
    if (textOf(body) === "wrong") return 5 as unknown as string;
    return textOf(body) === "fine" ? "fine" : Promise.reject(new Error("two"));
  };
  const onError = (error: unknown, { id }: RequestContext) => `${id}: ${(error as Error).message}`;
  await served(respond, async ({ client }) => {
    const answers = ["sync", "async", "wrong", "fine"].map((text) => client.request(text));
    assertEquals((await soon(Promise.all(answers))).map(textOf), [
      "1: one",
      "2: two",
      "3: Cannot encode a frame: it is no Uint8Array, no string and no LinkBuffer",
      "fine",
    ]);
  }, { onError });
});

test("a client that ends its side is answered first", async () => {
  const held = new Held();
  await served(held.respond, async ({ client, connection }) => {
    const answers = [client.request("one"), client.request("two")];
    const [one, two] = [await held.take("one"), await held.take("two")];
    await connection.closeWrite();
    await ticks(5);
    one.resolve("1");
    assertEquals(textOf(await soon(answers[0]!)), "1");
    two.resolve("2");
    assertEquals(textOf(await soon(answers[1]!)), "2");
  });
});

test("a synchronous answer reaches a client that has ended its side already", async () => {
  await served((body) => body, async ({ connection, client }) => {
    const answer = client.request("x");
    await null; // it is flushed
    void connection.closeWrite();
    assertEquals(textOf(await soon(answer)), "x");
  });
});

test("shutdown() waits for what runs, and not for idle clients", async () => {
  const held = new Held();
  await served(held.respond, async ({ loop, client }) => {
    const answer = client.request("one");
    (await held.take("one")).resolve("1");
    assertEquals(textOf(await soon(answer)), "1");
    const second = client.request("two");
    const two = await held.take("two");
    const shutdown = loop.shutdown({ timeoutMs: 60_000 });
    assertEquals(await stateOf(shutdown), "pending");
    two.resolve("2");
    assertEquals(textOf(await soon(second)), "2");
    assertEquals((await soon(shutdown)).cut, 0);
  });
});

test("responder() answers what it has begun although lifetimeMs passes, and ends then", () =>
  withFakeClock(async (fake) => {
    const held = new Held();
    await served(held.respond, async ({ connection, client }) => {
      const answers = [client.request("one"), client.request("two")];
      const requests = [await held.take("one"), await held.take("two")];
      await fake.advance(1100);
      await fake.advance(20_000);
      requests[1]!.resolve("2");
      assertEquals(textOf(await soon(answers[1]!)), "2");
      assertEquals(await stateOf(connection.closed), "pending");
      requests[0]!.resolve("1");
      assertEquals(textOf(await soon(answers[0]!)), "1");
      await until(() => !connection.isActive, "the server closes, and the client then");
    }, { loop: { lifetimeMs: 1000 } });
  }));

test("above runningMax nothing more is read until one has settled", async () => {
  const held = new Held();
  await served(held.respond, async ({ client }) => {
    const names = ["a", "b", "c", "d"];
    const answers = names.map((name) => client.request(name));
    const first = await held.take("b");
    await ticks(5);
    assertEquals([...held.requests.keys()], ["a", "b"]);
    first.resolve("B");
    assertEquals(textOf(await soon(answers[1]!)), "B");
    for (const name of ["c", "a", "d"]) (await held.take(name)).resolve(name.toUpperCase());
    assertEquals((await soon(Promise.all(answers))).map(textOf), ["A", "B", "C", "D"]);
  }, { runningMax: 2 });
});

test("while the client does not read, nothing more is answered", async () => {
  const bytes = new Uint8Array(1 << 20);
  let count = 0;
  const respond = () => (count += 1, bytes);
  const loop = { writeBufferBytesMax: 2 << 20 };
  await served(respond, async ({ client, connection }) => {
    connection.pauseRead();
    const answers = Array.from({ length: 40 }, () => client.request("more"));
    await until(() => count > 0, "some answers");
    await ticks(20);
    assert(count < 40, `${count} answers for a client that reads none`);
    connection.resumeRead();
    for (const answer of answers) assertEquals((await soon(answer)).length, bytes.length);
    assertEquals(count, 40);
  }, { loop });
});

test("the signal of a request is aborted when its client is gone", async () => {
  const requests: RequestContext[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  const respond = (_: Uint8Array, request: RequestContext) => {
    requests.push(request);
    assertEquals(request.signal.aborted, false);
    return promise;
  };
  await served(respond, async ({ client, connection }) => {
    const answer = client.request("x");
    await until(() => requests.length === 1, "the request");
    assertEquals(requests[0]!.connection.remoteAddress, connection.localAddress);
    connection.reset();
    await soon(assertRejects(() => answer));
    await until(() => requests[0]!.signal.aborted, "the signal");
    resolve("nobody reads this");
    await tick();
  });
});

test("what is no message ends the connection with FrameError", async () => {
  const errors: unknown[] = [];
  await served((body) => body, async ({ connection }) => {
    await send(connection, "\xff\xff\xff\xff\xff");
    await until(() => errors.length === 1, "the error");
    assert(errors[0] instanceof FrameError, String(errors[0]));
  }, { loop: { onError: (error) => errors.push(error) } });
});

test("between requests a client may take its time; within one it may not", () =>
  withFakeClock(async (clock) => {
    const held = new Held();
    const errors: unknown[] = [];
    await served(held.respond, async ({ client, connection }) => {
      const answer = client.request("slow");
      const slow = await held.take("slow");
      const second = client.request("second");
      const other = await held.take("second");
      await clock.advance(30); // several read timeouts
      slow.resolve("1");
      other.resolve("2");
      assertEquals((await soon(Promise.all([answer, second]))).map(textOf), ["1", "2"]);
      assertEquals(errors, []);
      await send(connection, "\0\0\0\x10half");
      await until(() => connection.isActive, "it leaves");
      await clock.advance(10);
      await until(() => errors.length === 1, "the timeout");
    }, { loop: { readTimeoutMs: 5, onError: (error) => errors.push(error) } });
  }));

test("responder() refuses options that make no sense", () => {
  for (const runningMax of [0, 1.5, NaN]) {
    assertThrows(() => responder(codec, (body) => body, { runningMax }), RangeError);
  }
});
