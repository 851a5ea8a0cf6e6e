import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { Ending } from "../../src/connection/ending.ts";

test("Ending.end() settles every promise that somebody asked for, each the same every time", async () => {
  const ending = new Ending();
  const { closing, closed } = ending;
  assert(ending.closing === closing && ending.closed === closed);
  ending.unsentBytes = 7;
  ending.end();
  assertEquals(await ending.closing, { unsentBytes: 7 });
  await ending.closed;
});

test("Ending.end() by a failure rejects `closed` only; Ending.endWrite() ends our side alone", async () => {
  const ending = new Ending();
  const [closing, closed, writeEnded] = [ending.closing, ending.closed, ending.writeEnded];
  ending.endWrite();
  await writeEnded;
  ending.failure = new Error("on purpose");
  ending.end();
  await closing;
  await assertRejects(() => closed, Error, "on purpose");
});
