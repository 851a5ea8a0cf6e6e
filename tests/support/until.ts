/**
 * Waiting for something that comes without a promise of its own.
 */
import { setImmediate, setTimeout } from "node:timers";
import { AssertionError } from "@std/assert";

/**
 * A test gives up one thing after so long: machines are busy, but below the 5 s
 * after which Bun ends a test without saying what it waited for.
 */
const PATIENCE_MS = 4000;

/** One macrotask: everything that is due by now has run. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** So many macrotasks. */
export async function ticks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await tick();
}

/**
 * So many milliseconds: for what must not happen meanwhile, and for peers that are slow on purpose.
 */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until it holds; fails when that takes too long, and says what did not come. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  for (let i = 0; !holds(); i++) {
    if (performance.now() > end) throw new AssertionError(`it never came: ${what}`);
    // A hundred macrotasks at full speed, then gently: the other side may be another process.
    await (i < 100 ? tick() : delay(1));
  }
}

/** The promise, or a failure when it does not settle: instead of a test that hangs. */
export async function soon<T>(promise: PromiseLike<T>, what = "it settles"): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AssertionError(`it never came: ${what}`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The state of a promise by now: "pending", or how it settled. */
export async function stateOf(
  promise: PromiseLike<unknown>,
): Promise<"pending" | "done" | "failed"> {
  let state: "pending" | "done" | "failed" = "pending";
  promise.then(() => state = "done", () => state = "failed");
  await tick();
  return state;
}
