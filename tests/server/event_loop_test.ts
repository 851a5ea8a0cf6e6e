import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  type Connection,
  createListener,
  EventLoop,
  type Listener,
  NetpollError,
  SystemError,
} from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echo, serve } from "../support/serve.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

function listen(): Listener {
  return createListener("tcp", "127.0.0.1:0");
}

/** A promise, and how to settle it. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

// ---- shutdown -----------------------------------------------------------------------------------

test("shutdown() lets serve() settle, and a second call cuts nothing either (netpoll 138, 154)", () =>
  leaks(async () => {
    const { loop, served } = serve(echo);
    assertEquals(await soon(loop.shutdown()), { cut: 0 });
    await soon(served, "serve() settles");
    assertEquals(await soon(loop.shutdown()), { cut: 0 });
  }));

test("shutdown() returns the same promise, when it is called twice at once", () =>
  leaks(async () => {
    const { loop, served } = serve(echo);
    const first = loop.shutdown();
    assert(loop.shutdown({ timeoutMs: 1 }) === first);
    await soon(Promise.all([first, served]));
  }));

test("serve() settles at once and closes the listener, when shutdown() came before (netpoll 155)", () =>
  leaks(async () => {
    const loop = new EventLoop(echo);
    assertEquals(await soon(loop.shutdown()), { cut: 0 });
    const listener = listen();
    await soon(loop.serve(listener), "serve() settles");
    assertEquals(listener.fd, -1);
  }));

test("shutdown() cuts busy handlers at its deadline and says how many (netpoll 138)", () =>
  leaks(async () => {
    const { opened, open } = gate();
    let busy = 0;
    const { loop, listener, served } = serve(async ({ reader }) => {
      busy += 1;
      reader.skip(reader.length);
      reader.release();
      await opened;
    });
    const peers = Array.from({ length: 5 }, () => new RawPeer(listener));
    for (const peer of peers.slice(0, 3)) peer.send("x");
    await until(() => busy === 3 && loop.connectionCount === 5, "three busy and two idle ones");
    // The idle ones close in order; the busy ones are reset.
    assertEquals(await soon(loop.shutdown({ timeoutMs: 20 })), { cut: 3 });
    await soon(served, "serve() settles");
    assertEquals(peers.map((peer) => peer.isReset), [true, true, true, false, false]);
    assertEquals(peers.slice(3).map((peer) => peer.isEnded), [true, true]);
    open();
    await until(() => loop.connectionCount === 0, "the handlers end");
    for (const peer of peers) peer.close();
  }));

test("shutdown() cuts nobody, when its deadline is Infinity, and refuses what is no time", () =>
  leaks(async () => {
    const { opened, open } = gate();
    let busy = 0;
    const { loop, listener, served } = serve(async ({ reader }) => {
      busy += 1;
      reader.skip(reader.length);
      reader.release();
      await opened;
    });
    using peer = new RawPeer(listener);
    peer.send("x");
    await until(() => busy === 1, "a handler that is busy");
    for (const timeoutMs of [NaN, -1]) {
      await assertRejects(() => loop.shutdown({ timeoutMs }), RangeError, String(timeoutMs));
    }
    const down = loop.shutdown({ timeoutMs: Infinity });
    await ticks(20); // a timer that takes Infinity for nothing would have expired
    assertEquals(loop.connectionCount, 1);
    open();
    assertEquals(await soon(down), { cut: 0 });
    await soon(served, "serve() settles");
  }));

test("shutdown() cuts what is left, when its signal is aborted", () =>
  leaks(async () => {
    const { opened, open } = gate();
    let busy = 0;
    const { loop, listener, served } = serve(async () => {
      busy += 1;
      await opened;
    });
    using peer = new RawPeer(listener);
    peer.send("x");
    await until(() => busy === 1, "the handler runs");
    const abort = new AbortController();
    const shutdown = loop.shutdown({ signal: abort.signal });
    assertEquals(await stateOf(shutdown), "pending");
    abort.abort();
    assertEquals(await soon(shutdown), { cut: 1 });
    await soon(served);
    open();
  }));

test("shutdown() cuts at once, when its signal is aborted already", () =>
  leaks(async () => {
    const { opened, open } = gate();
    let busy = 0;
    const { loop, listener, served } = serve(async () => {
      busy += 1;
      await opened;
    });
    using peer = new RawPeer(listener);
    peer.send("x");
    await until(() => busy === 1, "the handler runs");
    assertEquals(await soon(loop.shutdown({ signal: AbortSignal.abort() })), { cut: 1 });
    await soon(served);
    open();
  }));

test("shutdown() without a deadline waits for as long as handlers take", () =>
  leaks(async () => {
    const { opened, open } = gate();
    const { loop, listener, served } = serve(async ({ reader, writer }) => {
      const text = reader.readString(reader.length);
      reader.release();
      await opened;
      writer.writeString(`${text}, late`);
      await writer.flush();
    });
    using peer = new RawPeer(listener);
    peer.send("hello");
    await until(() => loop.connectionCount === 1, "the connection is there");
    const shutdown = loop.shutdown();
    await ticks(20);
    assertEquals(await stateOf(shutdown), "pending");
    open();
    assertEquals(await soon(shutdown), { cut: 0 });
    assertEquals(await peer.receiveAll(), "hello, late");
    await soon(served);
  }));

test("shutdown() handles 50 requests that are under way (netpoll 156)", () =>
  leaks(async () => {
    let handled = 0;
    const { opened, open } = gate();
    const { loop, listener, served } = serve(async ({ reader, writer }) => {
      await reader.wait(5);
      const text = reader.readString(5);
      reader.release();
      await opened;
      handled += 1;
      writer.writeString(text);
      await writer.flush();
    });
    const peers = Array.from({ length: 50 }, () => new RawPeer(listener));
    for (const peer of peers) peer.send("hello");
    await until(() => loop.connectionCount === 50, "50 connections");
    const shutdown = loop.shutdown();
    open();
    assertEquals(await soon(shutdown), { cut: 0 });
    await soon(served);
    assertEquals(handled, 50);
    for (const peer of peers) assertEquals(await peer.receiveAll(), "hello");
    for (const peer of peers) peer.close();
  }));

test("shutdown() handles requests of connections that nobody has taken yet (netpoll 156)", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo);
    // More than one event takes.
    const peers = Array.from({ length: 150 }, () => new RawPeer(listener));
    for (const peer of peers) peer.send("hello");
    assertEquals(await soon(loop.shutdown()), { cut: 0 });
    await soon(served);
    for (const peer of peers) assertEquals(await peer.receiveAll(), "hello");
    for (const peer of peers) peer.close();
  }));

test("shutdown() within a callback that it causes itself is the same one", () =>
  leaks(async () => {
    const promises: Promise<unknown>[] = [];
    const loop: EventLoop<number> = new EventLoop<number>(null, {
      onPrepare: () => promises.push(loop.shutdown()),
      onConnect: (_, context) => (promises.push(loop.shutdown()), context),
    });
    const listener = listen();
    const served = loop.serve(listener);
    using peer = new RawPeer(listener);
    const shutdown = loop.shutdown(); // takes the connection that waits
    assertEquals(await soon(shutdown), { cut: 0 });
    assertEquals(promises.length, 2);
    for (const promise of promises) assertEquals(await soon(promise), { cut: 0 });
    await soon(served);
    assert(peer.isEnded);
  }));

test("shutdown() within a handler lets that handler finish", () =>
  leaks(async () => {
    let shutdown: Promise<unknown> | null = null;
    const { loop, listener, served } = serve(async ({ reader, writer }) => {
      reader.skip(reader.length);
      reader.release();
      shutdown = loop.shutdown();
      await ticks(3);
      writer.writeString("bye");
      await writer.flush();
    });
    using peer = new RawPeer(listener);
    peer.send("x");
    assertEquals(await peer.receiveAll(), "bye");
    await soon(Promise.all([shutdown, served]));
  }));

// ---- listeners ----------------------------------------------------------------------------------

test("serve() serves several listeners, and all of them settle together", () =>
  leaks(async () => {
    const loop = new EventLoop(echo);
    const listeners = [listen(), listen(), createListener("tcp", "[::1]:0")];
    const served = listeners.map((listener) => loop.serve(listener));
    for (const listener of listeners) {
      using peer = new RawPeer(listener);
      peer.send("hello");
      assertEquals(await peer.receive(5), "hello");
    }
    await soon(loop.shutdown());
    await soon(Promise.all(served));
    assertEquals(listeners.map((listener) => listener.fd), [-1, -1, -1]);
  }));

test("serve() refuses a closed listener and one that is not ours", () =>
  leaks(async () => {
    const loop = new EventLoop(echo);
    const listener = listen();
    listener.close();
    await assertRejects(() => loop.serve(listener), ClosedError, "the listener is closed");
    const { address } = listener;
    const foreign = { address, fd: 1, close() {}, reloadTls() {}, [Symbol.dispose]() {} };
    await assertRejects(() => loop.serve(foreign), TypeError, "not made by createListener");
  }));

test("serve() refuses a listener that is served already, which goes on", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo);
    await assertRejects(() => new EventLoop(null).serve(listener), NetpollError, "EEXIST");
    using peer = new RawPeer(listener);
    peer.send("hello");
    assertEquals(await peer.receive(5), "hello");
    await soon(loop.shutdown());
    await soon(served);
  }));

test("close() of a listener that is served ends that one only", () =>
  leaks(async () => {
    const loop = new EventLoop(echo);
    const [first, second] = [listen(), listen()];
    const served = [loop.serve(first), loop.serve(second)];
    using before = new RawPeer(first);
    before.send("hello");
    assertEquals(await before.receive(5), "hello");
    first.close();
    before.send("again"); // its connections stay
    assertEquals(await before.receive(10), "helloagain");
    using peer = new RawPeer(second);
    peer.send("hello");
    assertEquals(await peer.receive(5), "hello");
    await soon(loop.shutdown());
    await soon(Promise.all(served));
  }));

test("close() of a listener by the handler of a connection takes no more of that batch", () =>
  leaks(async () => {
    const loop = new EventLoop(null, { onConnect: () => listener.close() });
    const listener = listen();
    const served = loop.serve(listener);
    const peers = Array.from({ length: 3 }, () => new RawPeer(listener));
    await until(() => loop.connectionCount > 0, "the first is taken");
    await ticks(10);
    assertEquals(loop.connectionCount, 1);
    await soon(loop.shutdown());
    await soon(served);
    for (const peer of peers) peer.close();
  }));

// ---- callbacks ----------------------------------------------------------------------------------

test("callbacks come in order: prepare, connect, request, disconnect, close (netpoll 144)", () =>
  leaks(async () => {
    let order = "";
    const { loop, listener, served } = serve<string>(
      ({ reader }, context) => {
        order += `R${context}`;
        reader.skip(reader.length);
        reader.release();
      },
      {
        onPrepare: (connection) => {
          order += "P";
          connection.addCloseCallback(() => order += "X");
          return "1";
        },
        onConnect: async (_, context) => {
          order += `C${context}`;
          await ticks(3);
          return "2";
        },
        onDisconnect: (_, context) => void (order += `D${context}`),
      },
    );
    const peer = new RawPeer(listener);
    peer.send("x"); // before onConnect has settled
    peer.close();
    await until(() => order.endsWith("X"), "the close callback");
    assertEquals(order, "PC1R2D2X");
    await soon(loop.shutdown());
    await soon(served);
  }));

test("close() by the handler calls no onDisconnect, and each close callback once (netpoll 145, 149)", () =>
  leaks(async () => {
    let order = "";
    const { loop, listener, served } = serve<undefined>(
      (connection) => {
        order += "R";
        connection.addCloseCallback(() => order += "1");
        connection.addCloseCallback(() => order += "2");
        void connection.close();
      },
      { onDisconnect: () => void (order += "D") },
    );
    using peer = new RawPeer(listener);
    peer.send("x");
    await peer.receiveAll();
    await until(() => loop.connectionCount === 0, "it is gone");
    assertEquals(order, "R21");
    await soon(loop.shutdown());
    await soon(served);
  }));

test("close() in onPrepare or onConnect ends the connection for the peer (netpoll 140, 151)", () =>
  leaks(async () => {
    for (const callback of ["onPrepare", "onConnect"] as const) {
      const requests: string[] = [];
      const { loop, listener, served } = serve<void>(() => void requests.push("called"), {
        [callback]: (connection: Connection) => void connection.close(),
      });
      const peers = Array.from({ length: 10 }, () => new RawPeer(listener));
      for (const peer of peers) await peer.receiveAll();
      await until(() => loop.connectionCount === 0, "all are gone");
      assertEquals(requests, []);
      await soon(loop.shutdown());
      await soon(served);
      for (const peer of peers) peer.close();
    }
  }));

test("onPrepare may reset, detach, write and flush more than the kernel takes, and then close", () =>
  leaks(async () => {
    const text = "x".repeat(8 * 1024 * 1024);
    const kinds: ((connection: Connection) => void)[] = [
      (connection) => connection.reset(),
      (connection) => {
        connection.writer.writeString(text);
        void connection.writer.flush();
      },
      (connection) => {
        connection.writer.writeString(text);
        void connection.writer.flush();
        void connection.close();
      },
    ];
    const errors: unknown[] = [];
    const { loop, listener, served } = serve<void>(null, {
      onPrepare: (connection) => kinds.shift()!(connection),
      onError: (error) => void errors.push(error),
    });
    using reset = new RawPeer(listener);
    await until(() => reset.isReset, "the reset");
    using flushed = new RawPeer(listener);
    assertEquals((await flushed.receive(text.length)).length, text.length);
    using closed = new RawPeer(listener);
    assertEquals((await closed.receiveAll()).length, text.length);
    assertEquals(errors, []);
    await soon(loop.shutdown());
    await soon(served);
  }));

test("onDisconnect comes once and after onConnect, when the peer closes meanwhile (netpoll 137)", () =>
  leaks(async () => {
    const seen: string[] = [];
    const { opened, open } = gate();
    const { loop, listener, served } = serve<string>(null, {
      onConnect: async () => {
        await opened;
        seen.push("connected");
        return "context";
      },
      onDisconnect: (_, context) => void seen.push(`disconnected ${context}`),
    });
    const peer = new RawPeer(listener);
    await until(() => loop.connectionCount === 1, "it is taken");
    peer.close();
    await ticks(10);
    assertEquals(seen, []);
    open();
    await until(() => loop.connectionCount === 0, "it is gone");
    assertEquals(seen, ["connected", "disconnected context"]);
    await soon(loop.shutdown());
    await soon(served);
  }));

test("onDisconnect runs while the handlers of 100 connections wait, and can end them (netpoll 136)", () =>
  leaks(async () => {
    let cancelled = 0;
    let busy = 0;
    const { loop, listener, served } = serve<AbortController>(
      async ({ reader }, context) => {
        reader.skip(reader.length);
        reader.release();
        busy += 1;
        await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
        cancelled += 1;
      },
      {
        onPrepare: () => new AbortController(),
        onDisconnect: (_, context) => context.abort(),
      },
    );
    const peers = Array.from({ length: 100 }, () => new RawPeer(listener));
    for (const peer of peers) peer.send("x");
    await until(() => busy === 100, "100 handlers wait");
    for (const peer of peers) peer.close();
    await until(() => loop.connectionCount === 0, "all are gone");
    assertEquals(cancelled, 100);
    await soon(loop.shutdown());
    await soon(served);
  }));

test("bytes that came before the end are all handled, of 10 peers that send 5000 (netpoll 143)", () =>
  leaks(async () => {
    let sum = 0;
    const { loop, listener, served } = serve(({ reader }) => {
      sum += reader.length;
      reader.skip(reader.length);
      reader.release();
    });
    for (let i = 0; i < 10; i++) {
      using peer = new RawPeer(listener);
      peer.send("x".repeat(5000));
    }
    await until(() => sum === 50_000, "50000 bytes");
    await soon(loop.shutdown());
    await soon(served);
    assertEquals(sum, 50_000);
  }));

faultTest(
  "serve() that cannot watch closes the listener: nobody would ever be answered",
  () =>
    leaks(async () => {
      const listener = createListener("tcp", "127.0.0.1:0");
      const loop = new EventLoop(echo);
      failWith("epollCtl", ERRNO.ENOMEM, { fd: listener.fd });
      await assertRejects(() => soon(loop.serve(listener)), SystemError, "out of memory");
      assertEquals(listener.fd, -1);
      await loop.shutdown();
    }),
);
