/**
 * A stream: everything that runs for a message. An event comes, bytes are received, the handler is
 * called, its answer is sent, and the poller is told what is of interest now. closable_stream.ts ends
 * it, and socket_connection.ts calls all other callbacks; these classes are one object.
 */
import { type Ban, LinkChain } from "../buffer/link_chain.ts";
import { config } from "../core/config.ts";
import { ERRNO, isNotNow } from "../core/errno.ts";
import { NetpollError, SystemError, type TimeoutError } from "../core/errors.ts";
import { CALL_BYTES_LARGE, RUNS_PER_EVENT_MAX } from "../core/limits.ts";
import { promiseOf } from "../core/promises.ts";
import { watching } from "../core/watching.ts";
import { clock } from "../poll/clock.ts";
import { turn } from "../poll/turn.ts";
import { Event, type Watcher } from "../poll/watcher.ts";
import type { CallbackRunner } from "./callbacks.ts";
import { type Connection, faceOf, type Inside, type RequestHandler } from "./connection.ts";
import { ConnectionReader, type ReaderOwner, readSide } from "./connection_reader.ts";
import { ConnectionWriter, type WriterOwner, writeSide } from "./connection_writer.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Ending, Failure } from "./ending.ts";
import { Endpoint, type EndpointAddresses } from "../transport/endpoint.ts";
import type { Leaving } from "./leaving.ts";
import { type State, Stop, UNSERVED } from "./lifecycle.ts";
import type { Service } from "./service.ts";
import type { ConnectionSettings } from "./settings.ts";
import { receiving } from "../transport/transport.ts";
import { endOf, lostError } from "../transport/lost.ts";
import { lookForUnflushed } from "./unflushed.ts";
import { WatchedCalls } from "./watched_calls.ts";
import type { ZeroCopy } from "../transport/zero_copy.ts";

/** Never equal to a count of bytes. */
const NOT_STALLED = -1;

/** The state of the handler's last call. */
type Phase =
  /** It has settled. */
  | "idle"
  /** It is on the stack: its synchronous part. */
  | "dispatching"
  /** It waits, for something of ours. */
  | "waiting"
  /** It waits for something that is not ours: the runtime must have the thread. */
  | "outside";

/** A descriptor that is read, served and written. */
export abstract class Stream<C> extends Endpoint implements Watcher, ReaderOwner, WriterOwner {
  /** The connection that users see. */
  readonly face: Connection = faceOf(this as unknown as Inside);
  readonly reader: ConnectionReader;
  readonly writer: ConnectionWriter;
  /** Received bytes. */
  readonly input: LinkChain = new LinkChain();
  /** Bytes to be sent. */
  readonly output: LinkChain = new LinkChain();
  /** Why nothing is read: bits of {@linkcode Stop}. */
  stops: number = 0;
  /** Why no more bytes come, once that is so. */
  readEnd: Ban | null = null;
  /** Made when somebody asks for zero copy. */
  pinner: ZeroCopy | null = null;
  /** Null where there is nothing to watch over. */
  protected deadlines: Deadlines | null = null;
  /** Made when somebody asks about the end, or something is to be known of it. */
  protected ending: Ending | null = null;
  /** Where it is in its life. */
  state: State = "preparing";
  /** The common ground of its server's connections. */
  protected readonly service: Service<C>;
  protected handler: RequestHandler<C> | null;
  /** Made when there is a callback beside the handler. */
  protected callbacks: CallbackRunner<C> | null = null;
  /** `onConnect` is due, or has not settled. */
  protected isConnecting = false;
  /** The count of read bytes when something was last sent: those need no answer any more. */
  answeredBytes = 0;
  /** Its poller sends what it has flushed at the end of the batch. */
  #isJoined = false;
  #phase: Phase = "idle";
  /** Bytes received in all when the handler had returned and read none: more are waited for. */
  #stalledAt = NOT_STALLED;
  /** Bytes read in all when the handler was called. */
  #readBefore = 0;
  /** Looks at calls of the handler, once somebody has wanted it. */
  protected calls: WatchedCalls | null = null;
  /** Calls of the handler since the last event. */
  #runCount = 0;
  // Made once for a connection, and only when its handler is asynchronous.
  #onSettled: (() => void) | null = null;
  #onRejected: ((error: unknown) => void) | null = null;

  /** One that nobody watches yet, over a non-blocking descriptor, which it owns from now on. */
  constructor(service: Service<C>, fd: number, ends: EndpointAddresses) {
    super(service.poller, service.io, fd, ends);
    this.service = service;
    this.handler = service.callbacks.onRequest ?? null;
    this.reader = new ConnectionReader(this);
    this.writer = new ConnectionWriter(this);
  }

