/**
 * TLS as a transport: the descriptor of a socket, and in C the session that belongs to it.
 */
import { native } from "../../ffi/load.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import { ERRNO } from "../core/errno.ts";
import { type NetpollError, SystemError } from "../core/errors.ts";
import type { Poller } from "../poll/poller.ts";
import { Interest, type Watcher } from "../poll/watcher.ts";
import { gather, SocketTransport, table } from "./descriptor.ts";
import { sending, TAKEN_AWAY } from "./transport.ts";
import { failureOf } from "../tls/failure.ts";

/** Sockets with TLS, after their handshake. */
class TlsTransport extends SocketTransport {
  override readonly canPin = false;
  override readonly isPlain = false;
  override readonly holdsBytes = true;

  override receive(fd: number, slab: Slab, offset: number, length: number): number {
    return native.tlsRecv(fd, slab.id, offset, length);
  }

  override send(fd: number, chain: LinkChain, first: LinkNode, most: number): number {
    if (first.block !== null) return native.tlsSend(fd, table, gather(chain, first, most));
    if (first.isTaken) return TAKEN_AWAY;
    const array = first.array!;
    const offered = sending.offeredBytes = Math.min(first.readable, most);
    return native.tlsSendBorrowed(fd, array, array.byteLength, first.read, offered);
  }

  // The kernel knows no TLS here: the file is read and sent.
  override sendFile(): number {
    return -ERRNO.EINVAL;
  }

  override watch(poller: Poller, watcher: Watcher, interest: number): number {
    const token = poller.add(watcher, interest);
    if (native.tlsPending(watcher.fd) > 0) poller.remind(token);
    return token;
  }

  override modify(poller: Poller, token: number, fd: number, interest: number): void {
    poller.modify(token, fd, interest);
    if ((interest & Interest.READ) !== 0 && native.tlsPending(fd) > 0) poller.remind(token);
  }

  override hasPending(fd: number): boolean {
    return native.tlsPending(fd) > 0;
  }

  // Nobody knows before they are decrypted how many of them are the user's.
  override unreadBytes(fd: number): number {
    return native.tlsPending(fd) > 0 || super.unreadBytes(fd) > 0 ? 1 : 0;
  }

  override error(fd: number, call: string, errno: number): NetpollError {
    return errno === ERRNO.EPROTO ? failureOf(fd, call) : new SystemError(call, errno);
  }

  override shutdownWrite(fd: number): number {
    return native.tlsShutdown(fd);
  }
}

/** The transport of every socket with TLS. */
export const tlsTransport: SocketTransport = new TlsTransport();
