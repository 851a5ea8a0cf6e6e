import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { cpusOf, LOAD_CPU, SERVER_CPU } from "../../bench/harness/cpus.ts";

test("cpusOf() reads the kernel's lists", () => {
  assertEquals(cpusOf("0"), [0]);
  assertEquals(cpusOf("0-1\n"), [0, 1]);
  assertEquals(cpusOf("1,3-5,8"), [1, 3, 4, 5, 8]);
});

test("SERVER_CPU and LOAD_CPU are CPUs that this process may use", () => {
  assert(Number.isInteger(SERVER_CPU) && Number.isInteger(LOAD_CPU));
});
