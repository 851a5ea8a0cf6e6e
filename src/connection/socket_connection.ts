/**
 * A connection over a stream: who is called for what comes in, and in the end.
 */
import { reclaimFrom } from "../buffer/dropped.ts";
import { ClosedError, type NetpollError } from "../core/errors.ts";
import { checkFunction, show } from "../core/options.ts";
import { CallbackRunner, type CallbacksOwner } from "./callbacks.ts";
import { type CloseCallback, type Connection, type Inside, insideIfAny } from "./connection.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import { ControlledStream } from "./controlled_stream.ts";
import type { Failure } from "./ending.ts";
import { closedBan, closedError } from "./ending.ts";
import { type Errand, Leaving, type LeavingOwner } from "./leaving.ts";
import { next, Stop } from "./lifecycle.ts";
import { connectionClose, connectionError, connectionOpen } from "./messages.ts";
import { endOf, tellClose } from "./news.ts";
import type { ConnectionEnd } from "./settings.ts";
import { SelfWait, type SelfWaitOwner } from "./self_wait.ts";
import { idOf } from "./watched_calls.ts";

/** The inside of a {@linkcode Connection}: what its poller and its server see of it. */
export class SocketConnection<C> extends ControlledStream<C>
  implements Inside, CallbacksOwner, LeavingOwner, SelfWaitOwner {
  /** Where it is on its server's list. */
  place = -1;
  #runner(): CallbackRunner<C> {
    return this.callbacks ??= new CallbackRunner(this.service.callbacks, this.service.scope, this);
  }

  // ---- beginning --------------------------------------------------------------------------------

  /** Runs `onPrepare`, begins to watch, and runs `onConnect`. */
  begin(): void {
    try {
      if (this.service.callbacks.onPrepare !== undefined) {
        this.#runner().prepare((error) => this.#failPrepared(error));
      }
    } catch (error) {
      return this.#failPrepared(error);
    }
    if (!this.isOpen) return; // it was closed there
    try {
      this.#watch();
    } catch (error) {
      this.onFailure(error);
      return this.goOn();
    }
    if (this.isConnecting) this.#connect();
  }

  #failPrepared(error: unknown): void {
    this.fail(error);
    this.goOn();
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
      this.isConnecting = true;
    }
    // Also of one that onPrepare has closed, and whose last bytes have to leave: its close is told, too.
    if (connectionOpen.isHeard) {
      const { face: connection, service: { isDialled } } = this;
      connectionOpen.publish({ connection, id: idOf(this), isDialled });
    }
    // In `onPrepare` it may have been paused, written to or closed: what it flushed has to leave.
    this.updateInterest();
  }

  onConnected(failure: Failure | null): void {
    this.isConnecting = false;
    if (this.state === "connecting") this.state = next(this.state, "connected");
    if (failure !== null) this.fail(failure.error);
    this.goOn();
  }

  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    checkFunction("the handler of setOnRequest", handler);
    this.handler = handler;
    this.updateChoke();
    this.forgetStall();
    const isDue = this.input.length > 0 || this.readEnd !== null;
    if (isDue) queueMicrotask(() => this.goOn());
  }

  // ---- pressure ---------------------------------------------------------------------------------

  /**
   * The handler has returned and too much is held: it is called again only if more can be read.
   * Blocks count whole, and the rest of a message may lie in large ones, so what it left decides.
   */
  #checkStuck(): void {
    if ((this.stops & Stop.FULL) === 0 || this.handler === null) return;
    if (this.isServing || this.isDue || this.state !== "open" || this.isChoked) return;
    const { readBufferBytesMax } = this.settings;
    const { length, consumed } = this.input;
    if (length + consumed < readBufferBytesMax) return this.unstop(Stop.FULL);
    this.fail(
      new RangeError(
        `Cannot read more: the handler left ${length} bytes unread and ${consumed} unreleased, and ` +
          `readBufferBytesMax is ${readBufferBytesMax}; release() what was read, wait(count) for more, or raise it`,
      ),
    );
  }

  // ---- the handler ------------------------------------------------------------------------------

  /** Does whatever is due: calls the handler, tells of the end, closes. */
  protected goOn(): void {
    if (this.isToServe) this.serve();
    if (this.readEnd !== null && !this.isConnecting) this.#disconnect();
    if ((this.stops & Stop.FULL) !== 0) this.#checkStuck();
    if (this.ending !== null && this.ending.leaving !== null) this.#leave(this.ending.leaving);
    else if (this.readEnd !== null) this.#closeIfOver();
    if (this.state === "closed") this.#tearDown();
    else if (this.ending !== null && this.ending.isAsked) this.#lookForSelfWait();
  }

  #disconnect(): void {
    if (this.service.callbacks.onDisconnect !== undefined) this.#runner().disconnect();
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** A callback failed. The ordinary ends of this connection are no errors; those of others are. */
  protected fail(error: unknown): void {
    const isBroken = writeSide.end(this.writer) !== null;
    const isOver = this.isEnding || isBroken || !this.isActive;
    if (!isOver || !(error instanceof ClosedError)) {
      this.ensureEnding().fail(error);
      this.#runner().report(error);
      if (connectionError.isHeard) {
        connectionError.publish({ connection: this.face, id: idOf(this), error });
      }
    }
    this.closeWithin(undefined);
    // It may have been lost already. Whoever failed is not called again for what came before that:
    // each of the messages that a peer has left behind would fail.
    this.input.readBan ??= closedBan(this.ending);
  }

  onDisconnected(): void {
    this.#tearDown();
  }

  /** After the peer's end, a connection with a handler closes once nothing is left to do. */
  #closeIfOver(): void {
    if (this.state !== "open" || this.isServing || this.isPiped) return;
    if (this.handler !== null && this.isDue) return;
    // Without a handler, what was received before the end is its user's until he closes.
    if (this.handler === null && this.input.length > 0) return;
    if (this.handler !== null || this.service.owner !== null) this.closeWithin(undefined);
  }

  // ---- leaving ----------------------------------------------------------------------------------

  /**
   * Its time is over: it closes as soon as nothing is under way. What the kernel holds was received
   * in time.
   */
  leave(reason: NetpollError): void {
    const ending = this.ensureEnding();
    if (ending.leaving !== null || !this.isActive) return;
    if (this.isWatched && this.canRead()) this.receiveUnasked();
    if (!this.isActive) return this.goOn(); // it was reset
    ending.leaving = new Leaving(this, this.service, reason);
    this.stops |= Stop.LEAVING;
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
    const isServed = this.handler !== null || this.service.owner !== null;
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
    return writeSide.isAwaited(this.writer);
  }

  /** Whether a callback has not settled for which it stays open. */
  get #isCalling(): boolean {
    return this.isConnecting || this.isServing || this.state === "preparing";
  }

  #isUnderWay(leaving: Leaving): boolean {
    const isServing = this.#isCalling;
    const errand = this.ending!.errand;
    if (this.isPiped || this.isSecuring || leaving.isSettling) return true;
    if (errand !== null) return errand.isUnderWay;
    if (this.#isWaiting) return this.#isWaitUnderWay(leaving, isServing);
    if (isServing) return !this.#isFlushing || !leaving.isStill;
    if (this.handler !== null && leaving.isOwing) {
      if (this.isDue && !this.isChoked) return true;
      if (this.readEnd === null) return !leaving.isStill;
    }
    if (this.#isFlushing) return !leaving.isStill;
    // Its user has not come to wait for the answer yet, or to read and answer.
    const isRead = this.service.owner === null ? this.input.consumed > 0 : leaving.isInMessage;
    const isHeld = isRead && this.handler === null;
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

  /**
   * Whether it could be anybody's: open both ways, nothing of it unread, unsent or awaited. When it
   * receives first, bytes and a peer's end are known that no event has told of.
   */
  isAtRest(isReceiving: boolean): boolean {
    if (isReceiving && this.isWatched && this.canRead() && this.receiveUnasked()) {
      queueMicrotask(() => this.goOn()); // whoever asks must not meet a callback
    }
    const { writer, ending } = this;
    return this.state === "open" && this.stops === 0 && this.readEnd === null &&
      this.handler === null && this.input.length === 0 && !this.#isWaiting &&
      writer.mallocLength === 0 && writeSide.unsentBytes(writer) === 0 && !this.#isFlushing &&
      (ending === null ||
        (ending.leaving === null && ending.errand === null && !ending.isWriteEnding));
  }

  get isUnanswered(): boolean {
    if (readSide.isFilling(this.reader)) return true; // a file is a message, also of one who dialled
    const { owner, isDialled } = this.service;
    if (isDialled || (owner === null && !this.#isCalling)) return false;
    return this.input.total > this.answeredBytes;
  }

  /** Whether the peer was asked something, and no byte of an answer has come. */
  get isAsking(): boolean {
    return this.service.isDialled && this.deadlines !== null && this.deadlines.isAsking;
  }

  get movedBytes(): number {
    const { total, length } = this.input;
    return total + length + writeSide.sentBytes(this.writer) - this.unackedBytes;
  }

  get isLimited(): boolean {
    return false;
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
    if (this.ending !== null && this.ending.leaving !== null) queueMicrotask(() => this.goOn());
  }

  // ---- callbacks that wait for the end ----------------------------------------------------------

  #lookForSelfWait(): void {
    if (!this.isEnding) return;
    (this.ending!.selfWait ??= new SelfWait(this, this.service.poller)).look();
  }

  get isKeptByCallback(): boolean {
    return this.isActive && this.#isCalling && this.isEnding && !this.isAwaited &&
      writeSide.unsentBytes(this.writer) === 0;
  }

  onSelfWait(): void {
    this.ending!.endWaiting();
  }

  override get isCut(): boolean {
    const leaving = this.ending?.leaving;
    return super.isCut || (leaving != null && leaving.reason === this.ending!.failure?.error);
  }

  get end(): ConnectionEnd {
    return endOf(this, this.ending);
  }

  addCloseCallback(callback: CloseCallback): () => void {
    checkFunction("a close callback", callback);
    const runner = this.#runner();
    if (this.isGone) runner.close(); // it was made just now, and has nobody else to tell
    return runner.addClose(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.state !== "closed" || this.isGone) return;
    if (this.isServing || this.callbacks?.isRunning || this.isToServe) return;
    this.isGone = true;
    if (connectionClose.isHeard && this.serial > 0) tellClose(this, this.ending, this.calls);
    this.callbacks?.close();
    if (this.handler !== null || this.input.readBan !== null) {
      this.input.close(closedBan(this.ending));
    } else if (this.input.length > 0) reclaimFrom(this, this.input);
    this.service.owner?.onGone(this);
  }
}

/**
 * The inside of a connection that a user has given.
 *
 * @throws {TypeError} It is none. `action` says what it was given for.
 */
export function insideOf(connection: Connection, action: string): SocketConnection<unknown> {
  const inside = insideIfAny(connection);
  if (inside !== null) return inside as SocketConnection<unknown>;
  throw new TypeError(`Cannot ${action} ${show(connection)}: it is no Connection of this library`);
}
