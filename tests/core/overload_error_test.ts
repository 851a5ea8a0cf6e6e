import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { NetpollError, OverloadError } from "../../mod.ts";

test("OverloadError says how much was held, and what the bound is", () => {
  const error = new OverloadError(12, 10);
  assert(error instanceof NetpollError);
  assertEquals([error.name, error.heldBytes], ["OverloadError", 12]);
  assert(error.message.includes("held 12 bytes") && error.message.endsWith("which is 10"));
});
