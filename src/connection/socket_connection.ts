/**
 * What a connection is made of: an endpoint, a reader and a writer, and the callbacks of its life.
 */
import { native } from "../../ffi/load.ts";
import { type Ban, CLOSED, LinkChain } from "../buffer/link_chain.ts";
import { NOT_READY } from "../core/errno.ts";
import {
  ClosedError,
  EofError,
  NetpollError,
  SystemError,
  TimeoutError,
  type TimeoutOperation,
} from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, CLOSE_TIMEOUT_MS } from "../core/limits.ts";
import type { Address } from "../net/address.ts";
import { resetOnClose, socketError } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { Event, type Watcher } from "../poll/watcher.ts";
import {
  CallbackRunner,
  type Callbacks,
  type CallbacksOwner,
  type CloseCallback,
  type RequestHandler,
} from "./callbacks.ts";
import type { CloseOptions, CloseResult, Connection } from "./connection.ts";
import { ConnectionReader, type ReaderOwner } from "./connection_reader.ts";
import { ConnectionWriter, type WriterOwner } from "./connection_writer.ts";
import { type DeadlineOwner, Deadlines } from "./deadlines.ts";
import { Ending } from "./ending.ts";
import { Endpoint, type EndpointAddresses } from "./endpoint.ts";
import { next, type State } from "./lifecycle.ts";
import { RequestLoop, type RequestOwner } from "./request_loop.ts";
import { checkTimeout, type ConnectionSettings, hasDeadlines } from "./settings.ts";
import { filled, type Transport } from "./transport.ts";

/** What a server wants to know of its connections, beside what users are told. */
export interface ConnectionOwner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(connection: Connection): void;
}

/** What the connections of one server share, or of one dialling. */
export interface Service<C> {
  /** Who watches their descriptors. */
  readonly poller: Poller;
  /** Who is called. */
  readonly callbacks: Callbacks<C>;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** Who keeps account of them. */
  readonly owner: ConnectionOwner | null;
  /** How bytes come and go. */
  readonly io: Transport;
}

/** We have ended our side. */
const WRITE_ENDED: Ban = {
  error: (message) => new ClosedError(message),
  message: "Cannot write after closeWrite()",
};

/** The peer has ended its side. */
const ENDED: Ban = {
  error: (message) => new EofError(message),
  message: "Cannot read more: the peer has ended its side",
};

