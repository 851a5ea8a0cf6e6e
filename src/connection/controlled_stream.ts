/**
 * Everything that users set of a stream or ask it, beside its messages and its end: timeouts, zero
 * copy, files, pausing, figures. And the part of it that a pipe uses.
 */
import { INSPECT } from "../core/inspect.ts";
import { CLOSED } from "../buffer/link_chain.ts";
import {
  BusyError,
  ClosedError,
  type NetpollError,
  TimeoutError,
  type TimeoutOperation,
} from "../core/errors.ts";
import { placed } from "../core/place.ts";
import { clock } from "../poll/clock.ts";
import type { Watcher } from "../poll/watcher.ts";
import { ClosableStream } from "./closable_stream.ts";
import { type ConnectionMetrics, connectionMetrics, drawConnection } from "./connection_metrics.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import { type DeadlineOwner, Deadlines } from "./deadlines.ts";
import { type Failure, PIPED, SECURING, WRITE_ENDED } from "./ending.ts";
import type { EndpointAddresses } from "../transport/endpoint.ts";
import { Stop } from "./lifecycle.ts";
import { timeout } from "./messages.ts";
import { idOf } from "./watched_calls.ts";
import { Handshake } from "../transport/handshake.ts";
import { tlsTransport } from "../transport/tls_transport.ts";
import type { TlsClientOptions, TlsServerOptions } from "../tls/options.ts";
import { ignore } from "../core/promises.ts";
import { checkTimeout } from "../core/options.ts";
import { beginTls, type TlsRole } from "../transport/start_tls.ts";
import { receiveFile, type ReceiveFileOptions } from "../transport/receive_file.ts";
import { sendFile, type SendFileOptions } from "../transport/send_file.ts";
import type { Service } from "./service.ts";
import { hasDeadlines } from "./settings.ts";
import type { ReadSize } from "../transport/read_size.ts";
import { receive, type Transport } from "../transport/transport.ts";
import { type TlsInfo, tlsInfo } from "../transport/tls_info.ts";
import {
  checkZeroCopy,
  ZeroCopy,
  type ZeroCopyCounts,
  type ZeroCopyMode,
  type ZeroCopyOwner,
} from "../transport/zero_copy.ts";

/** The reasons to read nothing that users call a pause. */
const PAUSES = Stop.PAUSED | Stop.FULL | Stop.CHOKED | Stop.SLOWED | Stop.RATIONED | Stop.CROWDED;

