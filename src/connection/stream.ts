/**
 * A stream: a descriptor that is read and written, held back and timed. How it ends is told in
 * closable_stream.ts; who is called for what comes in is the business of the connection over it
 * (socket_connection.ts).
 */
import { native } from "../../ffi/load.ts";
import { INSPECT } from "../buffer/drawing.ts";
import { type Ban, CLOSED, LinkChain } from "../buffer/link_chain.ts";
import { counts } from "../core/counts.ts";
import { NOT_READY } from "../core/errno.ts";
import {
  BusyError,
  ClosedError,
  NetpollError,
  type SystemError,
  type TimeoutError,
  type TimeoutOperation,
} from "../core/errors.ts";
import { setCork, socketError, socketErrorIfAny } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import type { Watcher } from "../poll/watcher.ts";
import type { CloseOptions, CloseResult } from "./connection.ts";
import { type ConnectionMetrics, connectionMetrics, drawConnection } from "./connection_metrics.ts";
import { ConnectionReader, type ReaderOwner, readSide } from "./connection_reader.ts";
import { ConnectionWriter, type WriterOwner, writeSide } from "./connection_writer.ts";
import { type DeadlineOwner, Deadlines } from "./deadlines.ts";
import { type Failure, PIPED, WRITE_ENDED } from "./ending.ts";
import { Endpoint, type EndpointAddresses } from "./endpoint.ts";
import { sendFile, type SendFileOptions } from "./send_file.ts";
import {
  checkTimeout,
  checkZeroCopy,
  type ConnectionSettings,
  hasDeadlines,
  type ZeroCopyMode,
} from "./settings.ts";
import { filled, type ReadSize, receive, type Transport } from "./transport.ts";
import { ZeroCopy, type ZeroCopyCounts, type ZeroCopyOwner } from "./zero_copy.ts";
import { ZeroCopyClose } from "./zero_copy_close.ts";

/** What the streams of one server share, or of one dialling. */
export interface StreamService {
  /** Who watches their descriptors. */
  readonly poller: Poller;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** How bytes come and go. */
  readonly io: Transport;
  /** Whether we have begun: bytes that were sent are a question, and its answer is waited for. */
  readonly isDialled: boolean;
}

