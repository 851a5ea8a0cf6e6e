import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  type CaseFaults,
  type CaseRun,
  type Connection,
  EofError,
  everyLoss,
  everySplit,
  FakeClock,
  frames,
  lines,
  metrics,
  TimeoutError,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";

/** Echoes lines, both ends right. */
const echo: CaseRun = async (client, server) => {
  const codec = lines();
  server.setOnRequest(async (connection) => {
    for await (const line of frames(connection, codec)) {
      codec.encode(connection.writer, line);
      await connection.writer.flush();
    }
  });
  await send(client, "one\ntwo\n");
  assertEquals(await receive(client, 8), "one\ntwo\n");
};

/** The message of a failed run, and its cause. */
async function failure(running: Promise<unknown>): Promise<Error> {
  return await assertRejects(() => running, Error);
}

test("everySplit() runs a protocol whole, byte by byte, and at each split and two of them", () =>
  leaks(async () => {
    assertEquals(await everySplit(echo), {
      cases: 1 + 1 + 16 + 16 * 15 / 2,
      skipped: 0,
      toFirstBytes: 8,
      toSecondBytes: 8,
    });
    const seen = new Set<string>();
    await everySplit(async (a, b) => {
      const pieces: number[] = [];
      b.setOnRequest(({ reader }) => {
        pieces.push(reader.length);
        reader.skip(reader.length);
      });
      await send(a, "abcde");
      await a.close();
      await b.closed;
      seen.add(pieces.join());
    });
    // Five bytes in one piece, in two, in three, and one by one.
    assertEquals(seen.size, 1 + 4 + 6 + 1);
  }));

test("everySplit() finds a reader that takes a piece for a message, and names the case", () =>
  leaks(async () => {
    const naive: CaseRun = async (client, server) => {
      server.setOnRequest(({ reader, writer }) => {
        writer.writeString(`${reader.readString(reader.length)}!`);
        void writer.flush();
      });
      await send(client, "ping");
      assertEquals(await receive(client, 5), "ping!");
    };
    const error = await failure(everySplit(naive));
    assertStringIncludes(error.message, "everySplit failed: AssertionError");
    assertStringIncludes(error.message, '{ only: {"toFirst":{"chunkBytesMax":1}');
    const only: CaseFaults = { toSecond: { splitAt: [2] } };
    const again = await failure(everySplit(naive, { only }));
    assertStringIncludes(again.message, "pi!ng");
    assertEquals((again.cause as Error).name, "AssertionError");
    assertEquals((await everySplit(naive, { only: { toFirst: { splitAt: [2] } } })).cases, 1);
  }));

test("everySplit() fails a case whose handler does, though its client is content", () =>
  leaks(async () => {
    const fault = new RangeError("on purpose");
    const error = await failure(everySplit(async (client, server) => {
      server.setOnRequest(({ reader }) => {
        if (reader.length === 2) throw fault;
        reader.skip(reader.length);
      });
      await send(client, "abc");
      await client.close();
      await server.closed.catch(() => {});
    }));
    assertEquals(error.cause, fault);
  }));

test("everySplit() and everyLoss() say who waits where a protocol hangs", () =>
  leaks(async () => {
    const hangs: CaseRun = async (client, server) => {
      await send(client, "abc");
      await Promise.all([receive(server, 4), receive(client, 1)]);
    };
    const error = await failure(everySplit(hangs));
    assertStringIncludes(error.message, "first (open) waits to read, has 0 bytes unread");
    assertStringIncludes(error.message, "second (open) waits to read, has 3 bytes unread");
    const full: CaseRun = async (client) => {
      client.writer.writeString("x".repeat(100));
      await client.writer.flush();
    };
    const paused = { second: { readBufferBytesMax: 1 }, windowBytes: 10 };
    const blocked = await failure(everySplit((client, server) => {
      server.pauseRead();
      return full(client, server, undefined as never);
    }, paused));
    assertStringIncludes(blocked.message, "waits for a flush of which 90 bytes are not sent");
    assertStringIncludes(blocked.message, "does not read");
    const asleep = await failure(everyLoss(() => new Promise(() => {})));
    assertStringIncludes(asleep.message, "everyLoss hangs: first (open) waits for nothing");
  }));