/** A stream with settings that may change while it is open. */
export abstract class ControlledStream<C> extends ClosableStream<C>
  implements DeadlineOwner, ZeroCopyOwner {
  /** The stream to which a pipe sends what this one receives. */
  #pipedTo: ControlledStream<unknown> | null = null;
  /** Made when somebody asks for it. */
  #tls: TlsInfo | undefined;

  /** A stream that nobody watches yet, with the settings of its service. */
  constructor(service: Service<C>, fd: number, ends: EndpointAddresses) {
    super(service, fd, ends);
    if (hasDeadlines(service.settings)) this.#time();
    if (service.settings.zeroCopy !== "off") this.zeroCopy = service.settings.zeroCopy;
  }

  /** Its time is over: it closes as soon as nothing is under way. */
  abstract leave(reason: NetpollError): void;

  get tls(): TlsInfo | null {
    if (this.#tls === undefined) {
      if (!this.io.holdsBytes || !this.isOpen) return null;
      this.#tls = tlsInfo(this.fd);
    }
    return this.#tls;
  }

  startTls(role: TlsRole, options: TlsServerOptions | TlsClientOptions | true): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(ignore); // who does not await it learns of it from `closed`
    try {
      const choose = beginTls(this, role, options);
      this.lend();
      this.stops |= Stop.SECURING;
      this.input.readBan = SECURING;
      this.output.writeBan = SECURING;
      this.setOutside(false);
      const handshake = new Handshake(this.service.poller, this.fd, choose, (error) => {
        const failure = this.#onSecured(error);
        if (failure === null) resolve();
        else reject(failure);
      });
      this.ensureEnding().securing = handshake;
      handshake.begin();
    } catch (error) {
      reject(error);
    }
    return promise;
  }

  /** The handshake is over. Null, or why the connection is broken. */
  #onSecured(error: NetpollError | null): NetpollError | null {
    this.ending!.securing = null;
    this.stops &= ~Stop.SECURING;
    try {
      if (error === null) this.takeBack(this, tlsTransport);
    } catch (refused) {
      error = refused as NetpollError; // nothing would tell of its events
    }
    if (error !== null) {
      this.cut(placed(error, this.remoteAddress));
      return error;
    }
    this.input.readBan = null;
    this.output.writeBan = null;
    this.setOutside(true);
    this.pinner?.yieldTo(tlsTransport); // what it sends by itself would not be encrypted
    this.updateInterest();
    return null;
  }

  get isReadPaused(): boolean {
    return (this.stops & PAUSES) !== 0;
  }

  pauseRead(): void {
    this.stop(Stop.PAUSED);
  }

  resumeRead(): void {
    this.unstop(Stop.PAUSED);
  }

  sendFile(source: string | number, options: SendFileOptions = {}): Promise<number> {
    return sendFile(writeSide.forFiles(this.writer), source, options);
  }

  receiveFile(
    target: string | number,
    bytes: number,
    options: ReceiveFileOptions = {},
  ): Promise<number> {
    return receiveFile(readSide.forFiles(this.reader), target, bytes, options);
  }

  // ---- piping --------------------------------------------------------------------------------

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
    if (this.isSecuring) throw new BusyError("Cannot pipe: startTls() has not finished");
    if (readSide.isWaiting(this.reader)) {
      throw new BusyError("Cannot pipe: somebody waits for bytes of this connection");
    }
    if (!this.isWatched) throw new TypeError("Cannot pipe before onPrepare has returned");
    return this.output.writeBan !== WRITE_ENDED
      ? null
      : new ClosedError("Cannot pipe: closeWrite() has ended this side of the connection");
  }

  /** Puts what was received and not read behind what another is to send. How many bytes. */
  passInput(to: ControlledStream<unknown>): number {
    const { length } = this.input;
    to.output.take(this.input);
    to.output.publish();
    return length;
  }

  /** Lets a pipe move its bytes to another from now on: the pipe is told of its events. */
  beginPipe(watcher: Watcher, to: ControlledStream<unknown>): void {
    this.#pipedTo = to;
    this.stops |= Stop.PIPED;
    this.input.readBan = PIPED;
    this.output.writeBan = PIPED;
    this.rewatch(watcher);
    this.unhush();
    this.setOutside(false);
  }

  /** Receives once from another descriptor into what this is to send. Bytes, 0, or `-errno`. */
  takeFrom(io: Transport, fd: number, size: ReadSize): number {
    return receive(io, fd, this.output, size, 0);
  }

  /** Tells a pipe once more, without an event. */
  again(watcher: Watcher): void {
    this.service.poller.again(watcher);
  }

  /** A pipe is about to receive from it, within `receiving.most`. False while it may not. */
  beginMove(): boolean {
    return true;
  }

  /** The pipe has received so many bytes. */
  endMove(_count: number): void {}

  /** A pipe has moved bytes from it, or to it. */
  touch(): void {
    this.deadlines?.active(this.clockMicros);
  }

  /** The pipe has ended: in order without an error, and by a reset with one. */
  endPipe(failure: Failure | null): void {
    this.#pipedTo = null;
    this.stops &= ~Stop.PIPED;
    this.input.readBan = CLOSED;
    this.setOutside(true);
    if (failure !== null) return this.cut(failure.error);
    if (this.readEnd === null) this.onReadEnd(null);
    void this.close();
  }

  // ---- zero copy -----------------------------------------------------------------------------

  get zeroCopy(): ZeroCopyMode {
    return this.pinner?.mode ?? "off";
  }

  set zeroCopy(mode: ZeroCopyMode) {
    checkZeroCopy(mode);
    this.pinner ??= new ZeroCopy(this.io, this);
    this.pinner.mode = mode;
    this.io = this.pinner.transport;
    this.output.borrows = mode !== "always";
  }

  get zeroCopyCounts(): ZeroCopyCounts {
    return (this.pinner ?? new ZeroCopy(this.io, this)).counts();
  }

  onZeroCopyBegin(): void {
    this.watchCompletions();
  }

  // ---- looking at it -------------------------------------------------------------------------

  metrics(): ConnectionMetrics {
    return connectionMetrics(this);
  }

  /** Draws it for `console.log`. */
  [INSPECT](): string {
    return drawConnection(this);
  }

  // ---- deadlines -----------------------------------------------------------------------------

  onDeadline(operation: TimeoutOperation, timeoutMs: number): void {
    const error = new TimeoutError(operation, timeoutMs);
    const since = clock.now() - timeoutMs * 1000;
    if (timeout.isHeard) {
      timeout.publish({ connection: this.face, id: idOf(this), operation, timeoutMs });
    }
    if (operation === "lifetime") this.leave(error);
    else if (operation === "read") readSide.fail(this.reader, error);
    else if (operation === "write") writeSide.failBefore(this.writer, since, error);
    else this.giveUp(error);
  }

  /** Bytes that a pipe has taken from it and sent to another count as well. */
  get untakenInAll(): number {
    const to = this.#pipedTo;
    return this.untakenBytes + (to === null ? 0 : to.untakenBytes);
  }

  // A peer that is not read because it does not take the answers is not held back by us.
  get isHeldBack(): boolean {
    return !this.isPiped && !this.isChoked && (this.#isBehind || this.unreadBytes > 0);
  }

  /** True when bytes that are here wait for a handler that is busy, or for its next call. */
  get #isBehind(): boolean {
    const { reader, writer, handler, input } = this;
    if (handler === null || input.length === 0 || readSide.isLacking(reader)) return false;
    return this.isServing ? writeSide.unsentBytes(writer) === 0 : this.isDue;
  }

  // Also while the peer is not read because of what it does not take: its bytes came in time.
  lookForInput(): boolean {
    while (readSide.isLacking(this.reader) && this.readEnd === null && this.state !== "draining") {
      if ((this.stops & Stop.PAUSED) !== 0 || !this.receiveUnasked()) return this.unreadBytes > 0;
      this.service.poller.again(this); // for what follows from it
      if (readSide.isFilling(this.reader)) return false; // a peer may send for ever
    }
    // Whose bytes are here, and whose turn it is not.
    return readSide.isWaiting(this.reader) && !readSide.isLacking(this.reader);
  }

  lookForRoom(takenSince: number): number {
    if (this.isOpen && writeSide.unsentBytes(this.writer) > 0) writeSide.sendNow(this.writer);
    return writeSide.flushingSince(this.writer, takenSince);
  }

  #time(): Deadlines {
    return this.deadlines ??= this.#makeDeadlines(this.clockMicros);
  }

  #makeDeadlines(nowMicros: number): Deadlines {
    const deadlines = new Deadlines(this.service.poller, this, this.service.settings, nowMicros);
    // A wait or a flush that is under way already is timed from now on.
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
    if (this.isOpen) this.#time().setRead(timeoutMs, this.clockMicros);
  }

  get writeTimeoutMs(): number {
    return this.deadlines?.writeMs ?? 0;
  }

  set writeTimeoutMs(timeoutMs: number) {
    checkTimeout("writeTimeoutMs", timeoutMs);
    if (this.isOpen) this.#time().setWrite(timeoutMs, this.clockMicros);
  }

  get idleTimeoutMs(): number {
    return this.deadlines?.idleMs ?? 0;
  }

  set idleTimeoutMs(timeoutMs: number) {
    checkTimeout("idleTimeoutMs", timeoutMs);
    if (this.isOpen) this.#time().setIdle(timeoutMs, this.clockMicros);
  }
}
