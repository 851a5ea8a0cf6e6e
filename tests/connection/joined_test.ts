/**
 * Answers leave together: what a flush promises while its connection holds unread input.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import { native } from "../../ffi/load.ts";
import {
  type Connection,
  fixedLength,
  frames,
  LinkBuffer,
  metrics,
  pipe,
  ShardQueue,
  TimeoutError,
} from "../../mod.ts";
import { JOINED_BYTES_MAX } from "../../src/core/limits.ts";
import { withFakeClock } from "../support/fake_clock.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { needs } from "../support/transport.ts";
import { soon, ticks, until } from "../support/until.ts";

const COUNT = 32;
const REQUESTS = "0123456789abcdefghijklmnopqrstuv";

/** Sends that this process made while something ran. */
async function sendsOf(action: () => Promise<void>): Promise<number> {
  const before = metrics().calls.send.calls;
  await action();
  return metrics().calls.send.calls - before;
}

/** Answers one byte with itself. */
function answer({ reader, writer }: Connection): Promise<void> {
  writer.writeString(reader.readString(1));
  return writer.flush();
}

const shards = new WeakMap<Connection, ShardQueue>();

/** Ways to answer each byte by itself. */
const HANDLERS: Readonly<Record<string, (connection: Connection) => void | Promise<void>>> = {
  "a synchronous handler": (connection) => {
    void answer(connection);
    connection.reader.release();
  },
  "a synchronous handler with a loop": (connection) => {
    while (connection.reader.length > 0) void answer(connection);
    connection.reader.release();
  },
  "an asynchronous handler": async (connection) => {
    await connection.reader.wait(1);
    await answer(connection);
    connection.reader.release();
  },
  "an asynchronous handler with a loop": async (connection) => {
    while (connection.isActive) {
      await connection.reader.wait(1);
      await answer(connection);
      connection.reader.release();
    }
  },
  "flush({ signal })": async ({ reader, writer }) => {
    writer.writeString(reader.readString(1));
    await writer.flush({ signal: new AbortController().signal });
    reader.release();
  },
  "several flushes of one message": async ({ reader, writer }) => {
    const text = reader.readString(1);
    writer.writeString("<");
    await writer.flush();
    writer.writeString(text);
    await writer.flush();
    writer.writeString(">");
    await writer.flush();
    reader.release();
  },
  frames: async (connection) => {
    for await (const frame of frames(connection, fixedLength(1))) {
      connection.writer.writeBinary(frame);
      await connection.writer.flush();
    }
  },
  "a ShardQueue": (connection) => {
    let queue = shards.get(connection);
    if (queue === undefined) shards.set(connection, queue = new ShardQueue(connection));
    const text = connection.reader.readString(1);
    connection.reader.release();
    void queue.add(() => {
      const buffer = new LinkBuffer();
      buffer.writeString(text);
      return buffer;
    });
  },
};

for (const [name, onRequest] of Object.entries(HANDLERS)) {
  test(`flush() joins the answers to all that is there: ${name}`, () =>
    // By a clock that stands no turn ends amid the handlers.
    gated(() =>
      withFakeClock(async () => {
        const isThreefold = name === "several flushes of one message";
        const [a, b] = pairWith({ onRequest });
        const bytes = isThreefold ? 3 * COUNT : COUNT;
        const sends = await sendsOf(async () => {
          await send(b, REQUESTS);
          const text = await receive(b, bytes);
          assertEquals(text, isThreefold ? [...REQUESTS].map((c) => `<${c}>`).join("") : REQUESTS);
        });
        // One for the requests, one for the answers, and one for each flush after all input is read.
        assertLessOrEqual(sends, isThreefold ? 4 : 3);
        await closeAll(a, b);
      })
    ));
}

/** Opens at the end of a test: what its handler awaits until then never comes. */
let gate = Promise.withResolvers<void>();

/** Ends both connections, and the handlers that wait for the gate. */
async function openGate(...connections: Connection[]): Promise<void> {
  gate.resolve();
  await ticks(3);
  await closeAll(...connections);
}

/** A test of its own gate, which leaves nothing behind. */
function gated(action: () => Promise<void>): Promise<void> {
  gate = Promise.withResolvers<void>();
  return leaks(action);
}

