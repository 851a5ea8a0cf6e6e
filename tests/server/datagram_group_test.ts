import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  Cluster,
  type ClusterDatagramOptions,
  createDatagramSocket,
  createListener,
  type DatagramSocket,
  dialDatagram,
  SystemError,
} from "../../mod.ts";
import { killWorker } from "../../src/server/cluster.ts";
import { run as runFile } from "../support/child.ts";
import { bytes, texts } from "../support/datagrams.ts";
import { leaks } from "../support/leaks.ts";
import { until } from "../support/until.ts";

const HANDLER = new URL("../support/datagram_handler.ts", import.meta.url);
const POLLERS = 2;

/** A cluster that serves datagrams, shut down afterwards: nothing is left of it. */
async function withCluster(
  call: (at: string, cluster: Cluster) => Promise<void>,
  options: ClusterDatagramOptions = {},
): Promise<void> {
  await run(() => Promise.resolve(), {}); // what a runtime opens for its first Worker, it keeps
  await leaks(() => run(call, options));
}

async function run(
  call: (at: string, cluster: Cluster) => Promise<void>,
  options: ClusterDatagramOptions,
): Promise<void> {
  const onWorkerError = () => {}; // tests that kill Workers expect it
  const cluster = new Cluster(HANDLER, { pollerCount: POLLERS, onWorkerError });
  try {
    const { hostname, port } = await cluster.bindDatagram("udp4", "127.0.0.1:0", options);
    await call(`${hostname}:${port}`, cluster);
  } finally {
    await cluster.shutdown({ timeoutMs: 100 });
  }
}

function dial(at: string): Promise<DatagramSocket> {
  return dialDatagram("udp4", at, { readTimeoutMs: 10_000 });
}

async function ask(client: DatagramSocket, question: string): Promise<string> {
  client.write(bytes(question));
  await client.flush();
  return (await texts(client, 1))[0]!;
}

test("Cluster.bindDatagram() serves each peer by one poller, and all pollers serve", () =>
  withCluster(async (at) => {
    const seen = new Set<string>();
    for (let n = 0; n < 64 && seen.size < POLLERS; n++) {
      await using client = await dial(at);
      const first = await ask(client, "who");
      seen.add(first);
      for (let i = 0; i < 5; i++) assertEquals(await ask(client, "who"), first);
      assertEquals(await ask(client, "back"), "back");
      assertEquals(await ask(client, "later"), `later ${first}`);
    }
    assertEquals(seen.size, POLLERS);
  }));

test("Cluster.bindDatagram() chooses the poller by the byte at steerOffset", () =>
  withCluster(async (at) => {
    await using client = await dial(at);
    for (const byte of [0, 1, 2, 3, 65, 66]) {
      const question = `..${String.fromCharCode(byte)}.who`;
      assertEquals(await ask(client, question), `${byte % POLLERS}`);
    }
    assertEquals(await ask(client, ""), "", "one without that byte is served, too");
  }, { steerOffset: 2 }));

test("Cluster.bindDatagram() keeps peers and their datagrams while a Worker is replaced", () =>
  withCluster(async (at, cluster) => {
    const clients = await Promise.all(Array.from({ length: 16 }, () => dial(at)));
    const before = [];
    for (const client of clients) before.push(await ask(client, "who"));
    killWorker(cluster, 0);
    await until(() => cluster.pollers.length < POLLERS, "the Worker has ended");
    // Nobody serves these now: they wait in the sockets of the cluster.
    for (const client of clients) {
      client.write(bytes("who"));
      await client.flush();
    }
    for (const [i, client] of clients.entries()) {
      assertEquals(await texts(client, 1), [before[i]]);
      await client.close();
    }
  }));

test("Cluster.bindDatagram() goes on when a handler throws, and when its Worker ends", () =>
  withCluster(async (at, cluster) => {
    await using client = await dial(at);
    const index = await ask(client, "who");
    client.write(bytes("throw"));
    assertEquals(await ask(client, "who"), index);
    client.write(bytes("exit"));
    await client.flush();
    await until(() => cluster.pollers.length < POLLERS, "the Worker has ended");
    assertEquals(await ask(client, "who"), index);
  }));

test("Cluster.shutdown() gives the address of datagrams free", async () => {
  let at = "";
  await withCluster((address) => {
    at = address;
    return Promise.resolve();
  });
  createDatagramSocket("udp4", at)[Symbol.dispose]();
});

