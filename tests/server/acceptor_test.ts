import { assert, assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import { test } from "node:test";
import {
  type Address,
  configure,
  type Connection,
  createListener,
  EventLoop,
  type Listener,
  type RequestHandler,
  SystemError,
} from "../../mod.ts";
import { config } from "../../src/core/config.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { start } from "../support/child.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echo, serve } from "../support/serve.ts";
import { soon, ticks, until } from "../support/until.ts";

/** True when a server answers. */
async function assertServes(listener: Listener): Promise<void> {
  using peer = new RawPeer(listener);
  peer.send("hello");
  assertEquals(await peer.receive(5), "hello");
}

/** Runs something, and returns what was logged meanwhile. */
async function logged(run: () => Promise<void>): Promise<string[]> {
  const lines: string[] = [];
  const { log } = config;
  configure({ log: (line) => lines.push(line) });
  try {
    await run();
  } finally {
    configure({ log });
  }
  return lines;
}

faultTest(
  "accept() is not called where nobody waits: that costs as much as half a connection",
  () =>
    leaks(async () => {
      const { loop, listener, served } = serve(echo);
      const lines = await logged(async () => {
        failWith("accept", ERRNO.EMFILE, { skip: 1, count: 1 }); // the second call from now on
        await assertServes(listener);
      });
      assertEquals(lines, []);
      // It is for the next connection, and was not needed for the first.
      assertEquals((await logged(() => assertServes(listener))).length, 1);
      await soon(loop.shutdown());
      await soon(served);
    }),
);

// ---- what accept can fail with ------------------------------------------------------------------

for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"] as const) {
  faultTest(
    `accept() backs off, serves the rest and recovers, after ${code}`,
    () =>
      leaks(async () => {
        const lines = await logged(async () => {
          const { loop, listener, served } = serve(echo);
          using before = new RawPeer(listener);
          before.send("a");
          await before.receive(1);
          failWith("accept", ERRNO[code], { count: 3 });
          using late = new RawPeer(listener);
          late.send("hello");
          before.send("b"); // the others are served meanwhile
          assertEquals(await before.receive(2), "ab");
          assertEquals(await late.receive(5), "hello");
          await assertServes(listener);
          await soon(loop.shutdown());
          await soon(served);
        });
        assertEquals(lines.length, 1);
        assertMatch(lines[0]!, new RegExp(`Cannot accept .* on 127.0.0.1:\\d+: .*\\(${code}\\)`));
      }),
  );
}

faultTest("accept() tries again at once, when a connection goes", () =>
  leaks(async () => {
    await logged(async () => {
      const { loop, listener, served } = serve(echo);
      const before = new RawPeer(listener);
      before.send("a");
      await before.receive(1);
      // With the times of back-off alone these failures take 1860 ms and more.
      failWith("accept", ERRNO.EMFILE, { count: 5 });
      using late = new RawPeer(listener);
      late.send("hello");
      await ticks(5);
      const begin = performance.now();
      failWith("accept", ERRNO.EMFILE, { count: 0 });
      before.close();
      assertEquals(await late.receive(5), "hello");
      assert(performance.now() - begin < 1800);
      await soon(loop.shutdown());
      await soon(served);
    });
  }));

const PASSING = [
  "ECONNABORTED",
  "EPERM",
  "EPROTO",
  "ENONET",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENOPROTOOPT",
  "EOPNOTSUPP",
  "ETIMEDOUT",
] as const;

faultTest(
  "accept() takes the next connection, after one that was broken before",
  () =>
    leaks(async () => {
      const lines = await logged(async () => {
        const { loop, listener, served } = serve(echo);
        for (const code of PASSING) {
          failWith("accept", ERRNO[code], { count: 2 });
          await assertServes(listener);
        }
        await soon(loop.shutdown());
        await soon(served);
      });
      assertEquals(lines, []);
    }),
);

