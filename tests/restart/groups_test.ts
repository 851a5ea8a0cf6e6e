/**
 * Listeners of clusters that share a port, which pass from one to another with all their sockets.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import process from "node:process";
import { test } from "node:test";
import {
  Cluster,
  type ClusterOptions,
  createListener,
  dial,
  EventLoop,
  type Listener,
  NetpollError,
} from "../../mod.ts";
import { offerListeners, takeListeners } from "../../src/entries/operations.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { TestCluster } from "../support/cluster.ts";
import { leaks } from "../support/leaks.ts";
import { receive, send } from "../support/pair.ts";
import { authority, serverIdentity, tlsTest } from "../support/pki.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

const SHARED = { reusePort: true } as const;
const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);
const ECHO = (
  { reader, writer }: Parameters<NonNullable<ConstructorParameters<typeof EventLoop>[0]>>[0],
) => {
  writer.writeString(reader.readString(reader.length));
  void writer.flush();
};
let number = 0;
const newPath = () => `@netpoll-groups-${process.pid}-${++number}`;
const socketsOf = (listener: Listener) => 1 + listenerSocket(listener).siblings.length;

interface Server {
  serve(listener: Listener): Promise<void>;
  shutdown(options: { timeoutMs: number }): Promise<unknown>;
}

/** Peers that have said something each. */
function come(listener: Listener, count = 40): RawPeer[] {
  const peers = Array.from({ length: count }, () => new RawPeer(listener));
  for (const peer of peers) peer.send("hello");
  return peers;
}

async function areServed(peers: readonly RawPeer[]): Promise<void> {
  for (const peer of peers) {
    assertEquals([await peer.receive(5), peer.isReset], ["hello", false]);
    peer.close();
  }
}

/** Another server takes over from a cluster of two; the numbers of sockets before and after. */
async function takeOver(server: Server, isThere: () => boolean): Promise<[number, number]> {
  const path = newPath();
  const old = new TestCluster({ acceptMode: "reuseport" }, SHARED);
  await old.askMany(2);
  using offer = offerListeners(path, [old.listener]);
  const taken = (await takeListeners(path))!;
  const listener = taken.listeners[0]!;
  const served = server.serve(listener);
  const before = socketsOf(listener);
  const peers = come(listener);
  await until(isThere, "all Workers serve");
  peers.push(...come(listener));
  await soon(taken.ready());
  await soon(offer.taken);
  assertEquals(old.listener.fd, -1);
  peers.push(...come(listener));
  await areServed(peers);
  await old[Symbol.asyncDispose]();
  await areServed(come(listener, 20));
  await until(() => !listenerSocket(listener).isFrozen, "it is its own");
  const after = socketsOf(listener);
  await server.shutdown({ timeoutMs: 1000 });
  await served;
  return [before, after];
}

for (
  const [acceptMode, pollerCount, after] of [
    ["reuseport", 1, 2],
    ["reuseport", 2, 2],
    ["reuseport", 4, 4],
    ["handover", 2, 2],
  ] as [NonNullable<ClusterOptions["acceptMode"]>, number, number][]
) {
  test(`a cluster of ${pollerCount} takes the sockets of one of 2, and loses nobody: ${acceptMode}`, async () => {
    const run = async () => {
      const cluster = new Cluster(HANDLER, { pollerCount, acceptMode });
      const isThere = () => cluster.pollers.length === pollerCount;
      assertEquals(await takeOver(cluster, isThere), [2, after]);
    };
    await run(); // what a runtime opens for its first Worker, it keeps
    await leaks(run);
  });
}

test("an EventLoop takes the sockets of a cluster, and loses nobody", async () => {
  const run = async () => {
    assertEquals(await takeOver(new EventLoop(ECHO), () => true), [2, 2]);
  };
  await run();
  await leaks(run);
});

test("a cluster that shares its port takes one socket, and opens more when it is ready", async () => {
  const path = newPath();
  const ours = createListener("tcp", "127.0.0.1:0", SHARED);
  const loop = new EventLoop(ECHO);
  const served = loop.serve(ours);
  using offer = offerListeners(path, [ours]);
  const taken = (await takeListeners(path))!;
  const cluster = new Cluster(HANDLER, { pollerCount: 3, acceptMode: "reuseport" });
  const listener = taken.listeners[0]!;
  const servedNext = cluster.serve(listener);
  await until(() => cluster.pollers.length === 3, "it serves");
  const peers = come(listener);
  assertEquals(socketsOf(listener), 1);
  await taken.ready();
  await offer.taken;
  await until(() => socketsOf(listener) === 3, "each of its pollers has one");
  await areServed([...peers, ...come(listener)]);
  await loop.shutdown();
  await served;
  await cluster.shutdown();
  await servedNext;
});

test("a cluster opens no sockets while a new process has them, and more when that has given up", async () => {
  await using test = new TestCluster({ acceptMode: "reuseport" }, SHARED);
  await test.askMany(1);
  const path = newPath();
  using _offer = offerListeners(path, [test.listener]);
  const taken = (await takeListeners(path))!;
  await test.cluster.resize(4);
  assertEquals(socketsOf(test.listener), 2);
  await taken.close();
  await until(() => socketsOf(test.listener) === 4, "each poller has one");
  await areServed(come(test.listener));
  assertEquals(test.errors, []);
});

