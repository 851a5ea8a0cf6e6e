import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { type KernelPipe, KernelPipes } from "../../src/transport/kernel_pipe.ts";
import { NOT_READY } from "../../src/core/errno.ts";
import { PIPES_SPARE_MAX } from "../../src/core/limits.ts";
import { failWith, faultTest } from "../support/faults.ts";
import { leaks } from "../support/leaks.ts";

/** Calls with two connected sockets, and closes them. */
function withPair(call: (ours: number, theirs: number) => void): void {
  const fds = new Int32Array(2);
  assertEquals(native.socketpair(fds), 0);
  try {
    call(fds[0]!, fds[1]!);
  } finally {
    native.close(fds[0]!);
    native.close(fds[1]!);
  }
}

function put(fd: number, bytes: Uint8Array): void {
  assertEquals(native.sendBorrowed(fd, bytes, bytes.length, 0, bytes.length, 0), bytes.length);
}

test("KernelPipe moves bytes from one socket to another", () =>
  leaks(() => {
    const pipes = new KernelPipes();
    pipes.enter();
    const pipe = pipes.take()!;
    const slab = native.slabMap(2 << 20);
    withPair((source, from) =>
      withPair((to, sink) => {
        assertEquals(pipe.fill(from), NOT_READY);
        put(source, new Uint8Array([5, 6, 7]));
        assertEquals([pipe.fill(from), pipe.heldBytes], [3, 3]);
        assertEquals([pipe.drain(to), pipe.heldBytes], [3, 0]);
        assertEquals(native.recv(sink, slab, 0, 10), 3);
        assertEquals(native.find(slab, 0, 3, new Uint8Array([5, 6, 7]), 3), 0);
        native.shutdown(source, 1);
        assertEquals(pipe.fill(from), 0);
      })
    );
    pipes.give(pipe);
    pipes.leave();
  }));

test("KernelPipes keeps a bounded number of pipes while somebody moves bytes, and none afterwards", () =>
  leaks(() => {
    const pipes = new KernelPipes();
    pipes.enter();
    pipes.enter();
    const taken: KernelPipe[] = [];
    for (let i = 0; i < PIPES_SPARE_MAX + 2; i++) taken.push(pipes.take()!);
    for (const pipe of taken) pipes.give(pipe);
    assertEquals(pipes.spareCount, PIPES_SPARE_MAX);
    assert(taken.includes(pipes.take()!), "a spare one is used again");
    assertEquals(pipes.spareCount, PIPES_SPARE_MAX - 1);
    pipes.leave();
    assertEquals(pipes.spareCount, PIPES_SPARE_MAX - 1);
    pipes.give(taken[PIPES_SPARE_MAX - 1]!);
    pipes.leave();
    assertEquals(pipes.spareCount, 0);
  }));

test("KernelPipes closes a pipe that is given back with bytes in it", () =>
  leaks(() => {
    const pipes = new KernelPipes();
    pipes.enter();
    const pipe = pipes.take()!;
    withPair((source, from) => {
      put(source, new Uint8Array(10));
      assertEquals(pipe.fill(from), 10);
    });
    pipes.give(pipe);
    assertEquals(pipes.spareCount, 0);
    pipes.leave();
  }));

faultTest("KernelPipes has no pipe, when no descriptor is left", () =>
  leaks(() => {
    const pipes = new KernelPipes();
    failWith("pipe", 24);
    assertEquals(pipes.take(), null);
  }));
