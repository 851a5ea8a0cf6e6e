import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { withSignal } from "../../src/adapter/signal.ts";

test("withSignal() is the promise itself without a signal", () => {
  const promise = Promise.resolve(1);
  assertStrictEquals(withSignal(promise, undefined), promise);
});

test("withSignal() settles as the promise does", async () => {
  const { signal } = new AbortController();
  assertEquals(await withSignal(Promise.resolve(1), signal), 1);
  await assertRejects(() => withSignal(Promise.reject(new Error("no")), signal), Error, "no");
});

test("withSignal() rejects with the signal's own reason, before or while it waits", async () => {
  const controller = new AbortController();
  const waiting = withSignal(new Promise<void>(() => {}), controller.signal);
  controller.abort(new TypeError("enough"));
  await assertRejects(() => waiting, TypeError, "enough");
  await assertRejects(() => withSignal(Promise.resolve(), controller.signal), TypeError, "enough");
});
