/**
 * Async contexts: what the runtime carries along from a call to what it begins, for
 * `AsyncLocalStorage` and what is built on it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { host } from "./runtime.ts";

/** Calls a function in a context, and goes back to the one before, whatever the function entered. */
export type Scope = <A, B, R>(call: (a: A, b: B) => R, a: A, b: B) => R;

/**
 * The context of this call, as a scope. A call through it takes 2.5 ns in Bun and 3.3 in Deno, so a
 * handler is always called through one. The public way, `AsyncLocalStorage.snapshot()`, takes 5 in
 * Bun and 1400 in Deno (`make -C bench micro OPTIONS="--only context"`, bun 1.4.5, deno 2.9.5).
 */
export function currentScope(): Scope {
  const { contexts } = host;
  if (contexts === null) return AsyncLocalStorage.snapshot();
  const context = contexts.get();
  return context === undefined ? neutral : scopeOf(contexts, context);
}

function scopeOf(contexts: NonNullable<typeof host.contexts>, context: unknown): Scope {
  return (call, a, b) => {
    const outer = contexts.get();
    contexts.set(context);
    try {
      return call(a, b);
    } finally {
      contexts.set(outer);
    }
  };
}

/**
 * The context of nobody. What serves all users of a thread runs in it: whatever such code begins
 * would carry the context of whoever came first to all the others.
 */
export const neutral: Scope = host.contexts === null
  ? AsyncLocalStorage.snapshot() // of the import
  : scopeOf(host.contexts, undefined);
