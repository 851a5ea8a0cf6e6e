import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  type Address,
  ClosedError,
  Cluster,
  createListener,
  dial,
  NetpollError,
  type PollerLoad,
  type TcpAddress,
} from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { TestCluster } from "../support/cluster.ts";
import { withModule } from "../support/handlers.ts";
import { leaks } from "../support/leaks.ts";
import { withDirectory } from "../support/library.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, stateOf, until } from "../support/until.ts";

const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);

test("serve() spreads connections over the pollers, one after the other", async () => {
  await using test = new TestCluster({ pollerCount: 3 });
  assertEquals(await test.askMany(6), [0, 1, 2, 0, 1, 2]);
  assertEquals(test.cluster.pollers.map(({ index }) => index), [0, 1, 2]);
});

test("serve() takes connections that came before its Workers were there", async () => {
  await using test = new TestCluster();
  using early = test.connect();
  early.send("early");
  assertEquals(await early.receive(5), "early");
});

test("serve() gives back descriptors and threads, when the cluster has shut down", async () => {
  const run = async () => {
    await using test = new TestCluster();
    using peer = test.connect();
    peer.send("hello");
    assertEquals(await peer.receive(5), "hello");
  };
  await run(); // what a runtime opens for its first Worker, it keeps
  await leaks(run);
});

test("serve() serves several listeners, Unix sockets too", async () => {
  await withDirectory(async (directory) => {
    await using test = new TestCluster();
    const unix = createListener("unix", `${directory}/socket`);
    const served = test.cluster.serve(unix);
    using a = new RawPeer(unix);
    using b = test.connect();
    for (const peer of [a, b]) {
      peer.send("hello");
      assertEquals(await peer.receive(5), "hello");
    }
    await test.cluster.shutdown({ timeoutMs: 100 });
    await soon(served, "serve() settles for every listener");
    assertEquals(unix.fd, -1);
  });
});

test("least-connections evens out what round-robin would not", async () => {
  await using test = new TestCluster({ loadBalance: "least-connections" });
  const peers: [RawPeer, number][] = [];
  for (let n = 0; n < 20; n++) peers.push(await test.connectAndAsk());
  assertEquals(peers.filter(([, index]) => index === 0).length, 10);
  for (const [peer, index] of peers) if (index === 0) peer.close();
  await until(() => test.cluster.connectionCount === 10, "the cluster hears that they went");
  for (let n = 0; n < 10; n++) {
    const [peer, index] = await test.connectAndAsk();
    assertEquals(index, 0);
    peers.push([peer, index]);
  }
  assertEquals(test.cluster.pollers.map(({ connectionCount }) => connectionCount), [10, 10]);
  for (const [peer] of peers) peer.close();
});

test("source-hash sends a host to the same poller, whatever its port", async () => {
  await using test = new TestCluster({ pollerCount: 3, loadBalance: "source-hash" });
  const found = new Set<number>();
  for (let host = 1; host <= 12; host++) {
    const indexes = new Set<number>();
    for (let n = 0; n < 3; n++) {
      const [peer, index] = await test.connectAndAsk(`127.0.0.${host}`);
      indexes.add(index);
      peer.close();
    }
    assertEquals(indexes.size, 1);
    found.add([...indexes][0]!);
  }
  assertEquals(found.size, 3);
});

test("loadBalance may be a function, which learns who connects", async () => {
  const remotes: Address[] = [];
  const loadBalance = (pollers: readonly PollerLoad[], remote: Address) => {
    remotes.push(remote);
    return pollers.at(-1)!.index;
  };
  await using test = new TestCluster({ loadBalance });
  assertEquals(await test.askMany(3), [1, 1, 1]);
  assertEquals(remotes.map((remote) => remote.transport === "tcp" && remote.hostname), [
    "127.0.0.1",
    "127.0.0.1",
    "127.0.0.1",
  ]);
});

test("a function that chooses nobody is reported, and the connection is served", async () => {
  await using test = new TestCluster({ loadBalance: () => 7 });
  assertEquals(await test.askMany(2), [0, 1]);
  assertMatch(test.errors[0]!, /poller 7: the choice was between 0, 1/);
});

