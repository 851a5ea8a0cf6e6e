import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { watching } from "../../src/core/watching.ts";

test("watching.isOn is true as long as there is a reason, isClose while it is not to measure alone", () => {
  assertEquals(watching.isOn, false);
  watching.want("measure", true);
  assertEquals([watching.isOn, watching.isClose], [true, false]);
  watching.want("slow", true);
  watching.want("slow", true);
  watching.want("measure", false);
  assertEquals([watching.isOn, watching.isClose], [true, true]);
  watching.want("slow", false);
  assertEquals([watching.isOn, watching.isClose], [false, false]);
});
