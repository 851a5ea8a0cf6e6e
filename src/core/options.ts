/**
 * The values that a caller gave: options by their names, functions, signals. A mistake is told
 * where it is made.
 */

/**
 * The options that a function knows: a property for each of them, so that the compiler sees all. Its
 * value is "boolean" for what is true or false and nothing else.
 */
export type Known<T> = { readonly [name in keyof Required<T>]: unknown };

/** A value in an error's message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  const { constructor } = value as { constructor?: { name?: unknown } };
  const name = typeof constructor?.name === "string" ? constructor.name : "";
  return `an object${name === "" || name === "Object" ? "" : ` (${name})`}`;
}

/** The number of letters to change, add or leave out to make one word of another. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}

/** The name that was meant, if one is near: `timeout` for `timeoutMs`, `onrequest` for `onRequest`. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const plain = name.toLowerCase();
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const each of names) {
    const other = each.toLowerCase();
    const isPart = Math.min(plain.length, other.length) > 2 &&
      (other.startsWith(plain) || other.endsWith(plain) || plain.startsWith(other));
    const away = isPart ? Math.min(1, distance(plain, other)) : distance(plain, other);
    if (away < least) [least, best] = [away, each];
  }
  return best;
}

function unknownOption(of: string, name: string, known: object): TypeError {
  const names = Object.keys(known);
  const meant = nearest(name, names);
  const cure = meant === undefined
    ? names.length === 0 ? "it has none" : `it has ${names.join(", ")}`
    : `did you mean ${meant}?`;
  return new TypeError(`Unknown option ${JSON.stringify(name)} of ${of}: ${cure}`);
}

function checkBoolean(of: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "boolean") return;
  throw new TypeError(`Cannot set ${name} of ${of} to ${show(value)}: it is true or false`);
}

// The options that were checked last: a call for each message gives the same object each time.
let lastOptions: unknown;
let lastKnown: object | undefined;

/**
 * Throws for options that a function does not know, and for what is no object. One that is
 * undefined is as good as absent, but its name has to be right.
 */
export function checkOptions(of: string, options: unknown, known: object): void {
  if (options === undefined || (options === lastOptions && known === lastKnown)) return;
  checkNames(of, options, known);
  checkBooleans(of, options as object, known);
  lastOptions = options;
  lastKnown = known;
}

/** Throws for what is no object, and for one whose properties are not what it holds. */
export function checkObject(what: string, value: unknown): asserts value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`Cannot use ${show(value)} as ${what}: it is no object`);
  }
  // A promise that was not awaited, or a Map, has no properties: all that it holds would be ignored.
  if (Object.prototype.toString.call(value) !== "[object Object]") {
    throw new TypeError(
      `Cannot use ${show(value)} as ${what}: what it holds is not in its properties`,
    );
  }
}

function checkNames(of: string, options: unknown, known: object): void {
  checkObject(`the options of ${of}`, options);
  // Inherited ones count: options may be an object of the user's own class.
  for (const name in options) {
    if (!Object.hasOwn(known, name)) throw unknownOption(of, name, known);
  }
}

function checkBooleans(of: string, options: object, known: object): void {
  for (const name in options) {
    if ((known as Record<string, unknown>)[name] !== "boolean") continue;
    checkBoolean(of, name, (options as Record<string, unknown>)[name]);
  }
}

/**
 * The options, each read once: what is checked is what is used, though a getter may answer
 * otherwise the next time. Throws as {@linkcode checkOptions} does.
 */
export function readOptions<T extends object>(of: string, options: T, known: object): T {
  checkNames(of, options, known);
  const read: Record<string, unknown> = {};
  for (const name of Object.keys(known)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined) read[name] = value;
  }
  checkBooleans(of, read, known);
  return read as T;
}

/** Throws unless it is a signal, or absent. Anything with these two members will do. */
export function checkSignal(of: string, signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  const given = signal as unknown as { aborted?: unknown; addEventListener?: unknown } | null;
  if (
    typeof given === "object" && typeof given?.aborted === "boolean" &&
    typeof given.addEventListener === "function"
  ) return;
  throw new TypeError(`Cannot use ${show(signal)} as the signal of ${of}: it is no AbortSignal`);
}

/**
 * Passes on a whole number as a user gave it.
 *
 * @throws {RangeError} It is none, or not from `least` to `most`.
 */
export function checkNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  const bounds = most === Infinity ? `${least} or more` : `from ${least} to ${most}`;
  throw new RangeError(`Cannot set ${name} to ${show(value)}: it is a whole number ${bounds}`);
}

/** A duration as a user gave it: 0 for none. */
export function checkTimeout(name: string, timeoutMs: number): number {
  if (Number.isFinite(timeoutMs) && timeoutMs >= 0) return timeoutMs;
  throw new RangeError(
    `Cannot set ${name} to ${show(timeoutMs)}: it is a number of milliseconds, 0 for none`,
  );
}

/** Throws unless it is a function. `what` says whose it is. */
export function checkFunction(what: string, value: unknown): void {
  if (typeof value === "function") return;
  throw new TypeError(`Cannot use ${show(value)} as ${what}: it is no function`);
}
