/**
 * Ends of a connection in memory: bytes that one sends wait in a chain until the other receives
 * them, and no more of them than a window holds. An end tells of itself as epoll does of a socket:
 * for as long as something is there that is of interest, or once after each change.
 */
import { forgetOwner, reclaimFrom } from "../buffer/dropped.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import type { Slab } from "../buffer/slab.ts";
import { ERRNO, NOT_READY } from "../core/errno.ts";
import { type NetpollError, SystemError } from "../core/errors.ts";
import { Family, type PackedAddress } from "../net/address.ts";
import type { TcpMetrics } from "../net/tcp_info.ts";
import type { Poller } from "../poll/poller.ts";
import { Event, Interest, type Watcher } from "../poll/watcher.ts";
import { sending, TAKEN_AWAY, type Transport } from "./transport.ts";

/** The token of every registration: an end has one watcher. */
const TOKEN = 0;
/** The address of a socket without a name: of each end of `socketPair`, too. */
const NOWHERE: PackedAddress = Uint32Array.of(Family.UNIX, 0, 0, 0);

/** One of two ends: the transport of one connection. */
export class MemoryEnd implements Transport, Watcher {
  readonly isDescriptor = false;
  readonly fd = -1;
  readonly canPin = false;
  readonly isPlain = false;
  readonly holdsBytes = false;
  readonly #windowBytes: number;
  /** Bytes that the peer has sent and this end has not received. */
  readonly #wire = new LinkChain();
  #peer: MemoryEnd = this;
  #poller: Poller | null = null;
  #watcher: Watcher | null = null;
  #interest: number = Interest.NONE;
  /** Something has changed that an edge tells of. */
  #isNew = false;
  /** The peer sends no more. */
  #isPeerEnded = false;
  /** The peer has closed: it takes no more, either. */
  #isPeerGone = false;
  /** The peer has reset it. */
  #isBroken = false;
  #isWriteEnded = false;
  #isGone = false;
  #resets = false;

  private constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
    reclaimFrom(this, this.#wire); // nobody else knows of a pair that its user drops
  }

  /** Two ends, with so many bytes between them at most, each way. */
  static pair(windowBytes: number): [MemoryEnd, MemoryEnd] {
    const [a, b] = [new MemoryEnd(windowBytes), new MemoryEnd(windowBytes)];
    a.#peer = b;
    b.#peer = a;
    return [a, b];
  }

  // ---- bytes ------------------------------------------------------------------------------------

