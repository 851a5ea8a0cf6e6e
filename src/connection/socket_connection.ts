/**
 * A connection over a stream: who is called for what comes in, and in the end.
 */
import { reclaimFrom } from "../buffer/dropped.ts";
import { config } from "../core/config.ts";
import {
  ClosedError,
  type NetpollError,
  TimeoutError,
  type TimeoutOperation,
} from "../core/errors.ts";
import { checkFunction } from "../core/options.ts";
import { clock } from "../poll/clock.ts";
import { Event } from "../poll/watcher.ts";
import { CallbackRunner, type CallbacksOwner } from "./callbacks.ts";
import { ClosableStream } from "./closable_stream.ts";
import { type CloseCallback, type Connection, faceOf, type RequestHandler } from "./connection.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import type { Failure } from "./ending.ts";
import type { EndpointAddresses } from "./endpoint.ts";
import { closedBan, closedError } from "./ending.ts";
import { type Errand, Leaving, type LeavingOwner } from "./leaving.ts";
import { next } from "./lifecycle.ts";
import { RequestLoop, type RequestOwner } from "./request_loop.ts";
import { SelfWait, type SelfWaitOwner } from "./self_wait.ts";
import type { Service } from "./service.ts";
import { lookForUnflushed } from "./unflushed.ts";