  /** Does whatever is due: serves, tells of the end, closes. Callbacks may run. */
  protected abstract goOn(): void;
  /** No more bytes come: the peer ended its side (null), or the connection is broken. */
  abstract onReadEnd(cause: NetpollError | null): void;
  /** Resets it, and says why. */
  abstract cut(error: unknown): void;
  /** A callback failed: the connection closes. */
  protected abstract fail(error: unknown): void;

  get settings(): ConnectionSettings {
    return this.service.settings;
  }

  get clockMicros(): number {
    return this.service.poller.clockMicros;
  }

  /** Whether nothing more will be received. */
  get isReadEnded(): boolean {
    return (this.stops & Stop.ENDED) !== 0;
  }

  /** Whether it was neither closed nor lost. */
  get isActive(): boolean {
    return this.state !== "closed" && this.state !== "draining";
  }

  // ---- events --------------------------------------------------------------------------------

  onEvent(events: number): void {
    this.#runCount = 0;
    if (events === 0 && this.ending?.leaving != null) this.ending.leaving.isSettling = false;
    if (events === 0 && this.io.holdsBytes) events = Event.READABLE;
    if ((events & Event.WRITABLE) !== 0 && this.isOpen) writeSide.sendNow(this.writer);
    if ((events & ~Event.WRITABLE) !== 0 && this.isOpen) this.#onReadable(events);
    else readSide.settle(this.reader); // a wait that was put off
    this.goOn();
    // After the peer's end most connections are closed by now, and need not be watched differently.
    if (this.readEnd !== null) this.updateInterest();
  }

