import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  ConnectionPool,
  createListener,
  everyLoss,
  FakeClock,
  type Lease,
  memoryPair,
  SystemError,
  TimeoutError,
} from "../../mod.ts";
import { run } from "../support/child.ts";
import { leaks } from "../support/leaks.ts";
import { ask, echo, MemorySource, serveAt } from "../support/pool_bed.ts";
import { tlsTest } from "../support/pki.ts";
import { echoBack, serveSecure, trust } from "../support/secure.ts";
import { soon, stateOf, ticks, until } from "../support/until.ts";

test("acquire() lends the connection that was used last, again and again", async () => {
  await leaks(async () => {
    const server = serveAt();
    const pool = new ConnectionPool(server.address, { max: 3 });
    const lease = await soon(pool.acquire());
    const { connection } = lease;
    assertEquals(await soon(ask(connection, "hello")), "hello");
    lease.release();
    for (let i = 0; i < 10; i++) {
      using again = await soon(pool.acquire());
      assertStrictEquals(again.connection, connection);
    }
    const { size, idle, inUse, created, acquired } = pool.metrics();
    assertEquals({ size, idle, inUse, created, acquired, served: server.count }, {
      size: 1,
      idle: 1,
      inUse: 0,
      created: 1,
      acquired: 11,
      served: 1,
    });
    await pool.close();
    await server.stop();
  });
});

test("acquire() makes at most max, and serves those who wait in the order of coming", async () => {
  await leaks(async () => {
    const source = new MemorySource();
    const pool = new ConnectionPool(source.connect, { max: 2 });
    const [first, second] = [await soon(pool.acquire()), await soon(pool.acquire())];
    const order: number[] = [];
    const waiting = [0, 1, 2, 3].map((n) =>
      pool.acquire().then((lease) => {
        order.push(n);
        return lease;
      })
    );
    assertEquals([pool.metrics().waiting, source.openMax], [4, 2]);
    second!.release();
    first!.release();
    for (const each of waiting) (await soon(each)).release();
    assertEquals([order, source.openMax, pool.metrics().idle], [[0, 1, 2, 3], 2, 2]);
    await pool.close();
    for (const peer of source.peers) await peer.close();
  });
});

test("acquire() begins no more dials than there are who wait", async () => {
  const source = new MemorySource(false);
  const pool = new ConnectionPool(source.connect, { max: 100 });
  const waiting = [1, 2, 3].map(() => pool.acquire());
  await ticks(2);
  assertEquals(source.dials.length, 3);
  source.make();
  (await soon(waiting[0]!)).release();
  (await soon(waiting[1]!)).release(); // it got the one that came back
  await soon(waiting[2]!);
  assertEquals([source.dials.length, pool.metrics().dialing, pool.size], [2, 2, 3]);
  source.make();
  source.make();
  await until(() => pool.metrics().dialing === 0, "the dials for nobody end");
  assertEquals([pool.metrics().idle, pool.metrics().inUse], [2, 1]);
  await pool.close();
});

test("acquire() rejects with its deadline, its signal, or too many who wait; the dial goes on", async () => {
  using clock = new FakeClock();
  const source = new MemorySource(false);
  const pool = new ConnectionPool(source.connect, { max: 1, waitingMax: 2 });
  const late = pool.acquire({ timeoutMs: 50 });
  const aborting = new AbortController();
  const aborted = pool.acquire({ signal: aborting.signal });
  await assertRejects(() => pool.acquire(), BusyError, "2 others wait");
  const failures = Promise.all([
    assertRejects(() => late, TimeoutError, "No connection of the pool was free within 50 ms"),
    assertRejects(() => aborted, Error, "enough"),
  ]);
  aborting.abort(new Error("enough"));
  await clock.advance(50);
  assertEquals((await soon(failures))[0].operation, "acquire");
  await assertRejects(() => pool.acquire({ signal: aborting.signal }), Error, "enough");
  source.make();
  await until(() => pool.metrics().idle === 1, "the connection stays in the pool");
  const { waiting, failures: { acquire } } = pool.metrics();
  assertEquals([waiting, acquire], [0, 2]);
  (await soon(pool.acquire())).release();
  await pool.close();
});

