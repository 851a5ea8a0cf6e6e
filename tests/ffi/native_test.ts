import { assert, assertEquals, assertGreater } from "@std/assert";
import { closeSync, openSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { libraryPath } from "../support/library.ts";

const ERRNO = constants.errno;
const SLAB_BYTES = 2 << 20;
/** The last number that a slab can have: nothing ever maps that many. */
const NO_SLAB = (1 << 14) - 1;
const AF_UNIX = 1;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const IOVECS_MAX = 64;

/** Calls with two connected sockets, and closes them. */
function withPair(call: (ours: number, theirs: number) => void): void {
  const fds = new Int32Array(2);
  assertEquals(native.socketpair(fds), 0);
  try {
    call(fds[0]!, fds[1]!);
  } finally {
    assertEquals([native.close(fds[0]!), native.close(fds[1]!)], [0, 0]);
  }
}

/** The flags that a descriptor was opened with, as the kernel tells. */
function flagsOf(fd: number): number {
  return parseInt(/^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
}

test("native is the library whose path was given", () => {
  assert(readFileSync("/proc/self/maps", "utf8").includes(libraryPath));
});

test("native opens every descriptor close-on-exec, and sockets non-blocking", () => {
  const both = O_NONBLOCK | O_CLOEXEC;
  withPair((ours, theirs) => {
    assertEquals([flagsOf(ours) & both, flagsOf(theirs) & both], [both, both]);
  });
  for (const fd of [native.socket(AF_UNIX), native.eventfd(), native.timerfd()]) {
    assertEquals(flagsOf(fd) & both, both);
    native.close(fd);
  }
  const epoll = native.epollCreate();
  assertEquals(flagsOf(epoll) & O_CLOEXEC, O_CLOEXEC);
  native.close(epoll);
});

test("pipe() and dup() make what is close-on-exec, pipe() what is non-blocking too", () => {
  const both = O_NONBLOCK | O_CLOEXEC;
  const ends = new Int32Array(2);
  assertEquals(native.pipe(ends), 0);
  for (const fd of ends) {
    assertEquals(flagsOf(fd) & both, both);
    native.close(fd);
  }
  const fd = native.dup(0);
  assertEquals(flagsOf(fd) & O_CLOEXEC, O_CLOEXEC);
  native.close(fd);
});

test("pread() stays within the slab, and takes a position above 4 GiB", () => {
  const slab = native.slabMap(SLAB_BYTES);
  const fd = openSync(libraryPath, "r");
  assertEquals(native.pread(fd, slab, 0, 4, 1, 0), 4);
  assertEquals(native.find(slab, 0, 3, new TextEncoder().encode("ELF"), 3), 0);
  assertEquals(native.pread(fd, slab, 0, 4, 1, 1), 0);
  assertEquals(native.pread(fd, slab, SLAB_BYTES - 3, 4, 0, 0), -ERRNO.EFAULT);
  assertEquals(native.pread(fd, NO_SLAB, 0, 4, 0, 0), -ERRNO.EFAULT);
  closeSync(fd);
});

test("recv() and send() refuse memory outside of a slab, wherever it lies", () => {
  const slab = native.slabMap(SLAB_BYTES);
  assertGreater(slab, -1);
  const outside: [number, number, number][] = [
    [slab, SLAB_BYTES, 1],
    [slab, SLAB_BYTES - 1, 2],
    [slab, 0, SLAB_BYTES + 1],
    [slab, 0xffffffff, 1],
    [slab, 1, 0xffffffff],
    [NO_SLAB, 0, 1],
    [0xffffffff, 0, 1],
  ];
  withPair((ours, theirs) => {
    for (const [id, offset, length] of outside) {
      assertEquals(native.send(ours, id, offset, length, 0), -ERRNO.EFAULT);
      assertEquals(native.recv(theirs, id, offset, length), -ERRNO.EFAULT);
      const table = new Uint32Array([slab, 0, 1, id, offset, length]);
      assertEquals(native.sendmsg(ours, table, 2, 0), -ERRNO.EFAULT);
      assertEquals(native.readv(theirs, table, 2), -ERRNO.EFAULT);
      assertEquals(native.writev(ours, table, 2), -ERRNO.EFAULT);
    }
    // Not a byte of it went out.
    assertEquals(native.recv(theirs, slab, 0, 1), -ERRNO.EAGAIN);
  });
});

test("sendmsg(), readv() and writev() refuse more pieces than they take", () => {
  const slab = native.slabMap(SLAB_BYTES);
  const table = new Uint32Array(3 * (IOVECS_MAX + 1));
  for (let i = 0; i <= IOVECS_MAX; i++) table.set([slab, i, 1], 3 * i);
  withPair((ours, theirs) => {
    for (const count of [-1, IOVECS_MAX + 1]) {
      assertEquals(native.sendmsg(ours, table, count, 0), -ERRNO.EINVAL);
      assertEquals(native.writev(ours, table, count), -ERRNO.EINVAL);
      assertEquals(native.readv(theirs, table, count), -ERRNO.EINVAL);
    }
    assertEquals(native.sendmsg(ours, table, IOVECS_MAX, 0), IOVECS_MAX);
    assertEquals(native.readv(theirs, table, IOVECS_MAX), IOVECS_MAX);
  });
});

test("sendBorrowed() stays within the array", () => {
  const array = new Uint8Array([1, 2, 3, 4]);
  const slab = native.slabMap(SLAB_BYTES);
  withPair((ours, theirs) => {
    assertEquals(native.sendBorrowed(ours, array, 4, 3, 2, 0), -ERRNO.EFAULT);
    assertEquals(native.sendBorrowed(ours, array, 4, 0xffffffff, 2, 0), -ERRNO.EFAULT);
    assertEquals(native.sendBorrowed(ours, array.subarray(1), 3, 1, 2, 0), 2);
    assertEquals(native.recv(theirs, slab, 0, 8), 2);
    assertEquals(native.find(slab, 0, 8, new Uint8Array([3, 4]), 2), 0);
  });
});

test("send() to a peer that is gone is an error, and no signal", () => {
  const slab = native.slabMap(SLAB_BYTES);
  const fds = new Int32Array(2);
  native.socketpair(fds);
  native.close(fds[1]!);
  assertEquals(native.send(fds[0]!, slab, 0, 1, 0), -ERRNO.EPIPE);
  native.close(fds[0]!);
});

test("epollWait() gives the token back, the highest too", () => {
  const epoll = native.epollCreate();
  const out = new Uint32Array(4);
  withPair((ours) => {
    assertEquals(native.epollCtl(epoll, 1, ours, 0xfffffffe, 4), 0);
    assertEquals(native.epollWait(epoll, out, 2, -1), 1);
    assertEquals([...out], [0xfffffffe, 4, 0, 0]);
  });
  native.close(epoll);
});

test("counterTake() takes what was added, once", () => {
  const fd = native.eventfd();
  assertEquals(native.counterTake(fd), -ERRNO.EAGAIN);
  assertEquals([native.counterAdd(fd), native.counterAdd(fd)], [0, 0]);
  assertEquals([native.counterTake(fd), native.counterTake(fd)], [2, -ERRNO.EAGAIN]);
  native.close(fd);
});

test("slabDiscard() empties a slab, and leaves it mapped", () => {
  const slab = native.slabMap(SLAB_BYTES);
  withPair((ours, theirs) => {
    native.sendBorrowed(ours, new Uint8Array([7]), 1, 0, 1, 0);
    assertEquals(native.recv(theirs, slab, 5, 1), 1);
    assertEquals(native.find(slab, 0, 16, new Uint8Array([7]), 1), 5);
    assertEquals(native.slabDiscard(slab), 0);
    assertEquals(native.find(slab, 0, 16, new Uint8Array([7]), 1), -1);
    assertEquals(native.slabDiscard(NO_SLAB), -ERRNO.EFAULT);
  });
});

test("slabMap() refuses a size that is no multiple of 2 MiB", () => {
  assertEquals(native.slabMap(0), -ERRNO.EINVAL);
  assertEquals(native.slabMap(SLAB_BYTES + 1), -ERRNO.EINVAL);
});

test("sendmsgZeroCopy() refuses what sendmsg() refuses, and numbers nothing then", () => {
  const slab = native.slabMap(SLAB_BYTES);
  const completions = new Uint32Array(16);
  withPair((ours) => {
    const outside = new Uint32Array([slab, SLAB_BYTES - 1, 2]);
    assertEquals(native.sendmsgZeroCopy(ours, outside, 1, 0), -ERRNO.EFAULT);
    assertEquals(native.sendmsgZeroCopy(ours, outside, IOVECS_MAX + 1, 0), -ERRNO.EINVAL);
    assertEquals(native.completions(ours, completions), 0);
  });
});

test("disconnect() and pinnedMax() answer as every call does", () => {
  assertEquals(native.disconnect(-1), -ERRNO.EBADF);
  assertGreater(native.pinnedMax(), -1);
});
