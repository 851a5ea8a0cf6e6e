/**
 * Turns: changes that must not overlap, one after the other.
 */
import { ignore, RESOLVED } from "../core/promises.ts";

/** Changes in the order of their calls. */
export class Turns {
  #last: Promise<unknown> = RESOLVED;

  /** Makes a change when all before it have settled. Its caller alone hears that it failed. */
  take<T>(change: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(change);
    this.#last = result.catch(ignore);
    return result;
  }
}