faultTest(
  "serve() rejects with the kernel's error and the loop shuts down, when a listener breaks",
  () =>
    leaks(async () => {
      const loop = new EventLoop(echo);
      const listeners = [
        createListener("tcp", "127.0.0.1:0"),
        createListener("tcp", "127.0.0.1:0"),
      ];
      const ends = listeners.map((listener) => loop.serve(listener).catch((error) => error));
      failWith("accept", ERRNO.EINVAL, { count: 1000 });
      using peer = new RawPeer(listeners[0]!);
      for (const error of await soon(Promise.all(ends))) {
        assertInstanceOf(error, SystemError);
        assertEquals(error.code, "EINVAL");
        assertEquals(error.syscall, "accept a connection on");
      }
      assertEquals(await soon(loop.shutdown()), { cut: 0 });
      assertEquals(listeners.map((listener) => listener.fd), [-1, -1]);
      assert(peer.isOver);
    }),
);

const DESCRIPTORS_MAX = 64;

/** Runs something with a server that may have so few descriptors, and with what it has printed. */
async function withLimitedServer(
  run: (address: Address, output: () => string) => Promise<void>,
): Promise<void> {
  const server = start(`${root}tests/support/limited_server.ts`, {
    descriptorsMax: DESCRIPTORS_MAX,
  });
  try {
    const port = Number((await server.find(/port (\d+)\n/))[1]);
    await run({ transport: "tcp", hostname: "127.0.0.1", port }, () => server.stdout);
  } finally {
    await server.stop();
  }
}

test("the limit of descriptors: the rest is served, all are in the end, one line is logged (netpoll 158)", () =>
  withLimitedServer(async (address, output) => {
    const count = 2 * DESCRIPTORS_MAX;
    let waiting = Array.from({ length: count }, () => new RawPeer(address));
    for (const peer of waiting) peer.send("hello");
    let served = 0;
    // Whoever was answered goes, and makes room for another.
    while (waiting.length > 0) {
      const isAnswered = (peer: RawPeer) => peer.received === "hello";
      await until(() => waiting.some(isAnswered), `${waiting.length} more`);
      const answered = waiting.filter(isAnswered);
      served += answered.length;
      for (const peer of answered) peer.close();
      waiting = waiting.filter((peer) => peer.fd >= 0);
    }
    assertEquals(served, count);
    assertMatch(output(), /log netpoll: Cannot accept .* too many open files/);
    assertEquals(output().match(/log /g)!.length, 1);
  }));

test("the limit of descriptors: who waits for long is reset, by means of the spare one", () =>
  withLimitedServer(async (address, output) => {
    const peers = Array.from({ length: DESCRIPTORS_MAX + 20 }, () => new RawPeer(address));
    await until(() => peers.some((peer) => peer.isReset), "somebody is turned away");
    const kept = peers.filter((peer) => !peer.isOver);
    assert(kept.length > 0);
    kept[0]!.send("hello");
    assertEquals(await kept[0]!.receive(5), "hello");
    for (const peer of peers) peer.close();
    using again = new RawPeer(address);
    again.send("hello");
    assertEquals(await again.receive(5), "hello");
    assertEquals(output().match(/log /g)!.length, 1);
  }));

// ---- bounds -------------------------------------------------------------------------------------

test("connectionsMax lets more wait until one goes, over all listeners", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo, { connectionsMax: 3 });
    const other = createListener("tcp", "127.0.0.1:0");
    const both = loop.serve(other);
    const peers = Array.from({ length: 5 }, () => new RawPeer(listener));
    for (const peer of peers) peer.send("hello");
    for (const peer of peers.slice(0, 3)) assertEquals(await peer.receive(5), "hello");
    const third = createListener("tcp", "127.0.0.1:0"); // served when there are enough already
    const late = loop.serve(third);
    const [second, last] = [new RawPeer(other), new RawPeer(third)];
    second.send("hello");
    last.send("hello");
    await ticks(20);
    assertEquals(loop.connectionCount, 3);
    assertEquals([...peers.slice(3), second, last].map((peer) => peer.received), ["", "", "", ""]);
    for (const peer of peers.slice(0, 4)) {
      await peer.receive(5);
      peer.close();
    }
    assertEquals(await peers[4]!.receive(5), "hello");
    assertEquals(await second.receive(5), "hello");
    assertEquals(await last.receive(5), "hello");
    for (const peer of [peers[4]!, second, last]) peer.close();
    await soon(loop.shutdown());
    await soon(Promise.all([served, both, late]));
  }));

