import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { test } from "node:test";
import { ClosedError, configure, type Connection, dial, EofError } from "../../mod.ts";
import { serveHandler } from "../support/echo_server.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, receive, send, tcpPair } from "../support/pair.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, ticks, until } from "../support/until.ts";

/** Runs with the log in an array. */
async function logged(run: (lines: string[]) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  configure({ log: (line) => void lines.push(line) });
  try {
    await run(lines);
  } finally {
    configure({ log: (line) => console.error(line) });
  }
}

test("EventLoop calls prepare, connect, request, disconnect, close, in this order (netpoll 144)", () =>
  leaks(async () => {
    const calls: string[] = [];
    await using server = serveHandler<string>(({ reader }, context) => {
      reader.skip(reader.length);
      calls.push(`request ${context}`);
    }, {
      onPrepare: (connection) => {
        calls.push("prepare");
        connection.addCloseCallback(() => calls.push("close"));
        return "prepared";
      },
      onConnect: async (_, context) => {
        calls.push(`connect ${context}`);
        await ticks(5);
        return "connected";
      },
      onDisconnect: (_, context) => void calls.push(`disconnect ${context}`),
    });
    using peer = new RawPeer(server.listener);
    peer.send("hello");
    await until(() => calls.length === 3, "the request");
    peer.close();
    await until(() => calls.length === 5, "the end");
    assertEquals(calls, [
      "prepare",
      "connect prepared",
      "request connected",
      "disconnect connected",
      "close",
    ]);
  }));

for (const end of ["close", "reset"] as const) {
  test(`onDisconnect and onRequest wait for onConnect, although the peer ended by ${end} meanwhile (netpoll 137)`, () =>
    leaks(async () => {
      const calls: string[] = [];
      const gate = Promise.withResolvers<void>();
      await using server = serveHandler<string>(({ reader }, context) => {
        calls.push(`request ${context} ${reader.readString(reader.length)}`);
      }, {
        onPrepare: () => "prepared",
        onConnect: async () => {
          calls.push("connect");
          await gate.promise;
          calls.push("connected");
          return "context";
        },
        onDisconnect: (_, context) => void calls.push(`disconnect ${context}`),
      });
      const peer = new RawPeer(server.listener);
      await until(() => calls.length === 1, "onConnect");
      peer.send("x");
      await ticks(5);
      peer[end]();
      await ticks(10);
      assertEquals(calls, ["connect"]);
      gate.resolve();
      await until(() => server.loop.connectionCount === 0, "it is gone");
      assertEquals(calls, ["connect", "connected", "request context x", "disconnect context"]);
    }));
}

test("onConnect may wait and answer many times before any request (netpoll 134, 135)", () =>
  leaks(async () => {
    let requests = 0;
    await using server = serveHandler(() => void (requests += 1), {
      onConnect: async ({ reader, writer }) => {
        writer.writeString("hi");
        await writer.flush();
        for (let i = 0; i < 200; i++) {
          await reader.wait(4);
          writer.writeBinary(reader.next(4));
          await writer.flush();
          reader.release();
        }
        return undefined;
      },
    });
    const client = await dial("tcp", server.at);
    assertEquals(await soon(receive(client, 2)), "hi");
    for (let i = 0; i < 200; i++) {
      await send(client, "ping");
      assertEquals(await soon(receive(client, 4)), "ping");
    }
    assertEquals(requests, 0);
    await client.close();
  }));

test("close() in onConnect and in onPrepare: the peer reads an end (netpoll 140, 151)", () =>
  leaks(async () => {
    for (const where of ["onConnect", "onPrepare"] as const) {
      let closes = 0;
      await using server = serveHandler(() => {}, {
        [where]: (connection: Connection) => {
          connection.addCloseCallback(() => closes += 1);
          void connection.close();
        },
      });
      using peer = new RawPeer(server.listener);
      assertEquals(await peer.receiveAll(), "");
      await until(() => closes === 1, "the close callback");
    }
  }));

test("close() in onPrepare sends what was flushed there, however much", () =>
  leaks(async () => {
    const size = 8 * 1024 * 1024;
    await using server = serveHandler(() => {}, {
      onPrepare: (connection) => {
        connection.writer.writeBinary(new Uint8Array(size));
        connection.writer.flush();
        void connection.close();
      },
    });
    const client = await dial("tcp", server.at);
    await soon(client.reader.wait(size));
    await assertRejects(() => soon(client.reader.wait(size + 1)), EofError);
    await client.close();
  }));

test("flush() in onPrepare goes on by itself when the kernel is full", () =>
  leaks(async () => {
    const size = 8 * 1024 * 1024;
    await using server = serveHandler(() => {}, {
      onPrepare: ({ writer }) => {
        writer.writeBinary(new Uint8Array(size));
        writer.flush();
      },
    });
    const client = await dial("tcp", server.at);
    await soon(client.reader.wait(size));
    await client.close();
  }));

