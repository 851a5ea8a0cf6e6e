/**
 * Making system calls fail, with the build of libnetpoll.c that can (tests/native/faults.h, named in
 * NETPOLL_LIB).
 */
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import type { Signature } from "../../ffi/symbols.ts";
import { libraryPath } from "./library.ts";
import { type Capability, needs } from "./transport.ts";

/** The kinds of system calls that can be made to fail: `enum fault_kind` of tests/native/faults.h. */
export const FAULT_KINDS = [
  "socket",
  "socketpair",
  "bind",
  "listen",
  "accept",
  "connect",
  "sockname",
  "setsockopt",
  "getsockopt",
  "shutdown",
  "close",
  "poll",
  "ioctl",
  "fcntl",
  "recv",
  "send",
  "sendZeroCopy",
  "wake",
  "completion",
  "copied",
  "fstat",
  "pread",
  "pwrite",
  "sendfile",
  "pipe",
  "splice",
  "spliceFile",
  "epollCreate",
  "epollCtl",
  "epollWait",
  "eventfd",
  "eventfdWrite",
  "eventfdRead",
  "timerfd",
  "timerfdSet",
  "mmap",
  "munmap",
  "madvise",
  "thread",
  "resolve",
  "proc",
  "limit",
  "memory",
] as const;

/** The names that three kinds had when they stood for functions of ours, for programs that say them still. */
const FORMER = { slabMap: "mmap", waker: "thread", open: "fcntl" } as const;

/** A kind of system call. */
export type Call = typeof FAULT_KINDS[number];
/** A kind by any of its names. */
export type CallName = Call | keyof typeof FORMER;

/** Which calls of a kind get an effect. */
export interface Fault {
  /** Only on this descriptor; on any unless given. */
  fd?: number;
  /** The number of calls that pass before it; none unless given. */
  skip?: number;
  /** The number of calls that get it; one unless given. */
  count?: number;
}

/** The effects from here on: the call is so many microseconds late. */
const LATE = 1 << 30;

interface Faults {
  faultUsed(call: number): number;
  fault(call: number, fd: number, skip: number, count: number, effect: number): number;
}

const SIGNATURES: Readonly<Record<keyof Faults, Signature>> = {
  fault: ["np_fault", ["i32", "i32", "i32", "i32", "i32"], "i32"],
  faultUsed: ["np_fault_used", ["i32"], "i32"],
};

function open(): Faults | null {
  try {
    // It is the loader's file, and so the loader's copy of the library, tables and all.
    return host.open<Faults>(libraryPath, SIGNATURES);
  } catch {
    return null;
  }
}

const library = open();

function inject(name: CallName, fault: Fault, effect: number): void {
  const { fd = -1, skip = 0, count = 1 } = fault;
  const call = (FORMER as Readonly<Record<string, Call>>)[name] ?? name as Call;
  const code = library!.fault(FAULT_KINDS.indexOf(call), fd, skip, count, effect);
  if (code < 0) throw new Error(`Cannot inject a fault into ${call}: ${code}`);
}

/** Lets a call return `-errno` in place of doing anything. */
export function failWith(call: CallName, errno: number, fault: Fault = {}): void {
  inject(call, fault, -errno);
}

/** Lets a call move at most so many bytes. */
export function shorten(
  call:
    | "recv"
    | "send"
    | "sendZeroCopy"
    | "pread"
    | "pwrite"
    | "sendfile"
    | "splice"
    | "spliceFile",
  bytesMax: number,
  fault: Fault = {},
): void {
  inject(call, fault, bytesMax);
}

/** Lets a call come so many microseconds later, during which its thread sleeps. */
export function delayCall(call: Call, micros: number, fault: Fault = {}): void {
  inject(call, fault, LATE + micros);
}

/** Gives each call of a kind an effect that is none: `usedFaults` counts them. */
export function countCalls(call: Call): void {
  inject(call, { count: 2 ** 31 - 1 }, 0);
}

/** The number of calls of a kind that have had their effect. */
export function usedFaults(call: Call): number {
  return library!.faultUsed(FAULT_KINDS.indexOf(call));
}

/** Lets completions say that the kernel has copied. */
export function copied(fault: Fault = {}): void {
  inject("copied", fault, 1);
}

/** Takes all faults away. */
export function clearFaults(): void {
  for (const call of FAULT_KINDS) inject(call, { count: 0 }, 0);
}

/** True when the library that is loaded can fail on request. */
export const hasFaults: boolean = library !== null;

/**
 * A test with faults; skipped, and said so, where the library cannot fail, or the transport lacks what
 * else it needs. They are gone afterwards.
 */
export function faultTest(
  name: string,
  run: () => void | Promise<void>,
  ...capabilities: Capability[]
): void {
  const skip = hasFaults
    ? needs("faults", ...capabilities).skip
    : "needs the fault build; set NETPOLL_LIB to libnetpoll-faults.so";
  test(name, { skip }, async () => {
    try {
      await run();
    } finally {
      clearFaults();
    }
  });
}
