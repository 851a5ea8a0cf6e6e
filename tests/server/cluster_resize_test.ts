/**
 * Changing how many pollers a cluster has while it serves.
 */
import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { ClosedError, Cluster, createListener, NetpollError } from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { TestCluster } from "../support/cluster.ts";
import { withModule } from "../support/handlers.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, ticks, until } from "../support/until.ts";

function indexesOf({ pollers }: Cluster): number[] {
  return pollers.map(({ index }) => index);
}

test("resize() gives new pollers their share of what comes next (netpoll 182)", async () => {
  await using test = new TestCluster({ pollerCount: 1 });
  const [before] = await test.connectAndAsk();
  assertEquals(await soon(test.cluster.resize(3)), { cut: 0 });
  assertEquals([test.cluster.pollerCount, indexesOf(test.cluster)], [3, [0, 1, 2]]);
  const found = await test.askMany(6);
  assertEquals(found.sort(), [0, 0, 1, 1, 2, 2]);
  before.send("hello"); // who was there is served where he was
  assertEquals(await before.receive(6), "0hello");
  before.close();
});

test("resize() lets those that are too many finish what runs, and gives all of it back", async () => {
  const run = async () => {
    await using test = new TestCluster({ pollerCount: 3 });
    const peers: RawPeer[] = [];
    for (let n = 0; n < 3; n++) peers.push((await test.connectAndAsk())[0]);
    const [stays, idle, busy] = peers;
    busy!.send("begin");
    assertEquals(await busy!.receive(6), "2begin"); // alone: two sends may arrive as one
    busy!.send("slow");
    const resized = test.cluster.resize(1);
    await until(() => idle!.isOver, "the idle one of a poller that goes is closed");
    assertEquals(indexesOf(test.cluster), [0]);
    assertEquals(await test.askMany(3), [0, 0, 0]); // while the other still waits
    busy!.send("rest");
    assertEquals(await busy!.receive(10), "2beginrest");
    assertEquals(await soon(resized), { cut: 0 });
    assertEquals([test.cluster.pollerCount, stays!.isOver, test.errors], [1, false, []]);
    for (const peer of peers) peer.close();
  };
  await run(); // what a runtime opens for its first Worker, it keeps
  await leaks(run);
});

test("resize() cuts what is busy when its time is over, or its signal aborted", async () => {
  await using test = new TestCluster({ pollerCount: 3 });
  const peers: RawPeer[] = [];
  for (let n = 0; n < 3; n++) {
    const [peer] = await test.connectAndAsk();
    peer.send("slow");
    peers.push(peer);
  }
  assertEquals(await soon(test.cluster.resize(2, { timeoutMs: 50 })), { cut: 1 });
  assertEquals(await soon(test.cluster.resize(1, { signal: AbortSignal.abort() })), { cut: 1 });
  await until(() => peers[1]!.isOver && peers[2]!.isOver, "both are cut");
  assertEquals([peers[0]!.isOver, test.cluster.connectionCount], [false, 1]);
  for (const peer of peers) peer.close();
});

test("resize() may be called again at once: calls follow one another", async () => {
  await using test = new TestCluster({ pollerCount: 2 });
  const { cluster } = test;
  await soon(Promise.all([cluster.resize(4), cluster.resize(1), cluster.resize(3)]));
  assertEquals([cluster.pollerCount, indexesOf(cluster)], [3, [0, 1, 2]]);
  assertEquals((await test.askMany(3)).sort(), [0, 1, 2]);
});

test("resize() forgets the replacement of a Worker that is not wanted any more", async () => {
  await using test = new TestCluster({ pollerCount: 2 });
  await test.askMany(2);
  killWorker(test.cluster, 1);
  await until(() => test.errors.length === 1, "it has ended");
  await soon(test.cluster.resize(1));
  await soon(test.cluster.resize(2));
  assertEquals(indexesOf(test.cluster), [0, 1]);
  assertEquals((await test.askMany(2)).sort(), [0, 1]);
});