test("acquire() rejects with what dial says, each of those who wait, and goes on afterwards", async () => {
  await leaks(async () => {
    const listener = createListener("127.0.0.1:0");
    const { address } = listener;
    listener.close();
    const pool = new ConnectionPool(address, { max: 2 });
    const all = [1, 2, 3, 4, 5].map(() => assertRejects(() => pool.acquire(), SystemError));
    const codes = (await soon(Promise.all(all))).map((error) => error.code);
    assertEquals(codes, new Array(5).fill("ECONNREFUSED"));
    assertEquals(pool.size, 0);
    const server = serveAt(echo, address);
    assertEquals(await soon(pool.use((connection) => ask(connection, "back"))), "back");
    await pool.close();
    await server.stop();
  });
});

test("release() closes what is not as it was: unread, unflushed, awaited, ended, with a handler", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect, { max: 1 });
  const spoil: [string, (lease: Lease) => void | Promise<void>][] = [
    ["unclean", async ({ connection }) => {
      source.peers.at(-1)!.writer.writeString("more");
      await source.peers.at(-1)!.writer.flush();
      await soon(connection.reader.wait(4));
    }],
    ["unclean", ({ connection }) => connection.writer.writeString("not flushed")],
    ["unclean", ({ connection }) => {
      connection.reader.wait(1).catch(() => {});
    }],
    ["unclean", ({ connection }) => connection.setOnRequest(() => {})],
    ["unclean", ({ connection }) => connection.pauseRead()],
    ["unclean", ({ connection }) => void connection.closeWrite()],
    ["ended", async ({ connection }) => void await connection.close()],
    ["ended", async ({ connection }) => {
      await source.peers.at(-1)!.closeWrite();
      await assertRejects(() => soon(connection.reader.wait(1)));
    }],
  ];
  const expected = { unclean: 0, ended: 0 };
  for (const [reason, run] of spoil) {
    const lease = await soon(pool.acquire());
    await run(lease);
    lease.release();
    expected[reason as keyof typeof expected] += 1;
    const { closed: { unclean, ended }, size } = pool.metrics();
    assertEquals({ unclean, ended, size }, { ...expected, size: 0 });
  }
  const lease = await soon(pool.acquire());
  lease.connection.readTimeoutMs = 5;
  lease.release();
  using again = await soon(pool.acquire());
  assertEquals([again.connection.readTimeoutMs, source.peers.length], [0, spoil.length + 1]);
  await pool.close();
  for (const peer of source.peers) await peer.close({ timeoutMs: 0 });
});

test("a connection that still sends while it closes counts for max", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect, { max: 1 });
  const lease = await soon(pool.acquire());
  source.peers[0]!.pauseRead();
  const { writer } = lease.connection;
  writer.writeBinary(new Uint8Array(32 << 20)); // more than the other end takes
  void writer.flush().catch(() => {});
  lease.release(new Error("enough"));
  const next = pool.acquire();
  assertEquals([await stateOf(next), source.open, pool.size], ["pending", 1, 0]);
  source.peers[0]!.reset();
  (await soon(next)).release();
  assertEquals([source.peers.length, source.openMax], [2, 1]);
  await pool.close();
  await source.peers[1]!.close();
});

test("there are never more than max: not for min, not to even addresses, not after a failure", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool([source.connect, source.connect, source.connect], {
    max: 2,
    min: 2,
  });
  for (let i = 0; i < 50; i++) {
    await soon(Promise.all([1, 2, 3].map(async (n) => {
      const lease = await pool.acquire();
      await ticks(i % 3);
      if ((n + i) % 2 === 0) lease.connection.writer.writeString("not flushed");
      lease.release(i % 7 === 0 ? new Error("failed") : undefined);
    })));
    if (i % 5 === 0) await soon(pool.warmUp());
  }
  assertEquals(source.openMax, 2);
  await pool.close();
  await until(() => source.open === 0, "all are closed");
  for (const peer of source.peers) await peer.close({ timeoutMs: 0 });
});

test("use() gives back what the function gives, and closes the connection when it fails", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect);
  assertEquals(await soon(pool.use(() => 5)), 5);
  const failing = pool.use(() => Promise.reject(new Error("half an answer")));
  await assertRejects(() => failing, Error, "half an answer");
  assertEquals([pool.metrics().closed.failed, pool.size], [1, 0]);
  await assertRejects(() => pool.use(5 as never), TypeError);
  await pool.close();
});

