import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { ClosedError } from "../../src/core/errors.ts";
import { Shutdown } from "../../src/server/shutdown.ts";

test("Shutdown.begin() runs once, and a second call has the same promise", async () => {
  const shutdown = new Shutdown();
  let runs = 0;
  const first = shutdown.begin({}, async () => {
    runs += 1;
    // Whatever it calls may ask for it again.
    assertStrictEquals(shutdown.begin({}, () => Promise.reject("never")), shutdown.result);
    return await Promise.resolve({ cut: 3 });
  });
  assertStrictEquals(shutdown.begin({ timeoutMs: -1 }, () => Promise.reject("never")), first);
  assertStrictEquals(shutdown.result, first);
  assertEquals([await first, runs], [{ cut: 3 }, 1]);
});

test("Shutdown.begin() begins nothing within what is no time", async () => {
  const shutdown = new Shutdown();
  for (const timeoutMs of [-1, NaN]) {
    await assertRejects(
      () => shutdown.begin({ timeoutMs }, () => Promise.reject("never")),
      RangeError,
    );
  }
  assertEquals(shutdown.result, null);
});

test("Shutdown.begin() rejects with what went wrong", async () => {
  const shutdown = new Shutdown();
  await assertRejects(
    () => shutdown.begin({}, () => Promise.reject(new Error("why"))),
    Error,
    "why",
  );
});

test("Shutdown.check() throws once the shutdown has begun", async () => {
  const shutdown = new Shutdown();
  shutdown.check("bind");
  await shutdown.begin({}, () => Promise.resolve({ cut: 0 }));
  assertThrows(() => shutdown.check("bind"), ClosedError, "Cannot bind: the cluster was shut down");
});