  #onReadable(events: number): void {
    if (this.canRead() && this.receive()) return;
    readSide.settle(this.reader); // a wait that was put off, of a transport that holds bytes
    if ((events & (Event.ERROR | Event.HANG_UP)) === 0 || !this.isOpen) return;
    // Errors and hang-ups cannot be masked: unless a read answers, they are reported for ever.
    const cause = (events & Event.ERROR) !== 0 && this.isReadEnded ? this.brokenBy() : null;
    if (cause !== null) return this.onReadEnd(cause);
    if (writeSide.unsentBytes(this.writer) > 0) return writeSide.sendNow(this.writer);
    this.hush();
    this.updateInterest();
  }

  /** The error that broke the connection; null when the report was a completion only. */
  brokenBy(): NetpollError | null {
    const failure = this.io.failure(this.fd);
    if (failure !== null || this.pinner !== null) return failure;
    return new SystemError("go on with the connection", ERRNO.EPIPE);
  }

  onFailure(error: unknown): void {
    this.cut(error);
    this.fail(error);
  }

  onCompletion(lo: number, hi: number, isCopied: boolean): void {
    this.pinner!.complete(lo, hi, isCopied);
  }

  // ---- receiving -----------------------------------------------------------------------------

  /** Receives what is there, within bounds. Whether there was any news: bytes, or the end. */
  protected receive(): boolean {
    const { reader } = this;
    let sum = 0;
    for (const most = readSide.eventBytes(reader); sum < most;) {
      const count = readSide.receive(reader, this.fd);
      if (count < 0 && isNotNow(count)) break;
      if (count <= 0) {
        this.onReadEnd(endOf(this, count));
        return true;
      }
      sum += count;
      if (!receiving.wasFilled) break; // the socket had less than there was room for
    }
    if (sum === 0) return false;
    if (this.io.holdsBytes && this.io.hasPending(this.fd)) this.service.poller.again(this);
    this.deadlines?.received(this.service.poller.nowMicros);
    readSide.settle(reader);
    if (
      this.input.heldBytes > this.service.settings.readBufferBytesMax && !readSide.isLacking(reader)
    ) this.stop(Stop.FULL);
    return true;
  }

  /** Receives without an event: no poller is there to be told that no memory is left. */
  protected receiveUnasked(): boolean {
    try {
      return this.receive();
    } catch (error) {
      this.onFailure(error);
      return true;
    }
  }

  /** Whether bytes are wanted. */
  protected canRead(): boolean {
    return this.stops === 0 || this.readsThough(this.stops);
  }

  /** Whether bytes are wanted all the same, with these reasons to read nothing. */
  protected readsThough(stops: number): boolean {
    if ((stops & Stop.ENDED) !== 0) return false;
    // Bytes that still come to one that is closing are received and dropped.
    if (this.state === "draining") return true;
    return stops === Stop.LEAVING && this.#readsOn(this.ending!.leaving!);
  }

  /** While it leaves only what a message lacks is read. */
  #readsOn(leaving: Leaving): boolean {
    if (this.service.isDialled || this.ending!.errand !== null || !this.isActive) return true;
    const isWanted = readSide.isWaiting(this.reader) || !(this.isServing || this.isDue);
    return isWanted && leaving.isInMessage;
  }

  /** From now on there is a reason to read nothing. */
  protected stop(reason: number): void {
    this.stops |= reason;
    this.updateInterest();
  }

  /** A reason to read nothing is over. */
  protected unstop(reason: number): void {
    this.stops &= ~reason;
    this.updateInterest();
  }

  /** Watches for what is wanted now. */
  protected updateInterest(): void {
    if (this.isPiped) return;
    const isBlocked = writeSide.isBlocked(this.writer) || this.isEndBlocked;
    this.want(this.canRead(), isBlocked, isBlocked || this.#isJoined && this.output.length > 0);
  }

  onMessageEnd(): void {
    this.answeredBytes = this.input.total;
  }

  onRelease(): void {
    if (this.input.heldBytes * 2 >= this.service.settings.readBufferBytesMax) return;
    this.unstop(Stop.FULL);
  }

  onWait(): void {
    this.setOutside(false);
    this.deadlines?.beginRead(this.clockMicros);
    // More than the bound is received for what a wait lacks, and for no other wait.
    if ((this.stops & Stop.FULL) !== 0 && readSide.isLacking(this.reader)) this.unstop(Stop.FULL);
    // A wait for an answer follows a question: what was put off leaves now.
    if (this.output.length > 0) this.uncork();
    if (this.ending !== null && this.ending.leaving !== null) queueMicrotask(() => this.goOn());
  }

  onWaitEnd(): void {
    this.deadlines?.endRead();
    this.onWaited();
  }

  /** A wait or a flush is over. Its user goes on first: he may wait, or flush, again. */
  onWaited(): void {
    this.setOutside(true);
    if (this.ending === null || !this.isEnding) return;
    const { leaving } = this.ending;
    if (leaving !== null) leaving.isSettling = true;
    this.service.poller.again(this);
  }

  onPutOff(): void {
    this.service.poller.again(this);
  }

  /** Whether nothing new comes: it closes as soon as what is under way is over. */
  protected get isEnding(): boolean {
    return this.readEnd !== null || this.ending?.leaving != null;
  }

  // ---- the handler ---------------------------------------------------------------------------

  /** Whether the handler was called and has not settled. */
  protected get isServing(): boolean {
    return this.#phase !== "idle";
  }

  /** Whether there is something for a handler to do, and none is at it. */
  protected get isDue(): boolean {
    const { length, total, readBan } = this.input;
    return length > 0 && this.#phase === "idle" && readBan === null &&
      this.#stalledAt !== total + length;
  }

  /** Whether the handler is called for it. Until then a connection that is lost is not torn down. */
  protected get isToServe(): boolean {
    if (this.handler === null || (this.stops & UNSERVED) !== 0 || !this.isDue) return false;
    // A connection that is lost already is served what came before.
    if (this.isConnecting || (this.state !== "open" && this.state !== "closed")) return false;
    return this.ending?.leaving?.isOwing !== false; // what came since is not begun
  }

  /** Another handler may make more of what is there. */
  protected forgetStall(): void {
    this.#stalledAt = NOT_STALLED;
  }

  /** Calls the handler, which is due, until nothing is left, it waits, or its share is used up. */
  protected serve(): void {
    do {
      if (this.#runCount > 0 && (this.#runCount === RUNS_PER_EVENT_MAX || turn.step())) {
        this.service.poller.again(this);
        break;
      }
      this.#runCount += 1;
      this.call();
    } while ((this.stops & UNSERVED) === 0 && this.isDue);
    // A handler that goes on may have more answers: they leave together.
    if (this.output.length > 0 && this.#phase === "idle") this.uncork();
    if (config.debug) this.#lookForUnflushed();
  }

  protected call(): void {
    const { input, service } = this;
    this.#readBefore = input.total;
    this.#stalledAt = input.total + input.length;
    this.#phase = "dispatching";
    const begin = input.length > CALL_BYTES_LARGE ? clock.now() : 0;
    try {
      const scope = watching.isOn
        ? (this.calls ??= new WatchedCalls(this, service)).begin()
        : service.scope;
      const result = scope(this.handler!, this.face, this.callbacks?.context as C);
      if (begin > 0) this.#time(begin);
      this.#await(promiseOf(result));
    } catch (error) {
      this.#settle({ error });
      this.fail(error);
    }
  }

  #time(begin: number): void {
    const bytes = this.input.total - this.#readBefore;
    if (bytes > CALL_BYTES_LARGE) readSide.learnTime(this.reader, bytes, clock.now() - begin);
    turn.hurry();
  }

  #await(result: Promise<void> | null): void {
    if (result === null) return this.#settle();
    this.#phase = "waiting";
    this.calls?.wait();
    this.setOutside(!this.isAwaited);
    this.#onSettled ??= () => {
      this.#settle();
      if (config.debug) this.#lookForUnflushed();
      this.goOn();
    };
    this.#onRejected ??= (error) => {
      this.#settle({ error });
      this.fail(error);
      this.goOn();
    };
    result.then(this.#onSettled, this.#onRejected);
  }

  #settle(failure: Failure | null = null): void {
    this.calls?.end(failure, this.#phase !== "dispatching");
    if (this.#phase === "outside") this.setOutside(false);
    this.#phase = "idle";
    if (this.input.total !== this.#readBefore) this.#stalledAt = NOT_STALLED;
  }

  /** Whether a handler that has returned, and not settled, waits for something that is not ours. */
  setOutside(isOutside: boolean): void {
    if (this.#phase !== (isOutside ? "waiting" : "outside")) return;
    this.#phase = isOutside ? "outside" : "waiting";
    this.service.poller.pace.outsideWaits += isOutside ? 1 : -1;
  }

  #lookForUnflushed(): void {
    if (this.output.pending === 0 || this.#phase !== "idle") return;
    lookForUnflushed(this.handler!, this.output, () => this.#phase !== "idle");
  }

  // ---- sending -------------------------------------------------------------------------------

  /**
   * Whether so much is unsent that nothing more is read and served. Only where a handler answers
   * what is read: two ends that read and write by themselves, and neither of them read because of
   * what it has not sent, would wait for each other for ever.
   */
  get isChoked(): boolean {
    return (this.stops & Stop.CHOKED) !== 0;
  }

  /** Whether a pipe moves its bytes, in place of its reader and writer. */
  get isPiped(): boolean {
    return (this.stops & Stop.PIPED) !== 0;
  }

  /** Whether somebody waits for something of ours. */
  get isAwaited(): boolean {
    return readSide.isWaiting(this.reader) || writeSide.isAwaited(this.writer) ||
      (this.stops & (Stop.PIPED | Stop.SECURING)) !== 0;
  }

  // Outside of a turn of ours nothing would come to send it soon. The flush is resolved already: until
  // the bytes have left, whatever ends this thread must look like a reset.
  join(): boolean {
    const { poller } = this.service;
    if (this.input.length === 0 || !poller.pace.isRunning) return false;
    if (!this.#isJoined) poller.addJoined(this);
    this.#isJoined = true;
    this.owe(true); // each time: what joined before may have left already
    return true;
  }

  /** Sends what joined other answers. Nobody waits for it: a flush that joins is resolved. */
  sendJoined(): boolean {
    this.#isJoined = false;
    if (this.output.length > 0) this.uncork();
    return false;
  }

  /** Sends what flushes put off. */
  protected uncork(): void {
    if (!writeSide.isBlocked(this.writer) && this.isOpen) writeSide.sendNow(this.writer);
  }

  onSent(unsentBytes: number, hasRoomChanged: boolean): void {
    this.answeredBytes = this.input.total;
    this.deadlines?.sent(this.clockMicros);
    if (unsentBytes > 0 || writeSide.isChoked(this.writer)) this.onQueued();
    if (unsentBytes === 0) {
      this.owe(false);
      if (this.ending !== null) this.onAllSent();
    }
    if (hasRoomChanged) this.updateInterest();
  }

  /** All that was flushed has left: our side ends, if it shall. */
  protected onAllSent(): void {
    if (!this.ending?.isWriteEnding || this.state === "closed") return;
    const failure = this.shutdownWrite();
    if (failure !== null) return void this.onSendFailure(failure);
    this.updateInterest(); // the end itself may have to wait for room
    if (this.isWriteEnded) this.ending.endWrite();
  }

  // A handler that does not wait goes on flushing until it is choked: sending does not tell us.
  onQueued(): void {
    if (!writeSide.checkPressure(this.writer)) return;
    this.updateChoke();
    this.updateInterest();
    if (!writeSide.isChoked(this.writer)) this.service.poller.again(this);
  }

  /** Whether what is unsent keeps it from reading. */
  protected updateChoke(): void {
    if (this.handler !== null && writeSide.isChoked(this.writer)) this.stops |= Stop.CHOKED;
    else this.stops &= ~Stop.CHOKED;
  }

  // Called within the user's flush or close: whatever calls back does so later.
  onSendFailure(cause: NetpollError): NetpollError {
    queueMicrotask(() => {
      this.onReadEnd(cause);
      this.goOn();
    });
    const failure = this.ending?.failure?.error;
    return failure instanceof NetpollError ? failure : lostError(cause);
  }

  // Called within the user's flush, or by his signal: whatever calls back does so later.
  onCut(error: NetpollError): void {
    queueMicrotask(() => this.cut(error));
  }

  onFlushWait(since: number): void {
    this.setOutside(false);
    this.deadlines?.beginWrite(since, this.clockMicros);
  }

  onFlushWaitEnd(): void {
    this.deadlines?.endWrite();
    this.onWaited();
  }

  onJoinedLate(error: TimeoutError): void {
    this.fail(error);
    this.goOn();
  }
}
