import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  type Connection,
  dial,
  EofError,
  frames,
  lengthPrefixed,
  LinkBuffer,
  pipe,
  type PipeResult,
  ShardQueue,
  UnsentError,
} from "../../mod.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { pairWith, pattern, receive, send } from "../support/pair.ts";
import {
  connectSlowly,
  endOf,
  sendSome,
  takeUntil,
  takeWhatIsThere,
} from "../support/slow_peer.ts";
import { soon, ticks, until } from "../support/until.ts";
import { ending, type Way, WAYS } from "../support/ways_to_end.ts";

/** More than a peer may be still. */
const STILL_MS = 6000;

/** A promise, and how to settle it. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Answers four bytes: the message of these tests. */
async function answer({ reader, writer }: Connection): Promise<void> {
  await reader.wait(4);
  writer.writeString(reader.readString(4).toUpperCase());
  await writer.flush();
  reader.release();
}

/** The error says why, or its cause does. */
function assertWhy(error: unknown, { why }: Way): void {
  assertInstanceOf(error, ClosedError);
  assertInstanceOf(error.cause, Error);
  assertMatch(error.cause.message, why);
}

for (const way of WAYS) {
  test(`Leaving lets a handler finish that runs, when ${way.name}`, () => {
    const { opened, open } = gate();
    let runs = 0;
    return ending(way, async (connection) => {
      runs += 1;
      await opened;
      await answer(connection);
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("ping");
      await until(() => runs === 1, "the handler");
      await ends.end();
      await ends.fake.advance(2 * STILL_MS);
      assertEquals(ends.server.loop.connectionCount, 1);
      open();
      assertEquals(await peer.receiveAll(), "PING");
      assertEquals(await ends.over(), 0);
      await ends.connections[0]!.closed;
    });
  });

  test(`Leaving serves what came before, and not what comes later, when ${way.name}`, () => {
    const { opened, open } = gate();
    const asked: string[] = [];
    return ending(way, async ({ reader, writer }) => {
      const text = reader.readString(4);
      asked.push(text);
      if (text === "one.") await opened;
      writer.writeString(text);
      await writer.flush();
      reader.release();
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("one.two.");
      await until(() => asked.length === 1, "the first handler");
      await ends.end();
      peer.send("new.");
      await ticks(5);
      open();
      await until(() => peer.isOver, "the end");
      assertEquals(asked, ["one.", "two."]);
      assertEquals(await ends.over(), 0);
    });
  });

  test(`Leaving ends a wait between messages, and says why, when ${way.name}`, () => {
    const errors: unknown[] = [];
    return ending(way, async (connection) => {
      try {
        for (;;) await answer(connection);
      } catch (error) {
        errors.push(error);
        connection.writer.writeString("bye.");
        await connection.writer.flush();
        throw error;
      }
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("ping");
      assertEquals(await peer.receive(4), "PING");
      await ends.end();
      assertEquals(await peer.receiveAll(), "PINGbye.");
      assertEquals(await ends.over(), 0);
      assertEquals(errors.length, 1);
      assertWhy(errors[0], way);
      await ends.connections[0]!.closed;
    }, { onError: (error) => void errors.push(error) });
  });

  test(`Leaving finishes a wait within a message, when ${way.name}`, () =>
    ending(way, async (connection) => {
      for (;;) await answer(connection);
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("pi");
      await until(() => ends.connections[0]?.metrics().isWaiting === true, "a wait");
      await ends.end();
      await ends.fake.advance(4000);
      peer.send("n"); // any byte counts
      await ends.fake.advance(4000);
      peer.send("g");
      assertEquals(await peer.receiveAll(), "PING");
      assertEquals(await ends.over(), 0);
    }));

  test(`Leaving counts what was read and not released as a message, when ${way.name}`, () =>
    ending(way, async ({ reader, writer }) => {
      for (;;) {
        await reader.wait(1);
        const size = reader.readByte() - 48;
        await reader.wait(size);
        writer.writeString(reader.readString(size));
        await writer.flush();
        reader.release();
      }
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("4");
      await until(() => ends.connections[0]?.metrics().isWaiting === true, "a wait for the rest");
      await ends.end();
      await ticks(5);
      peer.send("body");
      assertEquals(await peer.receiveAll(), "body");
      assertEquals(await ends.over(), 0);
    }));

  test(`Leaving lets a handler hear the rest of what it has not answered, when ${way.name}`, () =>
    ending(way, async ({ reader, writer }) => {
      await reader.wait(4);
      const question = reader.readString(4);
      reader.release(); // and yet it was not answered
      await reader.wait(4);
      writer.writeString(question + reader.readString(4));
      await writer.flush();
      reader.release();
      await reader.wait(1); // and from here on it is between messages
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("ques");
      await until(() => ends.connections[0]?.metrics().isWaiting === true, "a wait for more");
      await ends.end();
      await ends.fake.advance(4000);
      peer.send("tion");
      assertEquals(await peer.receiveAll(), "question");
      assertEquals(await ends.over(), 0);
    }));

  test(`Leaving ends frames() that nobody answers at once, between frames, when ${way.name}`, () => {
    const codec = lengthPrefixed({ lengthBytes: 1 });
    let heard = 0;
    return ending(way, async (connection) => {
      for await (const frame of frames(connection, codec)) heard += frame.length;
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("\u0003abc");
      await until(() => heard === 3, "a frame");
      await ends.end();
      assertEquals(await peer.receiveAll(), "");
      assertEquals(await ends.over(), 0);
    });
  });

  test(`Leaving waits for the rest of a message of a synchronous handler, when ${way.name}`, () =>
    ending(way, ({ reader, writer }) => {
      while (reader.length >= 4) writer.writeString(reader.readString(4).toUpperCase());
      void writer.flush();
      reader.release();
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("pingpo");
      assertEquals(await peer.receive(4), "PING");
      await ends.end();
      await ends.fake.advance(1000);
      peer.send("ngpi"); // and begins another, which is none any more
      assertEquals((await peer.receiveAll()).slice(0, 8), "PINGPONG");
      assertEquals(await ends.over(), 0);
    }));

  test(`Leaving gives up a message whose rest does not come, and says so, when ${way.name}`, () => {
    const errors: unknown[] = [];
    return ending(way, async (connection) => {
      await connection.reader.wait(4).catch((error) => {
        errors.push(error);
        throw error;
      });
    }, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("pi");
      await until(() => ends.connections[0]?.metrics().isWaiting === true, "a wait");
      await ends.end();
      await ends.fake.advance(STILL_MS);
      await until(() => peer.isOver, "the end");
      assertEquals(await ends.over(), way.shutdown === null ? 0 : 1);
      assertWhy(errors[0], way);
      const error = await assertRejects(() => ends.connections[0]!.closed, Error);
      assertMatch(error.message, way.why);
    });
  });

  test(`Leaving ends frames() between frames with an error, when ${way.name}`, () => {
    const codec = lengthPrefixed({ lengthBytes: 1 });
    const errors: unknown[] = [];
    return ending(way, async (connection) => {
      try {
        for await (const frame of frames(connection, codec)) {
          codec.encode(connection.writer, frame);
          await connection.writer.flush();
        }
      } catch (error) {
        errors.push(error);
        throw error;
      }
    }, async (ends) => {
      using idle = new RawPeer(ends.server.listener);
      using amid = new RawPeer(ends.server.listener);
      idle.send("\u0003abc");
      amid.send("\u0003abc\u0003d");
      assertEquals([await idle.receive(4), await amid.receive(4)], ["\u0003abc", "\u0003abc"]);
      await ends.end();
      assertEquals(await idle.receiveAll(), "\u0003abc");
      assertEquals(errors.length, 1);
      amid.send("ef");
      assertEquals(await amid.receiveAll(), "\u0003abc\u0003def");
      assertEquals(await ends.over(), 0);
      for (const error of errors) assertWhy(error, way);
      assertEquals(errors.length, 2);
    }, { onError: (error) => void errors.push(error) });
  });

  test(`Leaving ends what onConnect does, between messages, when ${way.name}`, () => {
    const errors: unknown[] = [];
    const isOver: boolean[] = [];
    return ending(way, null, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("ping");
      assertEquals(await peer.receive(4), "PING");
      await ends.end();
      assertEquals(await peer.receiveAll(), "PING");
      assertEquals([await ends.over(), isOver, errors], [0, [true], []]);
    }, {
      onConnect: async (connection) => {
        try {
          for (;;) await answer(connection);
        } finally {
          isOver.push(true);
        }
      },
      onError: (error) => void errors.push(error),
    });
  });

  test(`Leaving finishes a message of a session that nobody awaits, when ${way.name}`, () => {
    const errors: unknown[] = [];
    const { opened, open } = gate();
    let begun = 0;
    const session = async ({ reader, writer }: Connection) => {
      for (;;) {
        await reader.wait(4);
        writer.writeString(reader.readString(4).toUpperCase());
        begun += 1;
        await opened; // it holds the message as long as that takes
        await writer.flush();
        reader.release();
      }
    };
    return ending(way, null, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      peer.send("ping");
      await until(() => begun === 1, "a message");
      await ends.end();
      await ticks(3);
      open();
      assertEquals(await peer.receiveAll(), "PING");
      assertEquals(await ends.over(), 0);
      await until(() => errors.length === 1, "the session ends");
      assertWhy(errors[0], way);
    }, {
      onConnect: (connection) =>
        void session(connection).catch((error) => errors.push(error)) as undefined,
    });
  });

  test(`Leaving closes what only others write to, when ${way.name}`, () => {
    return ending(way, null, async (ends) => {
      using peer = new RawPeer(ends.server.listener);
      await until(() => ends.connections[0]?.fd !== undefined, "a connection");
      const { writer } = ends.connections[0]!;
      writer.writeString("news");
      void writer.flush();
      await ends.end();
      assertEquals(await peer.receiveAll(), "news");
      assertEquals(await ends.over(), 0);
      const error = await assertRejects(() => writer.flush(), ClosedError);
      assertWhy(error, way);
    });
  });

  test(`Leaving lets a pipe finish, when ${way.name}`, () => {
    const [back, upstream] = pairWith();
    const results: PipeResult[] = [];
    return ending(way, null, async (ends) => {
      const client = await dial("tcp", ends.server.at);
      await send(client, "hello");
      assertEquals(await soon(receive(upstream, 5)), "hello");
      await ends.end();
      await ends.fake.advance(2 * STILL_MS);
      await send(upstream, "again");
      assertEquals(await soon(receive(client, 5)), "again");
      await client.closeWrite();
      await upstream.close();
      assertEquals(await ends.over(), 0);
      await until(() => results.length > 0, "the pipe has ended");
      assertEquals(results, [{ aToB: 5, bToA: 5 }]);
      await client.close();
    }, {
      onConnect: async (connection) => void results.push(await pipe(connection, back)) as undefined,
    });
  });
}

