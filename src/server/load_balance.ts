/**
 * Load balancing: which of several pollers serves a new connection.
 */
import { currentScope, type Scope } from "../../ffi/context.ts";
import { show } from "../core/options.ts";
import { synchronous } from "../core/promises.ts";

/** A poller, as a policy sees it. */
export interface PollerLoad {
  /** The number of the poller, from 0; the same after its Worker was replaced. */
  readonly index: number;
  /** Connections that it serves, with those on their way to it. */
  readonly connectionCount: number;
}

/**
 * A policy of the program's own: the `index` of one of `pollers`, those that can take a connection
 * now. `remote` is who connects.
 *
 * @example
 * ```ts
 * import type { Address, Choose } from "@netpoll/netpoll";
 *
 * // Connections of this machine go to the first poller, all others to whoever has the fewest.
 * export const choose: Choose<Address> = (pollers, remote) => {
 *   if (remote.transport === "unix" || remote.hostname === "127.0.0.1") return pollers[0]!.index;
 *   return pollers.toSorted((a, b) => a.connectionCount - b.connectionCount)[0]!.index;
 * };
 * ```
 */
export type Choose<A> = (pollers: readonly PollerLoad[], remote: A) => number;

/**
 * The policy for new connections: one poller after the other, any, the one with the fewest, the same
 * one for all connections of a host, or the one that a function chooses.
 */
export type LoadBalance<A> =
  | "round-robin"
  | "random"
  | "least-connections"
  | "source-hash"
  | Choose<A>;

/** A new connection, as far as a policy wants to know. */
export interface Newcomer<A> {
  /** The key of its host; null for a peer that has none (a Unix socket). */
  readonly source: number | string | null;
  /** Its address. */
  readonly address: A;
}

/** Picks one of several pollers, of which there is at least one. */
export interface Balancer<A> {
  /** The one that serves the newcomer. */
  pick<P extends PollerLoad>(pollers: readonly P[], newcomer: Newcomer<A>): P;
}

const POLICIES: readonly unknown[] = ["round-robin", "random", "least-connections", "source-hash"];

/**
 * The balancer of a policy.
 *
 * @throws {TypeError} There is no such policy.
 */
export function balancer<A>(policy: LoadBalance<A>): Balancer<A> {
  if (typeof policy === "function") return new OwnChoice(policy);
  if (policy === "round-robin") return new RoundRobin();
  if (policy === "random") return { pick: (pollers) => pollers[randomBelow(pollers.length)]! };
  if (policy === "least-connections") return new LeastConnections();
  if (policy === "source-hash") return new SourceHash();
  throw new TypeError(
    `Cannot balance by ${show(policy)}: it is ${POLICIES.join(", ")}, or a function`,
  );
}

function randomBelow(count: number): number {
  return Math.floor(Math.random() * count);
}

class RoundRobin implements Balancer<unknown> {
  #last = -1;

  pick<P extends PollerLoad>(pollers: readonly P[]): P {
    // By index and not by position: the list changes when a Worker comes or goes.
    const next = pollers.find(({ index }) => index > this.#last) ?? pollers[0]!;
    this.#last = next.index;
    return next;
  }
}

class LeastConnections implements Balancer<unknown> {
  #turn = 0;

  pick<P extends PollerLoad>(pollers: readonly P[]): P {
    // Begins with another one each time: equals take turns.
    const from = this.#turn++ % pollers.length;
    let least = pollers[from]!;
    for (let n = 1; n < pollers.length; n++) {
      const other = pollers[(from + n) % pollers.length]!;
      if (other.connectionCount < least.connectionCount) least = other;
    }
    return least;
  }
}

/**
 * Rendezvous hashing (Thaler and Ravishankar, "A name-based mapping scheme for rendezvous", 1996):
 * when a poller is away, only its own hosts go elsewhere, and they come back with it.
 */
class SourceHash implements Balancer<unknown> {
  readonly #fallback = new RoundRobin();

  pick<P extends PollerLoad>(pollers: readonly P[], { source }: Newcomer<unknown>): P {
    if (source === null) return this.#fallback.pick(pollers);
    const hash = hashOf(source);
    let best = pollers[0]!;
    let bestScore = -1;
    for (const poller of pollers) {
      const score = mix(hash ^ mix(poller.index + 1));
      if (score <= bestScore) continue;
      best = poller;
      bestScore = score;
    }
    return best;
  }
}

function hashOf(source: number | string): number {
  if (typeof source === "number") return mix(source | 0);
  let hash = 0;
  for (let i = 0; i < source.length; i++) hash = mix(hash ^ source.charCodeAt(i));
  return hash;
}

/** The finalizer of MurmurHash3 (Austin Appleby, public domain): every bit depends on every bit. */
function mix(hash: number): number {
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ hash >>> 16) >>> 0;
}

class OwnChoice<A> implements Balancer<A> {
  readonly #choose: Choose<A>;
  readonly #scope: Scope = currentScope();

  constructor(choose: Choose<A>) {
    this.#choose = choose;
  }

  pick<P extends PollerLoad>(pollers: readonly P[], { address }: Newcomer<A>): P {
    const index = synchronous("loadBalance", this.#scope(this.#choose, pollers, address));
    const chosen = pollers.find((poller) => poller.index === index);
    if (chosen !== undefined) return chosen;
    throw new TypeError(
      `Cannot hand a connection to poller ${index}: the choice was between ${
        pollers.map((poller) => poller.index).join(", ")
      }`,
    );
  }
}
