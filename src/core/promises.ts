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
 * The promise of what a callback has returned; null where there is nothing to wait for. Whoever has a
 * method `then` may throw there, or call back at once, or twice. The runtime's own promise in its
 * place settles once, and later.
 */
export function promiseOf<T>(result: T | PromiseLike<T>): Promise<T> | null {
  try {
    if (typeof (result as { then?: unknown } | null | undefined)?.then !== "function") return null;
    return Promise.resolve(result);
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * Hears of the rejection of what a callback has returned, which nobody waits for: it would end the
 * process otherwise. Whether that was a promise.
 */
export function heed(result: unknown, onRejected: (error: unknown) => void): boolean {
  const promise = promiseOf(result);
  promise?.then(ignore, onRejected);
  return promise !== null;
}

/**
 * Passes on what a callback has returned that has to be synchronous.
 *
 * @throws {TypeError} It is a promise. `why` says what is wrong with that.
 */
export function synchronous<T>(name: string, result: T, why = "it is synchronous"): T {
  if (!heed(result, ignore)) return result;
  throw new TypeError(`Cannot wait for ${name}: ${why}`);
}

/** Calls back somebody whom nobody waits for, and hears of what he throws or rejects with. */
export function callBack(call: () => unknown, onFailed: (error: unknown) => void): void {
  try {
    heed(call(), onFailed);
  } catch (error) {
    onFailed(error);
  }
}
