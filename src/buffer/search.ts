/**
 * Looking for a delimiter in bytes that come little by little, each of which is looked at once.
 */
import { beginIn } from "./delimiter.ts";
import type { LinkChain, Unfinished } from "./link_chain.ts";
import type { LinkNode } from "./link_node.ts";

/**
 * The part of a chain that was searched. It is good for as long as nothing of the chain is read: the
 * nodes of unread bytes stay where they are.
 */
export class Search implements Unfinished {
  readonly knower: unknown;
  readonly begins: number;
  /** A node at or before the first byte that is still to be looked at. */
  #node: LinkNode;
  /** Unread bytes before that node. */
  #before = 0;
  /** No delimiter begins before it, counted from the next unread byte. */
  #from = 0;

  /** A search through what is unread, of which there is some. */
  constructor(knower: unknown, chain: LinkChain) {
    this.knower = knower;
    this.begins = chain.total;
    this.#node = chain.front()!;
  }

  /** The place where the delimiter begins, from the next unread byte on; -1 when it is not there. */
  find(chain: LinkChain, delimiter: Uint8Array): number {
    // The beginning of a delimiter may lie in what was searched, its end in what is to come.
    const next = Math.max(this.#from, chain.length - delimiter.length + 1);
    for (;;) {
      const inside = this.#findInNode(chain, delimiter);
      if (inside >= 0) return inside;
      const end = this.#before + this.#node.readable;
      if (this.#node === chain.flushing || end > next) break;
      this.#before = end;
      this.#node = this.#node.next!;
    }
    const found = this.#findAfter(chain, delimiter);
    if (found < 0) this.#from = next;
    return found;
  }

  /** Finds it in the nodes after the one that the search stays at. */
  #findAfter(chain: LinkChain, delimiter: Uint8Array): number {
    const [node, before] = [this.#node, this.#before];
    let found = -1;
    while (found < 0 && this.#node !== chain.flushing) {
      this.#before += this.#node.readable;
      this.#node = this.#node.next!;
      found = this.#findInNode(chain, delimiter);
    }
    this.#node = node;
    this.#before = before;
    return found;
  }

  /** Finds one that begins in the node at which the search is. */
  #findInNode(chain: LinkChain, delimiter: Uint8Array): number {
    const from = Math.max(0, this.#from - this.#before);
    const at = beginIn(chain, this.#node, from, delimiter);
    return at < 0 ? -1 : this.#before + at;
  }
}

/** The search that was under way, or a new one when bytes were read since. */
export function continued(search: Search | null, knower: unknown, chain: LinkChain): Search {
  const isGood = search?.knower === knower && search?.begins === chain.total;
  return isGood ? search! : new Search(knower, chain);
}

/** The search of a codec that a chain remembers, or a new one. */
export function searchOf(knower: unknown, chain: LinkChain): Search {
  const { unfinished } = chain;
  const search = continued(unfinished instanceof Search ? unfinished : null, knower, chain);
  chain.unfinished = search;
  return search;
}
