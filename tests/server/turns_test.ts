import { assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import { Turns } from "../../src/server/turns.ts";

test("Turns.take() begins a change when the one before it has settled, failed or not", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const failed = turns.take(async () => {
    log.push("first begins");
    await gate;
    log.push("first fails");
    throw new Error("on purpose");
  });
  const second = turns.take(() => Promise.resolve(log.push("second")));
  const refused = assertRejects(() => failed, Error, "on purpose");
  open();
  await refused;
  assertEquals([await second, log], [3, ["first begins", "first fails", "second"]]);
});