test("everyLoss() breaks and ends each way after each number of bytes", () =>
  leaks(async () => {
    let [ended, broken] = [0, 0];
    const counts = await everyLoss(async (client, server) => {
      const [sent] = [send(client, "abc").catch(() => {}), send(server, "de").catch(() => {})];
      try {
        await receive(server, 3);
        await receive(client, 2);
      } catch (error) {
        assert(error instanceof EofError);
        if (error.cause === undefined) ended += 1;
        else broken += 1;
        throw new Error("the user's own", { cause: error });
      } finally {
        await sent;
      }
    });
    assertEquals(counts.cases, 1 + 2 * (4 + 3));
    // Each loss that leaves a byte out is noticed; a break takes what is on its way with it.
    assertEquals([ended, broken >= 5], [5, true]);
  }));

test("everyLoss() fails a protocol that takes a loss for something else", () =>
  leaks(async () => {
    const error = await failure(everyLoss(async (client, server) => {
      await send(client, "abcd");
      const read = await receive(server, 4).catch(() => "");
      assertEquals(read, "abcd");
    }));
    assertStringIncludes(error.message, "everyLoss failed: AssertionError");
    const thrown = await failure(everyLoss(async (client, server) => {
      server.setOnRequest(async ({ reader }) => {
        await reader.wait(4).catch(() => {
          throw new TypeError("a handler's bug");
        });
        reader.skip(4);
      });
      await send(client, "abcd");
      await client.close();
      await server.closed.catch(() => {});
    }));
    assertStringIncludes(thrown.message, "a handler's bug");
  }));

test("everyLoss() fails whatever goes wrong where nothing is lost", () =>
  leaks(async () => {
    const error = await failure(everyLoss(async (client, server) => {
      await client.close();
      await receive(server, 1);
    }));
    assertEquals(error.cause instanceof EofError, true);
    assertStringIncludes(error.message, "{ only: {} }");
  }));

test("everyLoss() lets deadlines pass where all is quiet, for a peer that stalls", () =>
  leaks(async () => {
    const losses = ["stall"] as const;
    const forgotten = await failure(everyLoss(echo, { losses }));
    assertStringIncludes(forgotten.message, "has 0 bytes unread, 8 more are held on the way to it");
    let late = 0;
    const first = { readTimeoutMs: 3_600_000 };
    const counts = await everyLoss(async (client, server, clock) => {
      const { nowMs } = clock;
      try {
        await echo(client, server, clock);
      } catch (error) {
        if (error instanceof TimeoutError && clock.nowMs >= nowMs + 3_600_000) late += 1;
        throw error;
      }
    }, { losses, first });
    assertEquals([counts.cases, late], [1 + 18, 16]);
  }));

test("everySplit() uses the clock that a test has, and gives one of its own back", () =>
  leaks(async () => {
    {
      using clock = new FakeClock();
      await everySplit((_first, _second, given) => assertEquals(given, clock));
      await clock.advance(1);
    }
    await everySplit(async (client, server, clock) => {
      client.readTimeoutMs = 1000;
      const late = client.reader.wait(1).catch((error) => error);
      await clock.advance(1000);
      assert(await late instanceof TimeoutError);
      await server.close();
    });
    new FakeClock()[Symbol.dispose]();
  }));

test("everySplit() runs one at a time, and says so to one within another", () =>
  leaks(async () => {
    const first = everySplit(echo);
    await assertRejects(() => everyLoss(echo), TypeError, "await the first one");
    await first;
    const inner = await failure(everySplit(async () => void await everySplit(echo)));
    assertStringIncludes(inner.message, "Cannot run everySplit beside another one");
    await everySplit(echo);
  }));

