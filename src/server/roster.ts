/**
 * A list whose members leave it in constant time, for each knows its place.
 *
 * A Map or Set of ten thousand costs 60 to 100 bytes each, this 16.
 */
import { assert } from "../core/assert.ts";

/** Whoever is on a roster. */
export interface Enrolled {
  /** The place on the list. Only the roster sets it. */
  place: number;
}

/** Those who are there, in no particular order. */
export class Roster<T extends Enrolled> {
  readonly #all: T[] = [];

  /** The number of members. */
  get size(): number {
    return this.#all.length;
  }

  /** One comes. */
  add(one: T): void {
    one.place = this.#all.push(one) - 1;
  }

  /** One goes; the last takes his place. */
  remove(one: T): void {
    const { place } = one;
    assert(this.#all[place] === one, "who goes was there");
    const last = this.#all.pop()!;
    if (last === one) return;
    this.#all[place] = last;
    last.place = place;
  }

  /** All of them, or so many, as they are now: whoever goes meanwhile is on the list still. */
  list(most = Infinity): T[] {
    return this.#all.slice(0, most);
  }
}
