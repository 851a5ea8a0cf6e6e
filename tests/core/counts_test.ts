import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { counts, countSocketError } from "../../src/core/counts.ts";

test("countSocketError() counts by number, from nothing", () => {
  const { [999]: before = 0 } = counts.socketErrors;
  countSocketError(999);
  countSocketError(999);
  assertEquals(counts.socketErrors[999], before + 2);
  delete counts.socketErrors[999];
});
