import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { Cluster, createListener, SystemError, type TcpAddress } from "../../mod.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { rawAddress } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import type { ListenerSocket } from "../../src/net/listener_socket.ts";
import { killWorker } from "../../src/server/cluster.ts";
import type { PollerWorker } from "../../src/server/poller_worker.ts";
import { SharedListener } from "../../src/server/shared_listener.ts";
import { TestCluster } from "../support/cluster.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";
import { RawPeer } from "../support/raw_peer.ts";
import { soon, until } from "../support/until.ts";

const SHARED = { reusePort: true } as const;
const open = () => createListener("tcp", "127.0.0.1:0", SHARED);

/** A Worker that serves, and writes down where it listens. */
class FakeWorker {
  readonly isServing = true;
  readonly socketOptions = {};
  readonly fds = new Set<number>();

  listen({ fd }: ListenerSocket): void {
    this.fds.add(fd);
  }

  unlisten(fd: number): Promise<void> {
    this.fds.delete(fd);
    return Promise.resolve();
  }
}

function fakes(count: number): FakeWorker[] {
  return Array.from({ length: count }, () => new FakeWorker());
}

function spread(shared: SharedListener, workers: (FakeWorker | null)[]): void {
  shared.spread(workers as unknown as PollerWorker[]);
}

/** Takes all that waits at a socket. The number. */
function takeAll(socket: ListenerSocket): number {
  const raw = rawAddress();
  for (let n = 0;; n++) {
    const fd = socket.accept(raw);
    if (fd === NOT_READY) return n;
    assert(fd >= 0);
    native.close(fd);
  }
}

/** Connects so many times. The numbers of those that came at each socket. */
function arrivals(listener: ListenerSocket, count: number): number[] {
  const peers = Array.from({ length: count }, () => new RawPeer(listener));
  const numbers = [listener, ...listener.siblings].map(takeAll);
  for (const peer of peers) peer.close();
  return numbers;
}

test("SharedListener keeps its sockets with fewer pollers, and lets newcomers come to one of each", () =>
  leaks(() => {
    const first = listenerSocket(open());
    const shared = new SharedListener(first, 3, () => {});
    const [a, b, c, d] = fakes(4);
    spread(shared, [a!, b!, c!]);
    assert(arrivals(first, 200).every((count) => count > 0));
    spread(shared, [a!, b!]);
    const fds = [first, ...first.siblings].map(({ fd }) => fd);
    assertEquals([...a!.fds, ...b!.fds, ...c!.fds], [fds[0], fds[2], fds[1]]);
    const [atFirst, atSecond, atThird] = arrivals(first, 200);
    assert(atFirst! > 0 && atSecond! > 0, `${atFirst} ${atSecond}`);
    assertEquals(atThird, 0);
    spread(shared, [a!, b!, c!, d!]);
    assertEquals([a, b, c, d].map((worker) => worker!.fds.size), [1, 1, 1, 1]);
    assert(arrivals(first, 400).every((count) => count > 0), "all of them, again");
    shared.close();
  }));

test("SharedListener leaves its number of sockets while another process has them", () =>
  leaks(() => {
    const first = listenerSocket(open());
    first.freeze("here");
    const workers = fakes(3);
    const shared = new SharedListener(first, 3, () => spread(shared, workers));
    spread(shared, workers);
    assertEquals([first.siblings.length, workers.map(({ fds }) => fds.size)], [0, [1, 0, 0]]);
    first.thaw();
    assertEquals([first.siblings.length, workers.map(({ fds }) => fds.size)], [2, [1, 1, 1]]);
    first.close();
  }));

test("a socket whose Worker is being replaced waits for the successor", () =>
  leaks(() => {
    const first = listenerSocket(open());
    const shared = new SharedListener(first, 2, () => {});
    const [a, b, successor] = fakes(3);
    spread(shared, [a!, b!]);
    spread(shared, [a!, null]);
    assertEquals([a!.fds.size, b!.fds.size], [1, 1]);
    spread(shared, [a!, successor!]);
    assertEquals([a!.fds.size, b!.fds.size, successor!.fds.size], [1, 0, 1]);
    shared.close();
  }));

test("a shared listener that its user closes keeps its descriptors until Workers have let them go", () =>
  leaks(async () => {
    const listener = open();
    const first = listenerSocket(listener);
    const shared = new SharedListener(first, 2, () => {});
    const [a, b] = fakes(2);
    const answer = Promise.withResolvers<void>();
    b!.unlisten = () => answer.promise;
    spread(shared, [a!, b!]);
    const { fd } = listener;
    listener.close();
    assertEquals([listener.fd, shared.isStopped, a!.fds.size], [-1, true, 0]);
    const number = native.dup(fd);
    assert(number >= 0, "it is open still");
    native.close(number);
    answer.resolve();
    await first.closing;
    assert(native.dup(fd) < 0);
    await first.siblings[0]!.closing;
    spread(shared, [a!, b!]);
    assertEquals(a!.fds.size, 0, "nobody gets them any more");
  }));

