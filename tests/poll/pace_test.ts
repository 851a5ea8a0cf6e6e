import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer as createHttpServer, get, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createNetServer } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { clearInterval, setImmediate, setInterval, setTimeout } from "node:timers";
import { host } from "../../ffi/runtime.ts";
import { configure, dial } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";
import { type Program, run, start } from "../support/child.ts";
import { assertCalm, CALM_MS } from "../support/calm.ts";
import { leaks } from "../support/leaks.ts";
import { root } from "../support/library.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { echo, serve } from "../support/serve.ts";
import { delay, soon, ticks, until } from "../support/until.ts";

// ---- cold ---------------------------------------------------------------------------------------

test("a pace goes cold without traffic, and wakes for it", () =>
  leaks(async () => {
    const { loop, listener, served } = serve(echo);
    using peer = new RawPeer(listener);
    const { counts } = threadPoller().pace;
    for (let i = 1; i <= 5; i++) {
      peer.send("x");
      await peer.receive(i);
      const { colds, turns, wakes } = { ...counts };
      await until(() => counts.colds > colds || counts.turns === turns, "it goes cold");
      await delay(20);
      const cold = counts.turns;
      await delay(20);
      assertEquals(counts.turns, cold, "no turn when cold");
      assert(counts.wakes >= wakes);
    }
    await soon(loop.shutdown());
    await soon(served);
  }));

/** Starts a program that prints its port, and waits for that. */
async function startServer(file: string, args: string[]): Promise<[Program, number]> {
  const child = start(`${root}tests/support/${file}`, { args });
  const [, port] = await child.find(/port (\d+)\n/);
  return [child, Number(port)];
}

// ---- the life of the process --------------------------------------------------------------------

for (
  const act of [
    "nothing",
    "listen",
    "serve and shut down",
    "serve and unref",
    "unref, serve and connect",
    "connect and close",
  ]
) {
  test(`a process ends by itself, after: ${act}`, async () => {
    const { code, signal, stderr } = await run(`${root}tests/support/lifetime.ts`, { args: [act] });
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  });
}

for (const act of ["serve", "serve, unref and ref"]) {
  test(`a process lives for as long as it serves: ${act}`, async () => {
    const [server, port] = await startServer("lifetime.ts", [act]);
    try {
      await delay(500); // nothing happens meanwhile
      using peer = new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port });
      peer.send("hello");
      assertEquals(await peer.receive(5), "hello");
      assertEquals(server.outcome, null);
    } finally {
      await server.stop();
    }
  });
}

test("a process lives for as long as somebody waits for a connection of its own", async () => {
  const [server] = await startServer("lifetime.ts", ["connect and wait"]);
  try {
    await delay(500);
    assertEquals(server.outcome, null);
  } finally {
    await server.stop();
  }
});

// ---- the runtime goes on ------------------------------------------------------------------------

/** Asks an HTTP server over and over, until told to stop. */
function askHttp(server: Server, answered: () => void): () => Promise<void> {
  const { port } = server.address() as AddressInfo;
  let isOver = false;
  const ask = async () => {
    while (!isOver) {
      // A connection each: what fetch keeps would be closed at some time in another test.
      const response = await fetch(`http://127.0.0.1:${port}/`, {
        headers: { connection: "close" },
      });
      assertEquals(await response.text(), "ok");
      answered();
    }
  };
  const asked = ask();
  return () => {
    isOver = true;
    return asked;
  };
}

