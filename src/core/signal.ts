/**
 * Waiting that a signal can end. A wait that is given up leaves nothing behind, however long the
 * promise is under way: reactions of a promise cannot be taken back, members of a set can.
 */
import { ignore } from "./promises.ts";

/** Somebody who waits, and may give up. */
interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/** The waiters of a promise; each promise has one reaction of ours. */
const audiences = new WeakMap<Promise<unknown>, Set<Waiter>>();

function audienceOf(promise: Promise<unknown>): Set<Waiter> {
  const known = audiences.get(promise);
  if (known !== undefined) return known;
  const audience = new Set<Waiter>();
  audiences.set(promise, audience);
  const tell = (settle: (waiter: Waiter) => void) => {
    audiences.delete(promise);
    for (const waiter of audience) settle(waiter);
    audience.clear();
  };
  promise.then(
    (value) => tell((waiter) => waiter.resolve(value)),
    (reason) => tell((waiter) => waiter.reject(reason)),
  );
  return audience;
}

/**
 * The promise, which is over for this caller as soon as the signal says so. A rejection that nobody
 * looks at is no unhandled one.
 */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const own = Promise.withResolvers<T>();
  own.promise.catch(ignore);
  if (signal.aborted) {
    own.reject(signal.reason);
    return own.promise;
  }
  const audience = audienceOf(promise);
  const leave = () => {
    audience.delete(waiter);
    signal.removeEventListener("abort", onAbort);
  };
  const onAbort = () => {
    leave();
    own.reject(signal.reason);
  };
  const waiter: Waiter = {
    resolve: (value) => {
      leave();
      own.resolve(value as T);
    },
    reject: (reason) => {
      leave();
      own.reject(reason);
    },
  };
  audience.add(waiter);
  signal.addEventListener("abort", onAbort);
  return own.promise;
}