/** The reading and the writing side of a descriptor. */
export abstract class Stream<S extends StreamService = StreamService> extends Endpoint
  implements Watcher, ReaderOwner, WriterOwner, DeadlineOwner, ZeroCopyOwner {
  readonly reader: ConnectionReader;
  readonly writer: ConnectionWriter;
  /** What was received. */
  readonly input: LinkChain = new LinkChain();
  /** What is to be sent. */
  readonly output: LinkChain = new LinkChain();
  /** None where there is nothing to watch over. */
  protected deadlines: Deadlines | null = null;
  /** Made when somebody asks for zero copy. */
  pinner: ZeroCopy | null = null;
  /** How bytes come and go. */
  io: Transport;
  /** What it shares with others. */
  protected readonly service: S;
  /** Why no more bytes come, once that is so. */
  readEnd: Ban | null = null;
  /** So much is held that reading has paused: releases are of interest. */
  isFull = false;
  /** How many bytes had been read when something was last sent: those need no answer any more. */
  protected answeredBytes = 0;
  #isPaused = false;
  /** Its poller sends what it has flushed at the end of the batch. */
  #isJoined = false;
  /** Whom a pipe sends what it receives from this. */
  #pipedTo: Stream | null = null;

  /**
   * A stream that nobody watches yet, over a non-blocking descriptor, which it owns from now on.
   */
  constructor(service: S, fd: number, ends: EndpointAddresses) {
    super(service.poller, fd, ends);
    this.service = service;
    this.io = service.io;
    this.reader = new ConnectionReader(this.input, this);
    this.writer = new ConnectionWriter(this.output, this);
    if (hasDeadlines(service.settings)) this.#time();
    if (service.settings.zeroCopy !== "off") this.zeroCopy = service.settings.zeroCopy;
  }

  /** Whether it was closed, and what was flushed still leaves. */
  protected abstract get isClosing(): boolean;
  /** No more bytes come: the peer ended its side (0), or a reset did (`-errno`). */
  abstract onReadEnd(code: number): void;
  /** All that was flushed has left. */
  protected abstract onAllSent(): void;
  /** A pipe begins to move its bytes, or ends it. */
  protected abstract onPipe(isPiped: boolean): void;
  /** Resets it, and says why. */
  abstract cut(error: unknown): void;
  /** What was flushed and dropped, once it is closed. */
  abstract readonly droppedBytes: number;

  abstract readonly isActive: boolean;
  abstract onJoinedLate(error: TimeoutError): void;
  abstract onEvent(events: number): void;
  abstract onFailure(error: unknown): void;
  abstract onWait(): void;
  abstract onWaitEnd(): void;
  abstract onPutOff(): void;
  abstract onFlushWait(since: number): void;
  abstract onFlushWaitEnd(): void;
  abstract onSendFailure(cause: SystemError): NetpollError;
  abstract onDeadline(operation: TimeoutOperation, timeoutMs: number): void;
  abstract readonly closed: Promise<void>;
  /** As `closed`, for whoever is no callback of its user's: never before it is closed. */
  abstract readonly ended: Promise<void>;
  abstract close(options?: CloseOptions): Promise<CloseResult>;
  abstract reset(): void;

  get settings(): ConnectionSettings {
    return this.service.settings;
  }

  // ---- receiving -----------------------------------------------------------------------------

  /**
   * Receives what is there, within bounds. Whether there was anything to learn: bytes, or the end.
   */
  protected receive(): boolean {
    const { reader } = this;
    let sum = 0;
    for (const most = readSide.eventBytes(reader); sum < most;) {
      const count = readSide.receive(reader, this.fd);
      if (count === NOT_READY) break;
      if (count <= 0) {
        this.onReadEnd(count);
        return true;
      }
      sum += count;
      if (!filled(this.input)) break; // the socket had less than there was room for
    }
    if (sum === 0) return false;
    this.deadlines?.received(this.service.poller.nowMicros);
    readSide.settle(reader);
    if (
      this.input.heldBytes > this.service.settings.readBufferBytesMax && !readSide.isWaiting(reader)
    ) {
      this.isFull = true;
      this.updateInterest();
    }
    return true;
  }

  /** Whether bytes are wanted. */
  protected canRead(): boolean {
    if (this.readEnd !== null || this.isReadEnded) return false;
    // What still comes to one that is closing is received and dropped.
    return this.isClosing || (!this.isReadPaused && !this.isPiped);
  }

  /** Watches for what is wanted now. */
  protected updateInterest(): void {
    if (!this.isPiped) this.want(this.canRead(), writeSide.isBlocked(this.writer));
  }

  get isReadPaused(): boolean {
    return this.#isPaused || this.isFull || this.isChoked;
  }

  pauseRead(): void {
    this.#isPaused = true;
    this.updateInterest();
  }

  resumeRead(): void {
    this.#isPaused = false;
    this.updateInterest();
  }

  onMessageEnd(): void {
    this.answeredBytes = this.input.total;
  }

  onRelease(): void {
    if (this.input.heldBytes * 2 >= this.service.settings.readBufferBytesMax) return;
    this.isFull = false;
    this.updateInterest();
  }

  // ---- sending -------------------------------------------------------------------------------

  /**
   * Whether so much is unsent that nothing more is read and served. Only where a handler answers
   * what is read: two ends that read and write by themselves, and neither of them read because of
   * what it has not sent, would wait for each other for ever.
   */
  get isChoked(): boolean {
    return writeSide.isChoked(this.writer);
  }

  /** Whether somebody waits for something of ours. */
  get isAwaited(): boolean {
    return readSide.isWaiting(this.reader) || writeSide.flushCount(this.writer) > 0 || this.isPiped;
  }

  // Outside of a turn of ours nothing would come to send it soon.
  join(): boolean {
    const { poller } = this.service;
    if (this.input.length === 0 || !poller.pace.isRunning) return false;
    if (!this.#isJoined) poller.addJoined(this);
    this.#isJoined = true;
    return true;
  }

  /** Sends what joined other answers. */
  sendJoined(): void {
    this.#isJoined = false;
    if (this.output.length > 0) this.uncork();
  }

  /** Sends what flushes put off. */
  protected uncork(): void {
    if (!writeSide.isBlocked(this.writer) && this.fd >= 0) writeSide.sendNow(this.writer);
  }

  onSent(): void {
    this.answeredBytes = this.input.total;
    this.deadlines?.sent(this.clockMicros);
    const unsentBytes = writeSide.unsentBytes(this.writer);
    if (unsentBytes > 0 || writeSide.isChoked(this.writer)) this.#onPressure();
    if (unsentBytes === 0) this.onAllSent();
  }

  // A handler that does not wait goes on flushing until it is choked: sending does not tell us.
  onQueued(): void {
    this.#onPressure();
  }

  #onPressure(): void {
    if (!writeSide.checkPressure(this.writer)) return;
    this.updateInterest();
    if (!writeSide.isChoked(this.writer)) this.service.poller.again(this);
  }

  onBlocked(): void {
    this.updateInterest();
  }

  sendFile(source: string | number, options: SendFileOptions = {}): Promise<number> {
    return sendFile(writeSide.forFiles(this.writer), source, options);
  }

  onCut(error: NetpollError): void {
    // Found within the user's flush, or by his signal: whatever calls back does so later.
    queueMicrotask(() => this.cut(error));
  }

  // ---- piping --------------------------------------------------------------------------------

  /** Whether a pipe moves its bytes, in place of its reader and writer. */
  get isPiped(): boolean {
    return this.#pipedTo !== null;
  }

  /**
   * Why its bytes can be piped no more: null unless it is over.
   *
   * @throws {BusyError} Somebody else moves its bytes.
   * @throws {TypeError} Its time has not come yet.
   */
  checkPipe(): NetpollError | null {
    const end = writeSide.end(this.writer);
    if (end !== null) return end;
    if (!this.isActive) return new ClosedError("Cannot pipe: the connection is closed");
    if (this.isPiped) throw new BusyError("Cannot pipe: the connection is piped already");
    if (readSide.isWaiting(this.reader)) {
      throw new BusyError("Cannot pipe: somebody waits for bytes of this connection");
    }
    if (!this.isWatched) throw new TypeError("Cannot pipe before onPrepare has returned");
    return this.output.writeBan !== WRITE_ENDED
      ? null
      : new ClosedError("Cannot pipe: closeWrite() has ended this side of the connection");
  }

  /** Puts what was received and not read behind what another is to send. How many bytes. */
  passInput(to: Stream): number {
    const { length } = this.input;
    to.output.take(this.input);
    to.output.publish();
    return length;
  }

  /** Lets a pipe move its bytes to another from now on: the pipe is told of its events. */
  beginPipe(watcher: Watcher, to: Stream): void {
    this.#pipedTo = to;
    this.input.readBan = PIPED;
    this.output.writeBan = PIPED;
    this.rewatch(watcher);
    this.unhush();
    this.onPipe(true);
  }

  /** Receives once from another descriptor into what this is to send. Bytes, 0, or `-errno`. */
  takeFrom(io: Transport, fd: number, size: ReadSize): number {
    return receive(io, fd, this.output, size, 0);
  }

  /** A pipe has moved bytes from it, or to it. */
  touch(): void {
    this.deadlines?.active(this.clockMicros);
  }

  /** The pipe has ended: in order without an error, and by a reset with one. */
  endPipe(failure: Failure | null): void {
    this.#pipedTo = null;
    this.input.readBan = CLOSED;
    this.onPipe(false);
    if (failure !== null) return this.cut(failure.error);
    if (this.readEnd === null) this.onReadEnd(0);
    void this.close();
  }

  // ---- zero copy -----------------------------------------------------------------------------

  get zeroCopy(): ZeroCopyMode {
    return this.pinner?.mode ?? "off";
  }

  set zeroCopy(mode: ZeroCopyMode) {
    checkZeroCopy(mode);
    this.pinner ??= new ZeroCopy(this.service.io, this);
    this.pinner.mode = mode;
    this.io = this.pinner.transport;
    this.output.borrows = mode !== "always";
  }

  get zeroCopyCounts(): ZeroCopyCounts {
    return (this.pinner ?? new ZeroCopy(this.service.io, this)).counts();
  }

  onZeroCopyBegin(): void {
    this.watchCompletions();
  }

  onCompletion(lo: number, hi: number, isCopied: boolean): void {
    this.pinner!.complete(lo, hi, isCopied);
  }

  /** What broke the connection; null when an error was reported that was a completion only. */
  brokenBy(): SystemError | null {
    return this.pinner === null ? socketError(this.fd) : socketErrorIfAny(this.fd);
  }

  /** The descriptor, given away. */
  protected fdToDetach(): number {
    if (this.pinner?.isPinning) {
      const { outstandingBytes } = this.pinner.counts();
      throw new NetpollError(
        `Cannot detach: ${outstandingBytes} bytes are pinned by zero-copy sends; await writer.released() first`,
      );
    }
    if (writeSide.unsentBytes(this.writer) > 0) setCork(this.fd, false); // a file may be under way
    counts.connections.detached += 1;
    return this.disown();
  }

  /** Closes a descriptor that nobody watches any more: at once, or when nothing is pinned. */
  protected closeFd(fd: number, isLost: boolean): void {
    if (isLost) counts.connections.lost += 1;
    if (!this.pinner?.isPinning) return void native.close(fd);
    new ZeroCopyClose(this.service.poller, fd, this.pinner, isLost);
  }

  // ---- looking at it -------------------------------------------------------------------------

  metrics(): ConnectionMetrics {
    return connectionMetrics(this);
  }

  /** What `console.log` shows. */
  [INSPECT](): string {
    return drawConnection(this);
  }

  // ---- deadlines -----------------------------------------------------------------------------

  /** What a pipe has taken from it and sent to another counts as well. */
  get untakenInAll(): number {
    const to = this.#pipedTo;
    return this.untakenBytes + (to === null ? 0 : to.untakenBytes);
  }

  // Who is not read because he does not take the answers is not held back by us.
  get isHeldBack(): boolean {
    return !this.isPiped && !this.isChoked && this.unreadBytes > 0;
  }

  // Also while the peer is not read because of what it does not take: its bytes came in time.
  lookForInput(): void {
    while (readSide.isWaiting(this.reader) && this.readEnd === null && !this.isClosing) {
      if (this.#isPaused || !this.receive()) return;
      this.service.poller.again(this); // for what follows from it
    }
  }

  lookForRoom(takenSince: number): number {
    if (this.fd >= 0 && writeSide.unsentBytes(this.writer) > 0) writeSide.sendNow(this.writer);
    return writeSide.flushingSince(this.writer, takenSince);
  }

  get clockMicros(): number {
    return this.service.poller.clockMicros;
  }

  #time(): Deadlines {
    return this.deadlines ??= this.#makeDeadlines(this.clockMicros);
  }

  #makeDeadlines(nowMicros: number): Deadlines {
    const deadlines = new Deadlines(this.service.poller, this, this.service.settings, nowMicros);
    // What is under way already is timed from now on.
    if (readSide.isWaiting(this.reader)) deadlines.beginRead(nowMicros);
    const flushingSince = writeSide.flushingSince(this.writer);
    if (flushingSince > 0) deadlines.beginWrite(flushingSince, nowMicros);
    return deadlines;
  }

  get readTimeoutMs(): number {
    return this.deadlines?.readMs ?? 0;
  }

  set readTimeoutMs(timeoutMs: number) {
    checkTimeout("readTimeoutMs", timeoutMs);
    if (this.fd >= 0) this.#time().setRead(timeoutMs, this.clockMicros);
  }

  get writeTimeoutMs(): number {
    return this.deadlines?.writeMs ?? 0;
  }

  set writeTimeoutMs(timeoutMs: number) {
    checkTimeout("writeTimeoutMs", timeoutMs);
    if (this.fd >= 0) this.#time().setWrite(timeoutMs, this.clockMicros);
  }

  get idleTimeoutMs(): number {
    return this.deadlines?.idleMs ?? 0;
  }

  set idleTimeoutMs(timeoutMs: number) {
    checkTimeout("idleTimeoutMs", timeoutMs);
    if (this.fd >= 0) this.#time().setIdle(timeoutMs, this.clockMicros);
  }
}
