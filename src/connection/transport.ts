/**
 * Between descriptors and buffers: bytes in, bytes out, and how much at a time.
 */
import { native } from "../../ffi/load.ts";
import { blocks } from "../buffer/block.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import { ERRNO } from "../core/errno.ts";
import { SystemError } from "../core/errors.ts";
import {
  BYTES_PER_EVENT_MAX,
  CALL_MICROS_LONG,
  CONTIGUOUS_BYTES_MAX,
  EVENT_BYTES_FIRST,
  IOVECS_MAX,
  READ_BYTES_FIRST,
  READ_BYTES_MAX,
  READ_ROOM_MIN,
  READ_SHRINK_AFTER,
} from "../core/limits.ts";

/** The most bytes of a borrowed array that are copied at a time, where they must be. */
const COPY_CHUNK_BYTES = 64 * 1024;
/** More follows: do not send a packet that is not full yet (send(2)). */
export const MSG_MORE = 0x8000;
/** The result of a send when a borrowed array is gone: its user has transferred or shrunk it. */
export const TAKEN_AWAY: number = -ERRNO.EFAULT;

// Triplets of (slab, offset, length). One table a thread: no send or read is under way when another
// begins.
const table = new Uint32Array(3 * IOVECS_MAX);

/**
 * The size of a read: more when reads fill what they get, less when they do not. Connections whose
 * messages are small share one object, {@linkcode FIRST_SIZE}.
 */
export class ReadSize {
  #bytes = READ_BYTES_FIRST;
  #messageBytes = 0;
  #smallCount = 0;
  /** So much at most, for its handler takes long over more. */
  #most = Infinity;

