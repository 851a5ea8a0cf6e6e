import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ConnectionPool } from "../../../mod.ts";
import { MemorySource } from "../../support/pool_bed.ts";
import { soon } from "../../support/until.ts";

test("release() twice and a connection after it are TypeErrors; using releases once", async () => {
  const source = new MemorySource();
  const pool = new ConnectionPool(source.connect);
  const lease = await soon(pool.acquire());
  {
    using same = lease;
    same.release();
    assert(same.isReleased);
  }
  assertThrows(() => lease.release(), TypeError, "Cannot release a lease twice");
  assertThrows(() => lease.connection, TypeError, "after release()");
  assertEquals([pool.metrics().idle, pool.metrics().inUse], [1, 0]);
  const [mine] = [await soon(pool.acquire())];
  const other = new ConnectionPool(() => Promise.resolve(mine!.connection));
  await assertRejects(() => other.acquire(), TypeError, "in a pool already");
  const none = new ConnectionPool(() => Promise.resolve({} as never));
  await assertRejects(() => none.acquire(), TypeError, "it is no Connection");
  mine!.release();
  await Promise.all([pool.close(), other.close(), none.close()]);
});