/** {@linkcode Connection}, as its poller and its server see it. */
export class SocketConnection<C>
  implements
    CallbacksOwner,
    Watcher,
    ReaderOwner,
    WriterOwner,
    RequestOwner,
    DeadlineOwner,
    TimerOwner {
  readonly reader: ConnectionReader;
  readonly writer: ConnectionWriter;
  readonly #input = new LinkChain();
  readonly #output = new LinkChain();
  readonly #requests: RequestLoop;
  readonly #endpoint: Endpoint;
  readonly #service: Service<C>;
  /** Made when there is a callback beside the handler. */
  #callbacks: CallbackRunner<C> | null = null;
  #onRequest: RequestHandler<C> | null;
  #deadlines: Deadlines | null = null;
  #ending: Ending | null = null;
  #state: State = "preparing";
  #isPaused = false;
  /** The peer ended or reset the connection. */
  #isDisconnected = false;
  /** `onConnect` is due, or has not settled. */
  #isConnecting = false;
  /** Our side shall end when everything that was flushed has left. */
  #isWriteEnding = false;
  /** It closes as soon as it is idle. */
  #isEnding = false;
  #isGone = false;
  #unsentBytes = 0;
  /** Why it ended, unless in order. */
  #failure: unknown = null;

  /** A connection that nobody watches yet, over a non-blocking stream, which it owns from now on. */
  constructor(service: Service<C>, fd: number, ends: EndpointAddresses) {
    this.#service = service;
    this.#endpoint = new Endpoint(service.poller, fd, ends);
    this.#onRequest = service.callbacks.onRequest ?? null;
    this.#requests = new RequestLoop(this.#input, this);
    this.reader = new ConnectionReader(this.#input, this);
    this.writer = new ConnectionWriter(this.#output, this);
    if (hasDeadlines(service.settings)) this.#time();
  }

  get isActive(): boolean {
    return this.#state !== "closed" && this.#state !== "draining";
  }

  get fd(): number {
    return this.#endpoint.fd;
  }

  get localAddress(): Address {
    return this.#endpoint.localAddress;
  }

  get remoteAddress(): Address {
    return this.#endpoint.remoteAddress;
  }

  get settings(): ConnectionSettings {
    return this.#service.settings;
  }

  get io(): Transport {
    return this.#service.io;
  }

  get closed(): Promise<void> {
    const { closed } = this.#end();
    if (this.#state === "closed") this.#end().end(this.#unsentBytes, this.#failure);
    return closed;
  }

  #end(): Ending {
    return this.#ending ??= new Ending();
  }

  #runner(): CallbackRunner<C> {
    return this.#callbacks ??= new CallbackRunner(this.#service.callbacks, this);
  }

  // ---- beginning -------------------------------------------------------------------------------------

  /** Runs `onPrepare`, begins to watch, and runs `onConnect`. */
  begin(): void {
    try {
      if (this.#service.callbacks.onPrepare !== undefined) this.#runner().prepare();
      if (this.fd < 0) return; // it was closed there
      this.#watch();
    } catch (error) {
      this.#fail(error);
      return this.#goOn();
    }
    if (this.#isConnecting) this.#connect();
  }

  #connect(): void {
    if (this.#service.callbacks.onConnect !== undefined) this.#runner().connect();
    else this.onConnected(undefined);
  }

  /**
   * Begins to watch, and soon runs `onConnect`: not within the call that makes the connection.
   *
   * @throws {SystemError} It cannot be watched. The descriptor is still the caller's.
   */
  start(): void {
    try {
      this.#watch();
    } catch (error) {
      this.#deadlines?.close();
      throw error;
    }
    queueMicrotask(() => {
      if (this.#state === "connecting") this.#connect();
    });
  }

  #watch(): void {
    this.#endpoint.watch(this);
    if (this.#state === "preparing") {
      this.#state = next(this.#state, "registered");
      this.#isConnecting = true;
    }
    // In `onPrepare` it may have been paused, written to or closed, and what it flushed still has to leave.
    this.#updateInterest();
  }

  onConnected(failure: unknown): void {
    this.#isConnecting = false;
    if (this.#state === "connecting") this.#state = next(this.#state, "connected");
    if (failure !== undefined) this.#fail(failure);
    this.#goOn();
  }

  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    this.#onRequest = handler;
    this.#requests.forgetStall();
    if (this.#input.length > 0 || this.reader.end !== null) queueMicrotask(() => this.#goOn());
  }

  // ---- events ----------------------------------------------------------------------------------------

  onEvent(events: number): void {
    this.#requests.beginEvent();
    if ((events & Event.WRITABLE) !== 0 && this.fd >= 0) this.writer.sendNow();
    if ((events & ~Event.WRITABLE) !== 0 && this.fd >= 0) this.#onReadable(events);
    this.#goOn();
    // After the peer's end most connections are closed by now, and need not be watched differently first.
    if (this.reader.end !== null) this.#updateInterest();
  }

  #onReadable(events: number): void {
    if (this.#canRead() && this.#receive()) return;
    if ((events & (Event.ERROR | Event.HANG_UP)) === 0 || this.fd < 0) return;
    // Errors and hang-ups cannot be masked: unless a read answers, they are reported for ever.
    const isOver = this.reader.end !== null || this.#state === "draining";
    if (isOver && (events & Event.ERROR) !== 0) return this.#onLost(socketError(this.fd));
    if (this.#output.length > 0) return this.writer.sendNow();
    this.#endpoint.hush();
    this.#updateInterest();
  }

  #canRead(): boolean {
    return this.reader.end === null && this.#state !== "draining" && !this.isReadPaused;
  }

  /** Receives what is there, within bounds. Whether there was anything to learn: bytes, or the end. */
  #receive(): boolean {
    const { reader } = this;
    let sum = 0;
    while (sum < BYTES_PER_EVENT_MAX) {
      const count = reader.receive(this.fd);
      if (count === NOT_READY) break;
      if (count <= 0) {
        this.#onReadEnd(count);
        return true;
      }
      sum += count;
      if (!filled(this.#input)) break; // the socket had less than there was room for
    }
    if (sum === 0) return false;
    this.#deadlines?.active(this.#service.poller.nowMicros);
    reader.settle();
    if (this.#input.heldBytes > this.#service.settings.readBufferBytesMax && !reader.isWaiting) {
      reader.isFull = true;
      this.#updateInterest();
    }
    return true;
  }

  /** No more bytes come: the peer ended its side (0), or a reset did (`-errno`). */
  #onReadEnd(code: number): void {
    if (code < 0) return this.#onLost(new SystemError("receive", -code));
    this.reader.end = ENDED;
    this.#isDisconnected = true;
    this.reader.settle();
  }

  /** The connection is broken. What was received before is still delivered. */
  #onLost(cause: SystemError): void {
    if (this.#state === "closed") return;
    const error = this.#lostError(cause);
    this.#failure ??= error;
    // A failed send comes first when reading has paused: what arrived before is still in the kernel.
    if (this.reader.end === null && this.#input.readBan === null) {
      while (this.reader.receive(this.fd) > 0);
    }
    this.reader.end ??= { error: () => error, message: "" };
    this.#isDisconnected = true;
    this.writer.fail(error);
    this.#finish("lost");
    this.reader.settle();
  }

  #lostError(cause: SystemError): EofError {
    return new EofError("Cannot go on: the peer has reset the connection", { cause });
  }

  onFailure(error: unknown): void {
    this.#fail(error);
    this.reset();
  }

  #updateInterest(): void {
    this.#endpoint.want(this.#canRead(), this.writer.isBlocked);
  }

  // ---- pressure --------------------------------------------------------------------------------------

  get isReadPaused(): boolean {
    return this.#isPaused || this.reader.isFull || this.writer.isChoked;
  }

  pauseRead(): void {
    this.#isPaused = true;
    this.#updateInterest();
  }

  resumeRead(): void {
    this.#isPaused = false;
    this.#updateInterest();
  }

  onRelease(): void {
    if (this.#input.heldBytes * 2 >= this.#service.settings.readBufferBytesMax) return;
    this.reader.isFull = false;
    this.#updateInterest();
  }

  /** A handler that leaves bytes unread that fill what may be held would never be called again. */
  #checkStuck(): void {
    if (!this.reader.isFull || this.#onRequest === null || this.#requests.isRunning) return;
    if (this.#requests.isDue || this.#state !== "open" || this.writer.isChoked) return;
    const { readBufferBytesMax } = this.#service.settings;
    this.#fail(
      new RangeError(
        `Cannot read more: the handler left ${this.#input.length} bytes unread or unreleased, and ` +
          `readBufferBytesMax is ${readBufferBytesMax}; release() what was read, wait(count) for more, or raise it`,
      ),
    );
  }

  // ---- the handler -----------------------------------------------------------------------------------

  /** Does whatever is due: calls the handler, tells of the end, closes. */
  #goOn(): void {
    if (this.#onRequest !== null && !this.writer.isChoked && this.#requests.isDue) this.#serve();
    if (this.#isDisconnected && !this.#isConnecting) this.#disconnect();
    if (this.reader.isFull) this.#checkStuck();
    if (this.reader.end !== null || this.#isEnding) this.#closeIfOver();
    if (this.#state === "closed") this.#tearDown();
  }

  #disconnect(): void {
    if (this.#service.callbacks.onDisconnect !== undefined) this.#runner().disconnect();
  }

  #serve(): void {
    // A connection that is lost already is served what came before.
    if (this.#isConnecting || (this.#state !== "open" && this.#state !== "closed")) return;
    this.#requests.run();
    if (this.#output.length > 0) this.#uncork();
  }

  callHandler(): void | Promise<void> {
    const callbacks = this.#callbacks;
    return this.#onRequest!(this, callbacks === null ? undefined as C : callbacks.context);
  }

  onTooLong(): void {
    this.#service.poller.again(this);
  }

  onHandlerFailure(error: unknown): void {
    this.#fail(error);
  }

  onHandlerSettled(): void {
    this.#goOn();
  }

  onOutside(isOutside: boolean): void {
    this.#service.poller.pace.outsideWaits += isOutside ? 1 : -1;
  }

  get isAwaited(): boolean {
    return this.reader.isWaiting || this.writer.isFlushing;
  }

  onWait(): void {
    this.#requests.setOutside(false);
    this.#deadlines?.beginRead(this.clockMicros);
    if (this.reader.isFull) {
      this.reader.isFull = false;
      this.#updateInterest();
    }
    // Whoever waits for an answer must have asked: what was put off leaves now.
    if (this.#output.length > 0) this.#uncork();
  }

  onWaitEnd(): void {
    this.#deadlines?.endRead();
    if (this.#requests.isRunning) this.#requests.setOutside(true);
  }

  // ---- sending ---------------------------------------------------------------------------------------

  get isChoked(): boolean {
    return this.writer.isChoked;
  }

  get isCorked(): boolean {
    // What one dispatch puts off is bounded like everything that is unsent.
    return this.#requests.isDispatching && this.#input.length > 0 &&
      this.#output.heldBytes <= this.#service.settings.writeBufferBytesMax;
  }

  /** Sends what flushes put off. */
  #uncork(): void {
    if (!this.writer.isBlocked && this.fd >= 0) this.writer.sendNow();
  }

  onSent(): void {
    this.#deadlines?.active(this.clockMicros);
    const { length } = this.#output;
    if (length > 0 || this.writer.isChoked) this.#onPressure();
    if (length === 0 && (this.#isWriteEnding || this.#state === "draining")) this.#onDrained();
  }

  #onPressure(): void {
    if (!this.writer.checkPressure()) return;
    this.#updateInterest();
    if (!this.writer.isChoked) this.#service.poller.again(this);
  }

  onBlocked(): void {
    this.#updateInterest();
  }

  onFlushWait(since: number): void {
    this.#requests.setOutside(false);
    this.#deadlines?.beginWrite(since, this.clockMicros);
  }

  onFlushWaitEnd(): void {
    this.#deadlines?.endWrite();
    if (this.#requests.isRunning && !this.#requests.isDispatching) this.#requests.setOutside(true);
  }

  onSendFailure(cause: SystemError): NetpollError {
    // Found within the user's flush or close: whatever calls back does so later.
    queueMicrotask(() => {
      this.#onLost(cause);
      this.#goOn();
    });
    return this.#failure instanceof NetpollError ? this.#failure : this.#lostError(cause);
  }

  // ---- deadlines -------------------------------------------------------------------------------------

  get clockMicros(): number {
    return this.#service.poller.clockMicros;
  }

  #time(): Deadlines {
    return this.#deadlines ??= this.#makeDeadlines(this.clockMicros);
  }

  #makeDeadlines(nowMicros: number): Deadlines {
    const deadlines = new Deadlines(this.#service.poller, this, this.#service.settings, nowMicros);
    // What is under way already is timed from now on.
    if (this.reader.isWaiting) deadlines.beginRead(nowMicros);
    const { flushingSince } = this.writer;
    if (flushingSince > 0) deadlines.beginWrite(flushingSince, nowMicros);
    return deadlines;
  }

  get readTimeoutMs(): number {
    return this.#deadlines?.readMs ?? 0;
  }

  set readTimeoutMs(timeoutMs: number) {
    this.#time().setRead(checkTimeout("readTimeoutMs", timeoutMs), this.clockMicros);
  }

  get writeTimeoutMs(): number {
    return this.#deadlines?.writeMs ?? 0;
  }

  set writeTimeoutMs(timeoutMs: number) {
    this.#time().setWrite(checkTimeout("writeTimeoutMs", timeoutMs), this.clockMicros);
  }

  get idleTimeoutMs(): number {
    return this.#deadlines?.idleMs ?? 0;
  }

  set idleTimeoutMs(timeoutMs: number) {
    this.#time().setIdle(checkTimeout("idleTimeoutMs", timeoutMs), this.clockMicros);
  }

  onDeadline(operation: TimeoutOperation, timeoutMs: number): void {
    if (operation === "lifetime") return this.closeWhenIdle();
    const error = new TimeoutError(operation, timeoutMs);
    if (operation === "read") this.reader.fail(error);
    else if (operation === "write") this.writer.failBefore(native.now() - timeoutMs * 1000, error);
    else this.#giveUp(error);
  }

  /** Ends it for a reason that is not the peer's: `closed` says why. */
  #giveUp(error: unknown): void {
    this.#failure ??= error;
    this.#close(0);
    this.#goOn();
  }

  // ---- the end ---------------------------------------------------------------------------------------

  /** A callback failed. The ordinary ends of a connection are no errors. */
  #fail(error: unknown): void {
    if (!(error instanceof ClosedError)) {
      this.#failure ??= error;
      this.#runner().report(error);
    }
    this.#close(CLOSE_TIMEOUT_MS);
  }

  onDisconnected(): void {
    this.#tearDown();
  }

  /** After the peer's end, a connection with a handler closes once nothing is left to do. */
  #closeIfOver(): void {
    if (this.#state !== "open" || this.#requests.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    if (this.#onRequest !== null || this.#isEnding || this.#service.owner !== null) {
      this.#close(CLOSE_TIMEOUT_MS);
    }
  }

  /** Closes as soon as no handler runs and nothing is unread or unsent; what the kernel holds is read first. */
  closeWhenIdle(): void {
    this.#isEnding = true;
    if (this.#state === "open" && this.#canRead()) this.#receive();
    this.#goOn();
  }

  closeWrite(): Promise<void> {
    const { writeEnded } = this.#end();
    if (this.#isWriteEnding) return writeEnded;
    this.#isWriteEnding = true;
    this.#output.truncate(0);
    this.#output.writeBan ??= WRITE_ENDED;
    if (this.fd < 0) this.#end().endWrite();
    else if (this.#output.length === 0) this.#onDrained();
    else this.#uncork();
    return writeEnded;
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    const { closing } = this.#end();
    this.#close(options.timeoutMs ?? CLOSE_TIMEOUT_MS);
    // No callback of the user's runs within his own call.
    if (this.#state === "closed") {
      this.#forgetInput();
      this.#end().end(this.#unsentBytes, this.#failure);
      queueMicrotask(() => this.#goOn());
    }
    return closing;
  }

  #close(timeoutMs: number): void {
    if (!this.isActive) return;
    this.#state = next(this.#state, "close");
    this.#input.readBan = CLOSED;
    this.#output.truncate(0);
    this.#output.writeBan = CLOSED;
    if (this.reader.isWaiting) this.reader.fail(this.#closedError());
    if (this.#output.length > 0) this.#uncork();
    if (this.#state !== "draining") return;
    if (this.#output.length === 0 || !(timeoutMs > 0)) return this.#finish("drained");
    this.#updateInterest();
    this.#service.poller.setTimer(this.#end().timer = new Timer(this), timeoutMs);
  }

  /** It was lost, and nobody will read what had been received before. */
  #forgetInput(): void {
    this.#input.readBan ??= CLOSED;
    if (this.#isGone) this.#input.close(CLOSED);
  }

  onTimer(): void {
    if (this.#state === "draining") this.#finish("drained");
    this.#goOn();
  }

  /** Everything that was flushed has left. */
  #onDrained(): void {
    if (this.#isWriteEnding && this.#state !== "closed") {
      this.#endpoint.shutdownWrite();
      this.#end().endWrite();
    }
    if (this.#state === "draining") this.#finish("drained");
  }

  #closedError(): ClosedError {
    return new ClosedError("Cannot go on: the connection was closed", {
      cause: this.#failure ?? undefined,
    });
  }

  reset(): void {
    if (this.#state === "closed") return this.#forgetInput();
    this.#input.readBan = CLOSED;
    this.#output.writeBan = CLOSED;
    resetOnClose(this.fd);
    this.#finish("lost");
    queueMicrotask(() => this.#goOn());
  }

  detach(): number {
    if (!this.isActive) throw new ClosedError("Cannot detach: the connection is closed");
    const fd = this.fd;
    this.#input.readBan = CLOSED;
    this.#output.writeBan = CLOSED;
    this.#finish("detached");
    queueMicrotask(() => this.#goOn());
    return fd;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Lets go of the descriptor: the end of what the peer sees. Whoever calls this calls `#goOn` later. */
  #finish(step: "drained" | "lost" | "detached"): void {
    this.#state = next(this.#state, step);
    this.#unsentBytes = this.#output.length;
    const fd = this.#endpoint.release();
    if (step !== "detached") native.close(fd);
    this.#deadlines?.close();
    if (this.#ending?.timer) this.#service.poller.cancelTimer(this.#ending.timer);
    this.#output.close(this.#writeBan());
    if (this.writer.isFlushing) this.writer.fail(this.#closedError());
    if (this.#input.readBan !== null && this.reader.isWaiting) {
      this.reader.fail(this.#closedError());
    }
    this.#ending?.end(this.#unsentBytes, this.#failure);
  }

  /** Who writes to a connection that the peer has reset learns that, and not that it is closed. */
  #writeBan(): Ban {
    const failure = this.#failure;
    return failure instanceof EofError ? { error: () => failure, message: "" } : CLOSED;
  }

  addCloseCallback(callback: CloseCallback): void {
    this.#runner().addClose(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.#state !== "closed" || this.#isGone) return;
    if (this.#requests.isRunning || this.#callbacks?.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    this.#isGone = true;
    this.#runner().close();
    // Without a handler, what was received before the end is its user's until he closes.
    if (this.#onRequest !== null || this.#service.owner !== null || this.#input.readBan !== null) {
      this.#input.close(CLOSED);
    }
    this.#service.owner?.onGone(this);
  }
}
