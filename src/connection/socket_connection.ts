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
import type { Address, PackedAddress } from "../net/address.ts";
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
import { Endpoint } from "./endpoint.ts";
import { next, type State } from "./lifecycle.ts";
import { RequestLoop, type RequestOwner } from "./request_loop.ts";
import { checkTimeout, type ConnectionSettings } from "./settings.ts";
import { fileTransport, filled, socketTransport } from "./transport.ts";

/** What a server wants to know of its connections, beside what users are told. */
export interface ConnectionOwner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(connection: Connection): void;
}

/** What a connection is made of. */
export interface ConnectionParts<C> {
  /** Who watches the descriptor. */
  readonly poller: Poller;
  /** A non-blocking stream, which the connection owns from now on. */
  readonly fd: number;
  /** Who is at the other end, if that is known already. */
  readonly remote: PackedAddress | null;
  /** Who is called. */
  readonly callbacks: Callbacks<C>;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** Who keeps account of it. */
  readonly owner: ConnectionOwner | null;
  /** False for what can be polled and is no socket. */
  readonly isSocket?: boolean;
}

const WRITE_ENDED = {
  error: (message: string) => new ClosedError(message),
  message: "Cannot write after closeWrite()",
};

function ignore(): void {}

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
  readonly #callbacks: CallbackRunner<C>;
  readonly #endpoint: Endpoint;
  readonly #poller: Poller;
  readonly #settings: ConnectionSettings;
  readonly #owner: ConnectionOwner | null;
  #onRequest: RequestHandler<C> | null;
  #deadlines: Deadlines | null = null;
  #state: State = "preparing";
  #isPaused = false;
  /** The peer ended or reset the connection. */
  #isDisconnected = false;
  /** `onConnect` is due, or has not settled. */
  #isConnecting = false;
  /** It closes as soon as it is idle. */
  #isEnding = false;
  #isGone = false;
  #closing: PromiseWithResolvers<CloseResult> | null = null;
  #closingTimer: Timer | null = null;
  #closed: PromiseWithResolvers<void> | null = null;
  #writeEnded: PromiseWithResolvers<void> | null = null;
  /** Why it ended, unless in order. */
  #failure: unknown = null;

  /** A connection that nobody watches yet. */
  constructor(parts: ConnectionParts<C>) {
    const { poller, fd, remote, callbacks, settings, owner, isSocket = true } = parts;
    const io = isSocket ? socketTransport : fileTransport;
    this.#poller = poller;
    this.#endpoint = new Endpoint(poller, fd, remote);
    this.#settings = settings;
    this.#owner = owner;
    this.#onRequest = callbacks.onRequest ?? null;
    this.#callbacks = new CallbackRunner(callbacks, this);
    this.#requests = new RequestLoop(this.#input, this);
    this.reader = new ConnectionReader(this.#input, this, settings.messageBytesMax, io);
    this.writer = new ConnectionWriter(this.#output, this, settings.writeBufferBytesMax, io);
    const { readTimeoutMs, writeTimeoutMs, idleTimeoutMs, lifetimeMs } = settings;
    if (readTimeoutMs > 0 || writeTimeoutMs > 0 || idleTimeoutMs > 0 || lifetimeMs > 0) {
      this.#time();
    }
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

  get closed(): Promise<void> {
    if (this.#closed === null) {
      this.#closed = Promise.withResolvers<void>();
      this.#closed.promise.catch(ignore);
      if (this.#state === "closed") this.#settleClosed();
    }
    return this.#closed.promise;
  }

  #settleClosed(): void {
    if (this.#failure === null) this.#closed?.resolve();
    else this.#closed?.reject(this.#failure);
  }

  // ---- beginning -------------------------------------------------------------------------------------

  /** Runs `onPrepare`, begins to watch, and runs `onConnect`. */
  begin(): void {
    try {
      this.#callbacks.prepare();
      if (this.fd < 0) return; // it was closed there
      this.#watch();
    } catch (error) {
      return this.#fail(error);
    }
    if (this.#isConnecting) this.#callbacks.connect();
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
      if (this.#state === "connecting") this.#callbacks.connect();
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
    this.#deadlines?.active(this.#poller.nowMicros);
    reader.settle();
    if (this.#input.heldBytes > this.#settings.readBufferBytesMax && !reader.isWaiting) {
      reader.isFull = true;
      this.#updateInterest();
    }
    return true;
  }

  /** No more bytes come: the peer ended its side (0), or a reset did (`-errno`). */
  #onReadEnd(code: number): void {
    if (code < 0) return this.#onLost(new SystemError("receive", -code));
    this.reader.end = new EofError("Cannot read more: the peer has ended its side");
    this.#isDisconnected = true;
    this.#updateInterest();
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
    this.reader.end ??= error;
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
    if (this.#input.heldBytes * 2 >= this.#settings.readBufferBytesMax) return;
    this.reader.isFull = false;
    this.#updateInterest();
  }

  /** A handler that leaves bytes unread that fill what may be held would never be called again. */
  #checkStuck(): void {
    if (!this.reader.isFull || this.#onRequest === null || this.#requests.isRunning) return;
    if (this.#requests.isDue || this.#state !== "open" || this.writer.isChoked) return;
    const { readBufferBytesMax } = this.#settings;
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
    if (this.#isDisconnected && !this.#isConnecting) this.#callbacks.disconnect();
    if (this.reader.isFull) this.#checkStuck();
    if (this.reader.end !== null || this.#isEnding) this.#closeIfOver();
    if (this.#state === "closed") this.#tearDown();
  }

  #serve(): void {
    // A connection that is lost already is served what came before.
    if (this.#isConnecting || (this.#state !== "open" && this.#state !== "closed")) return;
    this.#requests.run();
    if (this.#output.length > 0) this.#uncork();
  }

  callHandler(): void | Promise<void> {
    return this.#onRequest!(this, this.#callbacks.context);
  }

  onTooLong(): void {
    this.#poller.again(this);
  }

  onHandlerFailure(error: unknown): void {
    this.#fail(error);
  }

  onHandlerSettled(): void {
    this.#goOn();
  }

  onOutside(isOutside: boolean): void {
    this.#poller.pace.outsideWaits += isOutside ? 1 : -1;
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
      this.#output.heldBytes <= this.#settings.writeBufferBytesMax;
  }

  /** Sends what flushes put off. */
  #uncork(): void {
    if (!this.writer.isBlocked && this.fd >= 0) this.writer.sendNow();
  }

  onSent(): void {
    this.#deadlines?.active(this.clockMicros);
    const { length } = this.#output;
    if (length > 0 || this.writer.isChoked) this.#onPressure();
    if (length === 0 && (this.#writeEnded !== null || this.#closing !== null)) this.#onDrained();
  }

  #onPressure(): void {
    if (!this.writer.checkPressure()) return;
    this.#updateInterest();
    if (!this.writer.isChoked) this.#poller.again(this);
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
    return this.#poller.clockMicros;
  }

  #time(): Deadlines {
    return this.#deadlines ??= this.#makeDeadlines(this.clockMicros);
  }

  #makeDeadlines(nowMicros: number): Deadlines {
    const deadlines = new Deadlines(this.#poller, this, this.#settings, nowMicros);
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
    else this.#end(error);
  }

  /** Ends it for a reason that is not the peer's: `closed` says why. */
  #end(error: unknown): void {
    this.#failure ??= error;
    void this.close({ timeoutMs: 0 });
  }

  // ---- the end ---------------------------------------------------------------------------------------

  /** A callback failed. The ordinary ends of a connection are no errors. */
  #fail(error: unknown): void {
    if (!(error instanceof ClosedError)) {
      this.#failure ??= error;
      this.#callbacks.report(error);
    }
    void this.close();
  }

  onDisconnected(): void {
    this.#tearDown();
  }

  /** After the peer's end, a connection with a handler closes once nothing is left to do. */
  #closeIfOver(): void {
    if (this.#state !== "open" || this.#requests.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    if (this.#onRequest !== null || this.#isEnding || this.#owner !== null) void this.close();
  }

  /** Closes as soon as no handler runs and nothing is unread or unsent; what the kernel holds is read first. */
  closeWhenIdle(): void {
    this.#isEnding = true;
    if (this.#state === "open" && this.#canRead()) this.#receive();
    this.#goOn();
  }

  closeWrite(): Promise<void> {
    if (this.#writeEnded === null) {
      this.#writeEnded = Promise.withResolvers<void>();
      this.#output.truncate(0);
      this.#output.writeBan ??= WRITE_ENDED;
      if (this.fd < 0) this.#writeEnded.resolve();
      else if (this.#output.length === 0) this.#onDrained();
      else this.#uncork();
    }
    return this.#writeEnded.promise;
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    if (this.#state === "closed") this.#forgetInput();
    if (this.#closing !== null) return this.#closing.promise;
    const { promise } = this.#closing = Promise.withResolvers<CloseResult>();
    this.#state = next(this.#state, "close");
    this.#input.readBan = CLOSED;
    this.#output.truncate(0);
    this.#output.writeBan = CLOSED;
    this.reader.fail(this.#closedError());
    this.#updateInterest();
    if (this.#output.length > 0) this.#uncork();
    if (this.#state !== "draining") return promise;
    const timeoutMs = options.timeoutMs ?? CLOSE_TIMEOUT_MS;
    if (this.#output.length === 0 || !(timeoutMs > 0)) this.#finish("drained");
    else this.#poller.setTimer(this.#closingTimer = new Timer(this), timeoutMs);
    return promise;
  }

  /** It was lost, and nobody will read what had been received before. */
  #forgetInput(): void {
    this.#input.readBan ??= CLOSED;
    if (this.#isGone) this.#input.close(CLOSED);
  }

  onTimer(): void {
    if (this.#state === "draining") this.#finish("drained");
  }

  /** Everything that was flushed has left. */
  #onDrained(): void {
    if (this.#writeEnded !== null && this.#state !== "closed") {
      this.#endpoint.shutdownWrite();
      this.#writeEnded.resolve();
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
  }

  detach(): number {
    if (!this.isActive) throw new ClosedError("Cannot detach: the connection is closed");
    const fd = this.fd;
    this.#input.readBan = CLOSED;
    this.#output.writeBan = CLOSED;
    this.#finish("detached");
    return fd;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Lets go of the descriptor: the end of what the peer sees. */
  #finish(step: "drained" | "lost" | "detached"): void {
    this.#state = next(this.#state, step);
    const unsentBytes = this.#output.length;
    const fd = this.#endpoint.release();
    if (step !== "detached") native.close(fd);
    this.#deadlines?.close();
    if (this.#closingTimer !== null) this.#poller.cancelTimer(this.#closingTimer);
    this.#output.close(this.#writeBan());
    this.writer.fail(this.#closedError());
    if (this.#input.readBan !== null) this.reader.fail(this.#closedError());
    this.#writeEnded?.resolve();
    (this.#closing ??= Promise.withResolvers<CloseResult>()).resolve({ unsentBytes });
    this.#settleClosed();
    // No callback of the user's runs within his own call.
    queueMicrotask(() => this.#goOn());
  }

  /** Who writes to a connection that the peer has reset learns that, and not that it is closed. */
  #writeBan(): Ban {
    const failure = this.#failure;
    return failure instanceof EofError ? { error: () => failure, message: "" } : CLOSED;
  }

  addCloseCallback(callback: CloseCallback): void {
    this.#callbacks.addClose(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.#state !== "closed" || this.#isGone) return;
    if (this.#requests.isRunning || this.#callbacks.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    this.#isGone = true;
    this.#callbacks.close();
    // Without a handler, what was received before the end is its user's until he closes.
    if (this.#onRequest !== null || this.#owner !== null || this.#input.readBan !== null) {
      this.#input.close(CLOSED);
    }
    this.#owner?.onGone(this);
  }
}
