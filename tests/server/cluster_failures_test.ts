/**
 * A cluster that cannot start, or cannot end well: who is told what, and that nothing is left.
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  Cluster,
  type ClusterOptions,
  createListener,
  type Listener,
  NetpollError,
  prometheus,
  SystemError,
} from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { TestCluster } from "../support/cluster.ts";
import { type Call, failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { soon, until } from "../support/until.ts";

const ENOMEM = 12;
const EMFILE = 24;
const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);

/** Keeps this thread, while others go on. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** A cluster that is served from one listener, and why it could not. */
async function fail(handler: URL, options: ClusterOptions = {}): Promise<[unknown, Listener]> {
  const listener = createListener("tcp", "127.0.0.1:0", { reusePort: true });
  const cluster = new Cluster(handler, { pollerCount: 2, ...options });
  const error = await soon(cluster.serve(listener).then(() => "served", (error) => error));
  return [error, listener];
}

/** A runtime keeps the descriptors that it opens for its first Worker. */
async function warmUp(): Promise<void> {
  await using test = new TestCluster();
  await until(() => test.cluster.pollers.length === 2, "both serve");
}

const FAULTS: readonly [call: Call, errno: number, skip: number, code: string][] = [
  ["eventfd", EMFILE, 0, "EMFILE"],
  ["eventfd", EMFILE, 2, "EMFILE"],
  ["timerfd", EMFILE, 0, "EMFILE"],
  ["epollCreate", EMFILE, 0, "EMFILE"],
  ["epollCtl", ENOMEM, 0, "ENOMEM"],
  ["thread", ENOMEM, 0, "ENOMEM"],
];

for (const [call, errno, skip, code] of FAULTS) {
  faultTest(`Cluster.serve() tells ${code} of ${call} ${skip} and leaves nothing`, async () => {
    await warmUp();
    await leaks(async () => {
      failWith(call, errno, { skip });
      const [error, listener] = await fail(HANDLER);
      assert(error instanceof SystemError, String(error));
      assertEquals([error.code, listener.fd], [code, -1]);
    });
  });
}

faultTest(
  'Cluster.serve() with "reuseport" leaves no socket when one is missing',
  () =>
    leaks(async () => {
      failWith("socket", EMFILE, { skip: 2 });
      const [error, listener] = await fail(HANDLER, { acceptMode: "reuseport", pollerCount: 4 });
      assert(error instanceof SystemError, String(error));
      assertEquals([error.code, listener.fd], ["EMFILE", -1]);
    }),
);

faultTest("Cluster.serve() of another listener fails alone", async () => {
  await using test = new TestCluster();
  await test.connectAndAsk().then(([peer]) => peer.close());
  const second = createListener("tcp", "127.0.0.1:0");
  failWith("epollCtl", ENOMEM, { fd: second.fd });
  await assertRejects(() => soon(test.cluster.serve(second)), SystemError, "ENOMEM");
  assertEquals(second.fd, -1);
  assertEquals(await test.askMany(2), [1, 0]);
});

test("Cluster.serve() tells why a handler module cannot be had", async () => {
  const [missing, listener] = await fail(new URL("./no_such_module.ts", import.meta.url));
  assert(missing instanceof NetpollError, String(missing));
  assertMatch(missing.message, /no_such_module/);
  assertEquals(listener.fd, -1);
  const [thrown] = await fail(new URL("data:text/javascript,throw { message: 'an object' }"));
  assert(thrown instanceof NetpollError, String(thrown));
  assertMatch(thrown.message, /an object$/);
});

test("Cluster.serve() tells of a setup that ends its Worker, and does not blame a bundle", async () => {
  const [error] = await fail(HANDLER, { data: "exit in setup" });
  assert(error instanceof NetpollError, String(error));
  assertMatch(error.message, /ended with code 7: its import or its setup/);
});

for (const how of ["shutdown", "resize"] as const) {
  test(`Cluster.${how}() tells of a teardown that throws`, async () => {
    await using test = new TestCluster({ data: "bad teardown" });
    await until(() => test.cluster.pollers.length === 2, "both serve");
    if (how === "resize") await soon(test.cluster.resize(1));
    else await soon(test.cluster.shutdown());
    const count = how === "resize" ? 1 : 2;
    assertEquals(test.errors.length, count);
    for (const message of test.errors) {
      assertMatch(message, /^Worker \d failed in its teardown: thrown in teardown$/);
    }
  });
}

/** Ends both Workers, or one of them. How many that are. */
async function endWorkers(test: TestCluster, how: "shutdown" | "resize"): Promise<number> {
  await until(() => test.cluster.pollers.length === 2, "both serve");
  const { cut } = how === "resize"
    ? await soon(test.cluster.resize(1, { timeoutMs: 50 }))
    : await soon(test.cluster.shutdown({ timeoutMs: 50 }));
  assertEquals(cut, 0);
  return how === "resize" ? 1 : 2;
}

for (const how of ["shutdown", "resize"] as const) {
  test(`Cluster.${how}() tells of a teardown that does not end in time`, async () => {
    await using test = new TestCluster({ data: "endless teardown" });
    assertEquals(await endWorkers(test, how), test.errors.length);
    for (const message of test.errors) {
      assertMatch(
        message,
        /^Worker \d did not end in time, its teardown has not settled; .* it: 0$/,
      );
    }
  });

  test(`Cluster.${how}() tells of a Worker that exits in its teardown`, async () => {
    await using test = new TestCluster({ data: "exit in teardown" });
    assertEquals(await endWorkers(test, how), test.errors.length);
    for (const message of test.errors) assertMatch(message, /^Worker \d ended with code 6; /);
  });
}

test("a thread that was busy takes no answer of a Worker for one that came too late", async () => {
  await using test = new TestCluster();
  await until(() => test.cluster.pollers.length === 2, "both serve");
  const measured = test.cluster.metrics({ timeoutMs: 20 });
  block(500); // the answers come meanwhile
  const { pollers } = await soon(measured);
  assertEquals(pollers.map(({ metrics }) => metrics !== null), [true, true]);
  const shutdown = test.cluster.shutdown({ timeoutMs: 0 });
  block(1500); // longer than a Worker may take
  assertEquals(await soon(shutdown), { cut: 0 });
  assertEquals(test.errors, []);
});

test("Cluster.metrics() has a poller whose Worker has ended, at 0", async () => {
  await using test = new TestCluster();
  await until(() => test.cluster.pollers.length === 2, "both serve");
  killWorker(test.cluster, 1);
  await until(() => test.errors.length === 1, "its end is noticed");
  const found = await soon(test.cluster.metrics());
  assertEquals(found.pollers.map(({ index }) => index), [0, 1]);
  const lines = prometheus(found).split("\n").filter((line) => line.includes("poller_up{"));
  assertEquals(lines.map((line) => line.slice(-1)), ["1", "0"]);
});
