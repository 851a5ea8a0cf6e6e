/**
 * Promises that all share: one that has resolved, and a handler that does nothing.
 */

/** A promise that has resolved: for what need not wait, without an object of its own. */
export const RESOLVED: Promise<void> = Promise.resolve();

/** Handles a rejection that nobody need hear of. */
export function ignore(): void {}