test("close callbacks run last added first, after all else, added anywhere (netpoll 139, 149)", () =>
  leaks(async () => {
    const calls: string[] = [];
    const [a, b] = pairWith({
      onConnect: (connection) => {
        connection.addCloseCallback(() => calls.push("from onConnect"));
      },
      onRequest: async (connection) => {
        connection.addCloseCallback(() => calls.push("from onRequest"));
        connection.reader.skip(connection.reader.length);
        await ticks(10);
        calls.push("handler");
      },
      onDisconnect: async () => {
        await ticks(20);
        calls.push("disconnect");
      },
    });
    await send(b, "x");
    await b.close();
    await until(() => calls.length === 4, "all of them");
    assertEquals(calls, ["handler", "disconnect", "from onRequest", "from onConnect"]);
    await a.close();
  }));

test("addCloseCallback() after the end calls soon, and not within the call (netpoll 150 x)", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await a.close();
    await ticks(2);
    const ends: unknown[] = [];
    a.addCloseCallback((_, end) => ends.push(end));
    assertEquals(ends, []);
    await ticks(1);
    assertEquals(ends, [{ reason: "local" }]);
    await b.close();
  }));

test("a close of our own calls no onDisconnect, and the close callback once (netpoll 145)", () =>
  leaks(async () => {
    const calls: string[] = [];
    const [a, b] = pairWith({ onDisconnect: () => void calls.push("disconnect") });
    a.addCloseCallback(() => calls.push("close"));
    const closing = a.close();
    assertEquals(calls, [], "nothing runs within close()");
    await closing;
    await ticks(2);
    assertEquals(calls, ["close"]);
    await b.close();
  }));

test("100 handlers that wait are told by onDisconnect that nobody is there (netpoll 136)", () =>
  leaks(async () => {
    let cancelled = 0;
    const server = serveHandler<AbortController>(async ({ reader }, context) => {
      reader.skip(reader.length);
      await new Promise<void>((resolve) =>
        context.signal.addEventListener("abort", () => resolve())
      );
      cancelled += 1;
    }, {
      onPrepare: () => new AbortController(),
      onDisconnect: (_, context) => context.abort(),
    });
    const peers = Array.from({ length: 100 }, () => new RawPeer(server.listener));
    for (const peer of peers) peer.send("x");
    await until(() => server.loop.connectionCount === 100, "all are there");
    await ticks(5);
    for (const peer of peers) peer.close();
    await until(() => cancelled === 100 && server.loop.connectionCount === 0, "all are gone");
    await server[Symbol.asyncDispose]();
  }));

for (
  const [how, fail] of [
    ["throws", () => {
      throw new Error("on purpose");
    }],
    ["rejects", () => Promise.reject(new Error("on purpose"))],
  ] as const
) {
  for (const where of ["onPrepare", "onConnect", "onRequest", "onDisconnect"] as const) {
    if (where === "onPrepare" && how === "rejects") continue; // it is synchronous
    test(`${where} that ${how} goes to onError, and closes that connection only (netpoll 142)`, () =>
      leaks(async () => {
        const errors: unknown[] = [];
        let isFirst = true;
        const once = () => {
          if (!isFirst) return undefined;
          isFirst = false;
          return fail();
        };
        const callback = where === "onRequest" ? {} : { [where]: once };
        const own = { ...callback, onError: (error: unknown) => void errors.push(error) };
        const onRequest = where === "onRequest"
          ? once
          : ({ reader }: Connection) => reader.skip(reader.length);
        await using server = serveHandler(onRequest as () => void, own as object);
        const failing = new RawPeer(server.listener);
        if (where !== "onPrepare") failing.send("x");
        if (where === "onDisconnect") failing.end();
        await until(() => failing.isOver, "it is closed");
        failing.close();
        using other = new RawPeer(server.listener);
        other.send("x");
        await until(() => server.loop.connectionCount === 1, "the other one is there");
        await ticks(5);
        assert(!other.isOver, "it is open");
        assertEquals(errors.map((error) => (error as Error).message), ["on purpose"]);
      }));
  }
}

test("without onError one line goes to the log, for each failure", () =>
  logged((lines) =>
    leaks(async () => {
      const [a, b] = pairWith({
        onRequest: () => {
          throw new Error("on purpose");
        },
      });
      a.addCloseCallback(() => {
        throw new Error("at the end");
      });
      await send(b, "x");
      await soon(a.closed.catch(() => {}));
      await until(() => lines.length === 2, "two lines");
      assertStringIncludes(lines[0]!, "on purpose");
      assertStringIncludes(lines[1]!, "at the end");
      await b.close();
    })
  ));

