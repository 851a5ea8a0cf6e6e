/**
 * Making the collector run, by the shortest way that the runtime has.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const own = (globalThis as { Bun?: { gc(isSync: boolean): void } }).Bun;

function collectorOfV8(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Collects all that nobody holds any more. */
export const collect: () => void = own === undefined ? collectorOfV8() : () => own.gc(true);