test("timers, promises, HTTP and sockets of the runtime go on, while 20 connections are saturated", async () => {
  const counts = { messages: 0, timers: 0, http: 0, bytes: 0, immediates: 0 };
  const { loop, listener, served } = serve(async (connection) => {
    await connection.reader.wait(64);
    counts.messages += 1;
    connection.writer.writeBinary(connection.reader.next(64));
    await connection.writer.flush();
    connection.reader.release();
  });
  const http = createHttpServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
  const net = createNetServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await Promise.all([once(http, "listening"), once(net, "listening")]);
  const { address } = listener;
  assert(address.transport === "tcp");
  const load = start(`${root}tests/support/saturate.ts`, { args: [`${address.port}`] });
  await until(() => counts.messages > 1000, "the load");

  const interval = setInterval(() => counts.timers += 1, 1);
  const stopHttp = askHttp(http, () => counts.http += 1);
  const client = connect((net.address() as AddressInfo).port, "127.0.0.1", () => client.write("x"));
  client.on("data", () => (counts.bytes += 1, client.write("x")));
  const again = () => {
    counts.immediates += 1;
    if (counts.immediates < 1000) setImmediate(again);
  };
  again();
  const before = counts.messages;
  const { timers, http: answers, bytes, immediates } = await (async () => {
    await until(
      () =>
        counts.timers >= 100 && counts.http >= 100 && counts.bytes >= 100 &&
        counts.immediates >= 1000,
      `progress: ${JSON.stringify(counts)}`,
    );
    return { ...counts };
  })();
  assertGreater(counts.messages - before, 1000, "the load went on");
  assert(timers >= 100 && answers >= 100 && bytes >= 100 && immediates >= 1000);

  await soon(stopHttp(), "the last answer");
  clearInterval(interval);
  client.destroy();
  await load.stop();
  http.close();
  net.close();
  await soon(Promise.all([once(http, "close"), once(net, "close")]), "the servers close");
  await soon(loop.shutdown({ timeoutMs: 1000 }));
  await soon(served);
});

test("a request to the runtime's own HTTP server is answered within a handler of ours", () =>
  leaks(async () => {
    const http = createHttpServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;
    const { loop, listener, served } = serve(async ({ reader, writer }) => {
      reader.skip(reader.length);
      reader.release();
      const text = await new Promise<string>((resolve, reject) => {
        get({ port, host: "127.0.0.1", agent: false }, (response) => {
          response.setEncoding("utf8").on("data", resolve);
        }).on("error", reject);
      });
      writer.writeString(text);
      await writer.flush();
    });
    using peer = new RawPeer(listener);
    for (let i = 1; i <= 5; i++) {
      peer.send("x");
      assertEquals((await peer.receive(2 * i)).slice(-2), "ok");
    }
    http.closeAllConnections();
    http.close();
    await once(http, "close");
    await soon(loop.shutdown());
    await soon(served);
  }));

// ---- never behind a blocking wait ---------------------------------------------------------------

async function chain(links: number): Promise<number> {
  let sum = 0;
  for (let i = 0; i < links; i++) sum += await Promise.resolve(1);
  return sum;
}

/** Ways for a handler to wait for something that is not ours. */
const WAITS: Readonly<Record<string, () => Promise<unknown>>> = {
  "a chain of 10 000 promises": () => chain(10_000),
  "process.nextTick": () => new Promise<void>((resolve) => process.nextTick(resolve)),
  setImmediate: () => new Promise((resolve) => setImmediate(resolve)),
  "100 times setImmediate": () => ticks(100),
  "all of them in turn": async () => {
    for (let i = 0; i < 3; i++) {
      await chain(100);
      await new Promise<void>((resolve) => process.nextTick(resolve));
      await ticks(3);
    }
  },
};

for (const [what, wait] of Object.entries(WAITS)) {
  test(`a handler that waits for ${what} is never stuck behind a blocking wait`, () =>
    leaks(async () => {
      // A wait that blocks would last a tenth of a second now, for no event ever comes.
      configure({ blockMicros: 100_000 });
      try {
        const { pace } = threadPoller();
        let blocks = -1;
        const { loop, listener, served } = serve(async ({ reader, writer }) => {
          reader.skip(reader.length);
          reader.release();
          const before = pace.counts.blocks;
          await wait();
          blocks = pace.counts.blocks - before;
          writer.writeString("done");
          await writer.flush();
        });
        using peer = new RawPeer(listener);
        using _idle = new RawPeer(listener);
        for (let i = 1; i <= 3; i++) {
          peer.send("x");
          assertEquals((await peer.receive(4 * i)).length, 4 * i);
          assertEquals(blocks, 0);
        }
        await soon(loop.shutdown());
        await soon(served);
      } finally {
        configure({ blockMicros: 1000 });
      }
    }));
}