test('acceptMode "reuseport": each Worker accepts, and a new one goes on where one died', async () => {
  await using test = new TestCluster({ acceptMode: "reuseport" }, { reusePort: true });
  const peers: RawPeer[] = [];
  const found = new Set<number>();
  for (let n = 0; n < 200 && found.size < 2; n++) {
    const [peer, index] = await test.connectAndAsk();
    peers.push(peer);
    found.add(index);
  }
  assertEquals(found.size, 2);
  assertEquals(test.cluster.connectionCount, peers.length);
  for (const peer of peers) peer.close();
  killWorker(test.cluster, 0);
  await until(() => test.errors.length === 1, "its end is reported");
  await until(() => test.cluster.pollers.length === 2, "another takes its place");
  // Connections that the dying one accepted last go with it; those in its queue do not.
  for (let n = 0; n < 200 && found.size < 3; n++) {
    const [index] = await test.askMany(1).catch(() => []);
    if (index === 0) found.add(2);
  }
  assertEquals(found.size, 3, "the successor of the first serves, too");
});

for (const acceptMode of ["handover", "reuseport"] as const) {
  test(`shutdown() serves who waits in the kernel's queue: ${acceptMode}`, async () => {
    const test = new TestCluster({ acceptMode }, { reusePort: true });
    await test.askMany(1);
    // More than one event takes.
    const peers = Array.from({ length: 150 }, () => test.connect());
    for (const peer of peers) peer.send("hello");
    assertEquals(await soon(test.cluster.shutdown()), { cut: 0 });
    await soon(test.served);
    for (const peer of peers) assertEquals(await peer.receiveAll(), "hello");
    for (const peer of peers) peer.close();
  });

  test(`shutdown() refuses newcomers while a request runs: ${acceptMode}`, async () => {
    await using test = new TestCluster({ acceptMode }, { reusePort: true });
    const [busy] = await test.connectAndAsk();
    busy.send("slow");
    const over = test.cluster.shutdown();
    const { port } = test.listener.address as TcpAddress;
    const codes = new Set<string>();
    await until(() => {
      // One that comes just before the listener closes is reset.
      dial("tcp", `127.0.0.1:${port}`).then((late) => late.reset(), ({ code }) => codes.add(code));
      return codes.has("ECONNREFUSED");
    }, "a newcomer is refused");
    busy.send("rest");
    assertMatch(await busy.receiveAll(), /rest$/);
    assertEquals(await soon(over), { cut: 0 });
    busy.close();
  });
}

test('acceptMode "reuseport" wants a TCP listener that shares its port', async () => {
  const cluster = new Cluster(HANDLER, { acceptMode: "reuseport" });
  const listener = createListener("tcp", "127.0.0.1:0");
  await assertRejects(() => cluster.serve(listener), TypeError, "reusePort: true");
  listener.close();
});

for (const how of ["throw", "exit", "terminate"]) {
  test(`a Worker that ends by ${how} takes only its own connections with it`, async () => {
    await using test = new TestCluster();
    const [mine, index] = await test.connectAndAsk();
    const [other] = await test.connectAndAsk();
    if (how === "terminate") killWorker(test.cluster, index);
    else mine.send(how);
    await until(() => mine.isOver, "its own connection ends");
    other.send("still here");
    assertEquals(await other.receive(11), "1still here");
    // Its end is noticed later than the peer's: before, there seem to be two.
    await until(() => test.errors.length === 1, "its end is noticed");
    await until(() => test.cluster.pollers.length === 2, "another takes its place");
    assertEquals(new Set(await test.askMany(4)), new Set([0, 1]));
    assertEquals(test.errors.length, 1);
    assertMatch(test.errors[0]!, /^Worker 0 ended .*lost with it: 1$/);
    if (how === "throw") assertMatch(test.errors[0]!, /thrown in Worker 0/);
    mine.close();
    other.close();
  });
}

test("connections that a Worker did not get to before it died are served by others", async () => {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  await using test = new TestCluster({ data: flags });
  const [blocked, index] = await test.connectAndAsk();
  assertEquals(index, 0);
  blocked.send("block");
  await until(() => Atomics.load(flags, 1) === 1, "the Worker blocks");
  const waiting: RawPeer[] = [];
  for (let n = 0; n < 10; n++) {
    const peer = test.connect();
    peer.send("who");
    waiting.push(peer);
  }
  // Every other one is on its way to the Worker that blocks.
  await until(() => waiting.filter((peer) => peer.received === "1").length === 5, "the others");
  Atomics.store(flags, 0, 1);
  Atomics.notify(flags, 0);
  for (const peer of waiting) assertMatch(await peer.receive(1), /[01]/);
  await until(() => blocked.isOver, "its own connection ends with its thread");
  for (const peer of [blocked, ...waiting]) peer.close();
});

