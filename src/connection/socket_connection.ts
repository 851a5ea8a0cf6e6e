/**
 * A connection over a stream: who is called for what comes in, and in the end.
 */
import { reclaimFrom } from "../buffer/dropped.ts";
import { CLOSED } from "../buffer/link_chain.ts";
import { ClosedError, TimeoutError, type TimeoutOperation } from "../core/errors.ts";
import { clock } from "../poll/clock.ts";
import { Event } from "../poll/watcher.ts";
import {
  CallbackRunner,
  type CallbacksOwner,
  type CloseCallback,
  type RequestHandler,
} from "./callbacks.ts";
import { ClosableStream } from "./closable_stream.ts";
import type { Connection } from "./connection.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import type { EndpointAddresses } from "./endpoint.ts";
import { next } from "./lifecycle.ts";
import { RequestLoop, type RequestOwner } from "./request_loop.ts";
import type { Service } from "./service.ts";

/** {@linkcode Connection}, as its poller and its server see it. */
export class SocketConnection<C> extends ClosableStream<Service<C>>
  implements CallbacksOwner, RequestOwner {
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
    return this.#callbacks ??= new CallbackRunner(this.service.callbacks, this);
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
      this.deadlines?.close();
      throw error;
    }
    queueMicrotask(() => {
      if (this.state === "connecting") this.#connect();
    });
  }

  #watch(): void {
    this.endpoint.watch(this.ending?.draining ?? this);
    if (this.state === "preparing") {
      this.state = next(this.state, "registered");
      this.#isConnecting = true;
    }
    // In `onPrepare` it may have been paused, written to or closed, and what it flushed still has
    // to leave.
    this.updateInterest();
  }

  onConnected(failure: unknown): void {
    this.#isConnecting = false;
    if (this.state === "connecting") this.state = next(this.state, "connected");
    if (failure !== undefined) this.#fail(failure);
    this.goOn();
  }

  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    this.#onRequest = handler;
    this.#requests.forgetStall();
    const isDue = this.input.length > 0 || this.readEnd !== null;
    if (isDue) queueMicrotask(() => this.goOn());
  }

  // ---- events -----------------------------------------------------------------------------------

  onEvent(events: number): void {
    this.#requests.beginEvent();
    if ((events & Event.WRITABLE) !== 0 && this.fd >= 0) writeSide.sendNow(this.writer);
    if ((events & ~Event.WRITABLE) !== 0 && this.fd >= 0) this.#onReadable(events);
    this.goOn();
    // After the peer's end most connections are closed by now, and need not be watched differently.
    if (this.readEnd !== null) this.updateInterest();
  }

  #onReadable(events: number): void {
    if (this.canRead() && this.receive()) return;
    if ((events & (Event.ERROR | Event.HANG_UP)) === 0 || this.fd < 0) return;
    // Errors and hang-ups cannot be masked: unless a read answers, they are reported for ever.
    const cause = this.readEnd !== null && (events & Event.ERROR) !== 0 ? this.brokenBy() : null;
    if (cause !== null) return this.onLost(cause);
    if (writeSide.unsentBytes(this.writer) > 0) return writeSide.sendNow(this.writer);
    this.endpoint.hush();
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
    if (this.readEnd !== null || this.ending?.closesWhenIdle) this.#closeIfOver();
    if (this.state === "closed") this.#tearDown();
  }

  #disconnect(): void {
    if (this.service.callbacks.onDisconnect !== undefined) this.#runner().disconnect();
  }

  #serve(): void {
    // A connection that is lost already is served what came before.
    if (this.#isConnecting || (this.state !== "open" && this.state !== "closed")) return;
    this.#requests.run();
    if (this.output.length > 0) this.uncork();
  }

  callHandler(): void | Promise<void> {
    const callbacks = this.#callbacks;
    return this.#onRequest!(this, callbacks === null ? undefined as C : callbacks.context);
  }

  onTooLong(): void {
    this.service.poller.again(this);
  }

  onHandlerFailure(error: unknown): void {
    this.#fail(error);
  }

  onHandlerSettled(): void {
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
  }

  onWaitEnd(): void {
    this.deadlines?.endRead();
    this.#requests.setOutside(true);
  }

  protected onPipe(isPiped: boolean): void {
    this.#requests.setOutside(!isPiped);
  }

  // ---- sending ----------------------------------------------------------------------------------

  get isCorked(): boolean {
    // What one dispatch puts off is bounded like everything that is unsent.
    return this.#requests.isDispatching && this.input.length > 0 &&
      this.output.heldBytes <= this.settings.writeBufferBytesMax;
  }

  onFlushWait(since: number): void {
    this.#requests.setOutside(false);
    this.deadlines?.beginWrite(since, this.clockMicros);
  }

  onFlushWaitEnd(): void {
    this.deadlines?.endWrite();
    this.#requests.setOutside(true);
  }

  // ---- deadlines --------------------------------------------------------------------------------

  onDeadline(operation: TimeoutOperation, timeoutMs: number): void {
    if (operation === "lifetime") return this.closeWhenIdle();
    const error = new TimeoutError(operation, timeoutMs);
    const since = clock.now() - timeoutMs * 1000;
    if (operation === "read") readSide.fail(this.reader, error);
    else if (operation === "write") writeSide.failBefore(this.writer, since, error);
    else this.giveUp(error);
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** A callback failed. The ordinary ends of this connection are no errors; those of others are. */
  #fail(error: unknown): void {
    const isOver = this.readEnd !== null || writeSide.end(this.writer) !== null || !this.isActive;
    if (!isOver || !(error instanceof ClosedError)) {
      this.ensureEnding().failure ??= error;
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
    const closesWhenIdle = this.ending?.closesWhenIdle === true;
    if (this.#onRequest === null && !closesWhenIdle && this.input.length > 0) return;
    if (this.#onRequest !== null || closesWhenIdle || this.service.owner !== null) {
      this.closeWithin(undefined);
    }
  }

  /**
   * Closes as soon as no handler runs and nothing is unread or unsent; what the kernel holds is
   * read first.
   */
  closeWhenIdle(): void {
    this.ensureEnding().closesWhenIdle = true;
    if (this.state === "open" && this.canRead()) this.receive();
    this.goOn();
  }

  /** It was lost, and nobody will read what had been received before. */
  protected forgetInput(): void {
    this.input.readBan ??= CLOSED;
    if (this.#isGone) this.input.close(CLOSED);
  }

  addCloseCallback(callback: CloseCallback): void {
    const runner = this.#runner();
    if (this.#isGone) runner.close(); // it was made just now, and has nobody else to tell
    runner.addClose(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.state !== "closed" || this.#isGone) return;
    if (this.#requests.isRunning || this.#callbacks?.isRunning) return;
    if (this.#onRequest !== null && this.#requests.isDue) return;
    this.#isGone = true;
    this.#callbacks?.close();
    if (this.#onRequest !== null || this.input.readBan !== null) this.input.close(CLOSED);
    else if (this.input.length > 0) reclaimFrom(this, this.input);
    this.service.owner?.onGone(this);
  }
}
