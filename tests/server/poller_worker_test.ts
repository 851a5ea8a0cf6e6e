import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { ClosedError, NetpollError } from "../../mod.ts";
import { rawEnds, rawFromNumeric } from "../../src/net/address.ts";
import { entryOf } from "../../src/server/worker_entry.ts";
import { PollerWorker } from "../../src/server/poller_worker.ts";
import { soon, until } from "../support/until.ts";

const handler = new URL("../support/cluster_handler.ts", import.meta.url);
const own = new URL("../../src/server/cluster.ts", import.meta.url);

/** A module that knows nothing of netpoll. */
const NO_WORKER = new URL("../support/random.ts", import.meta.url);

/** A Worker without a cluster, and how it ended. */
class Scene {
  readonly ends: string[] = [];
  readonly worker: PollerWorker;

  constructor({ entry = entryOf({ url: own.href, main: false }, handler), hasRing = true } = {}) {
    const plan = {
      entry,
      hasRing,
      handler: handler.href,
      index: 3,
      pollerCount: 4,
      limits: null,
      data: null,
    };
    this.worker = new PollerWorker(plan, {
      onEnd: (_, error) => this.ends.push(error.message),
      onClosed: () => {},
      onTeardownError: (_, error) => this.ends.push(error.message),
    });
  }
}

test("PollerWorker serves what is handed over, and counts it", async () => {
  const { worker, ends } = new Scene();
  assertEquals([worker.index, worker.isServing, worker.canTake], [3, false, false]);
  await soon(worker.ready);
  assertEquals([worker.isServing, worker.canTake, worker.connectionCount], [true, true, 0]);
  assertEquals(worker.socketOptions.noDelay, true);
  const pair = new Int32Array(2);
  native.socketpair(pair);
  assertEquals(worker.push(pair[0]!, rawEnds().raw), true);
  assertEquals(worker.connectionCount, 1);
  native.close(pair[1]!);
  await until(() => worker.connectionCount === 0, "the connection ends");
  assertEquals(await soon(worker.drain(1000)), 0);
  worker.terminate();
  worker.terminate();
  assertEquals(ends, [], "an end that was asked for is no news");
});

test("PollerWorker.push() is false when its ring is full, and takeBack() takes it back", async () => {
  // This one ends without taking anything.
  const { worker } = new Scene({ entry: NO_WORKER });
  const peer = rawFromNumeric("10.0.0.1", 7);
  const fd = native.eventfd();
  for (let n = 0; n < 1024; n++) assertEquals(worker.push(fd, peer), true);
  assertEquals(worker.push(fd, peer), false);
  assertEquals(worker.connectionCount, 1024);
  const from = rawEnds().raw;
  for (let n = 0; n < 1024; n++) {
    assertEquals(worker.takeBack(from), fd);
    assertEquals(from[1], 7);
  }
  native.close(fd);
  worker.terminate();
  await assertRejects(() => worker.ready, ClosedError);
  assertEquals(worker.takeBack(from), -1);
});

test("PollerWorker.kill() is news to its owner, with what was lost", async () => {
  const { worker, ends } = new Scene();
  await soon(worker.ready);
  const pair = new Int32Array(2);
  native.socketpair(pair);
  worker.push(pair[0]!, rawEnds().raw);
  await until(() => worker.connectionCount === 1, "it has taken it");
  worker.kill();
  await until(() => ends.length === 1, "its end");
  assertMatch(ends[0]!, /^Worker 3 ended with code \d+; connections lost with it: [01]$/);
  assertEquals([worker.isServing, worker.canTake], [false, false]);
  native.close(pair[1]!);
});

test("PollerWorker.ready rejects, for a module that is not there or does not begin", async () => {
  const nowhere = new Scene({ entry: new URL("./nowhere.ts", import.meta.url) });
  await assertRejects(() => soon(nowhere.worker.ready), NetpollError, "Cannot start a Worker");
  const other = new Scene({ entry: NO_WORKER });
  await assertRejects(() => soon(other.worker.ready), NetpollError, "has to import netpoll");
  await until(() => nowhere.ends.length + other.ends.length === 2, "both are over");
});

test("PollerWorker without a ring takes nothing", async () => {
  const { worker } = new Scene({ hasRing: false });
  await soon(worker.ready);
  assertEquals(worker.takeBack(rawEnds().raw), -1);
  assertEquals(worker.connectionCount, 0);
  assertEquals(await soon(worker.drain(1000)), 0);
  worker.terminate();
});