test("connections wait in the kernel's queue while no Worker serves", async () => {
  await using test = new TestCluster({ pollerCount: 1 });
  const [first] = await test.connectAndAsk();
  first.send("exit");
  await until(() => first.isOver, "the only Worker ends");
  using second = test.connect();
  second.send("hello");
  assertEquals(await second.receive(5), "hello");
  first.close();
});

test("shutdown() lets all Workers finish what runs, and closes what is idle at once", async () => {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  await using test = new TestCluster({ data: flags });
  const [busy] = await test.connectAndAsk();
  const [other] = await test.connectAndAsk();
  const [idle] = await test.connectAndAsk();
  for (const peer of [busy, other]) peer.send("slow");
  await test.askMany(2); // both Workers have read that by now
  const shutdown = test.cluster.shutdown();
  await until(() => idle.isOver, "the idle one is closed");
  assertEquals(await stateOf(shutdown), "pending");
  for (const peer of [busy, other]) peer.send("done");
  for (const peer of [busy, other]) assertMatch(await peer.receiveAll(), /^\ddone$/);
  assertEquals(await soon(shutdown), { cut: 0 });
  assertEquals(Atomics.load(flags, 2), 2, "both were torn down");
  for (const peer of [busy, other, idle]) peer.close();
});

test("shutdown() cuts what is left after its time, and says how many", async () => {
  await using test = new TestCluster();
  const [busy] = await test.connectAndAsk();
  const [other] = await test.connectAndAsk();
  for (const peer of [busy, other]) peer.send("slow");
  await test.askMany(2);
  assertEquals(await soon(test.cluster.shutdown({ timeoutMs: 1 })), { cut: 2 });
  assert(busy.isOver && other.isOver);
  busy.close();
  other.close();
});

test("shutdown() cuts when its signal is aborted, and a Worker that blocks does not hold it", async () => {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  await using test = new TestCluster({ data: flags });
  const [blocked] = await test.connectAndAsk();
  const [busy] = await test.connectAndAsk();
  blocked.send("block");
  busy.send("slow");
  await until(() => Atomics.load(flags, 1) === 1, "the Worker blocks");
  const over = new AbortController();
  const shutdown = test.cluster.shutdown({ signal: over.signal });
  over.abort();
  await until(() => busy.isOver, "the busy one is cut");
  await soon(shutdown, "shutdown() settles although a Worker blocks");
  Atomics.store(flags, 0, 1);
  Atomics.notify(flags, 0);
  blocked.close();
  busy.close();
});

test("shutdown() before and while Workers start ends them, and serve() settles", async () => {
  const cluster = new Cluster(HANDLER, { pollerCount: 2 });
  const listener = createListener("tcp", "127.0.0.1:0");
  const served = cluster.serve(listener);
  assertEquals(await soon(cluster.shutdown()), { cut: 0 });
  await soon(served, "serve() settles");
  const late = createListener("tcp", "127.0.0.1:0");
  await soon(cluster.serve(late), "a later one, too");
  assertEquals([listener.fd, late.fd], [-1, -1]);
  await assertRejects(() => new Cluster(HANDLER).shutdown({ timeoutMs: -1 }), RangeError, "-1");
});

const WRONG: readonly [string, string, typeof TypeError | typeof NetpollError, RegExp][] = [
  ["no callback", "export const a = 1;", TypeError, /no onRequest.*it has a$/],
  ["a string for a callback", 'export const onRequest = "x";', TypeError, /onRequest .* string/],
  [
    "options that mean nothing",
    "export const onRequest = () => {}; export const options = { idleTimeoutMs: -1 };",
    RangeError,
    /idleTimeoutMs/,
  ],
  ["an error in it", 'throw new Error("no database");', NetpollError, /no database/],
  [
    "a setup that fails",
    "export const onConnect = () => {}, setup = () => { throw new Error('no key'); };",
    NetpollError,
    /no key/,
  ],
  ["an end", 'import process from "node:process"; process.exit(3);', NetpollError, /code 3/],
];

for (const [what, text, type, message] of WRONG) {
  test(`serve() rejects, for a handler module with ${what}`, async () => {
    await withModule(text, async (url) => {
      const listener = createListener("tcp", "127.0.0.1:0");
      const cluster = new Cluster(url, { pollerCount: 2 });
      const error = await assertRejects(() => soon(cluster.serve(listener)), type);
      assertMatch(error.message, message);
      assertEquals(listener.fd, -1);
    });
  });
}

test("serve() rejects, for a listener that was closed", async () => {
  const closed = createListener("tcp", "127.0.0.1:0");
  closed.close();
  await assertRejects(() => new Cluster(HANDLER).serve(closed), ClosedError);
});
