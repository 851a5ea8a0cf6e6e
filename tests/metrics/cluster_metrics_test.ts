import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { metrics } from "../../mod.ts";
import { latency, latencyMetrics, measureLatency } from "../../src/core/latency.ts";
import { clusterMetrics } from "../../src/metrics/cluster_metrics.ts";
import { TestCluster } from "../support/cluster.ts";
import { soon, until } from "../support/until.ts";

test("clusterMetrics() sums what several threads did, name by name", () => {
  const [a, b] = [metrics(), metrics()];
  a.errors = { EPIPE: 1, EMFILE: 2 };
  b.errors = { EPIPE: 3, ECONNRESET: 4 };
  a.calls.send = { calls: 1, notReady: 2, bytes: 3 };
  b.calls.send = { calls: 10, notReady: 20, bytes: 30 };
  a.poller.batches = [1, 2, 3];
  b.poller.batches = [10, 20, 30];
  const pollers = [
    { index: 0, connectionCount: 1, pendingCount: 0, metrics: b },
    { index: 1, connectionCount: 1, pendingCount: 0, metrics: null },
  ];
  const { total, acceptor } = clusterMetrics(a, pollers);
  assertEquals(total.errors, { EPIPE: 4, EMFILE: 2, ECONNRESET: 4 });
  assertEquals(total.calls.send, { calls: 11, notReady: 22, bytes: 33 });
  assertEquals(total.poller.batches, [11, 22, 33]);
  assertEquals([total.process, total.takenAtMs], [a.process, a.takenAtMs]);
  assertEquals(acceptor.calls.send.calls, 1); // not changed by the sum
  assertEquals(total.latency, null);
});

test("clusterMetrics() merges the times of the threads that measure", () => {
  const [a, b, c] = [metrics(), metrics(), metrics()];
  measureLatency(true);
  for (let n = 0; n < 99; n++) latency!.handler.record(10);
  b.latency = latencyMetrics();
  measureLatency(false);
  measureLatency(true);
  latency!.handler.record(1000);
  c.latency = latencyMetrics();
  measureLatency(false);
  const pollers = [b, c].map((metrics, index) => ({
    index,
    connectionCount: 0,
    pendingCount: 0,
    metrics,
  }));
  const { total } = clusterMetrics(a, pollers);
  const { count, sumMicros, maxMicros, p50Micros, p999Micros } = total.latency!.handler;
  assertEquals([count, sumMicros, maxMicros, p50Micros, p999Micros], [100, 1990, 1000, 10, 1000]);
  assertEquals(total.latency!.turn.count, 0);
});

test("Cluster.metrics() has what each Worker did, and the thread that accepts", async () => {
  await using test = new TestCluster();
  const accepted = metrics().connections.accepted;
  using first = test.connect();
  using second = test.connect();
  for (const peer of [first, second]) {
    peer.send("hello");
    assertEquals(await peer.receive(5), "hello");
  }
  const found = await soon(test.cluster.metrics());
  assertEquals(found.acceptor.connections.accepted - accepted, 2);
  assertEquals(
    found.pollers.map(({ index, connectionCount, pendingCount }) => ({
      index,
      connectionCount,
      pendingCount,
    })),
    [0, 1].map((index) => ({ index, connectionCount: 1, pendingCount: 0 })),
  );
  for (const poller of found.pollers) {
    assertEquals(poller.metrics!.connections.activeCount, 1);
    assertEquals(poller.metrics!.calls.receive.bytes, 5);
    assertEquals(poller.metrics!.calls.send.bytes, 5);
  }
  const { acceptor, total } = found;
  assertEquals(total.calls.send.bytes, acceptor.calls.send.bytes + 10);
  assertEquals(total.process.pid, acceptor.process.pid);
});

test("Cluster.metrics() leaves a Worker out that does not answer, and asks it again", async () => {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  await using test = new TestCluster({ data: flags, pollerCount: 2 });
  const [peer, index] = await test.connectAndAsk();
  using _ = peer;
  peer.send("block");
  await until(() => Atomics.load(flags, 1) === 1, "the Worker blocks");
  const { pollers } = await soon(test.cluster.metrics({ timeoutMs: 50 }));
  assertEquals(pollers.map(({ metrics }) => metrics === null), [index === 0, index === 1]);
  // It ends without an answer: who still waits is told so at once.
  const last = test.cluster.metrics({ timeoutMs: 60_000 });
  Atomics.store(flags, 0, 1);
  Atomics.notify(flags, 0);
  assert((await soon(last)).pollers.some(({ metrics }) => metrics === null));
});

test("Cluster.metrics() before it serves and after it was shut down has no Workers", async () => {
  const test = new TestCluster();
  await until(() => test.cluster.pollers.length === 2, "both serve");
  await test[Symbol.asyncDispose]();
  const { pollers, acceptor, total } = await soon(test.cluster.metrics());
  assertEquals(pollers.filter(({ metrics }) => metrics !== null), []);
  assertEquals(total, acceptor);
  await assertRejects(() => test.cluster.metrics({ timeoutMs: -1 }), RangeError);
});
