import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { withSignal } from "../../src/core/signal.ts";
import { countedSignal } from "../support/collection.ts";

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

test("withSignal() that is given up leaves nobody at the promise, nor at the signal", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const { signal, listeners } = countedSignal();
  const controller = new AbortController();
  const given = withSignal(promise, controller.signal);
  const staying = [withSignal(promise, signal), withSignal(promise, signal)];
  assertEquals(listeners(), 2);
  controller.abort(null);
  assertEquals(await given.catch((reason) => [reason]), [null]);
  resolve(5);
  assertEquals(await Promise.all(staying), [5, 5]);
  assertEquals(listeners(), 0);
});
