/**
 * Making system calls fail, with the build of libnetpoll.c that can (`-DNP_FAULTS`, named in
 * NETPOLL_LIB).
 */
import { test } from "node:test";
import { host } from "../../ffi/runtime.ts";
import { type Call, CALLS, type Signature } from "../../ffi/symbols.ts";
import { libraryPath } from "./library.ts";

export type { Call };

/** Which calls of a kind get an effect. */
export interface Fault {
  /** Only on this descriptor; on any unless given. */
  fd?: number;
  /** How many calls pass before it; none unless given. */
  skip?: number;
  /** How many calls get it; one unless given. */
  count?: number;
}

interface Faults {
  fault(call: number, fd: number, skip: number, count: number, effect: number): number;
}

const SIGNATURES: Readonly<Record<keyof Faults, Signature>> = {
  fault: ["np_fault", ["i32", "i32", "i32", "i32", "i32"], "i32"],
};

function open(): Faults | null {
  try {
    // The same file as the loader's, and so the same copy of the library, tables and all.
    return host.open<Faults>(libraryPath, SIGNATURES);
  } catch {
    return null;
  }
}

const library = open();

function inject(call: Call, fault: Fault, effect: number): void {
  const { fd = -1, skip = 0, count = 1 } = fault;
  const code = library!.fault(CALLS.indexOf(call), fd, skip, count, effect);
  if (code < 0) throw new Error(`Cannot inject a fault into ${call}: ${code}`);
}

/** Lets a call return `-errno` in place of doing anything. */
export function failWith(call: Call, errno: number, fault: Fault = {}): void {
  inject(call, fault, -errno);
}

/** Lets a call move at most so many bytes. */
export function shorten(
  call: "recv" | "send" | "sendZeroCopy" | "pread" | "sendfile" | "splice",
  bytesMax: number,
  fault: Fault = {},
): void {
  inject(call, fault, bytesMax);
}

/** Lets completions say that the kernel has copied. */
export function copied(fault: Fault = {}): void {
  inject("completion", fault, 1);
}

/** Takes all faults away. */
export function clearFaults(): void {
  for (const call of CALLS) inject(call, { count: 0 }, 0);
}

/** Whether the library that is loaded can fail on request. */
export const hasFaults: boolean = library !== null;

/**
 * A test with faults; skipped, and said so, where the library cannot fail. They are gone
 * afterwards.
 */
export function faultTest(name: string, run: () => void | Promise<void>): void {
  const skip = hasFaults ? false : "needs the fault build; set NETPOLL_LIB to libnetpoll-faults.so";
  test(name, { skip }, async () => {
    try {
      await run();
    } finally {
      clearFaults();
    }
  });
}
