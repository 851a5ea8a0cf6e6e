/**
 * A program: it is unloaded while it has memory, and gives that up afterwards. Says how many slabs
 * are reachable before the pool is trimmed, and behind that.
 */
import { blocks } from "../../src/buffer/block.ts";
import { SLAB_BYTES } from "../../src/core/limits.ts";
import "../../mod.ts";

const held = [1, 2, 3].map(() => blocks.take(SLAB_BYTES));

// Deno tells of an unload; under Bun the module that comes next calls what the last one has left.
const hooks = globalThis as unknown as Record<symbol, () => void>;
const hook = Object.getOwnPropertySymbols(globalThis).find((symbol) =>
  symbol.description?.startsWith("netpoll.unload ")
);
if (hook === undefined) globalThis.dispatchEvent(new Event("unload"));
else hooks[hook]!();

for (const block of held) block.release();
const before = blocks.counts().wrappedCount;
blocks.trim();
console.log(`idle slabs: ${before}, then ${blocks.counts().wrappedCount}`);
