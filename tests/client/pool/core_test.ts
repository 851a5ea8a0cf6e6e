import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import {
  BusyError,
  ClosedError,
  type Connection,
  ConnectionPool,
  EofError,
  FakeClock,
  FrameError,
  type Lease,
  memoryPair,
  NetpollError,
  SystemError,
  TimeoutError,
} from "../../../mod.ts";
import { ERRNO } from "../../../src/core/errno.ts";
import { leaks } from "../../support/leaks.ts";
import { ask, echo, MemorySource, serveAt, type Served } from "../../support/pool_bed.ts";
import { type Random, seededRandom } from "../../support/random.ts";
import { soon, ticks, until } from "../../support/until.ts";

/** Those who wait, and have: as a schedule sees them. */
class Users {
  readonly held: Lease[] = [];
  readonly asked: { state: string; count: number; abort: AbortController }[] = [];
  /** The number of each one that was served, in the order of being served. */
  readonly served: number[] = [];

  ask(pool: ConnectionPool, timeoutMs: number): void {
    const abort = new AbortController();
    const user = { state: "waiting", count: 0, abort };
    const n = this.asked.push(user) - 1;
    const settle = (state: string) => {
      user.state = state;
      user.count += 1;
    };
    pool.acquire({ timeoutMs, signal: abort.signal }).then((lease) => {
      settle("served");
      this.served.push(n);
      this.held.push(lease);
    }, () => settle("failed"));
  }

  giveBack(random: Random): void {
    if (this.held.length === 0) return;
    const [lease] = this.held.splice(random.below(this.held.length), 1);
    const { connection } = lease!;
    if (random.chance(0.1) && connection.isActive) connection.writer.writeString("not flushed");
    if (random.chance(0.1)) connection.reset();
    lease!.release(random.chance(0.1) ? new Error("failed") : undefined);
  }
}

async function runSchedule(seed: number): Promise<void> {
  using clock = new FakeClock();
  const random = seededRandom(seed);
  const sources = Array.from({ length: 1 + random.below(3) }, () => new MemorySource(false));
  const max = 1 + random.below(4);
  const pool = new ConnectionPool(sources.map((source) => source.connect), {
    max,
    min: random.below(max + 1),
    idleTimeoutMs: 50,
    lifetimeMs: 200,
    ejectAfter: 2,
    ejectMs: 20,
    ...(random.chance(0.5) ? { probe: () => random.chance(0.9) } : {}),
  });
  const users = new Users();
  for (let step = 0; step < 150; step++) {
    const source = random.pick(sources);
    if (random.chance(0.3)) users.ask(pool, random.pick([0, 10, 40]));
    else if (random.chance(0.4)) users.giveBack(random);
    else if (random.chance(0.5) && source.dials.length > 0) {
      if (random.chance(0.75)) source.make();
      else source.fail(new Error("refused"));
    } else if (random.chance(0.2)) random.pick(source.peers)?.reset();
    else if (random.chance(0.25)) users.asked.at(-1)?.abort.abort();
    else await clock.advance(random.below(12));
    await ticks(random.below(2));
    const { size, idle, inUse, dialing, probing, addresses } = pool.metrics();
    assert(size <= max, `${size} connections, seed ${seed}`);
    assertEquals(size, idle + inUse + dialing + probing);
    assertEquals(addresses.reduce((sum, each) => sum + each.size, 0), size, `seed ${seed}`);
    assertEquals(addresses.reduce((sum, each) => sum + each.inUse, 0), inUse + probing);
  }
  for (const lease of users.held.splice(0)) lease.release();
  await soon(pool.close());
  for (const source of sources) while (source.dials.length > 0) source.make();
  await until(() => sources.every(({ open }) => open === 0), `all are closed, seed ${seed}`);
  assertEquals(users.asked.filter(({ count }) => count !== 1), [], `seed ${seed}`);
  // First come, first served.
  assertEquals(users.served, users.served.toSorted((a, b) => a - b), `seed ${seed}`);
  const { created, closed, size } = pool.metrics();
  assertEquals([Object.values(closed).reduce((a, b) => a + b), size], [created, 0], `seed ${seed}`);
}

test("a pool keeps its promises in any order of events", async () => {
  for (let seed = 1; seed <= 60; seed++) await runSchedule(seed);
});

test("several addresses share the load, an ejected one is left alone, and let in again", async () => {
  await leaks(async () => {
    const servers: Served[] = [serveAt(), serveAt(), serveAt()];
    const pool = new ConnectionPool(servers.map(({ address }) => address), {
      max: 12,
      ejectAfter: 2,
      ejectMs: 20,
    });
    const round = () =>
      Promise.all(Array.from({ length: 12 }, () =>
        pool.use(async (connection) => {
          assertEquals(await ask(connection, "hello"), "hello");
        })));
    const sizes = () => pool.metrics().addresses.map(({ size }) => size);
    await soon(round());
    await until(() => pool.metrics().dialing === 0, "all have connected");
    await soon(round());
    assert(Math.max(...sizes()) - Math.min(...sizes()) <= 4, `${sizes()}`);
    await servers[1]!.stop();
    await until(() => sizes()[1] === 0, "its connections have ended");
    for (let i = 0; i < 5; i++) await soon(round());
    await until(() => pool.metrics().dialing === 0, "nothing is under way");
    assertEquals([pool.metrics().addresses[1]!.isEjected, sizes()[1]], [true, 0]);
    servers[1] = serveAt(echo, servers[1]!.address);
    for (let i = 0; sizes()[1]! < 3; i++) {
      assert(i < 2000, `it never gets its share: ${sizes()}`);
      await soon(round());
      await ticks(5);
    }
    await pool.close();
    for (const server of servers) await server.stop();
  });
});