test("connectionsPerAddressMax resets what is too much, counts by address and forgets who left", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo, { connectionsPerAddressMax: 2 });
    const one = new RawPeer(listener);
    using two = new RawPeer(listener);
    for (const peer of [one, two]) {
      peer.send("hello");
      assertEquals(await peer.receive(5), "hello");
    }
    using three = new RawPeer(listener);
    await until(() => three.isReset, "the third is reset");
    using elsewhere = new RawPeer(listener, "127.0.0.2");
    elsewhere.send("hello");
    assertEquals(await elsewhere.receive(5), "hello");
    one.close();
    await until(() => loop.connectionCount === 2, "the first is gone");
    await assertServes(listener);
    await soon(loop.shutdown());
    await soon(served);
  }));

test("connectionsMax and connectionsPerAddressMax are whole numbers above 0", () => {
  for (const name of ["connectionsMax", "connectionsPerAddressMax"] as const) {
    for (const value of [0, -1, 1.5, NaN]) {
      let error: unknown = null;
      try {
        new EventLoop(null, { [name]: value });
      } catch (thrown) {
        error = thrown;
      }
      assertInstanceOf(error, RangeError, `${name} ${value}`);
    }
    new EventLoop(null, { [name]: Infinity });
  }
});

// ---- peers and handlers that misbehave ----------------------------------------------------------

test("accept() takes no more in one event than others can bear", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(null);
    const peers = Array.from({ length: 100 }, () => new RawPeer(listener));
    const { counts } = threadPoller();
    const before = counts.events;
    await until(() => loop.connectionCount === 100, "all are there");
    assert(counts.events - before >= 2, "100 connections are two events at least");
    for (const peer of peers) peer.close();
    await until(() => loop.connectionCount === 0, "all are gone");
    await soon(loop.shutdown());
    await soon(served);
  }));

const TEXT = "x".repeat(300_000);
/** Peers that reset the connection, each at another moment. */
const RESETS: Readonly<Record<string, (peer: RawPeer, loop: EventLoop) => unknown>> = {
  "before it is accepted": (peer) => peer.reset(),
  "after bytes that nobody has accepted": (peer) => (peer.send("hello"), peer.reset()),
  "when it is accepted": async (peer, loop) => {
    await until(() => loop.connectionCount > 0, "it is accepted");
    peer.reset();
  },
  "with bytes": async (peer, loop) => {
    await until(() => loop.connectionCount > 0, "it is accepted");
    peer.send("hello");
    peer.reset();
  },
  "after its bytes were answered": async (peer) => {
    peer.send("hello");
    await peer.receive(5);
    peer.reset();
  },
  "with the answer unread": async (peer, loop) => {
    peer.send("hello");
    await until(() => loop.connectionCount > 0, "it is accepted");
    await ticks(10);
    peer.reset();
  },
  "after its end": async (peer, loop) => {
    peer.send("hello");
    await until(() => loop.connectionCount > 0, "it is accepted");
    peer.end();
    peer.reset();
  },
  "in the middle of a long answer": async (peer) => {
    peer.send("long");
    await peer.receive(1);
    peer.reset();
  },
  "while the server closes": async (peer) => {
    peer.send("close");
    await peer.receive(1);
    peer.reset();
  },
};

async function answer(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  await reader.wait(4);
  const text = reader.readString(reader.length);
  reader.release();
  writer.writeString(text.startsWith("hello") ? text : TEXT.repeat(20));
  if (text.startsWith("close")) {
    void writer.flush();
    await connection.close();
  }
  await writer.flush();
}

for (const [moment, act] of Object.entries(RESETS)) {
  for (const kind of ["asynchronous", "synchronous"] as const) {
    test(`a peer that resets ${moment} leaves nothing behind, ${kind} handler`, () =>
      leaks(async () => {
        const errors: unknown[] = [];
        const { loop, listener, served } = serve(kind === "synchronous" ? echo : answer, {
          onError: (error) => void errors.push(error),
        });
        for (let i = 0; i < 5; i++) {
          const peer = new RawPeer(listener);
          await act(peer, loop as unknown as EventLoop);
          await until(() => loop.connectionCount === 0, "it is gone");
        }
        await assertServes(listener);
        await soon(loop.shutdown());
        await soon(served);
        assertEquals(errors, []); // the ordinary end of a connection is no error
      }));
  }
}