test("an idle connection goes after idleTimeoutMs, but for min of them; all go with their life", async () => {
  using clock = new FakeClock();
  const source = new MemorySource();
  const options = { min: 1, max: 3, idleTimeoutMs: 1000, lifetimeMs: 10_000 };
  const pool = new ConnectionPool(source.connect, options);
  const leases = await soon(Promise.all([1, 2, 3].map(() => pool.acquire())));
  for (const lease of leases) lease.release();
  await clock.advance(999);
  assertEquals(pool.size, 3);
  await clock.advance(2);
  assertEquals([pool.size, pool.metrics().closed.idle], [1, 2]);
  await clock.advance(6900);
  assertEquals(pool.metrics().closed.lifetime, 0);
  await clock.advance(2200);
  assertEquals([pool.size, pool.metrics().closed.lifetime], [1, 1]);
  await pool.close();
});

test("an idle connection that its peer ends is closed, and is given to nobody", async () => {
  await leaks(async () => {
    const server = serveAt();
    const pool = new ConnectionPool(server.address);
    await soon(pool.use((connection) => ask(connection, "one")));
    for (const connection of server.connections) connection.reset();
    await until(() => pool.metrics().closed.ended === 1, "the pool hears of it");
    assertEquals(pool.size, 0);
    await soon(pool.use((connection) => ask(connection, "two")));
    for (const connection of server.connections) void connection.close();
    await soon(pool.use((connection) => ask(connection, "three")));
    await pool.close();
    await server.stop();
  });
});

test("probe decides whether an idle connection is given", async () => {
  using clock = new FakeClock();
  const source = new MemorySource();
  const probed: string[] = [];
  let answer: () => boolean | Promise<boolean> = () => true;
  const pool = new ConnectionPool(source.connect, {
    max: 2,
    probeTimeoutMs: 100,
    probe() {
      probed.push("probe");
      return answer();
    },
  });
  await soon(pool.use(() => {}));
  assertEquals(probed.length, 0); // it was just made
  await soon(pool.use(() => {}));
  assertEquals([probed.length, source.peers.length], [1, 1]);
  answer = () => false;
  await soon(pool.use(() => {}));
  assertEquals([pool.metrics().failures.probe, source.peers.length], [1, 2]);
  answer = () => new Promise(() => {});
  const waiting = pool.acquire();
  assertEquals(await stateOf(waiting), "pending");
  assertEquals(pool.metrics().probing, 1);
  await clock.advance(100);
  (await soon(waiting)).release();
  assertEquals([pool.metrics().failures.probe, source.peers.length], [2, 3]);
  await pool.close();
});

test("warmUp() makes connections before anybody asks, and says why it cannot", async () => {
  await leaks(async () => {
    const server = serveAt();
    const pool = new ConnectionPool(server.address, { min: 2, max: 4 });
    await until(() => pool.metrics().idle === 2, "min is made by itself");
    await soon(pool.warmUp(4));
    assertEquals([pool.metrics().idle, pool.size], [4, 4]);
    await assertRejects(() => pool.warmUp(5), RangeError);
    await server.stop();
    await until(() => pool.metrics().idle === 0, "all have ended");
    await assertRejects(() => soon(pool.warmUp()), SystemError);
    await pool.close();
    await assertRejects(() => pool.warmUp(), ClosedError);
  });
});

test("warmUp() counts the dials of others, and never makes more than max", async () => {
  const source = new MemorySource(false);
  const pool = new ConnectionPool(source.connect, { min: 2, max: 4 });
  await ticks(2);
  const waiting = pool.acquire();
  const warm = [pool.warmUp(4), pool.warmUp(3)];
  await ticks(2);
  assertEquals([source.dials.length, pool.size], [4, 4]);
  for (let i = 0; i < 4; i++) source.make();
  await soon(Promise.all(warm));
  assertEquals([pool.metrics().idle, pool.metrics().inUse], [3, 1]);
  const closing = new ConnectionPool(new MemorySource(false).connect);
  const given = assertRejects(() => closing.warmUp(1), ClosedError);
  await closing.close();
  await soon(given);
  (await waiting).release();
  await pool.close();
});

test("a process ends when the idle connections of its pool have", async () => {
  const server = serveAt();
  const { hostname, port } = server.address as { hostname: string; port: number };
  const { code, stdout, stderr } = await run("tests/support/pool_exit.ts", {
    args: [`${hostname}:${port}`],
  });
  assertEquals([code, stderr, stdout], [0, "", "hello\nclosed 1\n"]);
  await server.stop();
});

