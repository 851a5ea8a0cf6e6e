import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  ClosedError,
  type Connection,
  ConnectionPool,
  FakeClock,
  memoryPair,
  TimeoutError,
} from "../../../mod.ts";
import { connectOf } from "../../../src/client/pool/maker.ts";
import { soon, until } from "../../support/until.ts";

test("connectOf() names an address, and calls a function", async () => {
  assertEquals(connectOf("unix:@a", {})[0], "unix:@a");
  assertEquals(connectOf({ hostname: "::1", port: 80 }, {})[0], "[::1]:80");
  const [name, connect] = connectOf(function login() {
    throw new Error("at once");
  }, {});
  assertEquals(name, "login");
  await assertRejects(() => connect(new AbortController().signal), Error, "at once");
});

test("connect() ends with the time of a dial, and closes what comes later", async () => {
  using clock = new FakeClock();
  const late = Promise.withResolvers<Connection>();
  let wanted: AbortSignal | undefined;
  const pool = new ConnectionPool(({ signal }) => {
    wanted = signal;
    return late.promise;
  }, { dial: { timeoutMs: 100 } });
  const waiting = assertRejects(() => pool.acquire(), TimeoutError);
  await clock.advance(100);
  assertEquals([(await soon(waiting)).operation, wanted!.aborted, pool.size], ["dial", true, 0]);
  const [ours] = memoryPair();
  late.resolve(ours);
  await until(() => !ours.isActive, "the late one is closed");
  await pool.close();
});

test("connect() refuses a connection that was closed before it was there", async () => {
  const pool = new ConnectionPool(async () => {
    const [ours] = memoryPair();
    await ours.close();
    return ours;
  });
  await assertRejects(() => soon(pool.acquire()), ClosedError, "was closed");
  assertEquals([pool.size, pool.metrics().failures.dial], [0, 1]);
  await pool.close();
});

test("connect() gives each connection a life of its own, up to a fifth shorter", async () => {
  using clock = new FakeClock();
  const options = { min: 20, max: 20, lifetimeMs: 1000, idleTimeoutMs: 0 };
  const pool = new ConnectionPool(() => Promise.resolve(memoryPair()[0]), options);
  await soon(pool.warmUp());
  await clock.advance(799);
  assertEquals(pool.metrics().closed.lifetime, 0);
  await clock.advance(100);
  const { closed: { lifetime } } = pool.metrics();
  assert(lifetime > 0 && lifetime < 20, `${lifetime}`);
  await clock.advance(102);
  assert(pool.metrics().closed.lifetime >= 20);
  await pool.close();
});