  /** The size of a block to read into, when the connection has no other. */
  get blockBytes(): number {
    return Math.min(Math.max(this.#bytes, this.#messageBytes), this.#most);
  }

  /** The most to receive for one event: two blocks, or as much as handlers read without delay. */
  get eventBytes(): number {
    return Math.min(Math.max(2 * this.blockBytes, EVENT_BYTES_FIRST), 2 * this.#most);
  }

  /**
   * A read got `count` bytes, and may have left some if it filled its block. The size from now on.
   */
  learn(count: number, wasFilled: boolean): ReadSize {
    if (!wasFilled) return this === FIRST_SIZE ? this : this.#shrink(count);
    const own = this.#own();
    if (own.#bytes < READ_BYTES_MAX) own.#bytes *= 2;
    own.#smallCount = 0;
    return own;
  }

  #shrink(count: number): ReadSize {
    if (count * 4 > this.blockBytes) {
      this.#smallCount = 0;
    } else if (++this.#smallCount === READ_SHRINK_AFTER) {
      this.#smallCount = 0;
      this.#messageBytes = 0;
      this.#bytes /= 2;
      if (this.#bytes <= READ_BYTES_FIRST) return FIRST_SIZE;
    }
    return this;
  }

  /**
   * The user read a message of so many bytes: the next one shall fit into one block. The size from
   * now on.
   */
  learnMessage(bytes: number): ReadSize {
    if (bytes <= READ_BYTES_FIRST || bytes <= this.#messageBytes) return this;
    const own = this.#own();
    own.#messageBytes = Math.min(bytes, CONTIGUOUS_BYTES_MAX);
    return own;
  }

  /**
   * A handler's call took so long for so many bytes: less is read for the next one if that was too
   * long, and more again after one that was short. The size from now on.
   */
  learnTime(bytes: number, micros: number): ReadSize {
    if (micros > CALL_MICROS_LONG) {
      const own = this.#own();
      const bearable = bytes * CALL_MICROS_LONG / micros / 2; // two blocks are read for one event
      own.#most = Math.max(READ_BYTES_FIRST, 2 ** Math.floor(Math.log2(bearable)));
      own.#bytes = Math.min(own.#bytes, own.#most);
      return own;
    }
    if (4 * micros < CALL_MICROS_LONG && this.#most < READ_BYTES_MAX) this.#most *= 2;
    else if (this.#most === READ_BYTES_MAX) this.#most = Infinity;
    return this;
  }

  #own(): ReadSize {
    return this === FIRST_SIZE ? new ReadSize() : this;
  }
}

/** The size of a connection that has learned nothing yet. */
export const FIRST_SIZE: ReadSize = new ReadSize();

/** A second result of {@linkcode receive}. */
export const receiving = {
  /** Bytes filled what room there was: the kernel may have more. */
  wasFilled: false,
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
  const node = chain.book(Math.max(size.blockBytes, missing), READ_ROOM_MIN);
  const { free } = node;
  const count = io.receive(fd, node.block!.slab.id, node.malloced, Math.min(free, READ_BYTES_MAX));
  receiving.wasFilled = count === free;
  chain.bookAck(node, count);
  return count;
}

/**
 * Fills the table from a node on: as many pieces as lie in blocks and fit. How many; `offered`
 * bytes.
 */
let offered = 0;
function gather(chain: LinkChain, first: LinkNode, most: number): number {
  const bound = Math.min(most, BYTES_PER_EVENT_MAX);
  let count = 0;
  offered = 0;
  for (let node: LinkNode | null = first; node !== null; node = node.next) {
    const length = Math.min(node.readable, bound - offered);
    if (length > 0) {
      if (node.block === null || count === IOVECS_MAX) break;
      table[3 * count] = node.block.slab.id;
      table[3 * count + 1] = node.read;
      table[3 * count + 2] = length;
      count += 1;
      offered += length;
    }
    if (node === chain.flushing || offered === bound) break;
  }
  return count;
}

/** For a transport elsewhere: how many bytes its call tries to send. */
export function offer(bytes: number): void {
  offered = bytes;
}

/** A second result of {@linkcode send}. */
export const sending = {
  /** The kernel took less than it was offered: it has no more room now. */
  wasShort: false,
};

/** The end that a receive has told of: null in order, and what broke the connection otherwise. */
export function endOf(code: number): SystemError | null {
  return code === 0 ? null : new SystemError("receive", -code);
}

/** The calls that receive and send: a socket has its own, everything else has readv and writev. */
export interface Transport {
  /** Receives into one piece. Bytes, 0 at the end, or `-errno`. */
  receive(fd: number, slab: number, offset: number, length: number): number;
  /**
   * Sends the first pieces of a chain, as many as one call takes and `most` bytes at most, and says
   * in `offered` what it tried. `flags`: MSG_MORE when something else follows these bytes.
   */
  send(fd: number, chain: LinkChain, first: LinkNode, most: number, flags: number): number;
}

/** A stream socket. */
export const socketTransport: Transport = {
  receive: (fd, slab, offset, length) => native.recv(fd, slab, offset, length),
  send(fd, chain, first, most, flags) {
    if (first.block === null) return sendBorrowed(fd, first, most, flags);
    if (first.readable >= most && most <= BYTES_PER_EVENT_MAX) {
      offered = most;
      return native.send(fd, first.block.slab.id, first.read, offered, flags);
    }
    const pieces = gather(chain, first, most);
    return native.sendmsg(fd, table, pieces, offered < most ? MSG_MORE : flags);
  },
};

function sendBorrowed(fd: number, node: LinkNode, most: number, flags: number): number {
  const array = node.array!;
  if (node.isTaken) return TAKEN_AWAY;
  offered = Math.min(node.readable, most, BYTES_PER_EVENT_MAX);
  const more = offered < most ? MSG_MORE : flags;
  return native.sendBorrowed(fd, array, array.byteLength, node.read, offered, more);
}

/** Which way a descriptor is open, if one only. It is told before anything is moved (readv(2)). */
export function onlyWay(fd: number): "reading" | "writing" | null {
  if (native.readv(fd, table, 0) === -ERRNO.EBADF) return "writing";
  return native.writev(fd, table, 0) === -ERRNO.EBADF ? "reading" : null;
}

/** A descriptor that can be polled and is no socket: a pipe, a terminal. */
export const fileTransport: Transport = {
  receive(fd, slab, offset, length) {
    table[0] = slab;
    table[1] = offset;
    table[2] = length;
    return native.readv(fd, table, 1);
  },
  send(fd, chain, first, most) {
    if (first.block === null) return writeCopy(fd, first, most);
    return native.writev(fd, table, gather(chain, first, most));
  },
};

/**
 * A borrowed array goes through a block: C takes addresses of the user's memory for sockets only.
 */
function writeCopy(fd: number, node: LinkNode, most: number): number {
  if (node.isTaken) return TAKEN_AWAY;
  offered = Math.min(node.readable, most, COPY_CHUNK_BYTES);
  const block = blocks.take(offered);
  block.slab.bytes.set(node.bytes.subarray(node.read, node.read + offered), block.offset);
  table[0] = block.slab.id;
  table[1] = block.offset;
  table[2] = offered;
  const count = native.writev(fd, table, 1);
  block.release();
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
  sending.wasShort = count < offered;
  if (count > 0) {
    chain.consume(count);
    chain.release();
  }
  return count;
}
