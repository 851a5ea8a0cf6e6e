/**
 * Blocks: taken when a socket is readable, given back when all is released.
 */
import { assert, assertEquals } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import type { Micro } from "../harness/micro.ts";

function takeAndRelease(bytes: number, title: string): Micro {
  return {
    name: `block: take and release ${title}`,
    prepare: () => ({
      check() {
        const { usedBytes } = blocks.counts();
        const block = blocks.take(bytes);
        assert(block.capacity >= bytes);
        block.release();
        assertEquals(blocks.counts().usedBytes, usedBytes);
      },
      run(times) {
        for (let i = 0; i < times; i++) blocks.take(bytes).release();
      },
    }),
  };
}

/** Another place each time, so that the view of the time before is of no use. */
const view: Micro = {
  name: "block: a new view of 64 B",
  prepare() {
    const block = blocks.take(64 * 1024);
    let at = 0;
    const next = () => block.lend(block.offset + (at = at + 64 & 0xffff), 64);
    return {
      check: () => assertEquals(next().length, 64),
      run(times) {
        for (let i = 0; i < times; i++) next();
      },
      close: () => block.release(),
    };
  },
};

/** All of this noun. */
export const BLOCK: readonly Micro[] = [
  takeAndRelease(1024, "1 KiB"),
  takeAndRelease(64 * 1024, "64 KiB"),
  view,
];
