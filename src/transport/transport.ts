/**
 * The seam between a connection and the world: bytes in and out, readiness, the end, addresses.
 *
 * A connection has its transport in a field. For descriptors that is a constant, whose state is the
 * descriptor; what has state of its own is an object a connection. Above this seam nobody asks what
 * a connection is connected to.
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import type { NetpollError } from "../core/errors.ts";
import { CONTIGUOUS_BYTES_MAX, READ_BYTES_MAX, READ_ROOM_MIN } from "../core/limits.ts";
import type { PackedAddress } from "../net/address.ts";
import type { TcpMetrics } from "../net/tcp_info.ts";
import type { Poller } from "../poll/poller.ts";
import type { Watcher } from "../poll/watcher.ts";
import type { ReadSize } from "./read_size.ts";

/** More follows: do not send a packet that is not full yet (send(2)). */
export const MSG_MORE = 0x8000;
/**
 * The result of a send when a borrowed array is gone: its user has transferred or shrunk it. No error
 * of the kernel has this number.
 */
export const TAKEN_AWAY = -4096;

/** All that a connection needs of the world. Results are `>= 0` or `-errno` where nothing else is said. */
export interface Transport {
  /** True if a descriptor is behind it; then the kernel knows of which kind, and keeps account. */
  readonly isDescriptor: boolean;
  /** True if sends can pin our memory (MSG_ZEROCOPY). */
  readonly canPin: boolean;
  /**
   * True if the descriptor's bytes are those of the connection: then the kernel can move them
   * (splice(2)), and somebody else can go on with it.
   */
  readonly isPlain: boolean;
  /** True if bytes may be here of which the kernel does not tell. */
  readonly holdsBytes: boolean;

  /** Receives into one piece. Bytes, 0 at the end. */
  receive(fd: number, slab: Slab, offset: number, length: number): number;
  /**
   * Sends the first pieces of a chain, as many as one call takes and `most` bytes at most, and
   * notes in {@linkcode sending} how many bytes it tried. `flags`: MSG_MORE when something else
   * follows these bytes.
   */
  send(fd: number, chain: LinkChain, first: LinkNode, most: number, flags: number): number;
  /** Sends from an open file. `-EINVAL` where that cannot be: then it is read and sent. */
  sendFile(fd: number, file: number, offset: number, bytes: number): number;
  /** Lets full packets only leave, or any again. */
  cork(fd: number, isCorked: boolean): void;

  /** Begins to watch. The token of the registration. */
  watch(poller: Poller, watcher: Watcher, interest: number): number;
  /** Changes what is of interest. */
  modify(poller: Poller, token: number, fd: number, interest: number): void;
  /** Tells another watcher from now on. */
  rewatch(poller: Poller, token: number, watcher: Watcher): void;
  /** Stops watching. */
  unwatch(poller: Poller, token: number, fd: number): void;

  /** Bytes that can be received now. */
  unreadBytes(fd: number): number;
  /** Bytes that were sent and that the peer has not acknowledged; our end counts as one. */
  unackedBytes(fd: number): number;
  /** True if bytes are here of which the kernel does not tell. */
  hasPending(fd: number): boolean;
  /** Takes the error that broke it; null without one. */
  failure(fd: number): NetpollError | null;
  /** The error of a call that failed with `-errno`. */
  error(fd: number, call: string, errno: number): NetpollError;

  /** Ends our side: 0, `-errno` when the peer will not hear of it, or not now, when there is no room. */
  shutdownWrite(fd: number): number;
  /** Lets a close reset it in place of ending it in order, or not any more. */
  resetOnClose(fd: number, isOn: boolean): void;
  /** Lets the close that follows reset it, whatever the kernel refuses. */
  cut(fd: number): void;
  /** Ends both sides, and gives up all that it holds. */
  close(fd: number): void;
  /** Lets somebody else close it. The descriptor. */
  disown(fd: number): number;

  /** The address of this end (0) or of the other (1); none when it is not known. */
  name(fd: number, end: 0 | 1): PackedAddress;
  /** The kernel's account of it; null for what is no TCP connection. */
  tcp(fd: number): TcpMetrics | null;
}

/** The bounds of {@linkcode receive}, and a second result. */
export const receiving = {
  /** The most that one call receives; less while a connection with limits does. */
  most: READ_BYTES_MAX,
  /** The largest block that is taken for it; less while all connections hold too much. */
  blockMost: Infinity,
  /** Bytes filled what room there was: the kernel may have more. */
  wasFilled: false,
};

/** Further results of {@linkcode send}. */
export const sending = {
  /** Bytes that the call tried to send. */
  offeredBytes: 0,
  /** The kernel took less than it was offered: it has no more room now. */
  wasShort: false,
};

/**
 * Receives once. Bytes, 0 at the end of the stream, or `-errno`.
 *
 * `wanted`: how many bytes somebody waits for, so that they come to lie in one block if they can.
 */
export function receive(
  io: Transport,
  fd: number,
  chain: LinkChain,
  size: ReadSize,
  wanted: number,
): number {
  const missing = Math.min(wanted - chain.length, CONTIGUOUS_BYTES_MAX);
  const node = chain.room(
    READ_ROOM_MIN,
    Math.min(Math.max(size.blockBytes, missing), receiving.blockMost),
  );
  const { free } = node;
  const count = io.receive(fd, node.block!.slab, node.malloced, Math.min(free, receiving.most));
  receiving.wasFilled = count === free;
  chain.received(count);
  return count;
}

/**
 * Sends once, as much as one call takes. Bytes, or `-errno`. What was sent is consumed and its
 * memory given back.
 */
export function send(io: Transport, fd: number, chain: LinkChain): number {
  return sendMost(io, fd, chain, chain.length, 0);
}

/** Sends once, of the first `most` bytes, behind which something else follows. */
export function sendBefore(io: Transport, fd: number, chain: LinkChain, most: number): number {
  return sendMost(io, fd, chain, most, MSG_MORE);
}

function sendMost(
  io: Transport,
  fd: number,
  chain: LinkChain,
  most: number,
  flags: number,
): number {
  const count = io.send(fd, chain, chain.front()!, most, flags);
  sending.wasShort = count < sending.offeredBytes;
  if (count > 0) {
    chain.consume(count);
    chain.release();
  }
  return count;
}