test("a cluster that begins to serve a listener while a new process has it passes it on all the same", async () => {
  const path = newPath();
  const listener = createListener("tcp", "127.0.0.1:0", SHARED);
  using offer = offerListeners(path, [listener]);
  const taken = (await takeListeners(path))!;
  const cluster = new Cluster(HANDLER, { pollerCount: 2, acceptMode: "reuseport" });
  const served = cluster.serve(listener);
  await until(() => cluster.pollers.length === 2, "it serves");
  const peers = come(listener);
  await areServed(peers);
  const waiting = taken.ready();
  await offer.taken;
  await waiting;
  const loop = new EventLoop(ECHO);
  const servedNext = loop.serve(taken.listeners[0]!);
  await areServed(come(taken.listeners[0]!));
  for (const one of [cluster, loop]) await one.shutdown();
  await Promise.all([served, servedNext]);
});

test("ready() resolves although a Worker of the old process has no time to stop", async () => {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  const path = newPath();
  await using old = new TestCluster({ acceptMode: "reuseport", data: flags }, SHARED);
  using offer = offerListeners(path, [old.listener]);
  const [busy] = await old.connectAndAsk();
  busy.send("block");
  await until(() => Atomics.load(flags, 1) === 1, "it blocks");
  const taken = (await takeListeners(path))!;
  const loop = new EventLoop(ECHO);
  const served = loop.serve(taken.listeners[0]!);
  const peers = come(taken.listeners[0]!, 30); // some at the socket of the one that blocks
  await soon(taken.ready());
  await soon(offer.taken);
  await areServed([...peers, ...come(taken.listeners[0]!, 20)]);
  Atomics.store(flags, 0, 1);
  Atomics.notify(flags, 0);
  busy.close();
  await loop.shutdown();
  await served;
});

test("the sockets of a listener that was taken have one rate of accepting, and one bound", () =>
  leaks(async () => {
    const path = newPath();
    const ours = createListener("tcp", "127.0.0.1:0", SHARED);
    const siblings = [1, 2].map(() => listenerSocket(ours).sibling());
    listenerSocket(ours).siblings = siblings;
    using offer = offerListeners(path, [ours]);
    const taken = (await takeListeners(path))!;
    const limits = { acceptsPerSecond: 1, acceptsBurst: 4 };
    const listener = taken.listeners[0]!;
    const peers = come(listener, 60);
    const rationed = new EventLoop(ECHO, { limits });
    const served = rationed.serve(listener);
    await taken.ready();
    await offer.taken;
    await until(() => rationed.metrics().accepted >= 4, "as many as a burst has");
    await ticks(50);
    // One a second more; three rates would have taken 12 at once.
    assert(rationed.metrics().accepted < 10, `${rationed.metrics().accepted}`);
    assertEquals(rationed.metrics().listeners.length, 3);
    await rationed.shutdown(); // takes what waits
    await served;
    await areServed(peers);
  }));

tlsTest(
  "a cluster of TLS that shares its port passes all its sockets on, with certificates of the new one",
  async () => {
    const path = newPath();
    const tls = serverIdentity();
    await using old = new TestCluster({ acceptMode: "reuseport" }, { ...SHARED, tls });
    using offer = offerListeners(path, [old.listener]);
    const ask = async () => {
      const client = await dial(old.listener.address, {
        tls: { authorities: authority().certificate, serverName: "localhost" },
      });
      await send(client, "hello");
      assertEquals(await receive(client, 5), "hello");
      await client.close();
    };
    await ask();
    const taken = (await takeListeners(path, { optionsOf: () => ({ tls }) }))!;
    const cluster = new Cluster(HANDLER, { pollerCount: 3, acceptMode: "reuseport" });
    const served = cluster.serve(taken.listeners[0]!);
    await until(() => cluster.pollers.length === 3, "it serves");
    for (let n = 0; n < 10; n++) await ask();
    await taken.ready();
    await offer.taken;
    for (let n = 0; n < 20; n++) await ask();
    await cluster.shutdown({ timeoutMs: 1000 });
    await served;
  },
);

for (const acceptMode of ["reuseport", "handover"] as const) {
  test(`a new process that fails before it is ready has accepted nobody: ${acceptMode}`, async () => {
    await using old = new TestCluster({ acceptMode }, SHARED);
    await old.askMany(1);
    const path = newPath();
    using offer = offerListeners(path, [old.listener]);
    for (let n = 0; n < 3; n++) {
      const taken = (await takeListeners(path))!;
      const loop = new EventLoop(ECHO);
      const served = loop.serve(taken.listeners[0]!);
      const cluster = new Cluster(HANDLER, { pollerCount: 2, acceptMode });
      const another = (await takeListeners(path))!; // a second one comes
      const servedNext = cluster.serve(another.listeners[0]!);
      await until(() => cluster.pollers.length === 2, "it serves");
      const peers = come(old.listener);
      await assertRejects(() => taken.ready(), NetpollError, "does not wait any more");
      await areServed(peers);
      assertEquals([loop.metrics().accepted, cluster.connectionCount], [0, 0]);
      const last = come(old.listener);
      await cluster.shutdown();
      await loop.shutdown();
      await another.close();
      await areServed(last);
      await Promise.all([served, servedNext]);
    }
    assertEquals(await stateOf(offer.taken), "pending");
  });
}
