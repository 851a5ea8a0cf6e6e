import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { EofError, SystemError } from "../../mod.ts";
import { Ending, lostError } from "../../src/connection/ending.ts";
import { nameOf } from "../../src/core/errno.ts";

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

test("Ending.end() and endWrite() that nobody waits for do nothing", () => {
  const ending = new Ending();
  ending.endWrite();
  ending.end();
});

test("lostError() is an EofError that says what the peer or the network did, with its cause", () => {
  const told: [errno: number, message: string][] = [
    [104, "Cannot go on: the peer has reset the connection"],
    [32, "Cannot go on: the peer has closed the connection"],
    [110, "Cannot go on: the kernel's own time ran out"],
    [113, "Cannot go on: no route to the host"],
  ];
  for (const [errno, message] of told) {
    const cause = new SystemError("send", errno);
    const error = lostError(cause);
    assertEquals([error instanceof EofError, error.message], [true, message]);
    assertStrictEquals(error.cause, cause);
  }
});

test("lostError() of an error of this machine is that error, and blames no peer", () => {
  for (const errno of [1, 4, 9, 12, 14, 22, 105]) {
    const cause = new SystemError("send", errno);
    assertStrictEquals(lostError(cause), cause, nameOf(errno));
  }
});