/** The inside of a {@linkcode Connection}: what its poller and its server see of it. */
export class SocketConnection<C> extends ClosableStream<Service<C>>
  implements CallbacksOwner, RequestOwner, LeavingOwner, SelfWaitOwner {
  /** The connection as its user sees it. */
  readonly face: Connection = faceOf(this);
  /** Where it is on its server's list. */
  place = -1;
  readonly #requests: RequestLoop;
  /** Made when there is a callback beside the handler. */
  #callbacks: CallbackRunner<C> | null = null;
  #onRequest: RequestHandler<C> | null;
  /** `onConnect` is due, or has not settled. */
  #isConnecting = false;
  #isGone = false;

  /**
   * A connection that nobody watches yet, over a non-blocking stream, which it owns from now on.
   */
  constructor(service: Service<C>, fd: number, ends: EndpointAddresses) {
    super(service, fd, ends);
    this.#onRequest = service.callbacks.onRequest ?? null;
    this.#requests = new RequestLoop(this.input, this);
  }

  #runner(): CallbackRunner<C> {
    return this.#callbacks ??= new CallbackRunner(this.service.callbacks, this.service.scope, this);
  }

  // ---- beginning --------------------------------------------------------------------------------

  /** Runs `onPrepare`, begins to watch, and runs `onConnect`. */
  begin(): void {
    try {
      if (this.service.callbacks.onPrepare !== undefined) this.#runner().prepare();
      if (this.fd < 0) return; // it was closed there
      this.#watch();
    } catch (error) {
      this.#fail(error);
      return this.goOn();
    }
    if (this.#isConnecting) this.#connect();
  }

  #connect(): void {
    if (this.service.callbacks.onConnect !== undefined) this.#runner().connect();
    else this.onConnected(null);
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
      this.deadlines?.close();
      throw error;
    }
    queueMicrotask(() => {
      if (this.state === "connecting") this.#connect();
    });
  }

  #watch(): void {
    this.watch(this.ending?.draining ?? this);
    if (this.state === "preparing") {
      this.state = next(this.state, "registered");
      this.#isConnecting = true;
    }
    // In `onPrepare` it may have been paused, written to or closed: what it flushed has to leave.
    this.updateInterest();
  }

  onConnected(failure: Failure | null): void {
    this.#isConnecting = false;
    if (this.state === "connecting") this.state = next(this.state, "connected");
    if (failure !== null) this.#fail(failure.error);
    this.goOn();
  }

  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    checkFunction("the handler of setOnRequest", handler);
    this.#onRequest = handler;
    this.#requests.forgetStall();
    const isDue = this.input.length > 0 || this.readEnd !== null;
    if (isDue) queueMicrotask(() => this.goOn());
  }

  // ---- events -----------------------------------------------------------------------------------

  onEvent(events: number): void {
    this.#requests.beginEvent();
    if (events === 0 && this.ending?.leaving != null) this.ending.leaving.isSettling = false;
    if ((events & Event.WRITABLE) !== 0 && this.fd >= 0) writeSide.sendNow(this.writer);
    if ((events & ~Event.WRITABLE) !== 0 && this.fd >= 0) this.#onReadable(events);
    else readSide.settle(this.reader); // a wait that was put off
    this.goOn();
    // After the peer's end most connections are closed by now, and need not be watched differently.
    if (this.readEnd !== null) this.updateInterest();
  }

  #onReadable(events: number): void {
    if (this.canRead() && this.receive()) return;
    if ((events & (Event.ERROR | Event.HANG_UP)) === 0 || this.fd < 0) return;
    // Errors and hang-ups cannot be masked: unless a read answers, they are reported for ever.
    const isError = (events & Event.ERROR) !== 0;
    const cause = isError && this.isReadEnded ? this.brokenBy() : null;
    if (cause !== null) return this.onLost(cause);
    if (writeSide.unsentBytes(this.writer) > 0) return writeSide.sendNow(this.writer);
    this.hush();
    this.updateInterest();
  }

  onFailure(error: unknown): void {
    this.#fail(error);
    this.reset();
  }

  // ---- pressure ---------------------------------------------------------------------------------

  override get isChoked(): boolean {
    return this.#onRequest !== null && writeSide.isChoked(this.writer);
  }

  /**
   * The handler has returned and too much is held: it is called again only if more can be read.
   * Blocks count whole, and the rest of a message may lie in large ones, so what it left decides.
   */
  #checkStuck(): void {
    if (!this.isFull || this.#onRequest === null) return;
    if (
      this.#requests.isRunning || this.#requests.isDue || this.state !== "open" || this.isChoked
    ) return;
    const { readBufferBytesMax } = this.settings;
    const { length, consumed } = this.input;
    if (length + consumed < readBufferBytesMax) {
      this.isFull = false;
      return this.updateInterest();
    }
    this.#fail(
      new RangeError(
        `Cannot read more: the handler left ${length} bytes unread and ${consumed} unreleased, and ` +
          `readBufferBytesMax is ${readBufferBytesMax}; release() what was read, wait(count) for more, or raise it`,
      ),
    );
  }

  // ---- the handler ------------------------------------------------------------------------------

  /** Does whatever is due: calls the handler, tells of the end, closes. */
  protected goOn(): void {
    if (this.#onRequest !== null && !this.isChoked && this.#requests.isDue) this.#serve();
    if (this.readEnd !== null && !this.#isConnecting) this.#disconnect();
    if (this.isFull) this.#checkStuck();
    if (this.ending !== null && this.ending.leaving !== null) this.#leave(this.ending.leaving);
    else if (this.readEnd !== null) this.#closeIfOver();
    if (this.state === "closed") this.#tearDown();
    else if (this.ending !== null && this.ending.isAsked) this.#lookForSelfWait();
  }

  #disconnect(): void {
    if (this.service.callbacks.onDisconnect !== undefined) this.#runner().disconnect();
  }

  #serve(): void {
    // A connection that is lost already is served what came before.
    if (this.#isConnecting || (this.state !== "open" && this.state !== "closed")) return;
    if (this.ending?.leaving?.isOwing === false) return; // what came since is not begun
    this.#requests.run();
    // A handler that goes on may have more answers: they leave together.
    if (this.output.length > 0 && !this.#requests.isRunning) this.uncork();
    if (config.debug) this.#lookForUnflushed();
  }

  #lookForUnflushed(): void {
    if (this.output.pending === 0 || this.#requests.isRunning) return;
    lookForUnflushed(this.#onRequest!, this.output, () => this.#requests.isRunning);
  }

  callHandler(): void | Promise<void> {
    const context = this.#callbacks === null ? undefined as C : this.#callbacks.context;
    return this.service.scope(this.#onRequest!, this.face, context);
  }

  onTooLong(): void {
    this.service.poller.again(this);
  }

  onPutOff(): void {
    this.service.poller.again(this);
  }

  onTimed(bytes: number, micros: number): void {
    readSide.learnTime(this.reader, bytes, micros);
  }

  onHandlerFailure(error: unknown): void {
    this.#fail(error);
  }

  onHandlerSettled(): void {
    if (config.debug) this.#lookForUnflushed();
    this.goOn();
  }

  onOutside(isOutside: boolean): void {
    this.service.poller.pace.outsideWaits += isOutside ? 1 : -1;
  }

  onWait(): void {
    this.#requests.setOutside(false);
    this.deadlines?.beginRead(this.clockMicros);
    if (this.isFull) {
      this.isFull = false;
      this.updateInterest();
    }
    // Whoever waits for an answer must have asked: what was put off leaves now.
    if (this.output.length > 0) this.uncork();
    if (this.ending !== null && this.ending.leaving !== null) this.#goOnSoon();
  }

  onWaitEnd(): void {
    this.deadlines?.endRead();
    this.#requests.setOutside(true);
    if (this.ending !== null && this.isEnding) this.#onSettling();
  }

  protected onPipe(isPiped: boolean): void {
    this.#requests.setOutside(!isPiped);
  }

  // ---- sending ----------------------------------------------------------------------------------

  onFlushWait(since: number): void {
    this.#requests.setOutside(false);
    this.deadlines?.beginWrite(since, this.clockMicros);
  }

  onFlushWaitEnd(): void {
    this.deadlines?.endWrite();
    this.#requests.setOutside(true);
    if (this.ending !== null && this.isEnding) this.#onSettling();
  }

  /** Whoever waited goes on first: he may wait, or flush, again. */
  #onSettling(): void {
    const { leaving } = this.ending!;
    if (leaving !== null) leaving.isSettling = true;
    this.service.poller.again(this);
  }

  onJoinedLate(error: TimeoutError): void {
    this.#fail(error);
    this.goOn();
  }

  // ---- deadlines --------------------------------------------------------------------------------

  onDeadline(operation: TimeoutOperation, timeoutMs: number): void {
    const error = new TimeoutError(operation, timeoutMs);
    const since = clock.now() - timeoutMs * 1000;
    if (operation === "lifetime") this.leave(error);
    else if (operation === "read") readSide.fail(this.reader, error);
    else if (operation === "write") writeSide.failBefore(this.writer, since, error);
    else this.giveUp(error);
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** A callback failed. The ordinary ends of this connection are no errors; those of others are. */
  #fail(error: unknown): void {
    const isBroken = writeSide.end(this.writer) !== null;
    const isOver = this.isEnding || isBroken || !this.isActive;
    if (!isOver || !(error instanceof ClosedError)) {
      this.ensureEnding().fail(error);
      this.#runner().report(error);
    }
    this.closeWithin(undefined);
  }

  onDisconnected(): void {
    this.#tearDown();
  }

  /** After the peer's end, a connection with a handler closes once nothing is left to do. */
  #closeIfOver(): void {
    if (this.state !== "open" || this.#requests.isRunning || this.isPiped) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    // Without a handler, what was received before the end is its user's until he closes.
    if (this.#onRequest === null && this.input.length > 0) return;
    if (this.#onRequest !== null || this.service.owner !== null) this.closeWithin(undefined);
  }

  // ---- leaving ----------------------------------------------------------------------------------

  /**
   * Its time is over: it closes as soon as nothing is under way. What the kernel holds was received
   * in time.
   */
  leave(reason: NetpollError): void {
    const ending = this.ensureEnding();
    if (ending.leaving !== null || !this.isActive) return;
    if (this.isWatched && this.canRead()) this.receive();
    if (!this.isActive) return this.goOn(); // it was reset
    ending.leaving = new Leaving(this, this.service, reason);
    ending.errand?.onLeave(ending.leaving.error());
    this.goOn();
  }

  /** Closes it, unless something is under way. */
  #leave(leaving: Leaving): void {
    if (this.isActive && this.#isUnderWay(leaving)) return this.updateInterest();
    if (this.isActive) {
      const isStalled = leaving.isStill && writeSide.unsentBytes(this.writer) > 0;
      if (isStalled) this.onStall();
      else this.#end(leaving);
    } else if (this.#isWaiting) readSide.fail(this.reader, closedError(this.ending));
  }

  /** Closes it. What came to who has dialled is his to read still. */
  #end(leaving: Leaving): void {
    const isServed = this.#onRequest !== null || this.service.owner !== null;
    // A part of a message was dropped.
    if (isServed && leaving.isOwing && this.readEnd === null) {
      this.ending!.fail(leaving.reason);
    }
    this.closeWithin(undefined, isServed ? "forgotten" : "kept");
  }

  get #isWaiting(): boolean {
    return readSide.isWaiting(this.reader);
  }

  get #isFlushing(): boolean {
    return writeSide.flushCount(this.writer) > 0;
  }

  /** Whether a callback has not settled for which it stays open. */
  get #isServing(): boolean {
    return this.#isConnecting || this.#requests.isRunning || this.state === "preparing";
  }

  #isUnderWay(leaving: Leaving): boolean {
    const isServing = this.#isServing;
    const errand = this.ending!.errand;
    if (this.isPiped || leaving.isSettling) return true;
    if (errand !== null) return errand.isUnderWay;
    if (this.#isWaiting) return this.#isWaitUnderWay(leaving, isServing);
    if (isServing) return !this.#isFlushing || !leaving.isStill;
    if (this.#onRequest !== null && leaving.isOwing) {
      if (this.#requests.isDue && !this.isChoked) return true;
      if (this.readEnd === null) return !leaving.isStill;
    }
    if (this.#isFlushing) return !leaving.isStill;
    // Its user has not come to wait for the answer yet, or to read and answer.
    const isRead = this.service.owner === null ? this.input.consumed > 0 : leaving.isInMessage;
    const isHeld = isRead && this.#onRequest === null;
    return (isHeld || this.isAsking) && !leaving.isLate;
  }

  /** Whether a wait may go on. One in a callback ends by itself: the callback has more to do. */
  #isWaitUnderWay(leaving: Leaving, isServing: boolean): boolean {
    if (this.isAsking && !(isServing && leaving.isLate)) return true;
    if (leaving.isInMessage && !leaving.isStill) return true;
    if (leaving.isOwing) this.ending!.fail(leaving.reason);
    if (isServing) readSide.fail(this.reader, leaving.error());
    return isServing;
  }

  get isUnanswered(): boolean {
    const { owner, isDialled } = this.service;
    if (isDialled || (owner === null && !this.#isServing)) return false;
    return this.input.total > this.answeredBytes;
  }

  /** Whether the peer was asked something, and no byte of an answer has come. */
  get isAsking(): boolean {
    return this.service.isDialled && this.deadlines !== null && this.deadlines.isAsking;
  }

  /** While it leaves only what a message lacks is read. */
  protected override canRead(): boolean {
    const { ending } = this;
    if (ending !== null && ending.leaving !== null && !this.#readsOn(ending.leaving)) return false;
    return super.canRead();
  }

  #readsOn(leaving: Leaving): boolean {
    if (this.service.isDialled || this.ending!.errand !== null || !this.isActive) return true;
    const isWanted = this.#isWaiting || !(this.#requests.isRunning || this.#requests.isDue);
    return isWanted && leaving.isInMessage;
  }

  get movedBytes(): number {
    const { total, length } = this.input;
    return total + length + writeSide.sentBytes(this.writer) - this.unackedBytes;
  }

  onLook(): void {
    this.goOn();
  }

  /** Somebody uses it without a callback: what he has begun is finished before it leaves. */
  keepFor(errand: Errand): void {
    const ending = this.ensureEnding();
    ending.errand = errand;
    if (ending.leaving !== null) errand.onLeave(ending.leaving.error());
  }

  /** Nothing of that errand is under way any more. */
  onErrandEnd(): void {
    if (this.ending !== null && this.ending.leaving !== null) this.#goOnSoon();
  }

  /** Not within the user's call: callbacks may run. */
  #goOnSoon(): void {
    queueMicrotask(() => this.goOn());
  }

  // ---- callbacks that wait for the end ----------------------------------------------------------

  #lookForSelfWait(): void {
    if (!this.isEnding) return;
    (this.ending!.selfWait ??= new SelfWait(this, this.service.poller)).look();
  }

  get isKeptByCallback(): boolean {
    return this.isActive && this.#isServing && this.isEnding && !this.isAwaited &&
      writeSide.unsentBytes(this.writer) === 0;
  }

  onSelfWait(): void {
    this.ending!.endWaiting();
  }

  override get isCut(): boolean {
    const leaving = this.ending?.leaving;
    return super.isCut || (leaving != null && leaving.reason === this.ending!.failure?.error);
  }

  /** It was lost, and nobody will read what had been received before. */
  protected forgetInput(): void {
    this.input.readBan ??= closedBan(this.ending);
    if (this.#isGone) this.input.close(closedBan(this.ending));
  }

  addCloseCallback(callback: CloseCallback): () => void {
    checkFunction("a close callback", callback);
    const runner = this.#runner();
    if (this.#isGone) runner.close(); // it was made just now, and has nobody else to tell
    return runner.addClose(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.state !== "closed" || this.#isGone) return;
    if (this.#requests.isRunning || this.#callbacks?.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    this.#isGone = true;
    this.#callbacks?.close();
    if (this.#onRequest !== null || this.input.readBan !== null) {
      this.input.close(closedBan(this.ending));
    } else if (this.input.length > 0) reclaimFrom(this, this.input);
    this.service.owner?.onGone(this);
  }
}
