/**
 * Promises that nobody waits for: one that has resolved, and those that callbacks return.
 */

/** A promise that has resolved: for what need not wait, without an object of its own. */
export const RESOLVED: Promise<void> = Promise.resolve();

/** Handles a rejection that nobody need hear of. */
export function ignore(): void {}

/** A promise that has failed, of which nobody need hear. */
export function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(ignore);
  return promise;
}

/**
 * Hears of the rejection of what a callback has returned, which nobody waits for: it would end the
 * process otherwise. Whether that was a promise.
 */
export function heed(result: unknown, onRejected: (error: unknown) => void): boolean {
  if (typeof (result as { then?: unknown } | null | undefined)?.then !== "function") return false;
  (result as Promise<unknown>).then(ignore, onRejected);
  return true;
}

/** Calls back somebody whom nobody waits for, and hears of what he throws or rejects with. */
export function callBack(call: () => unknown, onFailed: (error: unknown) => void): void {
  try {
    heed(call(), onFailed);
  } catch (error) {
    onFailed(error);
  }
}
