import { assertEquals, assertGreater } from "@std/assert";
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { blocks } from "../../src/buffer/block.ts";
import { configure } from "../../src/core/config.ts";
import { Model } from "./model.ts";

// Another seed every time: NETPOLL_SEED=<the printed one> does the same again.
const OPERATIONS_COUNT = Number(host.env("NETPOLL_OPERATIONS") ?? 200_000);
const OPERATIONS_PER_MODEL = 2_000;

/** Fills free memory with a pattern: nobody may count on zeros. */
function dirty(): void {
  const taken = [];
  for (let bytes = 1024; bytes <= 2 * 1024 * 1024; bytes *= 2) {
    for (let i = 0; i < 4; i++) {
      const block = blocks.take(bytes);
      block.slab.bytes.fill(0xa5, block.offset, block.offset + block.capacity);
      taken.push(block);
    }
  }
  for (const block of taken) block.release();
}

function run(seed: number, operations: number): Record<string, number> {
  const before = blocks.counts();
  const model = new Model(seed);
  let count = 0;
  try {
    for (; count < operations; count++) model.step();
    model.close();
    assertEquals(blocks.counts().usedBytes, before.usedBytes, "all blocks are back:");
    assertEquals(blocks.counts().usedCount, before.usedCount, "all blocks are back:");
  } catch (cause) {
    throw new Error(`operation ${count} failed; NETPOLL_SEED=${seed} repeats it`, { cause });
  }
  return model.done;
}

test("LinkBuffer does what flat arrays do, in random operations", () => {
  const named = host.env("NETPOLL_SEED");
  const first = named === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(named);
  configure({ verify: true });
  dirty();
  const done: Record<string, number> = {};
  for (let i = 0; i * OPERATIONS_PER_MODEL < OPERATIONS_COUNT; i++) {
    const counts = run((first + i) >>> 0, OPERATIONS_PER_MODEL);
    for (const [name, count] of Object.entries(counts)) done[name] = (done[name] ?? 0) + count;
  }
  configure({ verify: false });
  for (const [name, count] of Object.entries(done)) assertGreater(count, 0, name);
});

test("LinkBuffer does the same in debug mode, where what is lent is a copy", () => {
  configure({ verify: true, debug: true });
  run(Math.floor(Math.random() * 2 ** 32), 5_000);
  configure({ verify: false, debug: false });
});
