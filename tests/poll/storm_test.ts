import { assert, assertEquals, assertLess } from "@std/assert";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import {
  configure,
  type Connection,
  type EventLoopOptions,
  type RequestHandler,
  socketPair,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { Poller } from "../../src/poll/poller.ts";
import { Interest } from "../../src/poll/watcher.ts";
import { assertCalm, CALM_MS } from "../support/calm.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echo, serve } from "../support/serve.ts";
import { delay, soon, ticks, until } from "../support/until.ts";

// ---- level-triggered storms, DESIGN §6 ----------------------------------------------------------

/** A server of one connection that a test has at hand, and its peer. */
async function withConnection(
  handler: RequestHandler<undefined> | null,
  act: (connection: Connection, peer: RawPeer) => Promise<void>,
  options: EventLoopOptions<undefined> = {},
): Promise<void> {
  let connection: Connection | null = null;
  const { loop, listener, served } = serve<undefined>(handler, {
    ...options,
    onPrepare: (prepared) => (connection = prepared, options.onPrepare?.(prepared)),
  });
  using peer = new RawPeer(listener);
  await until(() => loop.connectionCount === 1, "the connection");
  await act(connection!, peer);
  peer.close();
  await soon(loop.shutdown({ timeoutMs: 1000 }));
  await soon(served);
}

test("no storm: the peer ends its side while the handler runs", () =>
  leaks(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isCalled = false;
    await withConnection(async ({ reader, writer }) => {
      reader.skip(reader.length);
      reader.release();
      isCalled = true;
      await promise;
      writer.writeString("late");
      await writer.flush();
    }, async (_, peer) => {
      peer.send("x");
      peer.end();
      await until(() => isCalled, "the handler");
      await assertCalm();
      resolve();
      assertEquals(await peer.receiveAll(), "late");
    });
  }));

test("no storm: the peer ends its side while reading is paused", () =>
  leaks(async () => {
    let text = "";
    await withConnection(({ reader }) => {
      text += reader.readString(reader.length);
      reader.release();
    }, async (connection, peer) => {
      peer.send("hello");
      peer.end();
      await assertCalm();
      assertEquals([text, connection.isActive], ["", true]);
      connection.resumeRead();
      await until(() => text === "hello", "what came before the end");
      await peer.receiveAll();
    }, { onPrepare: (connection) => void connection.pauseRead() });
  }));

test("no storm: the peer resets while reading is paused; its bytes come before the error", () =>
  leaks(async () => {
    const seen: string[] = [];
    await withConnection(({ reader }) => {
      seen.push(reader.readString(reader.length));
      reader.release();
    }, async (connection, peer) => {
      peer.send("hello");
      await ticks(10);
      peer.reset();
      await assertCalm();
      connection.resumeRead();
      await until(() => seen.length === 2, "what came before the reset, and the reset");
      assertEquals(seen, ["hello", "reset"]);
    }, {
      onPrepare: (connection) => void connection.pauseRead(),
      onDisconnect: () => void seen.push("reset"),
    });
  }));

test("no storm: a hang-up while nothing is wanted", () =>
  leaks(async () => {
    const [a, b] = socketPair();
    a.pauseRead();
    b.writer.writeString("hello");
    await b.writer.flush();
    await b.close(); // of a Unix socket, that ends both directions
    await assertCalm();
    a.resumeRead();
    await a.reader.wait(5);
    assertEquals(a.reader.readString(5), "hello");
    await a.close();
  }));

test("no storm: both sides have ended", () =>
  leaks(async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isCalled = false;
    await withConnection(async (connection) => {
      connection.reader.skip(connection.reader.length);
      connection.reader.release();
      await connection.closeWrite();
      isCalled = true;
      await promise;
    }, async (_, peer) => {
      peer.send("x");
      peer.end();
      await until(() => isCalled && peer.isEnded, "both ends");
      await assertCalm();
      resolve();
    });
  }));

test("no storm: both sides have ended while reading is paused", () =>
  leaks(async () => {
    await withConnection(null, async (connection, peer) => {
      connection.pauseRead();
      await connection.closeWrite();
      peer.end();
      await until(() => peer.isEnded, "the end");
      await assertCalm();
      connection.resumeRead();
    });
  }));