tlsTest("a pool over TLS", async () => {
  await using server = serveSecure(echoBack);
  const pool = new ConnectionPool(server.listener.address, { min: 1, dial: { tls: trust() } });
  assertEquals(await soon(pool.use((connection) => ask(connection, "hi"))), "hi");
  assertEquals(await soon(pool.use((connection) => ask(connection, "again"))), "again");
  assertEquals(pool.metrics().created, 1);
  await pool.close();
});

test("drain() serves who waits already and nobody else, and cuts what is late", async () => {
  using clock = new FakeClock();
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect, { max: 1 });
  const held = await soon(pool.acquire());
  const waiting = pool.acquire();
  const drained = pool.drain();
  await assertRejects(() => pool.acquire(), ClosedError);
  held.release();
  const last = await soon(waiting);
  assertEquals([await stateOf(drained), pool.isActive], ["pending", false]);
  last.release();
  assertEquals([await soon(drained), pool.size], [{ cutCount: 0 }, 0]);

  const other = new ConnectionPool(source.connect);
  const late = await soon(other.acquire());
  const cut = other.drain({ timeoutMs: 20 });
  await clock.advance(20);
  assertEquals(await soon(cut), { cutCount: 1 });
  assertEquals(late.connection.isActive, false);
  late.release(); // harmless
});

test("drain() waits for nothing that nobody wants: a dial, a probe, or one for who gave up", async () => {
  const source = new MemorySource(false);
  const filled = new ConnectionPool(source.connect, { min: 1 });
  await until(() => filled.metrics().dialing === 1, "min is on its way");
  assertEquals(await soon(filled.drain()), { cutCount: 0 });

  const asked = new ConnectionPool(source.connect);
  const abort = new AbortController();
  const waiting = asked.acquire({ signal: abort.signal });
  const drained = asked.drain();
  assertEquals(await stateOf(drained), "pending");
  abort.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  assertEquals(await soon(drained), { cutCount: 0 });

  const ready = new MemorySource();
  const probed = new ConnectionPool(ready.connect, { probe: () => new Promise(() => {}) });
  (await soon(probed.acquire())).release();
  await assertRejects(() => probed.acquire({ timeoutMs: 1 }), TimeoutError);
  assertEquals(probed.metrics().probing, 1);
  assertEquals(await soon(probed.drain()), { cutCount: 0 });
  await until(() => ready.open === 0, "the one that was probed is closed");
});

test("close() rejects who waits, ends dials, and closes what is in use", async () => {
  await leaks(async () => {
    const source = new MemorySource(false);
    const pool = new ConnectionPool(source.connect, { max: 2 });
    const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
    await ticks(2);
    source.make();
    const lease = await soon(waiting[0]!);
    const rejections = waiting.slice(1).map((each) => assertRejects(() => each, ClosedError));
    await soon(pool.close());
    await soon(Promise.all(rejections));
    assertEquals(lease.connection.isActive, false);
    source.make(); // too late
    await until(() => source.open === 0, "the late one is closed");
    await pool.close();
    await assertRejects(() => pool.acquire(), ClosedError);
    for (const peer of source.peers) await peer.close();
  });
});

test("a pool over Unix sockets, and names with several addresses", async () => {
  await leaks(async () => {
    const unix = serveAt(echo, "unix:@pool-test");
    const named = serveAt(echo, "localhost:0");
    const { port } = named.address as { port: number };
    for (const at of [unix.address, `localhost:${port}`]) {
      const pool = new ConnectionPool(at, { min: 1 });
      assertEquals(await soon(pool.use((connection) => ask(connection, "hi"))), "hi");
      await pool.close();
    }
    await unix.stop();
    await named.stop();
  });
});

test("use() tells a loss of its connection once, wherever it is, and goes on with another", () =>
  leaks(async () => {
    const second = { onRequest: echo };
    await everyLoss(async (first) => {
      const connections = [first];
      const pool = new ConnectionPool(
        () => Promise.resolve(connections.pop() ?? memoryPair({ second })[0]),
      );
      const use = () => pool.use((connection) => ask(connection, "ping"));
      const results: string[] = [];
      for (let i = 0; i < 3; i++) results.push(await use().catch(({ name }) => name));
      await pool.close();
      const failed = results.filter((each) => each !== "ping");
      assertEquals(failed, failed.length === 0 ? [] : ["EofError"]);
    }, { second });
  }));