test("everySplit() spreads its cases evenly where there are more than casesMax", () =>
  leaks(async () => {
    const seen: number[] = [];
    const counts = await everySplit(async (client, server) => {
      let pieces = 0;
      server.setOnRequest(({ reader }) => {
        if (pieces++ === 0) seen.push(reader.length);
        reader.skip(reader.length);
      });
      await send(client, "x".repeat(1000));
      await client.close();
      await server.closed;
    }, { casesMax: 12 });
    assertEquals([counts.cases, counts.skipped], [12, 990 + 499_500]);
    assertEquals(seen, [1000, 1, 1, 101, 201, 301, 401, 501, 601, 701, 801, 901]);
  }));

test("everySplit() and everyLoss() try protocols of nothing, and of both ends at once", () =>
  leaks(async () => {
    assertEquals((await everySplit(() => {})).cases, 2);
    assertEquals((await everyLoss(() => {})).cases, 5);
    const both = (each: Connection) => each.close();
    assertEquals(
      (await everyLoss(async (a, b) => void await Promise.all([both(a), both(b)]))).cases,
      5,
    );
    const threw = await failure(everySplit(() => {
      throw new TypeError("at once");
    }));
    assertStringIncludes(threw.message, "at once");
    for (const thrown of [undefined, null, Symbol("none"), Object.create(null), "text"]) {
      const error = await failure(everyLoss(() => Promise.reject(thrown)));
      assertEquals(error.cause, thrown);
    }
    const circle = new Error("its own cause");
    circle.cause = circle;
    const round = await failure(everyLoss(() => Promise.reject(circle)));
    assertStringIncludes(round.message, "its own cause");
  }));

test("everySplit() waits for what is not ours: a file, and a timer of the runtime", () =>
  leaks(async () => {
    const path = new URL("../../LICENSE", import.meta.url).pathname;
    await everySplit(async (client, server) => {
      const text = await readFile(path, "latin1");
      await send(client, text.slice(0, 3));
      await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(await receive(server, 3), text.slice(0, 3));
    });
    await everySplit(async (client, server) => {
      client.readTimeoutMs = 10;
      const late = receive(client, 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      await send(server, "x");
      await late;
    }, { outsideMs: 1000 });
  }));

test("everySplit() and everyLoss() refuse options that mean nothing", async () => {
  const refused = async (
    run: unknown,
    options: unknown,
    error: typeof TypeError,
    message: string,
  ) => {
    for (const each of [everySplit, everyLoss]) {
      const given = each as unknown as (run: unknown, options: unknown) => Promise<unknown>;
      await assertRejects(() => given(run, options), error, message);
    }
  };
  await refused(5, {}, TypeError, "function");
  await refused(echo, { caseMax: 1 }, TypeError, "casesMax");
  await refused(echo, { casesMax: 0 }, RangeError, "casesMax");
  await refused(echo, { outsideMs: -1 }, RangeError, "outsideMs");
  await refused(echo, { first: { onRequst: 1 } }, TypeError, "onRequest");
  await refused(echo, { first: null }, TypeError, "first of every");
  await refused(echo, { second: Promise.resolve() }, TypeError, "second of every");
  await refused(echo, { only: { toThird: {} } }, TypeError, "toThird");
  await assertRejects(() => everyLoss(echo, { losses: ["fire" as "end"] }), TypeError, "stall");
});

test("everySplit() fails a case whose callback fails when the connections end", () =>
  leaks(async () => {
    const second = {
      onDisconnect: () => {
        throw new TypeError("a bug at the end");
      },
    };
    const error = await failure(everySplit((client) => client.reset(), { second }));
    assertStringIncludes(error.message, "a bug at the end");
  }));

test("everySplit() ends the connections of a case whose clock the protocol disposes of", () =>
  leaks(async () => {
    const { activeCount } = metrics().connections;
    const running = everySplit(async (client, _server, clock) => {
      clock[Symbol.dispose]();
      await client.reader.wait(1);
    });
    await assertRejects(() => running, TypeError, "disposed of");
    assertEquals(metrics().connections.activeCount, activeCount);
    await everySplit(echo);
  }));
