/**
 * The part of `@std/assert` that the tests use, over `node:util`: JSR cannot be reached from every
 * machine.
 *
 * deno.json (`links`) and tsconfig.json (`paths`) put it in the place of the real one; the tests
 * notice nothing.
 *
 * @module
 */
import { inspect, isDeepStrictEqual } from "node:util";

/** The error of a failed assertion. */
export class AssertionError extends Error {
  /** The name of the class. */
  override name = "AssertionError";
}

// deno-lint-ignore no-explicit-any -- constructors of any shape, as in the original
type Constructor<T> = abstract new (...args: any[]) => T;

function failWith(message: string, detail: string): never {
  throw new AssertionError(message === "" ? detail : `${message}: ${detail}`);
}

/** Shows a value in full: where two differ may be deep inside. */
function show(value: unknown): string {
  return inspect(value, { depth: 10, maxArrayLength: 64, maxStringLength: 2000, sorted: true });
}

/** Fails. */
export function fail(message = "it came here"): never {
  throw new AssertionError(message);
}

/** The value is truthy. */
export function assert(actual: unknown, message = ""): asserts actual {
  if (!actual) failWith(message, `expected a truthy value, not ${show(actual)}`);
}

/** Both are equal, however deep, in type as well as in value. */
export function assertEquals<T>(actual: T, expected: T, message = ""): void {
  if (isDeepStrictEqual(actual, expected)) return;
  failWith(message, `values differ\n  actual   ${show(actual)}\n  expected ${show(expected)}`);
}

/** The two differ somewhere. */
export function assertNotEquals<T>(actual: T, other: T, message = ""): void {
  if (isDeepStrictEqual(actual, other)) failWith(message, `both are ${show(actual)}`);
}

/** Both are the same value, by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  message = "",
): asserts actual is T {
  if (Object.is(actual, expected)) return;
  failWith(message, `not the same\n  actual   ${show(actual)}\n  expected ${show(expected)}`);
}

/** The value is neither null nor undefined. */
export function assertExists<T>(actual: T, message = ""): asserts actual is NonNullable<T> {
  if (actual === null || actual === undefined) failWith(message, `expected a value, not ${actual}`);
}

/** The value is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  type: Constructor<T>,
  message = "",
): asserts actual is T {
  if (!(actual instanceof type)) {
    failWith(message, `expected an instance of ${type.name}, not ${show(actual)}`);
  }
}

/** The first is above the second. */
export function assertGreater<T>(actual: T, low: T, message = ""): void {
  if (!(actual > low)) failWith(message, `expected more than ${show(low)}, not ${show(actual)}`);
}

/** The first is the second or above. */
export function assertGreaterOrEqual<T>(actual: T, low: T, message = ""): void {
  if (!(actual >= low)) failWith(message, `expected at least ${show(low)}, not ${show(actual)}`);
}

/** The first is below the second. */
export function assertLess<T>(actual: T, high: T, message = ""): void {
  if (!(actual < high)) failWith(message, `expected less than ${show(high)}, not ${show(actual)}`);
}

/** The first is the second or below. */
export function assertLessOrEqual<T>(actual: T, high: T, message = ""): void {
  if (!(actual <= high)) failWith(message, `expected at most ${show(high)}, not ${show(actual)}`);
}

/** The text contains the part. */
export function assertStringIncludes(actual: string, part: string, message = ""): void {
  if (!actual.includes(part)) failWith(message, `${show(actual)} does not contain ${show(part)}`);
}

/** The text matches the pattern. */
export function assertMatch(actual: string, pattern: RegExp, message = ""): void {
  if (!pattern.test(actual)) failWith(message, `${show(actual)} does not match ${pattern}`);
}

function checkError<E extends Error>(
  error: unknown,
  type: Constructor<E>,
  messageIncludes: string,
  message: string,
): E {
  assertInstanceOf(error, type, message);
  assertStringIncludes(error.message, messageIncludes, message);
  return error;
}

/** The call throws an error of the class, whose message contains the text. The error. */
export function assertThrows<E extends Error = Error>(
  call: () => unknown,
  type: Constructor<E> = Error as unknown as Constructor<E>,
  messageIncludes = "",
  message = "",
): E {
  try {
    call();
  } catch (error) {
    return checkError(error, type, messageIncludes, message);
  }
  failWith(message, "expected the call to throw");
}

/** The promise that the call returns rejects with an error of the class. The error. */
export async function assertRejects<E extends Error = Error>(
  call: () => PromiseLike<unknown>,
  type: Constructor<E> = Error as unknown as Constructor<E>,
  messageIncludes = "",
  message = "",
): Promise<E> {
  // Outside of the try: a call that throws before it returns a promise is another failure.
  const promise = call();
  try {
    await promise;
  } catch (error) {
    return checkError(error, type, messageIncludes, message);
  }
  failWith(message, "expected the promise to be rejected");
}