test("a peer that resets in onConnect is told of once onConnect has settled", () =>
  leaks(async () => {
    const seen: string[] = [];
    const { loop, listener, served } = serve<void>(() => void seen.push("request"), {
      onConnect: async () => {
        peer.reset();
        await ticks(10);
        seen.push("connected");
      },
      onDisconnect: () => void seen.push("disconnected"),
    });
    const peer = new RawPeer(listener);
    await until(() => seen.length === 2, "both");
    await until(() => loop.connectionCount === 0, "it is gone");
    assertEquals(seen, ["connected", "disconnected"]);
    await soon(loop.shutdown());
    await soon(served);
  }));

test("a peer that sends nothing costs no call, and goes at shutdown", () =>
  leaks(async () => {
    let calls = 0;
    const { loop, listener, served } = serve(() => void calls++);
    using peer = new RawPeer(listener);
    await until(() => loop.connectionCount === 1, "it is there");
    await ticks(20);
    await soon(loop.shutdown());
    await soon(served);
    assertEquals(calls, 0);
    assert(peer.isEnded);
  }));

/** Handlers that fail. */
const FAILURES: Readonly<Record<string, RequestHandler<undefined>>> = {
  throws: () => {
    throw new Error("on purpose");
  },
  rejects: () => Promise.reject(new Error("on purpose")),
  "rejects later": async () => {
    await ticks(3);
    throw new Error("on purpose");
  },
};

for (const [what, handler] of Object.entries(FAILURES)) {
  test(`a handler that ${what} ends its connection only, and onError hears of it (netpoll 142)`, () =>
    leaks(async () => {
      const errors: string[] = [];
      const { loop, listener, served } = serve(
        (connection, context) => {
          if (connection.reader.peek(1)[0] !== "x".charCodeAt(0)) return echo(connection);
          return handler(connection, context);
        },
        { onError: (error) => void errors.push((error as Error).message) },
      );
      using other = new RawPeer(listener);
      using peer = new RawPeer(listener);
      peer.send("x");
      await until(() => peer.isOver, "the peer learns of it");
      other.send("hello");
      assertEquals(await other.receive(5), "hello");
      assertEquals(errors, ["on purpose"]);
      await soon(loop.shutdown());
      await soon(served);
    }));
}

test("a handler that throws is one line in the log, when there is no onError", () =>
  leaks(async () => {
    const lines = await logged(async () => {
      const { loop, listener, served } = serve(FAILURES["throws"]!);
      using peer = new RawPeer(listener);
      peer.send("x");
      await until(() => peer.isOver, "the peer learns of it");
      await soon(loop.shutdown());
      await soon(served);
    });
    assertEquals(lines.length, 1);
    assertMatch(
      lines[0]!,
      /netpoll: a handler failed, its connection is closed: Error: on purpose/,
    );
  }));

test("a handler that never settles is cut at shutdown, and others are served meanwhile", () =>
  leaks(async () => {
    let release!: () => void;
    const never = new Promise<void>((resolve) => release = resolve);
    const { loop, listener, served } = serve((connection) => {
      if (connection.reader.peek(1)[0] !== "x".charCodeAt(0)) return echo(connection);
      return never;
    });
    using peer = new RawPeer(listener);
    peer.send("x");
    await until(() => threadPoller().pace.outsideWaits === 1, "it waits");
    await assertServes(listener);
    assertEquals(await soon(loop.shutdown({ timeoutMs: 10 })), { cut: 1 });
    await soon(served);
    release(); // or its memory would be kept for it
  }));

test("a handler that consumes nothing is called again for new bytes only (netpoll 148)", () =>
  leaks(async () => {
    const lengths: number[] = [];
    const { loop, listener, served } = serve(({ reader }) => void lengths.push(reader.length));
    using peer = new RawPeer(listener);
    for (const [i, text] of ["a", "bc", "d"].entries()) {
      peer.send(text);
      await until(() => lengths.length === i + 1, "it is called");
      await ticks(10);
    }
    assertEquals(lengths, [1, 3, 4]);
    peer.end();
    await peer.receiveAll();
    await soon(loop.shutdown());
    await soon(served);
    assertEquals(lengths, [1, 3, 4]);
  }));