test("Leaving lets a handler flush to a peer that takes what it sends, however slowly", () =>
  ending(WAYS[1]!, async ({ reader, writer }) => {
    reader.skip(reader.length);
    reader.release();
    for (let i = 0; i < 4; i++) {
      writer.writeBinary(pattern(2 << 20, i * (2 << 20)));
      await writer.flush();
    }
  }, async (ends) => {
    const peer = connectSlowly(ends.server.listener);
    sendSome(peer, 1);
    await until(() => ends.connections[0]?.metrics().flushCount === 1, "a flush that waits");
    await ends.end();
    for (let i = 0; i < 5; i++) {
      await ends.fake.advance(3000);
      takeWhatIsThere(peer);
      await ticks(10); // its kernel tells that there is room
    }
    await takeUntil(peer, 8 << 20);
    assertEquals([peer.count, await endOf(peer)], [8 << 20, "end"]);
    assertEquals(await ends.over(), 0);
    peer.close();
  }));

test("Leaving does not wait for a handler that flushes to a peer who takes nothing", () =>
  ending(WAYS[1]!, async ({ reader, writer }) => {
    reader.skip(reader.length);
    reader.release();
    writer.writeBinary(pattern(8 << 20));
    await writer.flush();
  }, async (ends) => {
    const peer = connectSlowly(ends.server.listener);
    sendSome(peer, 1);
    await until(() => ends.connections[0]?.metrics().flushCount === 1, "a flush that waits");
    await ends.end();
    await ends.fake.advance(STILL_MS);
    assertEquals([await ends.over(), await endOf(peer)], [1, "reset"]);
    await assertRejects(() => ends.connections[0]!.closed, UnsentError);
    peer.close();
  }));

