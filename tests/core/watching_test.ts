import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { watching } from "../../src/core/watching.ts";

test("watching.isOn is true as long as there is a reason", () => {
  assertEquals(watching.isOn, false);
  watching.want("measure", true);
  watching.want("slow", true);
  watching.want("slow", true);
  watching.want("measure", false);
  assertEquals(watching.isOn, true);
  watching.want("slow", false);
  assertEquals(watching.isOn, false);
});