/** Promises that a handler may await after its first answer, with the second request unread. */
const AWAITS: Readonly<Record<string, (connection: Connection) => Promise<unknown>>> = {
  "what never comes": () => gate.promise,
  "bytes that are not there": ({ reader }) => reader.wait(100),
  "a delimiter that is not there": ({ reader }) => reader.waitUntil(0),
  "its own end": ({ closed }) => closed,
  "a timer": async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await gate.promise;
  },
  "an immediate, and then for ever": async () => {
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    await gate.promise;
  },
  "a chain of promises, and then for ever": async () => {
    for (let i = 0; i < 1000; i++) await null;
    await gate.promise;
  },
  "a failure": () => Promise.reject(new Error("as told")),
};

for (const [name, wait] of Object.entries(AWAITS)) {
  test(`flush() delivers an answer although its handler awaits ${name}`, () =>
    gated(async () => {
      const [a, b] = pairWith({
        onError() {},
        onRequest: async (connection) => {
          await answer(connection);
          await wait(connection);
        },
      });
      await send(b, "12");
      assertEquals(await soon(receive(b, 1)), "1");
      a.reset();
      await openGate(a, b);
    }));
}

test("flush() delivers what a handler writes from a task of the runtime, at once", () =>
  gated(async () => {
    const [a, b] = pairWith({
      onRequest: async (connection) => {
        await new Promise<void>((resolve) => setImmediate(() => resolve()));
        setImmediate(() => void answer(connection));
        await gate.promise;
      },
    });
    await send(b, "12");
    assertEquals(await soon(receive(b, 1)), "1");
    a.reset();
    await openGate(a, b);
  }));

test("flush() holds no more than a bound: what is above leaves at once", () =>
  gated(async () => {
    const answerBytes = JOINED_BYTES_MAX / 4;
    let most = 0;
    const [a, b] = pairWith({
      onRequest: async ({ reader, writer }) => {
        reader.skip(1);
        writer.writeBinary(pattern(answerBytes), { copy: true });
        const flushed = writer.flush();
        most = Math.max(most, a.metrics().unsent.bytes);
        await flushed;
        reader.release();
      },
    });
    await send(b, "x".repeat(16));
    await b.reader.wait(16 * answerBytes);
    for (let i = 0; i < 16; i++) assertBytes(b.reader.next(answerBytes), pattern(answerBytes));
    b.reader.release();
    assertLessOrEqual(most, JOINED_BYTES_MAX);
    await closeAll(a, b);
  }));

/** Ways to write memory that its user may change as soon as it was flushed. */
const SHARED: Readonly<Record<string, (connection: Connection, bytes: Uint8Array) => void>> = {
  "a borrowed array": ({ writer }, bytes) => void writer.writeBinary(bytes),
  "a borrowed array, and a tail": ({ writer }, bytes) => {
    writer.writeBinary(bytes.subarray(0, 8000));
    writer.writeBinary(bytes.subarray(8000), { copy: true });
  },
  "an inserted array": ({ writer }, bytes) => {
    writer.writeBinary(bytes.subarray(8000), { copy: true });
    writer.writeDirect(bytes.subarray(0, 8000), bytes.length - 8000);
  },
};

for (const [name, write] of Object.entries(SHARED)) {
  test(`flush() sends ${name} at once, for its user may change it now`, () =>
    gated(async () => {
      const [a, b] = pairWith({
        onRequest: async (connection) => {
          connection.reader.skip(1);
          const bytes = pattern(10_000);
          write(connection, bytes);
          await connection.writer.flush();
          bytes.fill(255);
          connection.reader.release();
        },
      });
      await send(b, "123");
      await b.reader.wait(30_000);
      for (let i = 0; i < 3; i++) assertBytes(b.reader.next(10_000), pattern(10_000));
      b.reader.release();
      await closeAll(a, b);
    }));
}

test("flush() sends a linked view at once, for its user may change it now", () =>
  gated(async () => {
    const bytes = 16 * 1024;
    const [a, b] = pairWith({
      onRequest: async ({ reader, writer }) => {
        await reader.wait(bytes);
        const view = reader.next(bytes);
        writer.writeBinary(view);
        await writer.flush();
        view.fill(255);
        reader.release();
      },
    });
    b.writer.writeBinary(pattern(4 * bytes));
    await b.writer.flush();
    await b.reader.wait(4 * bytes);
    assertBytes(b.reader.next(4 * bytes), pattern(4 * bytes));
    b.reader.release();
    await closeAll(a, b);
  }));