test("Leaving serves what the kernel held while reading had paused", () => {
  const answerBytes = 8 << 20; // more than writeBufferBytesMax
  return ending(WAYS[1]!, ({ reader, writer }) => {
    reader.skip(4);
    reader.release();
    writer.writeBinary(new Uint8Array(answerBytes));
    void writer.flush();
  }, async (ends) => {
    const client = await dial("tcp", ends.server.at);
    client.pauseRead();
    await send(client, "one.");
    await until(() => ends.connections[0]?.metrics().isReadPaused === true, "too much unsent");
    await send(client, "two.");
    await ticks(3);
    await ends.end();
    await ticks(3);
    await send(client, "new.");
    client.resumeRead();
    for (let left = 2 * answerBytes; left > 0;) {
      await soon(client.reader.wait(1));
      left -= client.reader.length;
      client.reader.skip(client.reader.length);
      client.reader.release();
    }
    await assertRejects(() => soon(client.reader.wait(1)), EofError);
    assertEquals(await ends.over(), 0);
    await client.close();
  });
});

test("Leaving lets a ShardQueue write what was added before", () =>
  ending(WAYS[1]!, null, async (ends) => {
    const peer = connectSlowly(ends.server.listener);
    await until(() => ends.connections.length === 1, "a connection");
    const queue = new ShardQueue(ends.connections[0]!);
    const add = (at: number) =>
      queue.add(() => {
        const buffer = new LinkBuffer();
        buffer.writeBinary(pattern(4 << 20, at), { copy: true });
        return buffer;
      });
    const first = add(0);
    await until(() => ends.connections[0]?.metrics().flushCount === 1, "a flush that waits");
    const second = add(4 << 20);
    await ends.end();
    await takeUntil(peer, 8 << 20);
    await soon(Promise.all([first, second]));
    assertEquals([peer.count, await endOf(peer)], [8 << 20, "end"]);
    const late = await assertRejects(() => add(0), ClosedError);
    assertWhy(late, WAYS[1]!);
    assertEquals(await ends.over(), 0);
    peer.close();
  }));

test("Leaving has nobody wait longer than its connection lives", () =>
  ending(WAYS[0]!, null, async (ends) => {
    using peer = new RawPeer(ends.server.listener);
    await until(() => ends.connections.length === 1, "a connection");
    const waiting = ends.connections[0]!.reader.wait(1);
    waiting.catch(() => {});
    await ends.end();
    assertWhy(await assertRejects(() => soon(waiting), ClosedError), WAYS[0]!);
    assertWhy(
      await assertRejects(() => ends.connections[0]!.reader.wait(1), ClosedError),
      WAYS[0]!,
    );
    assert(peer.isEnded);
  }));
