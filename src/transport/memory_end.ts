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
import { Line, type LineOwner, type LinePlan } from "./line.ts";
import { sending, TAKEN_AWAY, type Transport } from "./transport.ts";

/** The token of every registration: an end has one watcher. */
const TOKEN = 0;
/** The address of a socket without a name: of each end of `socketPair`, too. */
const NOWHERE: PackedAddress = Uint32Array.of(Family.UNIX, 0, 0, 0);

/** The end of a sender. Each is more than those before it. */
const End = { NONE: 0, ENDED: 1, GONE: 2, RESET: 3 } as const;

/** One of two ends: the transport of one connection. */
export class MemoryEnd implements Transport, Watcher, LineOwner {
  readonly isDescriptor = false;
  readonly fd = -1;
  readonly canPin = false;
  readonly isPlain = false;
  readonly holdsBytes = false;
  readonly #windowBytes: number;
  /** Bytes that the peer has sent and this end has not received. */
  readonly #wire = new LinkChain();
  /** The bytes that the peer has sent so far. */
  sentHereBytes = 0;
  /** The way of these bytes, where it has faults. */
  #line: Line | null = null;
  /** The end of the peer that follows them. */
  #sentEnd: number = End.NONE;
  /** Whatever the peer sends is dropped, as if its end had come. */
  #isCut = false;
  /** Bytes that were sent to a peer that was gone, before that was known. */
  #lostBytes = 0;
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

  /** Two ends, with so many bytes between them at most, each way, and the faults on the way to each. */
  static pair(
    windowBytes: number,
    toFirst: LinePlan | null = null,
    toSecond: LinePlan | null = null,
  ): [MemoryEnd, MemoryEnd] {
    const [a, b] = [new MemoryEnd(windowBytes), new MemoryEnd(windowBytes)];
    a.#peer = b;
    b.#peer = a;
    if (toFirst !== null) a.#line = new Line(toFirst, a);
    if (toSecond !== null) b.#line = new Line(toSecond, b);
    return [a, b];
  }

  // ---- bytes ------------------------------------------------------------------------------------

  receive(_fd: number, slab: Slab, offset: number, length: number): number {
    const wire = this.#wire;
    const count = Math.min(length, this.unreadBytes());
    if (count === 0) {
      if (this.#isBroken) return -ERRNO.ECONNRESET;
      return this.#isPeerEnded ? 0 : NOT_READY;
    }
    wire.copyOut(slab.bytes, offset, count);
    wire.consume(count);
    wire.release();
    if (this.#line !== null) {
      this.#line.pass(slab.bytes, offset, count);
      this.#arrive();
    }
    if ((this.#peer.#interest & Interest.WRITE) !== 0) this.#peer.#change();
    return count;
  }

  send(_fd: number, chain: LinkChain, first: LinkNode, most: number): number {
    sending.offeredBytes = most;
    if (this.#isBroken) return -ERRNO.ECONNRESET;
    if (this.#isPeerGone || this.#isWriteEnded) return -ERRNO.EPIPE;
    const count = Math.min(most, this.#room);
    if (count === 0) return NOT_READY;
    const peer = this.#peer;
    if (!peer.#isCut && !peer.#isGone) return peer.#take(chain, first, count);
    if (peer.#isGone) this.#lostBytes += count;
    return count;
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
    this.sentHereBytes += taken;
    this.#line?.onMore();
    this.#change();
    return taken;
  }

  get #room(): number {
    return this.#windowBytes - this.#peer.#wire.length - this.#lostBytes;
  }

  // ---- the line -----------------------------------------------------------------------------------

  get hasMore(): boolean {
    return this.#wire.length > 0 || this.#sentEnd !== End.NONE;
  }

  onLineOpen(): void {
    this.#arrive();
    this.#change();
  }

  onLineCut(how: "end" | "reset"): void {
    this.#isCut = true;
    this.#wire.consume(this.#wire.length);
    this.#wire.release();
    if (how === "reset") this.#peer.#end(End.RESET);
    this.#sentEnd = Math.max(this.#sentEnd, how === "reset" ? End.RESET : End.ENDED);
    this.onLineOpen();
    if ((this.#peer.#interest & Interest.WRITE) !== 0) this.#peer.#change();
  }

  /** The peer's end is on its way here. */
  #end(end: number): void {
    if (this.#isGone || end <= this.#sentEnd) return;
    this.#sentEnd = end;
    this.#line?.onMore();
    this.#arrive();
    this.#change();
  }

  /** The peer's end has come; a line that holds what lies before it holds it, too. */
  #arrive(): void {
    const { length } = this.#wire;
    if (this.#line !== null && this.#line.openBytes(length + 1) <= length) return;
    this.#isPeerEnded = this.#sentEnd >= End.ENDED;
    this.#isPeerGone = this.#sentEnd >= End.GONE;
    this.#isBroken = this.#sentEnd >= End.RESET;
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
    this.#line?.begin(poller);
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
    if (isOver || this.unreadBytes() > 0) events |= Event.READABLE;
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
    const { length } = this.#wire;
    return this.#line === null ? length : this.#line.openBytes(length);
  }

  /** Bytes that its line holds back now. */
  get heldBytes(): number {
    return this.#wire.length - this.unreadBytes();
  }

  // The peer has the bytes of the window, as it has those in its kernel. What a line holds for ever
  // is acknowledged by nobody, and our end counts as one.
  unackedBytes(): number {
    const peer = this.#peer;
    if (peer.#isGone || peer.#line === null || !peer.#line.isStalled) return 0;
    return peer.#wire.length + (this.#isWriteEnded ? 1 : 0);
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
    this.#peer.#end(End.ENDED);
    return 0;
  }

  resetOnClose(_fd: number, isOn: boolean): void {
    this.#resets = isOn;
  }

  cut(): void {
    this.#resets = true;
  }

  // As with sockets, a close that leaves bytes of the peer unread is a reset to him.
  close(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const isReset = this.#resets || this.#wire.length > 0;
    this.#wire.close(CLOSED);
    this.#line?.close();
    forgetOwner(this.#wire);
    this.#peer.#end(isReset ? End.RESET : End.GONE);
  }

  disown(): number {
    return this.fd;
  }
}
