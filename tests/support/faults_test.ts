import { assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FAULT_KINDS } from "./faults.ts";
import { root } from "./library.ts";

test("FAULT_KINDS are the kinds of calls of tests/native/faults.h, in their order", () => {
  const source = readFileSync(`${root}tests/native/faults.h`, "utf8");
  const [, body] = /^enum fault_kind \{([^}]*)\}/m.exec(source)!;
  const kinds = [...body!.matchAll(/FAULT_(\w+)/g)].map((match) => match[1]!.replaceAll("_", ""));
  assertEquals([...FAULT_KINDS.map((kind) => kind.toUpperCase()), "KINDS"], kinds);
});
