/**
 * Descriptors as transports: sockets have calls of their own, everything else has readv and writev.
 */
import { native } from "../../ffi/load.ts";
import { blocks } from "../buffer/block.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import { ERRNO } from "../core/errno.ts";
import { type NetpollError, SystemError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, IOVECS_MAX } from "../core/limits.ts";
import { packAddress, type PackedAddress, rawAddress } from "../net/address.ts";
import { cut, resetOnClose, setCork, socketErrorIfAny } from "../net/socket.ts";
import { tcpInfo, type TcpMetrics } from "../net/tcp_info.ts";
import type { Poller } from "../poll/poller.ts";
import type { Watcher } from "../poll/watcher.ts";
import { MSG_MORE, sending, TAKEN_AWAY, type Transport } from "./transport.ts";

/** The most bytes of a borrowed array that are copied at a time, where they must be. */
const COPY_CHUNK_BYTES = 64 * 1024;
const TWO_32 = 2 ** 32;
/** The side that shutdown(2) ends: SHUT_WR. */
const WRITE_SIDE = 1;

/**
 * Triplets of (slab, offset, length). One table a thread: no send or read is under way when another
 * begins.
 */
export const table: Uint32Array = new Uint32Array(3 * IOVECS_MAX);
const scratchAddress = rawAddress();

/** Puts the first bytes of a node on a block into a place of the table. */
export function putPiece(index: number, node: LinkNode, length: number): void {
  table[3 * index] = node.block!.slab.id;
  table[3 * index + 1] = node.read;
  table[3 * index + 2] = length;
}

/**
 * Fills the table from a node on: as many pieces as lie in blocks and fit. The result is their
 * number, and {@linkcode sending} has their bytes.
 */
export function gather(chain: LinkChain, first: LinkNode, most: number): number {
  const bound = Math.min(most, BYTES_PER_EVENT_MAX);
  let count = 0;
  let bytes = 0;
  for (let node: LinkNode | null = first; node !== null; node = node.next) {
    const length = Math.min(node.readable, bound - bytes);
    if (length > 0) {
      if (node.block === null || count === IOVECS_MAX) break;
      putPiece(count++, node, length);
      bytes += length;
    }
    if (node === chain.flushing || bytes === bound) break;
  }
  sending.offeredBytes = bytes;
  return count;
}

/** All that sockets and other descriptors have in common. */
abstract class DescriptorTransport {
  readonly isDescriptor = true;
  readonly isPlain: boolean = true;
  readonly holdsBytes: boolean = false;

  watch(poller: Poller, watcher: Watcher, interest: number): number {
    return poller.add(watcher, interest);
  }

  modify(poller: Poller, token: number, fd: number, interest: number): void {
    poller.modify(token, fd, interest);
  }

  rewatch(poller: Poller, token: number, watcher: Watcher): void {
    poller.replace(token, watcher);
  }

  unwatch(poller: Poller, token: number, fd: number): void {
    poller.remove(token, fd);
  }

  sendFile(fd: number, file: number, offset: number, bytes: number): number {
    return native.sendfile(fd, file, offset >>> 0, offset / TWO_32 >>> 0, bytes);
  }

  cork(fd: number, isCorked: boolean): void {
    setCork(fd, isCorked);
  }

  unreadBytes(fd: number): number {
    return Math.max(0, native.unread(fd));
  }

  unackedBytes(fd: number): number {
    return Math.max(0, native.unacked(fd));
  }

  hasPending(_fd: number): boolean {
    return false;
  }

  failure(fd: number): SystemError | null {
    return socketErrorIfAny(fd);
  }

  error(_fd: number, call: string, errno: number): NetpollError {
    return new SystemError(call, errno);
  }

  shutdownWrite(fd: number): number {
    return native.shutdown(fd, WRITE_SIDE);
  }

  resetOnClose(fd: number, isOn: boolean): void {
    resetOnClose(fd, isOn);
  }

  cut(fd: number): void {
    cut(fd);
  }

  close(fd: number): void {
    native.close(fd);
  }

  disown(fd: number): number {
    return native.disown(fd);
  }

  name(fd: number, end: 0 | 1): PackedAddress {
    scratchAddress.fill(0);
    native.name(fd, end, scratchAddress);
    return packAddress(scratchAddress);
  }

  tcp(fd: number): TcpMetrics | null {
    return tcpInfo(fd);
  }
}

/** Stream sockets. */
export class SocketTransport extends DescriptorTransport implements Transport {
  readonly canPin: boolean = true;

  receive(fd: number, slab: Slab, offset: number, length: number): number {
    return native.recv(fd, slab.id, offset, length);
  }

  send(fd: number, chain: LinkChain, first: LinkNode, most: number, flags: number): number {
    if (first.block === null) return sendBorrowed(fd, first, most, flags);
    if (first.readable >= most && most <= BYTES_PER_EVENT_MAX) {
      sending.offeredBytes = most;
      return native.send(fd, first.block.slab.id, first.read, most, flags);
    }
    const pieces = gather(chain, first, most);
    return native.sendmsg(fd, table, pieces, sending.offeredBytes < most ? MSG_MORE : flags);
  }
}

function sendBorrowed(fd: number, node: LinkNode, most: number, flags: number): number {
  const array = node.array!;
  if (node.isTaken) return TAKEN_AWAY;
  const offered = sending.offeredBytes = Math.min(node.readable, most, BYTES_PER_EVENT_MAX);
  const more = offered < most ? MSG_MORE : flags;
  return native.sendBorrowed(fd, array, array.byteLength, node.read, offered, more);
}

/** Descriptors that can be polled and are no sockets: pipes, terminals. */
class FileTransport extends DescriptorTransport implements Transport {
  readonly canPin = false;

  // Only a close ends our side of what is no socket.
  override shutdownWrite(): number {
    return 0;
  }

  receive(fd: number, slab: Slab, offset: number, length: number): number {
    table[0] = slab.id;
    table[1] = offset;
    table[2] = length;
    return native.readv(fd, table, 1);
  }

  send(fd: number, chain: LinkChain, first: LinkNode, most: number): number {
    if (first.block === null) return writeCopy(fd, first, most);
    return native.writev(fd, table, gather(chain, first, most));
  }
}

/**
 * A borrowed array goes through a block: C takes addresses of the user's memory for sockets only.
 */
function writeCopy(fd: number, node: LinkNode, most: number): number {
  if (node.isTaken) return TAKEN_AWAY;
  const offered = sending.offeredBytes = Math.min(node.readable, most, COPY_CHUNK_BYTES);
  const block = blocks.takeIfAny(offered);
  if (block === null) return -ERRNO.ENOMEM; // not now, as when the kernel has none
  block.slab.bytes.set(node.bytes.subarray(node.read, node.read + offered), block.offset);
  table[0] = block.slab.id;
  table[1] = block.offset;
  table[2] = offered;
  const count = native.writev(fd, table, 1);
  block.release();
  return count;
}

/** The way that a descriptor is open, if one only: known before anything is moved (readv(2)). */
export function onlyWay(fd: number): "reading" | "writing" | null {
  if (native.readv(fd, table, 0) === -ERRNO.EBADF) return "writing";
  return native.writev(fd, table, 0) === -ERRNO.EBADF ? "reading" : null;
}

/** The transport of every stream socket. */
export const socketTransport: SocketTransport = new SocketTransport();

/** The transport of every other descriptor. */
export const fileTransport: Transport = new FileTransport();
