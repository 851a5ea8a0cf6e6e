import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Ending } from "../../src/connection/ending.ts";

/** The promises of an ending, each asked for. */
function promisesOf(ending: Ending): Promise<unknown>[] {
  return [ending.closing, ending.closed, ending.writeEnded];
}

test("Ending makes each promise once: who asks twice gets the same one", () => {
  const ending = new Ending();
  const [closing, closed, writeEnded] = promisesOf(ending);
  assertStrictEquals(ending.closing, closing);
  assertStrictEquals(ending.closed, closed);
  assertStrictEquals(ending.writeEnded, writeEnded);
});

test("Ending.end() in order fulfils all three, and `closing` says what did not leave", async () => {
  const ending = new Ending();
  const promises = promisesOf(ending);
  ending.unsentBytes = 7;
  ending.end();
  assertEquals(await Promise.all(promises), [{ unsentBytes: 7 }, undefined, undefined]);
});

test("Ending.end() after a failure rejects `closed` with it, and fulfils the others", async () => {
  const ending = new Ending();
  const [closing, closed, writeEnded] = promisesOf(ending);
  const failure = new Error("on purpose");
  ending.fail(failure);
  ending.end();
  assertStrictEquals(await assertRejects(() => closed!), failure);
  assertEquals(await Promise.all([closing, writeEnded]), [{ unsentBytes: 0 }, undefined]);
});

test("Ending.closed may reject unseen: that is no unhandled rejection", async () => {
  const ending = new Ending();
  const { closed } = ending;
  ending.fail(new Error("on purpose"));
  ending.end();
  await setImmediate(); // an unhandled one would end this run
  await assertRejects(() => closed, Error, "on purpose");
});

test("Ending.endWrite() ends our side alone", async () => {
  const ending = new Ending();
  const [closing, closed, writeEnded] = promisesOf(ending);
  ending.endWrite();
  await writeEnded;
  const waiting = Promise.race([closing, closed, setImmediate("both wait")]);
  assertEquals(await waiting, "both wait");
  ending.end();
  await Promise.all([closing, closed]);
});

test("Ending.end() and endWrite() that nobody waits for make no promise", () => {
  const ending = new Ending();
  ending.endWrite();
  ending.end();
  assertEquals(ending.isAsked, false);
});
