/**
 * Debug mode: handlers that write, settle, and never flush. By netpoll's rule what is not flushed is
 * not sent, so nothing leaves, and nobody would be told.
 */
import { setImmediate } from "node:timers";
import type { LinkChain } from "../buffer/link_chain.ts";
import { say } from "../core/config.ts";

/** Handlers that were told of already: each of them once. */
const told = new WeakSet<object>();

/**
 * Looks in a while whether what a handler has left unflushed still is: it may have left the flush to
 * a microtask, as `responder` does.
 */
export function lookForUnflushed(
  handler: object,
  output: LinkChain,
  isRunning: () => boolean,
): void {
  if (told.has(handler)) return;
  setImmediate(() => {
    if (output.pending === 0 || isRunning() || told.has(handler)) return;
    told.add(handler);
    say(
      "warn",
      `a handler has settled with ${output.pending} bytes written and not flushed; they ` +
        "stay where they are until flush() is called",
    );
  });
}