  receive(_fd: number, slab: Slab, offset: number, length: number): number {
    const wire = this.#wire;
    if (wire.length === 0) {
      if (this.#isBroken) return -ERRNO.ECONNRESET;
      return this.#isPeerEnded ? 0 : NOT_READY;
    }
    const count = Math.min(length, wire.length);
    wire.copyOut(slab.bytes, offset, count);
    wire.consume(count);
    wire.release();
    if ((this.#peer.#interest & Interest.WRITE) !== 0) this.#peer.#change();
    return count;
  }

  send(_fd: number, chain: LinkChain, first: LinkNode, most: number): number {
    sending.offeredBytes = most;
    if (this.#isBroken) return -ERRNO.ECONNRESET;
    if (this.#isPeerGone || this.#isWriteEnded) return -ERRNO.EPIPE;
    const count = Math.min(most, this.#room);
    return count > 0 ? this.#peer.#take(chain, first, count) : NOT_READY;
  }

  /**
   * Takes a copy, as a kernel does: from the end of a flush on, the memory behind it is its user's
   * again.
   */
  #take(chain: LinkChain, first: LinkNode, count: number): number {
    const wire = this.#wire;
    let taken = 0;
    let failure = TAKEN_AWAY;
    for (let node: LinkNode | null = first; node !== null && !node.isTaken; node = node.next) {
      const part = Math.min(node.readable, count - taken);
      try {
        if (part > 0) wire.copyIn(node.lend(node.read, part), part);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        failure = -ERRNO.ENOMEM;
        break;
      }
      taken += part;
      if (node === chain.flushing || taken === count) break;
    }
    if (taken === 0) return failure;
    wire.publish();
    this.#change();
    return taken;
  }

  get #room(): number {
    return this.#windowBytes - this.#peer.#wire.length;
  }

  sendFile(): number {
    return -ERRNO.EINVAL;
  }

  cork(): void {}

  // ---- readiness --------------------------------------------------------------------------------

  watch(poller: Poller, watcher: Watcher, interest: number): number {
    poller.prepareTimers(); // a turn comes only where there is a waker
    this.#poller = poller;
    this.#watcher = watcher;
    this.modify(poller, TOKEN, this.fd, interest);
    return TOKEN;
  }

  modify(_poller: Poller, _token: number, _fd: number, interest: number): void {
    this.#interest = interest;
    this.#change();
  }

  rewatch(_poller: Poller, _token: number, watcher: Watcher): void {
    this.#watcher = watcher;
  }

  unwatch(): void {
    this.#watcher = null;
  }

  /** Something is otherwise than it was. */
  #change(): void {
    this.#isNew = true;
    this.#tell();
  }

  #tell(): void {
    if (this.#watcher !== null && this.#events() !== 0) this.#poller!.again(this);
  }

  /** Everything that is so now and is of interest. */
  #events(): number {
    const interest = this.#interest;
    if ((interest & Interest.EDGE) !== 0 && !this.#isNew) return 0;
    const isOver = this.#isPeerEnded || this.#isBroken;
    let events = 0;
    if (isOver || this.#wire.length > 0) events |= Event.READABLE;
    if (isOver) events |= Event.PEER_ENDED;
    // Half of the window: the two ends need not take turns for each byte.
    if (this.#isPeerGone || 2 * this.#room >= this.#windowBytes) events |= Event.WRITABLE;
    events &= interest;
    if (this.#isBroken) events |= Event.ERROR;
    if (this.#isPeerGone || (this.#isPeerEnded && this.#isWriteEnded)) events |= Event.HANG_UP;
    return events;
  }

  /** The poller's turn. */
  onEvent(): void {
    const watcher = this.#watcher;
    const events = watcher === null ? 0 : this.#events();
    if (events === 0) return;
    this.#isNew = false;
    watcher!.onEvent(events);
    this.#tell();
  }

  onFailure(error: unknown): void {
    this.#watcher?.onFailure(error);
  }

  // ---- its state --------------------------------------------------------------------------------

  unreadBytes(): number {
    return this.#wire.length;
  }

  // The peer has the bytes of the window, as it has those in its kernel.
  unackedBytes(): number {
    return 0;
  }

  hasPending(): boolean {
    return false;
  }

  failure(): SystemError | null {
    return this.#isBroken ? new SystemError("go on with the connection", ERRNO.ECONNRESET) : null;
  }

  error(_fd: number, call: string, errno: number): NetpollError {
    return new SystemError(call, errno);
  }

  name(): PackedAddress {
    return NOWHERE;
  }

  tcp(): TcpMetrics | null {
    return null;
  }

  // ---- the end ----------------------------------------------------------------------------------

  shutdownWrite(): number {
    this.#isWriteEnded = true;
    this.#peer.#isPeerEnded = true;
    this.#peer.#change();
    return 0;
  }

  resetOnClose(_fd: number, isOn: boolean): void {
    this.#resets = isOn;
  }

  // As with sockets, a close that leaves bytes of the peer unread is a reset to him.
  close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const isReset = this.#resets || this.#wire.length > 0;
    this.#wire.close(CLOSED);
    forgetOwner(this.#wire);
    const peer = this.#peer;
    if (peer.#isGone) return;
    peer.#isPeerEnded = true;
    peer.#isPeerGone = true;
    peer.#isBroken = isReset;
    peer.#change();
  }

  disown(): number {
    return this.fd;
  }
}
