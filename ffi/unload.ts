/**
 * The end of this module in a thread that lives on: nothing of it is left to what comes in its place.
 */
import { host } from "./runtime.ts";
import { native } from "./load.ts";
import type { Native } from "./symbols.ts";

/** An object that has more to do at its end than to close a descriptor. */
export interface Unloadable {
  /** Ends it, at once. `isOver`: nothing of this module's JavaScript runs afterwards. */
  close(isOver: boolean): void;
}

/** The objects that are closed by their own means, before all else is given back. */
export const unloadables: Set<Unloadable> = new Set();

/** Calls that need no descriptor and no thread. */
const KEPT: ReadonlySet<keyof Native> = new Set([
  "abi",
  "counters",
  "now",
  "find",
  "slabAddress",
  "slabDiscard",
]);
const EBADF = 9;

/** Code of the program that still runs shall not use a number that is somebody else's by then. */
function disable(): void {
  const table = native as unknown as Record<string, () => number>;
  for (const name of Object.keys(table)) {
    if (!KEPT.has(name as keyof Native)) table[name] = () => -EBADF;
  }
}

host.onUnload((isOver) => {
  for (const each of unloadables) {
    try {
      each.close(isOver);
    } catch {
      // Nobody is left to hear of it, and what it held is given back all the same.
    }
  }
  native.giveBack(isOver ? 1 : 0);
  disable();
});
