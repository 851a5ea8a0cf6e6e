import { assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { Request, settle } from "../../src/mux/request.ts";
import { closeAll, pairWith } from "../support/pair.ts";

test("a request's signal is aborted when its connection ends, if it has no answer by then", async () => {
  const [a, b] = pairWith();
  const [answered, open, unasked] = [1, 2, 3].map((id) => new Request(id, a)) as [
    Request,
    Request,
    Request,
  ];
  const signals = [answered.signal, open.signal];
  assertStrictEquals(open.signal, signals[1]);
  settle(answered);
  settle(unasked);
  assertEquals(signals.map((signal) => signal.aborted), [false, false]);
  await closeAll(a, b);
  assertEquals(signals.map((signal) => signal.aborted), [false, true]);
  assertEquals(unasked.signal.aborted, false);
  assertEquals(new Request(4, a).signal.aborted, true);
});