for (
  const [what, onError] of [
    ["throws", () => {
      throw new Error("second");
    }],
    ["rejects", () => Promise.reject(new Error("second"))],
  ] as const
) {
  test(`an onError that ${what} reaches the log, and nothing else`, () =>
    logged((lines) =>
      leaks(async () => {
        const onRequest = () => Promise.reject(new Error("first"));
        const [a, b] = pairWith({ onRequest, onError });
        await send(b, "x");
        await soon(a.closed.catch(() => {}));
        await until(() => lines.length > 0, "a line");
        assertEquals(lines.length, 1);
        assertStringIncludes(lines[0]!, "second");
        await b.close();
      })
    ));
}

test("the ordinary ends of a handler are silent: EofError, ClosedError, a reset", () =>
  logged((lines) =>
    leaks(async () => {
      const errors: unknown[] = [];
      const onError = (error: unknown) => void errors.push(error);
      const onRequest = async ({ reader }: Connection) => await reader.wait(100);
      const [a, b] = await tcpPair({ onRequest, onError });
      await send(b, "x");
      await b.close();
      await soon(a.closed);

      const [c, d] = await tcpPair({ onRequest, onError });
      await send(d, "x");
      await ticks(5);
      d.reset();
      await assertRejects(() => soon(c.closed), EofError);

      const [e, f] = await tcpPair({
        onError,
        onRequest: async (connection) => {
          void connection.close();
          await connection.reader.wait(100);
        },
      });
      await send(f, "x");
      await soon(e.closed);
      await ticks(5);
      assertEquals([errors, lines], [[], []]);
      await f.close();
    })
  ));

test("dial() with onRequest and a close callback calls both (netpoll 168)", () =>
  leaks(async () => {
    const calls: string[] = [];
    await using server = serveHandler(() => {}, {
      onConnect: async ({ writer }) => {
        writer.writeString("hello");
        await writer.flush();
        return undefined;
      },
    });
    const client = await dial("tcp", server.at, {
      onRequest: ({ reader }) => void calls.push(reader.readString(reader.length)),
    });
    client.addCloseCallback(() => calls.push("closed"));
    await until(() => calls.length === 1, "the request");
    await server.loop.shutdown();
    await until(() => calls.length === 2, "the end");
    assertEquals(calls, ["hello", "closed"]);
  }));

test("Connection.fromFd() calls nothing of the user's before it returns", () =>
  leaks(async () => {
    let isInside = true;
    const calls: string[] = [];
    const [a, b] = pairWith({
      onConnect: () => {
        calls.push(`connect ${isInside}`);
        throw new ClosedError("of another connection");
      },
      onError: () => calls.push(`error ${isInside}`),
    });
    isInside = false;
    await assertRejects(() => soon(a.closed), ClosedError);
    assertEquals(calls, ["connect false", "error false"]);
    await closeAll(a, b);
  }));

test("bytes of 10 clients that write and close at once all arrive (netpoll 102, 143)", () =>
  leaks(async () => {
    let sum = 0;
    await using server = serveHandler(({ reader }) => {
      sum += reader.length;
      reader.skip(reader.length);
      reader.release();
    });
    for (let i = 0; i < 10; i++) {
      const client = await dial("tcp", server.at);
      client.writer.writeBinary(pattern(5000));
      client.writer.flush();
      void client.close();
    }
    await until(() => sum === 50_000, "all bytes");
  }));

test("onError hears of the end of another connection, when a handler fails by it", () =>
  leaks(async () => {
    const errors: unknown[] = [];
    await using server = serveHandler(async () => {
      const [upstream, end] = pairWith();
      await end.close();
      try {
        await upstream.reader.wait(1);
      } finally {
        await upstream.close();
      }
    }, { onError: (error) => errors.push(error) });
    const peer = await dial("tcp", server.at);
    peer.writer.writeString("ask");
    await peer.writer.flush();
    await peer.reader.wait(1).catch(() => {});
    assertEquals(errors.length, 1);
    assertInstanceOf(errors[0], EofError);
    await peer.close();
  }));

test("a session without a handler reads what came before the peer's end, however late", () =>
  leaks(async () => {
    const text = Promise.withResolvers<string>();
    const ended = Promise.withResolvers<void>();
    await using server = serveHandler(null, {
      onConnect(connection) {
        (async () => {
          await ended.promise;
          await connection.reader.wait(5);
          text.resolve(connection.reader.readString(5));
          await connection.close();
        })().catch(text.reject);
      },
      onDisconnect: () => ended.resolve(),
    });
    const peer = await dial("tcp", server.at);
    peer.writer.writeString("hello");
    await peer.writer.flush();
    await peer.closeWrite();
    assertEquals(await text.promise, "hello");
    await peer.close();
  }));