test("Cluster.bindDatagram() refuses what it cannot do, and leaves nothing", async () => {
  const other = new URL("../support/cluster_handler.ts", import.meta.url);
  const connections = new Cluster(other, { pollerCount: 1 });
  await assertRejects(
    () => connections.bindDatagram("udp", "127.0.0.1:0"),
    TypeError,
    "exports no onDatagram",
  );
  const bind = (options: object) => {
    const cluster = new Cluster(HANDLER, { pollerCount: 1 });
    return cluster.bindDatagram("udp", "127.0.0.1:0", options);
  };
  await assertRejects(() => bind({ steerOffset: -1 }), RangeError, "steerOffset");
  await assertRejects(() => bind({ steerLengthBytes: 4 }), TypeError, "steerOffset");
  for (const steerLengthBytes of [0, 21, 1.5, "4", null]) {
    const steer = { steerOffset: 0, steerLengthBytes };
    await assertRejects(() => bind(steer), RangeError, "steerLengthBytes");
  }
  const behind = { steerOffset: 65_500, steerLengthBytes: 8 };
  await assertRejects(() => bind(behind), RangeError, "steerOffset");
  await assertRejects(() => bind({ reusePort: false }), TypeError, "reusePort");
  await assertRejects(() => bind({ onDatagram() {} }), TypeError, "onDatagram");
  await assertRejects(() => bind({ idleTimeoutMs: 100 }), TypeError, "idleTimeoutMs");
  await withCluster(async (_, cluster) => {
    await assertRejects(() => cluster.resize(3), TypeError, "moves peers");
    await cluster.shutdown({ timeoutMs: 0 });
    const error = await cluster.bindDatagram("udp", "127.0.0.1:0").catch((error) => error);
    assert(error instanceof Error);
    assertEquals(error.name, "ClosedError");
  });
});

test("Cluster.bindDatagram() shares its address with nobody: that would move peers", () =>
  withCluster(async (at, cluster) => {
    await using shared = createDatagramSocket("udp4", "127.0.0.1:0", { reusePort: true });
    for (const taken of [at, shared.localAddress]) {
      const error = await assertRejects(() => cluster.bindDatagram("udp4", taken), SystemError);
      assertEquals(error.code, "EADDRINUSE");
    }
    await using client = await dial(at);
    assertEquals(await ask(client, "still"), "still");
  }));

test("Cluster.bindDatagram() with one poller steers to that one", async () => {
  const cluster = new Cluster(HANDLER, { pollerCount: 1 });
  try {
    const at = await cluster.bindDatagram("udp4", "127.0.0.1:0", { steerOffset: 0 });
    await using client = await dialDatagram(at, { readTimeoutMs: 10_000 });
    assertEquals(await ask(client, "who"), "0");
  } finally {
    await cluster.shutdown({ timeoutMs: 100 });
  }
});

test("Cluster.bindDatagram() ends no Worker where no descriptor is left: datagrams wait", async () => {
  const options = { descriptorsMax: 160 };
  const { stdout, stderr } = await runFile("tests/support/datagrams_full.ts", options);
  assertEquals(stdout, "early, ended 0\n", stderr);
  assert(stderr.includes("EMFILE"), stderr);
});

test("Cluster.bindDatagram() of a cluster that was shut down starts no Worker", async () => {
  await withCluster(async () => {
    const cluster = new Cluster(HANDLER, { pollerCount: POLLERS });
    await cluster.shutdown();
    await assertRejects(() => cluster.bindDatagram("udp", "127.0.0.1:0"), ClosedError);
  });
});

test("Cluster.serve() that fails ends no datagrams, and bindDatagram() no other group", () =>
  withCluster(async (at, cluster) => {
    const listener = createListener("tcp", "127.0.0.1:0");
    await assertRejects(() => cluster.serve(listener), TypeError, "exports no onRequest");
    await assertRejects(() => cluster.bindDatagram("udp", "192.0.2.1:0"), SystemError);
    await using client = await dial(at);
    assertEquals(await ask(client, "still"), "still");
  }));

test("Cluster.resize() and bindDatagram() take turns: each socket has its poller", async () => {
  for (const isResizedFirst of [true, false]) {
    const cluster = new Cluster(HANDLER, { pollerCount: POLLERS });
    const resize = () => cluster.resize(1).then(() => "resized", (error) => error.name);
    const early = isResizedFirst ? resize() : null;
    const bound = cluster.bindDatagram("udp4", "127.0.0.1:0", { steerOffset: 0 });
    const outcome = await (early ?? resize());
    try {
      assertEquals(outcome, isResizedFirst ? "resized" : "TypeError");
      await using client = await dialDatagram(await bound, { readTimeoutMs: 10_000 });
      // The first byte chooses the poller; a socket that has none would answer nothing.
      for (const text of ["a", "b"]) assertEquals(await ask(client, text), text);
    } finally {
      await cluster.shutdown({ timeoutMs: 100 });
    }
  }
});
