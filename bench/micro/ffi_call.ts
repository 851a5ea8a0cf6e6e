/**
 * Calls into the library: what each adds to a system call, and two system calls to compare with.
 */
import { assert, assertEquals } from "@std/assert";
import { native } from "../../ffi/load.ts";
import { blocks } from "../../src/buffer/block.ts";
import type { Micro } from "../harness/micro.ts";

/** What C says to an address that is not in a slab (errno(3)). */
const EFAULT = 14;

const abi: Micro = {
  name: "ffi_call: no argument, no work",
  prepare: () => ({
    check: () => assert(native.abi() > 0),
    run(times) {
      for (let i = 0; i < times; i++) native.abi();
    },
  }),
};

/** A call with the hot path's four integers that ends at once: a slab that there is not. */
const refused: Micro = {
  name: "ffi_call: recv, refused before the system call",
  prepare: () => ({
    check: () => assertEquals(native.recv(0, 0xfff, 0, 1), -EFAULT),
    run(times) {
      for (let i = 0; i < times; i++) native.recv(0, 0xfff, 0, 1);
    },
  }),
};

/** A recv that finds nothing, and a byte that is sent and received. */
function onPair(name: string, call: (pair: Int32Array, slab: number, at: number) => number): Micro {
  return {
    name: `ffi_call: ${name}`,
    prepare() {
      const pair = new Int32Array(2);
      assertEquals(native.socketpair(pair), 0);
      const block = blocks.take(1024);
      const wanted = call(pair, block.slab.id, block.offset);
      return {
        check: () => assertEquals(call(pair, block.slab.id, block.offset), wanted),
        run(times) {
          for (let i = 0; i < times; i++) call(pair, block.slab.id, block.offset);
        },
        close() {
          block.release();
          native.close(pair[0]!);
          native.close(pair[1]!);
        },
      };
    },
  };
}

/** All of this noun. */
export const FFI_CALL: readonly Micro[] = [
  abi,
  refused,
  onPair("recv, nothing there", (pair, slab, at) => native.recv(pair[0]!, slab, at, 64)),
  onPair("send and recv 64 B, Unix pair", (pair, slab, at) => {
    native.send(pair[1]!, slab, at, 64, 0);
    return native.recv(pair[0]!, slab, at, 64);
  }),
];