for (const deferral of ["setImmediate", "process.nextTick", "MessageChannel"] as const) {
  test(`an answer from ten links of ${deferral}, that no handler waits for, is never behind a blocking wait`, () =>
    leaks(async () => {
      configure({ blockMicros: 100_000 });
      const { port1, port2 } = new MessageChannel();
      const next: Record<typeof deferral, (link: () => void) => void> = {
        setImmediate,
        "process.nextTick": process.nextTick,
        MessageChannel: (link) => {
          port2.onmessage = link;
          port1.postMessage(0);
        },
      };
      try {
        const { pace } = threadPoller();
        let blocks = -1;
        const { loop, listener, served } = serve(({ reader, writer }) => {
          reader.skip(reader.length);
          reader.release();
          const before = pace.counts.blocks;
          let links = 10;
          const link = () => {
            if (--links > 0) return next[deferral](link);
            blocks = pace.counts.blocks - before;
            writer.writeString("done");
            void writer.flush();
          };
          next[deferral](link);
        });
        using peer = new RawPeer(listener);
        for (let i = 1; i <= 3; i++) {
          peer.send("x");
          assertEquals((await peer.receive(4 * i)).length, 4 * i);
          assertEquals(blocks, 0);
        }
        await soon(loop.shutdown());
        await soon(served);
      } finally {
        port1.close();
        port2.close();
        configure({ blockMicros: 1000 });
      }
    }));
}

test("a timer that a handler waits for is not behind a wait of blockMicros", () =>
  leaks(async () => {
    configure({ blockMicros: 1_000_000 });
    try {
      const { pace } = threadPoller();
      let turns = 0;
      const { loop, listener, served } = serve(async ({ reader, writer }) => {
        reader.skip(reader.length);
        reader.release();
        const before = pace.counts.turns;
        await new Promise((resolve) => setTimeout(resolve, 100));
        turns = pace.counts.turns - before;
        writer.writeString("x");
        await writer.flush();
      });
      using peer = new RawPeer(listener);
      // With one tick a second there would be two or three turns, however often it is tried. A poller
      // that does not hear of the runtime blocks for nobody meanwhile.
      let count = 0;
      do {
        peer.send("x");
        await peer.receive(++count);
      } while (turns < 10 && pace.isRuntimeHeard);
      await soon(loop.shutdown());
      await soon(served);
    } finally {
      configure({ blockMicros: 1000 });
    }
  }));

test("a handler that another one's synchronous part lets go on does so before anything blocks", () =>
  leaks(async () => {
    configure({ blockMicros: 100_000 });
    try {
      const { pace } = threadPoller();
      let letGo: (() => void) | null = null;
      let blocks = -1;
      let before = 0;
      const { loop, listener, served } = serve((connection) => {
        const { reader, writer } = connection;
        const text = reader.readString(reader.length);
        reader.release();
        if (text === "go") {
          before = pace.counts.blocks;
          letGo!();
          return;
        }
        return (async () => {
          await new Promise<void>((resolve) => letGo = resolve);
          await chain(1000);
          blocks = pace.counts.blocks - before;
          writer.writeString("gone");
          await writer.flush();
        })();
      });
      using waiting = new RawPeer(listener);
      using other = new RawPeer(listener);
      for (let i = 1; i <= 3; i++) {
        letGo = null;
        waiting.send("wait");
        await until(() => letGo !== null, "it waits");
        other.send("go");
        assertEquals((await waiting.receive(4 * i)).length, 4 * i);
        assertEquals(blocks, 0);
      }
      await soon(loop.shutdown());
      await soon(served);
    } finally {
      configure({ blockMicros: 1000 });
    }
  }));

