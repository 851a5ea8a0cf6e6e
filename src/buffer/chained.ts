/**
 * The chain that readers and writers hold, out of their users' reach.
 */
import type { LinkChain } from "./link_chain.ts";

/** The chain behind a reader or a writer. Only modules of the library can ask. */
export let chainOf: (of: Chained) => LinkChain;

/** The chain of whatever a user gave; null for a value that is no reader or writer of netpoll's. */
export let chainIfAny: (of: object) => LinkChain | null;

/** Has a chain, and shows nothing of it. */
export class Chained {
  static {
    chainOf = (of) => of.#chain;
    chainIfAny = (of) => #chain in of ? of.#chain : null;
  }

  readonly #chain: LinkChain;

  /** Over a chain. */
  constructor(chain: LinkChain) {
    this.#chain = chain;
  }
}
