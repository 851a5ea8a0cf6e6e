/**
 * The poller of this thread, made when the first descriptor needs one.
 */
import process from "node:process";
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
    sendAtExit(poller);
  }
  return poller;
}

/**
 * A program that exits in the middle of a turn has flushed answers that wait for the next ones: they
 * leave before. The listener goes with the program, when another is loaded in its place.
 */
function sendAtExit(poller: Poller): void {
  const send = () => poller.sendJoined();
  process.once("exit", send);
  unloadables.add({ close: () => void process.removeListener("exit", send) });
}

/** The poller of this thread, or null while nothing needed one. */
export function threadPollerIfAny(): Poller | null {
  return poller;
}
