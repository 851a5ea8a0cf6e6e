/**
 * The corpus of the fuzzer, and known seeds: `make fuzz` takes others, and for long.
 */
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { build, replay } from "./native.ts";
import { runFor } from "./running.ts";
import { TARGETS } from "./targets.ts";

const FIXED = 100;
const SECONDS = 0.5;

for (const target of TARGETS) {
  test(`${target.name}: ${target.what}`, { skip: target.absence ?? false }, async () => {
    for (const first of [1, 0x5eed]) {
      const { failure } = await runFor(target, first, FIXED, SECONDS);
      if (failure === null) continue;
      const again = `--target ${target.name} --seed ${failure.seed} --cases 1`;
      throw new Error(`make fuzz OPTIONS="${again}" does it again`, { cause: failure.error });
    }
  });
}

// It knows no runtime: once is enough.
const isElsewhere = host.name === "deno" ? "runs under Bun" : false;
test("np_*: programs that once reached something new end well", { skip: isElsewhere }, async () => {
  assertEquals(await build("build/replay", "build/corpus"), null);
  assertEquals(await replay("replay"), null);
});
