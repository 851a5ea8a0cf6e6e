/**
 * The properties of an object that can be reached at run time.
 */
import { Buffer } from "node:buffer";

/** The property that every object of ours has, and `console.log` asks for. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** The names of all its members, own and inherited, in order. */
export function reachable(object: object): PropertyKey[] {
  const names = new Set<PropertyKey>();
  for (let at: object = object; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Reflect.ownKeys(at)) names.add(name);
  }
  names.delete("constructor");
  names.delete(INSPECT);
  return [...names].sort(byText);
}

/** The order of names, symbols among them. */
export function byText(a: PropertyKey, b: PropertyKey): number {
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}
