/**
 * Assertions: for our own bugs, and always on. A caller's mistake is a TypeError or RangeError;
 * what the peer or the kernel did is a NetpollError.
 */

/** A bug in netpoll itself. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Throws when what must hold does not. */
export function assert(holds: boolean, what = "broken invariant"): asserts holds {
  if (!holds) throw new AssertionError(`Assertion failed in netpoll: ${what}`);
}