test("release() blames the address for errors of its server, and for no others", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect);
  const failures = () => pool.metrics().addresses[0]!.failures;
  const fail = async (error: Error) => {
    await pool.use(() => Promise.reject(error)).catch(() => {});
    return failures();
  };
  const own = [
    new Error("my mistake"),
    new BusyError("my mistake"),
    new ClosedError("I closed it"),
    new TimeoutError("acquire", 1), // of another pool
  ];
  for (const error of own) assertEquals(await fail(error), 0, `${error}`);
  const ofServer = [
    new EofError("it has gone"),
    new TimeoutError("read", 1),
    new FrameError("malformed", 0, "that is no answer"),
    new SystemError("receive", ERRNO.ECONNRESET),
  ];
  for (const [i, error] of ofServer.entries()) assertEquals(await fail(error), i + 1, `${error}`);
  await pool.close();
  for (const peer of source.peers) await peer.close({ timeoutMs: 0 });
});

test("all addresses are tried when all of them fail", async () => {
  await leaks(async () => {
    const servers = [serveAt(), serveAt()];
    const addresses = servers.map(({ address }) => address);
    for (const server of servers) await server.stop();
    const pool = new ConnectionPool(addresses, { ejectAfter: 1, ejectMs: 60_000 });
    for (let i = 0; i < 3; i++) await pool.acquire().then(() => assert(false), () => {});
    assertEquals(pool.metrics().addresses.map(({ isEjected }) => isEjected), [true, true]);
    const back = serveAt(echo, addresses[1]!);
    assertEquals(await soon(pool.use((connection) => ask(connection, "back"))), "back");
    await pool.close();
    await back.stop();
  });
});

test("an idle pool has one timer, which does not keep the process, and none when it is closed", async () => {
  const { threadPoller } = await import("../../../src/poll/thread_poller.ts");
  const made: Connection[] = [];
  const pool = new ConnectionPool(() => {
    const [ours] = memoryPair();
    made.push(ours);
    return Promise.resolve(ours);
  });
  const before = threadPoller().timerCount;
  const leases = await soon(Promise.all([1, 2, 3, 4].map(() => pool.acquire())));
  for (const lease of leases) lease.release();
  assertEquals(threadPoller().timerCount - before, 1);
  assertStrictEquals((await soon(pool.acquire())).connection, made[3]);
  await pool.close();
  assertEquals(threadPoller().timerCount, before);
});

/** Answers, or resets, ends, hangs, or answers late: by chance. */
function unreliable(random: Random): (connection: Connection) => Promise<void> {
  return async ({ reader, writer }: Connection) => {
    await reader.wait(8);
    const question = reader.readString(8);
    reader.release();
    const dice = random.below(20);
    if (dice === 0) throw new Error("the server has a fault");
    if (dice === 1) return; // it hangs
    if (dice < 5) await ticks(40);
    writer.writeString(question);
    await writer.flush();
  };
}

test("nobody gets another's answer from servers that die, hang, answer late and come back", async () => {
  const random = seededRandom(7);
  await leaks(async () => {
    const serve = (at?: Served) => serveAt(unreliable(random), at?.address, { onError: () => {} });
    const servers = [serve(), serve(), serve()];
    const pool = new ConnectionPool(servers.map(({ address }) => address), {
      max: 6,
      min: 2,
      ejectAfter: 2,
      ejectMs: 5,
      dial: { readTimeoutMs: 15 },
    });
    let [answered, failed] = [0, 0];
    const user = async (n: number) => {
      for (let i = 0; i < 40; i++) {
        const question = `${n}`.padStart(4, "0") + `${i}`.padStart(4, "0");
        await pool.use(async (connection) => {
          assertEquals(await ask(connection, question), question);
          answered += 1;
        }).catch((error) => {
          failed += 1;
          assert(error instanceof NetpollError, `${error}`);
        });
      }
    };
    let isOver = false;
    const killer = async () => {
      while (!isOver) {
        const at = random.below(3);
        await servers[at]!.stop();
        await ticks(random.below(10));
        servers[at] = serve(servers[at]);
        await ticks(20 + random.below(60));
      }
    };
    const killing = killer();
    await Promise.all(Array.from({ length: 12 }, (_, n) => user(n)));
    isOver = true;
    await killing;
    assertEquals(answered + failed, 480);
    assert(answered > 100, `${answered} answered, ${failed} failed`);
    assertEquals(pool.metrics().inUse, 0);
    await pool.drain();
    assertEquals(pool.size, 0);
    for (const server of servers) await server.stop();
  });
});

test("min is made again, and not in a storm where the server ends connections at once", async () => {
  using clock = new FakeClock();
  let dials = 0;
  let isEnding = true;
  const pool = new ConnectionPool(() => {
    const [ours, theirs] = memoryPair();
    dials += 1;
    if (isEnding) theirs.reset();
    return Promise.resolve(ours);
  }, { min: 1, max: 2, idleTimeoutMs: 0 });
  for (let i = 0; i < 100; i++) await clock.advance(50);
  assert(dials >= 3 && dials < 60, `${dials} dials in 5 s`);
  isEnding = false;
  for (let i = 0; pool.metrics().idle === 0; i++) {
    assert(i < 100, "it is made in the end");
    await clock.advance(1000);
  }
  const before = dials;
  const lease = await soon(pool.acquire());
  lease.release(new Error("of no use"));
  await until(() => pool.metrics().idle === 1, "another one takes its place");
  assertEquals([dials, pool.size], [before + 1, 1]);
  await pool.close();
});
