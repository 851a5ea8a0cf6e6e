/**
 * The last bytes of an endpoint: its side ends in order, and the peer has everything.
 *
 * close(2) alone would lose bytes. The kernel sends what it has taken even then, but a byte from the
 * peer that nobody reads makes it reset the connection and drop the rest (RFC 2525 §2.17). So our
 * side is ended first, what the peer still sends is received and dropped, and the descriptor is
 * closed when the peer's kernel has acknowledged everything.
 */
import { blocks } from "../buffer/block.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { isNotNow } from "../core/errno.ts";
import type { NetpollError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, DROP_BYTES } from "../core/limits.ts";
import type { Endpoint } from "./endpoint.ts";
import { endOf, isOurs } from "./lost.ts";

/** An endpoint that sends no more. */
export interface Finishing extends Endpoint {
  /** Received bytes, those that are dropped among them. */
  readonly input: LinkChain;
  /** Whether the peer's side has ended. */
  readonly isReadEnded: boolean;
  /** The peer has ended its side (null), or the connection is broken. */
  onReadEnd(cause: NetpollError | null): void;
  /** Resets it, and says why. */
  cut(error: unknown): void;
}

/** Receives what the peer still sends, and drops it. How many bytes. */
export function dropInput(owner: Finishing): number {
  let sum = 0;
  const block = blocks.takeIfAny(DROP_BYTES);
  if (block === null) return 0; // as if nothing had come: closing must not fail for want of memory
  while (!owner.isReadEnded && sum < BYTES_PER_EVENT_MAX) {
    const count = owner.io.receive(owner.fd, block.slab, block.offset, DROP_BYTES);
    if (isNotNow(count)) break;
    if (count > 0) {
      sum += count;
      owner.input.bypassed += count;
      continue;
    }
    owner.onReadEnd(endOf(owner, count));
    break;
  }
  block.release();
  return sum;
}

/** The result of {@linkcode deliver} when nothing is left to do. */
export const DELIVERED = -1;

/**
 * Ends our side, whose last bytes the kernel has taken, and looks whether the peer has them. If not,
 * how many bytes it sent meanwhile, which were dropped.
 *
 * Nothing is asked that is known: after the peer's end nothing is received, and a peer that has
 * acknowledged everything by then needs no end of ours before the close, unless it must be told.
 */
export function deliver(owner: Finishing): number {
  if (!owner.isSocket) return DELIVERED;
  const { isReadEnded } = owner;
  const isTaken = isReadEnded && !owner.isWriteEnded && owner.unackedBytes === 0;
  if (isTaken && owner.io.isPlain) return DELIVERED;
  const failure = owner.isWriteEnded ? null : owner.shutdownWrite();
  // The peer would take an end of which it is not told for a cut, and of a cut somebody must hear.
  if (failure !== null && !owner.io.isPlain && isOurs(failure)) owner.cut(failure);
  const dropped = isReadEnded || !owner.isOpen ? 0 : dropInput(owner);
  if (!owner.isOpen || !owner.isWriteEnded) return dropped; // a reset came, or there is no room for our end
  if (isTaken) return DELIVERED;
  // While the peer sends, the descriptor stays until our end has arrived, too: what comes after the
  // close is answered by a reset, which must not overtake the end.
  const isDone = dropped === 0 ? owner.unackedBytes === 0 : owner.isEndAcked;
  return isDone ? DELIVERED : dropped;
}
