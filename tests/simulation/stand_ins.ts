/**
 * What the copy of the library imports in place of the native library, the host, and the modules of
 * the runtime that wait or touch descriptors.
 */
import type { Native } from "../../ffi/symbols.ts";
import { SYMBOLS } from "../../ffi/symbols.ts";
import { kernel } from "./kernel.ts";
import { machine } from "./machine.ts";
import { runtime } from "./runtime.ts";

export { host } from "./runtime.ts";
export { constants } from "node:fs";

const ENOSYS = 38;

type Call = (...values: unknown[]) => unknown;

/** One call: time passes, what is due happens, and the kernel answers. */
function callOf(name: keyof Native): Call {
  const call = (kernel as unknown as Record<string, Call | undefined>)[name];
  if (call === undefined) return () => -ENOSYS; // this kernel has no TLS, no rings, no resolver
  return (a, b, c, d, e, f) => {
    machine.call();
    const result = call.call(kernel, a, b, c, d, e, f);
    if (machine.trace !== null && name !== "now") {
      const shown = [a, b, c, d, e, f].filter((value) => typeof value === "number");
      machine.trace(`      ${name}(${shown.join(", ")}) = ${result}`);
    }
    return result;
  };
}

/** The native library. */
export const native: Native = Object.fromEntries(
  (Object.keys(SYMBOLS) as (keyof Native)[]).map((name) => [name, callOf(name)]),
) as unknown as Native;

export const setImmediate = (run: () => void): unknown => runtime.setImmediate(run);
export const setTimeout = (run: () => void, ms: number): unknown => runtime.setTimeout(run, ms);
export const clearTimeout = (timer: { id: number; unref(): never }): void =>
  runtime.clearTimeout(timer);

/** Whoever uses it has a thread of its own, which is not simulated. */
export const clearImmediate = (): void => {};

/** The descriptors of a simulation are none of the runtime's. */
export function closeSync(_fd: number): never {
  throw Object.assign(new Error("bad file descriptor"), { code: "EBADF" });
}

export const openSync = closeSync;