test("whoever awaits outside of handlers goes on before anything blocks, let go by a synchronous one", () =>
  leaks(async () => {
    configure({ blockMicros: 100_000 });
    try {
      const { pace } = threadPoller();
      let letGo!: () => void;
      let before = 0;
      const { loop, listener, served } = serve(({ reader }) => {
        reader.skip(reader.length);
        reader.release();
        before = pace.counts.blocks;
        letGo();
      });
      using peer = new RawPeer(listener);
      for (let i = 0; i < 3; i++) {
        const gone = (async () => {
          await new Promise<void>((resolve) => letGo = resolve);
          await chain(1000);
          return pace.counts.blocks - before;
        })();
        peer.send("x");
        assertEquals(await soon(gone), 0);
      }
      await soon(loop.shutdown());
      await soon(served);
    } finally {
      configure({ blockMicros: 1000 });
    }
  }));

test("blockMicros: 0 never blocks the thread", () =>
  leaks(async () => {
    configure({ blockMicros: 0 });
    try {
      const { loop, listener, served } = serve(echo);
      const { counts } = threadPoller().pace;
      const { blocks } = counts;
      using peer = new RawPeer(listener);
      for (let i = 1; i <= 50; i++) {
        peer.send("x");
        await peer.receive(i);
      }
      assertEquals(counts.blocks, blocks);
      await assertCalm();
      await soon(loop.shutdown());
      await soon(served);
    } finally {
      configure({ blockMicros: 1000 });
    }
  }));

test("traffic of one connection is answered warm: turns block instead of going cold", () =>
  leaks(async () => {
    const [child, port] = await startServer("lifetime.ts", ["serve"]);
    const { counts } = threadPoller().pace;
    const connection = await dial("tcp", `127.0.0.1:${port}`);
    const before = { ...counts };
    for (let i = 0; i < 500; i++) {
      connection.writer.writeString("x");
      await connection.writer.flush();
      await connection.reader.wait(1);
      connection.reader.skip(1);
      connection.reader.release();
    }
    assertGreater(counts.blocks - before.blocks, 100);
    if (host.drainMicrotasks !== null) assertLess(counts.colds - before.colds, 400);
    await connection.close();
    await child.stop();
  }));

// ---- idle ---------------------------------------------------------------------------------------

/** The number of times that the JavaScript thread and the waker's have gone to sleep so far. */
function sleepsCount(pid: number): number {
  let count = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const path = `/proc/${pid}/task/${thread}`;
    const name = readFileSync(`${path}/comm`, "utf8").trim();
    if (thread !== `${pid}` && name !== "np-waker") continue;
    count += Number(
      /^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`${path}/status`, "utf8"))![1],
    );
  }
  return count;
}

/** A test watches so long that nothing happens, in milliseconds. */
const IDLE_MS = 2000;
/**
 * A runtime may look at its heap ten times a second (Bun does three times); a poller that goes on by itself
 * would wake at each of its ticks, a thousand times a second. Wake-ups are counted, not CPU time: that would be the
 * collector's and the compiler's.
 */
const WAKES_MAX = 20 + IDLE_MS / 100;

test("an idle server sleeps", async () => {
  const [server, port] = await startServer("lifetime.ts", ["serve"]);
  try {
    const peer = new RawPeer({ transport: "tcp", hostname: "127.0.0.1", port });
    for (let i = 1; i <= 200; i++) {
      peer.send("x");
      await peer.receive(i);
    }
    await delay(CALM_MS); // on the way to cold
    const before = sleepsCount(server.pid);
    await delay(IDLE_MS);
    assertLessOrEqual(sleepsCount(server.pid) - before, WAKES_MAX);
    peer.send("y");
    await peer.receive(201);
    peer.close();
  } finally {
    await server.stop();
  }
});
