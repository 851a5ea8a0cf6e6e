/**
 * What readers and writers have in common: a chain, which is nobody's business but the library's.
 */
import type { LinkChain } from "./link_chain.ts";

/** The chain behind a reader or a writer. Only modules of the library can ask. */
export let chainOf: (of: Chained) => LinkChain;

/** The same for whatever a user gave; null for what is no reader or writer of netpoll's. */
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
