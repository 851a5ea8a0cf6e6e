/**
 * Unix sockets as transports: descriptors travel beside the bytes (unix(7), SCM_RIGHTS).
 *
 * The kernel closes descriptors that arrive at a plain read, so each read here has room for them.
 * Both ways they keep their place in the stream: what is to be sent belongs to a byte of the output,
 * and what came is there as soon as its first byte is.
 */
import { native } from "../../ffi/load.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import { DESCRIPTORS_PER_MESSAGE_MAX, DESCRIPTORS_UNCLAIMED_MAX } from "../core/limits.ts";
import { Family, type PackedAddress } from "../net/address.ts";
import type { Poller } from "../poll/poller.ts";
import { gather, SocketTransport, socketTransport, table } from "./descriptor.ts";
import type { Transport } from "./transport.ts";

/** Descriptors that leave with a byte of the output: duplicates, ours until then. */
interface Parcel {
  /** The bytes of memory that are sent before that byte, in all. */
  readonly at: number;
  readonly fds: Int32Array;
}

/** Descriptors that came with one read, in order. */
export interface Arrival {
  /** They are the taker's, who closes them. */
  readonly fds: readonly number[];
  /** Why they are not all that was sent, and were closed; null where they are. */
  readonly loss: "no room" | "unclaimed" | null;
}

/** {how many, whether some were cut off, each of them}, as C writes it. */
const incoming = new Int32Array(2 + DESCRIPTORS_PER_MESSAGE_MAX);

/** By the descriptor of the connection. Only what has some is here. */
const leaving = new Map<number, Parcel[]>();
const arrived = new Map<number, Arrival[]>();
/** Descriptors in `arrived`. */
let unclaimedCount = 0;

function closeAll(fds: Iterable<number>): void {
  for (const fd of fds) native.close(fd);
}

/** Notes what the last read brought: all of it, or why it was closed. */
function note(fd: number): void {
  const fds = [...incoming.subarray(2, 2 + incoming[0]!)];
  let loss: Arrival["loss"] = null;
  if (incoming[1] !== 0) loss = "no room";
  else if (unclaimedCount + fds.length > DESCRIPTORS_UNCLAIMED_MAX) loss = "unclaimed";
  if (loss !== null) closeAll(fds.splice(0));
  const queue = arrived.get(fd);
  // One that was lost after another says nothing new, and a peer may send any number.
  if (queue !== undefined && loss !== null && queue.at(-1)!.loss === loss) return;
  unclaimedCount += fds.length;
  if (queue === undefined) arrived.set(fd, [{ fds, loss }]);
  else queue.push({ fds, loss });
}

/** The connection is over, or goes on in another way: nobody sends or takes these any more. */
function forget(fd: number): void {
  for (const { fds } of leaving.get(fd) ?? []) closeAll(fds);
  for (const { fds } of arrived.get(fd) ?? []) {
    closeAll(fds);
    unclaimedCount -= fds.length;
  }
  leaving.delete(fd);
  arrived.delete(fd);
}

/** Stream sockets of this machine. */
class UnixTransport extends SocketTransport {
  override receive(fd: number, slab: Slab, offset: number, length: number): number {
    const count = native.recvRights(fd, slab.id, offset, length, incoming);
    if (incoming[0] !== 0 || incoming[1] !== 0) note(fd);
    return count;
  }

  override send(
    fd: number,
    chain: LinkChain,
    first: LinkNode,
    most: number,
    flags: number,
  ): number {
    const parcels = leaving.size === 0 ? undefined : leaving.get(fd);
    if (parcels === undefined) return super.send(fd, chain, first, most, flags);
    const { at, fds } = parcels[0]!;
    const before = at - chain.total;
    if (before > 0) return super.send(fd, chain, first, Math.min(most, before), flags);
    const next = parcels.length > 1 ? parcels[1]!.at - at : most;
    const pieces = gather(chain, first, Math.min(most, next));
    const count = native.sendRights(fd, table, pieces, fds, fds.length);
    if (count <= 0) return count;
    parcels.shift();
    closeAll(fds);
    if (parcels.length === 0) leaving.delete(fd);
    return count;
  }

  override unwatch(poller: Poller, token: number, fd: number): void {
    forget(fd);
    super.unwatch(poller, token, fd);
  }

  override close(fd: number): void {
    forget(fd);
    super.close(fd);
  }

  override disown(fd: number): number {
    forget(fd);
    return super.disown(fd);
  }
}

/** The transport of every Unix stream socket. */
export const unixTransport: Transport = new UnixTransport();

/** The transport of a stream socket whose other end is known. */
export function transportTo(remote: PackedAddress | null): Transport {
  const isUnix = remote !== null && typeof remote !== "number" && remote[0] === Family.UNIX;
  return isUnix ? unixTransport : socketTransport;
}

/**
 * Sends descriptors with the byte of the output before which `at` bytes are sent in all. They are the
 * transport's from now on.
 */
export function sendWith(fd: number, at: number, fds: Int32Array): void {
  const parcels = leaving.get(fd);
  if (parcels === undefined) leaving.set(fd, [{ at, fds }]);
  else parcels.push({ at, fds });
}

/** The first descriptors that came and that nobody has taken, or null. */
export function takeArrived(fd: number): Arrival | null {
  const queue = arrived.get(fd);
  if (queue === undefined) return null;
  const first = queue.shift()!;
  if (queue.length === 0) arrived.delete(fd);
  unclaimedCount -= first.fds.length;
  return first;
}
