import { assertEquals } from "@std/assert";
import { test } from "node:test";
import type { Writer } from "../../src/buffer/writer.ts";
import { LazyFlush } from "../../src/mux/lazy_flush.ts";
import { tick } from "../support/until.ts";

/** A writer of which only `flush` is used. */
function counting(result: () => Promise<void>): { writer: Writer; count: number } {
  const counted = { writer: { flush } as unknown as Writer, count: 0 };
  function flush(): Promise<void> {
    counted.count += 1;
    return result();
  }
  return counted;
}

test("plan() flushes once, when the running code has returned", async () => {
  const counted = counting(() => Promise.resolve());
  const lazy = new LazyFlush(counted.writer);
  lazy.plan();
  lazy.plan();
  assertEquals(counted.count, 0);
  await tick();
  assertEquals(counted.count, 1);
  lazy.plan();
  await tick();
  assertEquals(counted.count, 2);
});

test("now() flushes what was planned, and not again later", async () => {
  const counted = counting(() => Promise.resolve());
  const lazy = new LazyFlush(counted.writer);
  lazy.now();
  assertEquals(counted.count, 0);
  lazy.plan();
  lazy.now();
  assertEquals(counted.count, 1);
  await tick();
  assertEquals(counted.count, 1);
});

test("a flush that fails is no unhandled rejection", async () => {
  const counted = counting(() => Promise.reject(new Error("on purpose")));
  new LazyFlush(counted.writer).plan();
  await tick();
  assertEquals(counted.count, 1);
});
