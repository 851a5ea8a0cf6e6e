import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { EofError } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { CALM_MS } from "../support/calm.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { delay, soon, ticks, until } from "../support/until.ts";

test("the handler never runs twice at a time (netpoll 146)", () =>
  leaks(async () => {
    let [running, most, seen] = [0, 0, 0];
    const [a, b] = pairWith({
      onRequest: async ({ reader }) => {
        most = Math.max(most, ++running);
        seen += reader.length;
        reader.skip(reader.length);
        await ticks(3);
        running -= 1;
      },
    });
    for (let i = 0; i < 30; i++) {
      await send(b, "x".repeat(i + 1));
      if (i % 3 === 0) await ticks(2);
    }
    await until(() => seen === 465, "all bytes");
    assertEquals(most, 1);
    await closeAll(a, b);
  }));

test("the handler is called again for what it left, synchronous or not (netpoll 91)", () =>
  leaks(async () => {
    for (const isAsync of [false, true]) {
      let seen = 0;
      const [a, b] = pairWith({
        onRequest: ({ reader }) => {
          seen += reader.next(Math.min(reader.length, 7)).length;
          reader.release();
          return isAsync ? Promise.resolve() : undefined;
        },
      });
      const total = 256 * 100;
      for (let i = 0; i < 100; i++) {
        b.writer.writeBinary(pattern(256));
        b.writer.flush();
      }
      await until(() => seen === total, "all bytes");
      await closeAll(a, b);
    }
  }));

test("a handler that consumes nothing is not called before more comes (netpoll 148 x)", () =>
  leaks(async () => {
    for (const isAsync of [false, true]) {
      let calls = 0;
      const [a, b] = pairWith({
        onRequest: () => {
          calls += 1;
          return isAsync ? Promise.resolve() : undefined;
        },
      });
      await send(b, "x");
      await until(() => calls === 1, "the first call");
      const before = threadPoller().counts.events;
      await ticks(50);
      assertEquals(calls, 1);
      assert(threadPoller().counts.events - before < 5, "no storm");
      await send(b, "y");
      await until(() => calls === 2, "a call for the new byte");
      await b.close();
      await soon(a.closed);
      assertEquals(calls, 2);
    }
  }));

test("a handler whose wait failed without consuming is not called for the same bytes", () =>
  leaks(() =>
    withFakeClock(async (clock) => {
      let calls = 0;
      const [a, b] = pairWith({
        readTimeoutMs: 10,
        onRequest: async ({ reader }) => {
          calls += 1;
          await reader.wait(100).catch(() => {});
        },
      });
      await send(b, "x");
      await until(() => calls === 1, "the call");
      await clock.advance(60);
      assertEquals(calls, 1);
      await closeAll(a, b);
    })
  ));

test("a handler that never settles holds its connection only, and neither CPU nor the process", () =>
  leaks(async () => {
    const gate = Promise.withResolvers<void>();
    const [a, b] = pairWith({
      onRequest: async ({ reader }) => {
        reader.skip(reader.length);
        await gate.promise;
      },
    });
    const [c, d] = pairWith();
    await send(b, "x");
    await until(() => threadPoller().pace.outsideWaits === 1, "it is known to wait elsewhere");
    await send(c, "others go on");
    assertEquals(await soon(receive(d, 12)), "others go on");
    const before = threadPoller().counts.waits;
    await delay(CALM_MS);
    assert(threadPoller().counts.waits - before < 20, "nobody polls meanwhile");
    gate.resolve();
    await closeAll(a, b, c, d);
  }));

test("bytes that come with the peer's end are handled at least once", () =>
  leaks(async () => {
    for (const isAsync of [false, true]) {
      const seen: string[] = [];
      const [a, b] = pairWith({
        onRequest: async ({ reader }) => {
          if (isAsync) await Promise.resolve();
          seen.push(reader.readString(reader.length));
        },
      });
      await send(b, "last words");
      await b.close();
      await soon(a.closed);
      assertEquals(seen, ["last words"]);
    }
  }));

test("a handler that waits for more than comes hears of the end, and keeps what came", () =>
  leaks(async () => {
    let outcome = "";
    const [a, b] = pairWith({
      onRequest: async ({ reader }) => {
        const error = await assertRejects(() => reader.wait(10), EofError);
        outcome = `${error.name} ${reader.readString(reader.length)}`;
      },
    });
    await send(b, "half");
    await b.close();
    await soon(a.closed);
    assertEquals(outcome, "EofError half");
  }));

test("setOnRequest() with bytes buffered is called soon, and not within the call (netpoll 152)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(b, "early");
    await until(() => a.reader.length === 5, "the bytes");
    const seen: string[] = [];
    a.setOnRequest(({ reader }) => void seen.push(reader.readString(reader.length)));
    assertEquals(seen, []);
    await ticks(1);
    assertEquals(seen, ["early"]);
    await closeAll(a, b);
  }));

test("setOnRequest() within onConnect and within a handler holds at once (netpoll 153 x)", () =>
  leaks(async () => {
    const seen: string[] = [];
    const [a, b] = pairWith({
      onConnect: (connection) => {
        connection.setOnRequest((one) => {
          seen.push(`first ${one.reader.readString(1)}`);
          one.setOnRequest((two) => void seen.push(`second ${two.reader.readString(1)}`));
        });
      },
      onRequest: () => void seen.push("never"),
    });
    await send(b, "abc");
    await until(() => seen.length === 3, "all of them");
    assertEquals(seen, ["first a", "second b", "second c"]);
    await closeAll(a, b);
  }));

test("close() within a handler that goes on ends the peer at once (netpoll 157 x)", () =>
  leaks(async () => {
    const gate = Promise.withResolvers<void>();
    let closes = 0;
    const [a, b] = pairWith({
      onRequest: async (connection) => {
        connection.addCloseCallback(() => closes += 1);
        connection.writer.writeString("bye");
        connection.writer.flush();
        void connection.close();
        await gate.promise;
      },
    });
    await send(b, "x");
    await assertRejects(() => soon(b.reader.wait(4)), EofError);
    assertEquals(b.reader.readString(3), "bye");
    assertEquals(closes, 0, "close callbacks wait for the handler");
    gate.resolve();
    await until(() => closes === 1, "the close callback");
    await closeAll(a, b);
  }));

test("a run of the handler over what is buffered takes a bounded share of a turn", () =>
  leaks(async () => {
    let calls = 0;
    let other = 0;
    const [a, b] = pairWith({ onRequest: ({ reader }) => void (calls += reader.next(1).length) });
    const [c, d] = pairWith({
      onRequest: ({ reader }) => {
        reader.skip(reader.length);
        other ||= calls;
      },
    });
    b.writer.writeBinary(pattern(5000));
    b.writer.flush();
    send(d, "x");
    await until(() => calls === 5000 && other > 0, "both");
    assert(other < 5000, `the other connection had its turn after ${other} calls`);
    await closeAll(a, b, c, d);
  }));

test("flushes of one dispatch leave together, and all of them settle", () =>
  leaks(async () => {
    let settled = 0;
    const [a, b] = pairWith({
      onRequest: ({ reader, writer }) => {
        writer.writeBinary(reader.next(1));
        writer.flush().then(() => settled += 1);
        reader.release();
      },
    });
    await send(b, "abcdefgh");
    assertEquals(await soon(receive(b, 8)), "abcdefgh");
    await until(() => settled === 8, "all flushes settle");
    await closeAll(a, b);
  }));
