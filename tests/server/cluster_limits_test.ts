import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { Cluster } from "../../mod.ts";
import { loopOf } from "../../src/server/handler_module.ts";
import { TestCluster } from "../support/cluster.ts";
import { soon } from "../support/until.ts";

const handler = new URL("../support/cluster_handler.ts", import.meta.url);

test("Cluster accepts as fast as it may, and everybody in the end", async () => {
  await using served = new TestCluster({ limits: { acceptsPerSecond: 20, acceptsBurst: 2 } });
  const peers = Array.from({ length: 8 }, () => served.connect());
  for (const peer of peers) peer.send("hello");
  for (const peer of peers) assertEquals(await soon(peer.receive(5)), "hello");
  const { acceptor } = await served.cluster.metrics();
  assert(acceptor.limits.acceptWaits > 0);
  for (const peer of peers) peer.close();
});

test("Cluster gives each Worker its part of the limits", async () => {
  await using served = new TestCluster({ limits: { requestsPerSecond: 40, requestsBurst: 4 } });
  const peers = [served.connect(), served.connect()];
  for (let round = 1; round <= 6; round++) {
    for (const peer of peers) {
      peer.send("hello");
      assertEquals(await soon(peer.receive(5 * round)), "hello".repeat(round));
    }
  }
  const { pollers, total } = await served.cluster.metrics();
  assertEquals(pollers.length, 2);
  assert(total.limits.requestWaits > 0, "six calls of each, of which two can be at once");
  for (const peer of peers) peer.close();
});

test("Cluster refuses limits that mean nothing, and those that its handler module has as well", () => {
  assertThrows(() => new Cluster(handler, { limits: { acceptsBurst: 1 } }), TypeError, "accepts");
  assertThrows(() => new Cluster(handler, { limits: 5 as never }), TypeError, "no object");
  const limits = { requestsPerSecond: 5 };
  const module = { onRequest: () => {}, options: { limits } };
  assertThrows(() => loopOf(module, limits), TypeError, "both have limits");
});

test("Cluster refuses limits that contradict each other in a Worker's part, at once and in resize()", async () => {
  const limits = { bytesPerSecond: 8000, connection: { bytesPerSecondMin: 3000 } };
  assertThrows(
    () => new Cluster(handler, { limits, pollerCount: 4 }),
    RangeError,
    "over 4 pollers",
  );
  const cluster = new Cluster(handler, { limits, pollerCount: 2 });
  await assertRejects(() => cluster.resize(4), RangeError, "over 4 pollers");
  assertEquals(cluster.pollerCount, 2);
});
