/**
 * The inside of a datagram socket: its events, its errors, and its end.
 *
 * ```text
 *   event ─► take errors ─► recvmmsg ─► handlers, which write ─► one sendmmsg ─► tell errors
 * ```
 */
import { currentScope, type Scope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { counts, datagramSockets } from "../core/counts.ts";
import { ERRNO, isOfNetwork } from "../core/errno.ts";
import { ClosedError, type SystemError, TimeoutError } from "../core/errors.ts";
import { RESOLVED } from "../core/promises.ts";
import { Family, type PackedAddress, type UdpAddress } from "../net/address.ts";
import { socketErrorIfAny } from "../net/socket.ts";
import { clock } from "../poll/clock.ts";
import type { Joined } from "../poll/poller.ts";
import { Timer } from "../poll/timer_wheel.ts";
import { Event, Interest, type Watcher } from "../poll/watcher.ts";
import { arena } from "./arena.ts";
import { Complaints, errorAt, logTrains } from "./complaints.ts";
import type { DatagramCloseResult, DatagramWriteOptions } from "./contract.ts";
import { type DatagramDeadline, DatagramDeadlines } from "./deadlines.ts";
import { type QueueOwner, takeQueuedErrors } from "./error_queue.ts";
import type { DatagramCallbacks, DatagramParts, DatagramSettings } from "./options.ts";
import { kernelMemory } from "./metrics.ts";
import { udpOf } from "./peer.ts";
import { Receiving, type ReceivingOwner } from "./receiving.ts";
import { Tally } from "./tally.ts";
import { Writing, type WritingOwner } from "./writing.ts";

/** A datagram socket. */
export class DatagramCore implements Watcher, Joined, ReceivingOwner, WritingOwner, QueueOwner {
  fd: number;
  /** Whether the user wants nothing to be received. */
  isReadPaused = false;
  readonly scope: Scope = currentScope();
  readonly #parts: DatagramParts;
  readonly #token: number;
  #interest: number;
  #isRoomWanted = false;
  /** Whether it keeps the process alive. */
  #isRef = true;
  #isJoined = false;
  #tally: Tally | null = null;
  #receiving: Receiving | null = null;
  #writing: Writing | null = null;
  #complaints: Complaints | null = null;
  #deadlines: DatagramDeadlines | null = null;
  #closing: PromiseWithResolvers<DatagramCloseResult> | null = null;
  /** Whether it closes, and its handler hears the rest of what was received before. */
  #isTellingRest = false;
  #unsentCount = 0;
  #closeTimer: Timer | null = null;
  #closed: PromiseWithResolvers<void> | null = null;
  /** The error that has ended it; null for a close. */
  #reason: unknown = null;
  /** What the kernel had dropped at the end. */
  #droppedByKernel = 0;

  /**
   * Over a descriptor, which is its own from now on.
   *
   * @throws {SystemError} It cannot be watched; the descriptor is still the caller's.
   */
  constructor(fd: number, parts: DatagramParts) {
    this.fd = fd;
    this.#parts = parts;
    this.#interest = this.hasHandler ? Interest.READ : Interest.NONE;
    this.#token = parts.poller.add(this, this.#interest);
    const { readTimeoutMs, writeTimeoutMs, idleTimeoutMs } = parts.settings;
    if (readTimeoutMs + writeTimeoutMs + idleTimeoutMs > 0) {
      this.#deadlines = new DatagramDeadlines(parts.poller, this, parts.settings);
    }
    arena.join();
    datagramSockets.add(this);
    counts.datagrams.opened += 1;
    counts.datagrams.activeCount += 1;
  }

  get settings(): DatagramSettings {
    return this.#parts.settings;
  }

  get callbacks(): DatagramCallbacks {
    return this.#parts.callbacks;
  }

  get family(): number {
    return this.#parts.family;
  }

  /** Whether it can send by the family of a peer. */
  speaks(peer: PackedAddress): boolean {
    const { family, isIPv6Only } = this.#parts;
    return typeof peer === "number" ? !isIPv6Only : family === Family.IPV6;
  }

  get localAddress(): UdpAddress {
    return udpOf(this.#parts.local);
  }

  /** Where it is connected to. */
  get remoteAddress(): UdpAddress | null {
    return this.#parts.remoteAddress;
  }

  get hasHandler(): boolean {
    const { onDatagram, onDatagrams } = this.#parts.callbacks;
    return onDatagram !== undefined || onDatagrams !== undefined;
  }

  get clockMicros(): number {
    return this.#parts.poller.clockMicros;
  }

  /** Whether it can be used. While it closes, handlers that hear the rest can answer. */
  get isOpen(): boolean {
    return this.fd >= 0 && (this.#closing === null || this.#isTellingRest);
  }

  /** Its counts, made when there is something to count. */
  get tally(): Tally {
    return this.#tally ??= new Tally();
  }

  /** The way in, made when it is needed. */
  get receiving(): Receiving {
    return this.#receiving ??= new Receiving(this);
  }

  /** The way out, made when it is needed. */
  get writing(): Writing {
    return this.#writing ??= new Writing(this, this.#parts.poller);
  }

  /** Datagrams that wait to be sent. */
  get queuedCount(): number {
    return this.#writing?.outgoing.queue.count ?? 0;
  }

  /** The bytes of them. */
  get queuedBytes(): number {
    return this.#writing?.outgoing.queue.bytes ?? 0;
  }

  /** Datagrams that came and that the kernel has dropped. */
  get droppedByKernel(): number {
    return this.fd >= 0 ? kernelMemory(this.fd).droppedCount : this.#droppedByKernel;
  }

  /** Whether there are datagrams that nobody takes: in the kernel, or here for a busy handler. */
  get isHeldBack(): boolean {
    return this.#receiving?.isBehind === true || kernelMemory(this.fd).receivedBytes > 0;
  }

  /** Whether there is room in the queue. */
  get isWritable(): boolean {
    return this.isOpen && (this.#writing === null || this.#writing.outgoing.fits(1));
  }

  /** The error of whoever uses it after its end. */
  closedError(): ClosedError {
    const cause = this.#reason === null ? undefined : { cause: this.#reason };
    return new ClosedError("Cannot use a datagram socket after close()", cause);
  }

  // ---- events -----------------------------------------------------------------------------------

  onEvent(events: number): void {
    if ((events & Event.ERROR) !== 0) this.#onError();
    if ((events & Event.WRITABLE) !== 0) this.#writing?.outgoing.onRoom();
    if ((events & Event.READABLE) !== 0 && this.isOpen) this.#onReadable();
    if (events === 0 && this.#receiving?.isBehind && !this.isReadPaused) this.#goOn();
    this.#complaints?.tell();
  }

  onFailure(error: unknown): void {
    this.end(error);
  }

  /** Takes the errors of the socket, always: they would be reported for ever. */
  #onError(): void {
    if (this.fd < 0 || this.takeErrors() > 0) return;
    const error = socketErrorIfAny(this.fd);
    if (error !== null && !this.#isQueued(error.errno)) this.#onUnreachable(error.errno, null);
  }

  /** Whether an error is of some peer, and was told of from the error queue. */
  #isQueued(errno: number): boolean {
    const { reportUnreachable } = this.#parts.callbacks;
    return this.remoteAddress === null && reportUnreachable === true && isOfNetwork(errno);
  }

  /** Whether anybody takes what comes. Until a handler is done, or a wait begun, the kernel keeps it. */
  get #isReceiving(): boolean {
    if (this.fd < 0 || this.#closing !== null) return false;
    if (this.isReadPaused || this.receiving.isResting) return false;
    return this.hasHandler ? !this.receiving.isBehind : this.receiving.isAwaited;
  }

  #onReadable(): void {
    if (!this.#isReceiving) return this.want();
    const { receiveCountMax } = this.settings;
    let code = this.receiving.receive(receiveCountMax);
    if (code < 0 && code !== -ERRNO.EAGAIN) {
      this.#onReceiveError(-code);
      // An error of ICMP is of one peer: the datagrams of all others lie behind it.
      if (this.#isReceiving) code = this.receiving.receive(receiveCountMax);
      if (code < 0 && code !== -ERRNO.EAGAIN && !isOfNetwork(-code)) {
        this.receiving.rest(this.#parts.poller);
      }
    }
    this.#onTold();
  }

  /** Calls the handler for more of a batch that took longer than others can wait. */
  #goOn(): void {
    this.receiving.goOn();
    this.#isTellingRest &&= this.receiving.isBehind;
    this.#deadlines?.active();
    this.#onTold();
    this.#endIfDone();
    this.want();
  }

  /** Takes a pause back: first comes what was received before it. */
  resumeRead(): void {
    this.isReadPaused = false;
    if (this.#receiving?.isBehind) this.#parts.poller.again(this);
    this.want();
  }

  /** Handlers have run: what they have written leaves. */
  #onTold(): void {
    this.#writing?.outgoing.send();
    if (!this.#receiving!.isBehind) return;
    this.want();
    this.#parts.poller.again(this);
  }

  #onReceiveError(errno: number): void {
    if (this.takeErrors() > 0 || this.#isQueued(errno)) return;
    // Without memory it is no peer's fault.
    if (this.remoteAddress !== null && errno !== ERRNO.ENOMEM) {
      return this.#onUnreachable(errno, null);
    }
    this.receiving.tellError(errorAt("receive at", errno, this.localAddress));
  }

  /** Tells the poller what is of interest from now on. */
  want(): void {
    if (this.fd < 0) return;
    const interest = (this.#isReceiving ? Interest.READ : 0) |
      (this.#isRoomWanted ? Interest.WRITE : 0);
    if (interest === this.#interest) return;
    this.#interest = interest;
    try {
      this.#parts.poller.modify(this.#token, this.fd, interest);
    } catch (error) {
      // Of what comes nobody would be told: that is its end. Not amid a call of the user's.
      queueMicrotask(() => this.end(error));
    }
  }

  wantRoom(isWanted: boolean): void {
    this.#isRoomWanted = isWanted;
    this.want();
  }

  /** Keeps the process alive. */
  ref(): void {
    if (this.#isRef || this.fd < 0) return;
    this.#isRef = true;
    this.#parts.poller.ref();
  }

  /** Lets the process end. */
  unref(): void {
    if (!this.#isRef || this.fd < 0 || this.#closing !== null) return;
    this.#isRef = false;
    this.#parts.poller.unref();
  }

  onMoved(): void {
    this.#deadlines?.active();
  }

  onWaited(): void {
    this.#deadlines?.endRead();
  }

  /** Waits for datagrams. */
  wait(signal: AbortSignal | undefined): Promise<void> {
    const promise = this.receiving.wait(signal);
    if (this.receiving.isAwaited) {
      this.want();
      this.#deadlines?.beginRead();
    }
    return promise;
  }

  reply(
    table: Uint32Array,
    at: number,
    bytes: Uint8Array,
    options: DatagramWriteOptions | undefined,
  ): boolean {
    if (!this.isOpen) throw this.closedError();
    if (this.remoteAddress !== null) return this.writing.write(null, bytes, options);
    return this.writing.reply(table, at, bytes, options);
  }

  replyLater(
    record: Uint32Array,
    bytes: Uint8Array,
    options: DatagramWriteOptions | undefined,
  ): boolean {
    if (this.isOpen && !this.#isJoined) this.#join(); // another socket's handler may be the one
    return this.reply(record, 0, bytes, options);
  }

  /**
   * The way out, for a write. What a handler writes, be it one of another socket, leaves when
   * all handlers of the batch have run: nobody has to flush it.
   */
  get joined(): Writing {
    if (!this.#isJoined) this.#join();
    return this.writing;
  }

  /** Sends what was written; in a turn of ours with what the next handlers write. */
  flush(signal: AbortSignal | undefined): Promise<void> {
    if (this.#writing === null) return RESOLVED;
    return this.#writing.flush(signal, this.#join());
  }

  /** Whether the poller sends it soon. */
  #join(): boolean {
    const { poller } = this.#parts;
    if (!poller.pace.isRunning) return false;
    if (!this.#isJoined) poller.addJoined(this);
    this.#isJoined = true;
    return true;
  }

  sendJoined(): boolean {
    this.#isJoined = false;
    if (this.fd < 0 || this.#writing === null) return true; // its end was told
    return this.#writing.sendJoined();
  }

  onFlushBegin(): void {
    this.#deadlines?.beginWrite();
  }

  onFlushEnd(): void {
    this.#deadlines?.endWrite();
  }

  /** When the first flush that waits began. */
  get flushingSince(): number {
    return this.writing.flushingSince;
  }

  onOffered(): void {
    this.#writing!.endFlushes();
    this.#endIfDone();
  }

  /** Ends it if it closes, and nothing is left to be told or sent. */
  #endIfDone(): void {
    if (this.#closing === null || this.#isTellingRest) return;
    if (this.queuedCount === 0) this.end(null);
  }

  onDeadline(operation: DatagramDeadline, timeoutMs: number): void {
    const error = new TimeoutError(operation, timeoutMs);
    if (operation === "read") this.receiving.fail(error);
    else if (operation === "write") this.writing.failFlushes(error, clock.now() - 1000 * timeoutMs);
    else this.end(error);
  }

  // ---- errors -----------------------------------------------------------------------------------

  takeErrors(): number {
    return takeQueuedErrors(this);
  }

  onQueuedError(errno: number, peer: PackedAddress): void {
    this.#onUnreachable(errno, this.remoteAddress === null ? peer : null);
  }

  #onUnreachable(errno: number, peer: PackedAddress | null): void {
    // The kernel tells a connected socket all the same.
    if (this.#parts.callbacks.reportUnreachable === false) return;
    this.#report(this.#errorOf("reach", errno, peer), peer);
  }

  onRefused(errno: number, peer: PackedAddress | null): void {
    this.#report(this.#errorOf("send to", errno, peer), peer);
  }

  onTrainsRefused(errno: number, segmentMax: number): void {
    logTrains(this.#errorOf("send a train of datagrams from", errno, null), segmentMax);
  }

  #errorOf(action: string, errno: number, peer: PackedAddress | null): SystemError {
    const address = peer === null ? this.remoteAddress ?? this.localAddress : udpOf(peer);
    return errorAt(action, errno, address);
  }

  /** An error of a peer. Whoever waits for the one peer of a connected socket hears of it. */
  #report(error: SystemError, peer: PackedAddress | null): void {
    const isAwaited = this.remoteAddress !== null && !this.hasHandler;
    if (!isAwaited || this.callbacks.onError !== undefined) this.complain(error, peer);
    else this.tally.add("errors");
    if (isAwaited) this.receiving.failOnce(error);
  }

  complain(error: unknown, peer: PackedAddress | null): void {
    this.tally.add("errors");
    this.#complaints ??= new Complaints(this.callbacks.onError, this.scope);
    if (!this.#complaints.isWaiting) this.#parts.poller.again(this);
    this.#complaints.add(error, peer);
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Tells what was received, sends what was written, both within some time, and closes. */
  close(timeoutMs: number): Promise<DatagramCloseResult> {
    if (this.#closing !== null) return this.#closing.promise;
    this.#closing = Promise.withResolvers();
    const { promise } = this.#closing;
    if (this.fd < 0) {
      this.#closing.resolve({ unsentCount: this.#unsentCount });
      return promise;
    }
    this.receiving.fail(this.closedError());
    this.#isTellingRest = timeoutMs > 0 && this.receiving.isBehind;
    this.#writing?.outgoing.send();
    const isEmpty = this.#writing === null || this.#writing.outgoing.queue.recordCount === 0;
    if (isEmpty && !this.#isTellingRest || timeoutMs === 0) {
      this.end(null);
      return promise;
    }
    if (this.fd < 0) return promise;
    this.ref(); // what was written has its time to leave
    if (this.#isTellingRest) this.resumeRead(); // nobody else will, and the rest would be lost
    this.want();
    this.#closeTimer = new Timer({ onTimer: () => this.end(null) });
    this.#parts.poller.setTimer(this.#closeTimer, timeoutMs);
    return promise;
  }

  /** It is over, at once; null for a close. */
  end(reason: unknown): void {
    const { fd } = this;
    if (fd < 0) return;
    this.ref(); // the poller counts all that it watches
    this.#parts.poller.remove(this.#token, fd);
    datagramSockets.delete(this);
    counts.datagrams.activeCount -= 1;
    this.#droppedByKernel = this.droppedByKernel;
    counts.datagrams.droppedByKernel += this.#droppedByKernel;
    this.fd = -1;
    this.#reason = reason;
    this.#deadlines?.close();
    if (this.#closeTimer !== null) this.#parts.poller.cancelTimer(this.#closeTimer);
    this.#unsentCount = this.#writing?.outgoing.close() ?? 0;
    if (this.#unsentCount > 0) this.tally.add("droppedClosed", this.#unsentCount);
    native.close(fd);
    this.#receiving?.end();
    arena.leave();
    this.#settle();
  }

  #settle(): void {
    const error = this.closedError();
    this.#receiving?.fail(this.#reason ?? error);
    this.#writing?.failFlushes(error, Infinity);
    this.#closing?.resolve({ unsentCount: this.#unsentCount });
    if (this.#reason !== null) this.complain(this.#reason, null);
    if (this.#closed === null) return;
    if (this.#reason === null) this.#closed.resolve();
    else this.#closed.reject(this.#reason);
  }

  /** Settles when it is closed. */
  get closed(): Promise<void> {
    if (this.#closed !== null) return this.#closed.promise;
    this.#closed = Promise.withResolvers();
    this.#closed.promise.catch(() => {});
    if (this.fd < 0 && this.#reason === null) this.#closed.resolve();
    if (this.fd < 0 && this.#reason !== null) this.#closed.reject(this.#reason);
    return this.#closed.promise;
  }
}
