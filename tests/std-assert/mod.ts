/**
 * Stand-in for @std/assert, over node:util, so that tests need no registry.
 */
import { inspect, isDeepStrictEqual } from "node:util";

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

/** What a failed assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Fails. */
export function fail(message = "failed"): never {
  throw new AssertionError(message);
}

/** Truthy. */
export function assert(value: unknown, message = "expected a truthy value"): asserts value {
  if (!value) fail(message);
}

/** Deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message = ""): void {
  if (isDeepStrictEqual(actual, expected)) return;
  fail(`${message} expected ${inspect(expected)}, got ${inspect(actual)}`);
}

/** Not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message = ""): void {
  if (isDeepStrictEqual(actual, expected)) fail(`${message} expected not ${inspect(expected)}`);
}

/** The same by Object.is. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message = ""): void {
  if (!Object.is(actual, expected)) {
    fail(`${message} expected ${inspect(expected)}, got ${inspect(actual)}`);
  }
}

/** Greater. */
export function assertGreater(actual: number, other: number, message = ""): void {
  if (!(actual > other)) fail(`${message} expected ${actual} > ${other}`);
}

/** Less. */
export function assertLess(actual: number, other: number, message = ""): void {
  if (!(actual < other)) fail(`${message} expected ${actual} < ${other}`);
}

/** Neither null nor undefined. */
export function assertExists<T>(actual: T, message = ""): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) fail(`${message} expected a value`);
}

/** Contains. */
export function assertStringIncludes(actual: string, expected: string, message = ""): void {
  if (!actual.includes(expected)) fail(`${message} expected ${inspect(actual)} to include ${inspect(expected)}`);
}

/** Matches. */
export function assertMatch(actual: string, expected: RegExp, message = ""): void {
  if (!expected.test(actual)) fail(`${message} expected ${inspect(actual)} to match ${expected}`);
}

/** Is of a class. */
export function assertInstanceOf<E>(
  actual: unknown,
  // deno-lint-ignore no-explicit-any
  expected: abstract new (...args: any[]) => E,
  message = "",
): asserts actual is E {
  if (!(actual instanceof expected)) fail(`${message} expected a ${expected.name}, got ${inspect(actual)}`);
}

function check(error: unknown, expected?: ErrorClass<Error>, includes = ""): void {
  if (expected !== undefined) assertInstanceOf(error, expected);
  if (includes !== "") assertStringIncludes((error as Error).message, includes);
}

/** Throws. */
export function assertThrows<E extends Error = Error>(
  call: () => unknown,
  expected?: ErrorClass<E>,
  includes = "",
): E {
  try {
    call();
  } catch (error) {
    check(error, expected, includes);
    return error as E;
  }
  fail(`expected ${expected?.name ?? "an error"} to be thrown`);
}

/** Rejects. */
export async function assertRejects<E extends Error = Error>(
  call: () => PromiseLike<unknown>,
  expected?: ErrorClass<E>,
  includes = "",
): Promise<E> {
  let result: PromiseLike<unknown>;
  try {
    result = call();
  } catch {
    fail("expected a rejection, but it was thrown");
  }
  try {
    await result;
  } catch (error) {
    check(error, expected, includes);
    return error as E;
  }
  fail(`expected a rejection by ${expected?.name ?? "an error"}`);
}