test("resize() rejects when a Worker cannot start: there are as many as before", async () => {
  const text = `
    export const onRequest = ({ reader, writer }) => {
      writer.writeBinary(reader.next(reader.length));
      writer.flush();
      reader.release();
    };
    export const setup = ({ index }) => { if (index === 2) throw new Error("no third"); };`;
  await withModule(text, async (url) => {
    const cluster = new Cluster(url, { pollerCount: 1 });
    const listener = createListener("tcp", "127.0.0.1:0");
    const served = cluster.serve(listener);
    await assertRejects(() => soon(cluster.resize(3)), NetpollError, "no third");
    assertEquals([cluster.pollerCount, indexesOf(cluster)], [1, [0]]);
    using peer = new RawPeer(listener);
    peer.send("hello");
    assertEquals(await peer.receive(5), "hello");
    assertEquals(await soon(cluster.resize(2)), { cut: 0 });
    await soon(cluster.shutdown({ timeoutMs: 100 }));
    await soon(served);
  });
});

test("resize() rejects when its Worker is killed, wherever its start was, and leaves nothing", async () => {
  const run = async () => {
    await using test = new TestCluster({ pollerCount: 1, data: "endless setup of 1" });
    for (const turns of [1, 3, 10, 100, 1000]) {
      await test.askMany(1);
      const rejected = assertRejects(() => soon(test.cluster.resize(2)), NetpollError, "with code");
      await ticks(turns);
      killWorker(test.cluster, 1);
      await rejected;
      assertEquals([test.cluster.pollerCount, await test.askMany(1)], [1, [0]]);
    }
  };
  await run(); // what a runtime opens for its first Worker, it keeps
  await leaks(run);
});

test("resize() twenty times leaves no descriptor, thread or block of the Workers", async () => {
  await using test = new TestCluster({ pollerCount: 1 });
  const change = async () => {
    await soon(test.cluster.resize(2));
    await test.askMany(2);
    await soon(test.cluster.resize(1));
  };
  await change(); // what a runtime opens for its first Worker, it keeps
  await leaks(async () => {
    for (let n = 0; n < 20; n++) await change();
  });
  assertEquals(test.errors, []);
});

test("shutdown() while pollers come or go ends them all", async () => {
  const test = new TestCluster({ pollerCount: 2 });
  const peers = [(await test.connectAndAsk())[0], (await test.connectAndAsk())[0]];
  for (const peer of peers) peer.send("slow");
  const fewer = test.cluster.resize(1);
  await until(() => test.cluster.pollers.length === 1, "one of them is going");
  const more = test.cluster.resize(3);
  assertEquals(test.cluster.connectionCount, 2);
  const late = assertRejects(() => soon(more), ClosedError, "shut down");
  assertEquals(await soon(test.cluster.shutdown({ timeoutMs: 50 })), { cut: 2 });
  assertEquals(await soon(fewer), { cut: 1 });
  await late;
  await soon(test.served);
  for (const peer of peers) peer.close();
});

test("resize() before serve() says how many start; it rejects what means nothing", async () => {
  const url = new URL("../support/cluster_handler.ts", import.meta.url);
  const cluster = new Cluster(url, { pollerCount: 3 });
  await cluster.resize(1);
  for (const count of [0, -1, 1.5, NaN]) {
    await assertRejects(() => cluster.resize(count), RangeError, "pollerCount");
  }
  await assertRejects(() => cluster.resize(2, { timeoutMs: -1 }), RangeError, "-1");
  const listener = createListener("tcp", "127.0.0.1:0");
  const served = cluster.serve(listener);
  using peer = new RawPeer(listener);
  peer.send("hello");
  assertEquals(await peer.receive(5), "hello");
  assertEquals(indexesOf(cluster), [0]);
  await soon(cluster.shutdown({ timeoutMs: 100 }));
  await soon(served);
  await assertRejects(() => cluster.resize(2), ClosedError, "shut down");
});