/** Steps that may follow an answer which has joined others, in one run of the handler. */
const ENDS: Readonly<Record<string, (connection: Connection) => unknown>> = {
  "close()": (connection) => void connection.close(),
  "closeWrite()": (connection) => void connection.closeWrite(),
  "a throw": () => Promise.reject(new Error("as told")),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`flush() keeps its place before ${name}`, () =>
    gated(async () => {
      const [a, b] = pairWith({
        onError() {},
        onRequest: async (connection) => {
          await answer(connection);
          await end(connection);
        },
      });
      await send(b, "12");
      assertEquals(await soon(receive(b, 1)), "1");
      await assertRejects(() => soon(b.reader.wait(2)));
      await closeAll(a, b);
    }));
}

test(
  "detach() gives a descriptor away whose flushed bytes have left",
  needs("plain bytes"),
  () =>
    gated(async () => {
      const { promise, resolve } = Promise.withResolvers<Connection>();
      const [a, b] = pairWith({
        onRequest: async (connection) => {
          await answer(connection);
          resolve((await import("../../mod.ts")).Connection.fromFd(connection.detach()));
        },
      });
      await send(b, "12");
      assertEquals(await soon(receive(b, 1)), "1");
      await closeAll(await promise, a, b);
    }),
);

test("sendFile() follows what was flushed before it", () =>
  gated(async () => {
    const file = new URL(import.meta.url).pathname;
    const [a, b] = pairWith({
      onRequest: async (connection) => {
        await answer(connection);
        await connection.sendFile(file, { length: 4 });
        await answer(connection);
      },
    });
    await send(b, "123456");
    assertEquals(await soon(receive(b, 18)), "1/**\n23/**\n45/**\n6");
    await closeAll(a, b);
  }));

test("pipe() follows what was flushed before it", () =>
  gated(async () => {
    const [c, d] = pairWith();
    const [a, b] = pairWith({
      onRequest: async (connection) => {
        await answer(connection);
        await pipe(connection, c);
      },
    });
    await send(b, "12");
    await send(d, "!");
    assertEquals(await soon(receive(b, 2)), "1!");
    assertEquals(await soon(receive(d, 1)), "2");
    await closeAll(b, d);
    await closeAll(a, c);
  }));

test("released() resolves when the kernel has what had joined, and not before", () =>
  gated(async () => {
    let unsentBytes = -1;
    const [a, b] = pairWith({
      onRequest: async (connection) => {
        await answer(connection);
        await connection.writer.released();
        unsentBytes = connection.metrics().unsent.bytes;
        await gate.promise;
      },
    });
    await send(b, "12");
    await until(() => unsentBytes >= 0, "released");
    assertEquals(unsentBytes, 0);
    assertEquals(await receive(b, 1), "1");
    a.reset();
    await openGate(a, b);
  }));

/** Fills what the kernel has room for, behind the connection's back. */
function fillKernel({ fd }: Connection): void {
  const bytes = new Uint8Array(4096);
  while (native.sendBorrowed(fd, bytes, bytes.length, 0, bytes.length, 0) > 0);
}

test(
  "flush() that joined, and whose bytes the peer does not take in writeTimeoutMs, ends the connection",
  needs("descriptor"),
  () =>
    gated(() =>
      withFakeClock(async (clock) => {
        const errors: unknown[] = [];
        const [a, b] = pairWith({
          writeTimeoutMs: 1000,
          onError: (error) => void errors.push(error),
          onRequest: async (connection) => {
            await answer(connection);
            await gate.promise;
          },
        });
        b.pauseRead();
        fillKernel(a);
        await send(b, "12");
        await until(() => a.metrics().flushCount > 0, "the kernel has no room");
        await clock.advance(900);
        assertEquals(errors, []);
        await clock.advance(200);
        assertEquals(errors.length, 1);
        assertInstanceOf(errors[0], TimeoutError);
        await openGate(b);
        assertInstanceOf(await a.closed.catch((error) => error), TimeoutError);
      })
    ),
);

test(
  "flush() that joined is resolved; what went wrong is heard from the next call and from closed",
  needs("exact account"),
  () =>
    gated(async () => {
      const outcomes: string[] = [];
      const [a, b] = pairWith({
        onRequest: async ({ reader, writer }) => {
          reader.skip(1);
          writer.writeString("x");
          await writer.flush();
          outcomes.push("flushed");
          await b.close(); // the peer is gone, with the rest of its requests unread
          await ticks(5);
          try {
            writer.writeString("y");
            await writer.flush();
          } catch (error) {
            outcomes.push((error as Error).name);
          }
        },
      });
      await send(b, "12");
      await until(() => outcomes.length === 2, "both flushes");
      assertEquals(outcomes, ["flushed", "EofError"]);
      await assertRejects(() => a.closed);
      assert(!a.isActive);
    }),
);
