/**
 * Objects of ours as `console.log` and `inspect` of node:util print them, in both runtimes: by their
 * state, in a line, without what is inside of them.
 */

/** The method that both call. */
export const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** `inspect` of node:util, or the runtime's own, which is given to the method. */
type Inspect = (value: unknown, options: object) => string;

/**
 * Sets how the instances of a class are printed: as their name and some of their properties, or those
 * of a view, or as a text of their own. What is no instance, such as the prototype, is printed by the
 * name alone: printing never throws.
 */
export function showAs<T extends object>(
  prototype: T,
  name: string,
  view: readonly (keyof T)[] | ((of: T) => object | string),
): void {
  const value = function (this: T, depth: number, options: object, inspect: Inspect): string {
    if (depth < 0) return `[${name}]`;
    let seen: object | string;
    try {
      seen = typeof view === "function"
        ? view(this)
        : Object.fromEntries(view.map((property) => [property, this[property]]));
    } catch {
      return `[${name}]`;
    }
    return typeof seen === "string" ? seen : `${name} ${inspect(seen, options)}`;
  };
  Object.defineProperty(prototype, INSPECT, { value, configurable: true });
}
