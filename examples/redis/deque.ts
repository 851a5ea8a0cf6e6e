/**
 * A list of Redis: strings that come and go at both ends.
 */

const CAPACITY_MIN = 8;

/** A ring of a power of two, so that no end is slower than the other. */
export class Deque {
  #ring: string[] = new Array(CAPACITY_MIN).fill("");
  #head = 0;
  #length = 0;

  /** A list of these, first to last. */
  constructor(values: readonly string[] = []) {
    for (const value of values) this.push(value);
  }

  /** The number of elements. */
  get length(): number {
    return this.#length;
  }

  #index(position: number): number {
    return (this.#head + position) & (this.#ring.length - 1);
  }

  /** The element at a position, counted from the end if it is negative. */
  at(position: number): string | undefined {
    if (position < 0) position += this.#length;
    return position < 0 || position >= this.#length ? undefined : this.#ring[this.#index(position)];
  }

  /** Replaces what stands at a position, as `at` counts. True when there is one. */
  replace(position: number, value: string): boolean {
    if (position < 0) position += this.#length;
    if (position < 0 || position >= this.#length) return false;
    this.#ring[this.#index(position)] = value;
    return true;
  }

  /** Adds one behind the last. */
  push(value: string): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[this.#index(this.#length++)] = value;
  }

  /** Adds one before the first. */
  unshift(value: string): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#head = this.#index(-1);
    this.#ring[this.#head] = value;
    this.#length += 1;
  }

  /** Takes the last one. */
  pop(): string | undefined {
    if (this.#length === 0) return undefined;
    return this.#take(this.#index(--this.#length));
  }

  /** Takes the first one. */
  shift(): string | undefined {
    if (this.#length === 0) return undefined;
    const at = this.#head;
    this.#head = this.#index(1);
    this.#length -= 1;
    return this.#take(at);
  }

  #take(at: number): string {
    const value = this.#ring[at]!;
    this.#ring[at] = ""; // what nobody can read keeps no memory
    return value;
  }

  /** Those from one position up to, and without, another; all unless told. */
  slice(from = 0, to = this.#length): string[] {
    return Array.from(
      { length: Math.max(0, to - from) },
      (_, i) => this.#ring[this.#index(from + i)]!,
    );
  }

  #grow(): void {
    const all = this.slice();
    this.#ring = all.concat(new Array(all.length).fill(""));
    this.#head = 0;
  }
}
