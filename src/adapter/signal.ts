/**
 * Waiting that a signal can end.
 */

/** The same promise, but for this caller it is over when the signal says so. */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.reject(signal.reason);
  const either = Promise.withResolvers<T>();
  const onAbort = () => either.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  const done = () => signal.removeEventListener("abort", onAbort);
  promise.then(either.resolve, either.reject).then(done);
  return either.promise;
}