test("no storm: there is room to write and nothing to send", () =>
  leaks(async () => {
    await withConnection(null, async (connection, peer) => {
      await assertCalm();
      const text = "x".repeat(6_000_000);
      connection.writer.writeString(text);
      const flushed = connection.writer.flush();
      await ticks(10);
      await assertCalm(); // blocked, and the peer does not read
      assertEquals((await peer.receive(text.length)).length, text.length);
      await soon(flushed);
      await assertCalm();
    });
  }));

test("no storm: the peer resets while a flush is blocked and reading is paused", () =>
  leaks(async () => {
    await withConnection(null, async (connection, peer) => {
      connection.pauseRead();
      connection.writer.writeString("x".repeat(6_000_000));
      const flushed = connection.writer.flush().then(() => "flushed", () => "failed");
      await ticks(10);
      peer.reset();
      assertEquals(await soon(flushed), "failed");
      await assertCalm();
    });
  }));

faultTest("no storm: a listener without descriptors", () =>
  leaks(async () => {
    const lines: string[] = [];
    configure({ log: (line) => lines.push(line) });
    const { loop, listener, served } = serve(echo);
    failWith("accept", ERRNO.EMFILE, { count: 1_000_000 });
    using peer = new RawPeer(listener);
    peer.send("hello");
    await until(() => lines.length > 0, "it is said");
    await assertCalm();
    failWith("accept", ERRNO.EMFILE, { count: 0 });
    assertEquals(await peer.receive(5), "hello");
    await soon(loop.shutdown());
    await soon(served);
    configure({ log: console.error });
    assertEquals(lines.length, 1);
  }));

test("no storm: the runtime's event loop stays ready", () =>
  leaks(async () => {
    const bell = native.eventfd();
    native.counterAdd(bell); // ready for ever, as the loop of a runtime that never takes an event
    class Beside extends Poller {
      override addRuntime(): boolean {
        return super.addRuntime(bell);
      }
    }
    const poller = new Beside();
    const event = native.eventfd();
    let told = 0;
    const watcher = { fd: event, onEvent: () => told += native.counterTake(event), onFailure() {} };
    const token = poller.add(watcher, Interest.READ);
    const { counts } = poller.pace;
    for (let i = 1; i <= 3; i++) {
      const { colds } = counts;
      native.counterAdd(event);
      // For a moment more events may come, and the runtime has ticks meanwhile.
      await until(() => told === i && counts.colds > colds, "it is told, and the poller is cold");
      assertEquals(poller.pace.isRuntimeHeard, true);
      await assertCalm(poller);
    }
    poller.remove(token, event);
    poller.close();
    native.close(event);
    native.close(bell);
  }));

/** Nanoseconds that a thread has run. */
function threadNanos(id: string): number {
  return Number(readFileSync(`/proc/self/task/${id}/schedstat`, "utf8").split(" ")[0]);
}

test("no storm: the runtime has closed the waker's socket", async () => {
  const before = new Set(readdirSync("/proc/self/task"));
  const epoll = native.epollCreate();
  const event = native.eventfd();
  const waker = native.wakerOpen(epoll);
  assert(epoll >= 0 && event >= 0 && waker >= 0);
  const threads = readdirSync("/proc/self/task").filter((id) => !before.has(id));
  assertEquals(native.close(native.wakerSocket(waker)), 0);
  assertEquals(native.epollCtl(epoll, 1, event, 7, 1), 0);
  assertEquals(native.counterAdd(event), 0); // the epoll descriptor is readable from now on
  assertEquals(native.wakerArm(waker), 0);
  await delay(CALM_MS);
  assertEquals(native.wakerRing(waker), -ERRNO.EPIPE);
  const spent = threads.map((id) => threadNanos(id));
  assert(threads.length > 0);
  for (const nanos of spent) assertLess(nanos, CALM_MS * 1e6 / 5);
  assertEquals(native.wakerClose(waker), 0);
  native.close(event);
  native.close(epoll);
});