test("a shared listener that is closed while nobody accepts is closed at once, and given to nobody", () =>
  leaks(() => {
    const first = listenerSocket(open());
    const shared = new SharedListener(first, 2, () => {});
    spread(shared, [null, null]);
    first.close();
    assertEquals([first.fd, first.closing, shared.isStopped], [-1, null, true]);
    const workers = fakes(3);
    spread(shared, workers);
    assertEquals([first.siblings.length, workers.map(({ fds }) => fds.size)], [1, [0, 0, 0]]);
  }));

/** A cluster whose second Worker has no time, and peers that wait at its socket, too. */
async function withWaiting(
  run: (test: TestCluster, peers: RawPeer[], flags: Int32Array) => Promise<void>,
): Promise<void> {
  const flags = new Int32Array(new SharedArrayBuffer(12));
  await using test = new TestCluster({ acceptMode: "reuseport", data: flags }, SHARED);
  for (let n = 0; Atomics.load(flags, 1) === 0; n++) {
    assert(n < 200, "some come to the second one");
    const [peer, index] = await test.connectAndAsk();
    if (index === 1) peer.send("block");
    if (index === 1) await until(() => Atomics.load(flags, 1) === 1, "it blocks");
    if (index === 0) peer.close();
  }
  const peers = Array.from({ length: 60 }, () => test.connect());
  for (const peer of peers) peer.send("hello");
  await run(test, peers, flags);
  for (const peer of peers) {
    assertEquals(await peer.receive(5), "hello");
    assert(!peer.isReset);
    peer.close();
  }
}

test("resize() of a cluster that shares its port resets nobody who waits at the socket of one that goes", () =>
  withWaiting(async ({ cluster }) => {
    await cluster.resize(1, { timeoutMs: 0 });
    assertEquals(cluster.pollerCount, 1);
  }));

test("a Worker that dies resets nobody who waits at its socket", () =>
  withWaiting(async ({ cluster, errors }) => {
    killWorker(cluster, 1);
    await until(() => errors.length === 1, "its end is reported");
  }));

test("resize() of a cluster that shares its port gives new pollers sockets, and old ones again", async () => {
  const run = async () => {
    await using test = new TestCluster({ acceptMode: "reuseport", pollerCount: 1 }, SHARED);
    const found = async (count: number) => {
      const indexes = new Set<number>();
      for (let n = 0; n < 300 && indexes.size < count; n++) {
        for (const index of await test.askMany(1)) indexes.add(index);
      }
      return [...indexes].sort();
    };
    assertEquals(await found(1), [0]);
    assertEquals(await soon(test.cluster.resize(3)), { cut: 0 });
    assertEquals(await found(3), [0, 1, 2]);
    assertEquals(await soon(test.cluster.resize(2)), { cut: 0 });
    assertEquals(await found(2), [0, 1]);
    assertEquals(await soon(test.cluster.resize(3)), { cut: 0 });
    assertEquals(await found(3), [0, 1, 2]);
    assertEquals(test.errors, []);
  };
  await run(); // what a runtime opens for its first Worker, it keeps
  await leaks(run);
});

test("a cluster that shares its port goes on when one of its listeners is closed", async () => {
  await using test = new TestCluster({ acceptMode: "reuseport" }, SHARED);
  const second = open();
  void test.cluster.serve(second);
  await test.askMany(1);
  using peer = new RawPeer(second);
  peer.send("hello");
  assertEquals(await peer.receive(5), "hello");
  const { port } = second.address as TcpAddress;
  second.close();
  await until(() => {
    try {
      using again = createListener("tcp", `127.0.0.1:${port}`);
      return again.fd >= 0;
    } catch {
      return false; // until its Workers have let it go
    }
  }, "its port is free");
  await test.askMany(4);
});

faultTest(
  "resize() of a cluster that shares its port changes nothing when a socket is missing",
  async () => {
    await using test = new TestCluster({ acceptMode: "reuseport" }, SHARED);
    await test.askMany(1);
    failWith("socket", ERRNO.EMFILE);
    const error = await assertRejects(() => soon(test.cluster.resize(3)), SystemError);
    assertEquals([error.code, test.cluster.pollerCount], ["EMFILE", 2]);
    await test.askMany(4);
  },
);

test("a cluster that is to share its port needs a listener that can, whoever opened it", async () => {
  const cluster = new Cluster(new URL("../support/cluster_handler.ts", import.meta.url), {
    pollerCount: 2,
    acceptMode: "reuseport",
  });
  const listener = createListener("tcp", "127.0.0.1:0");
  listenerSocket(listener).freeze("here");
  await assertRejects(() => cluster.serve(listener), TypeError, "reusePort: true");
  assertEquals(listener.fd, -1);
});
