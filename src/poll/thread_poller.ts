/**
 * The poller of this thread, made when the first descriptor needs one.
 */
import { unloadables } from "../../ffi/unload.ts";
import { Poller } from "./poller.ts";

let poller: Poller | null = null;

/**
 * The poller of this thread.
 *
 * @throws {SystemError} No descriptor or memory is left.
 */
export function threadPoller(): Poller {
  if (poller === null) {
    poller = new Poller();
    unloadables.add(poller);
  }
  return poller;
}

/** The poller of this thread, or null while nothing needed one. */
export function threadPollerIfAny(): Poller | null {
  return poller;
}
