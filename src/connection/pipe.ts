/**
 * Piping: what one connection receives the other sends, both ways, by splice.
 */
import { ERRNO, isNotNow, NOT_READY } from "../core/errno.ts";
import { ClosedError, type NetpollError, SystemError } from "../core/errors.ts";
import { SPLICE_BYTES_MIN, SPLICE_READS_SMALL_MAX } from "../core/limits.ts";
import { checkOptions, checkSignal, type Known } from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import { Event, type Watcher } from "../poll/watcher.ts";
import type { Connection } from "./connection.ts";
import { writeSide } from "./connection_writer.ts";
import { type KernelPipe, kernelPipes } from "../transport/kernel_pipe.ts";
import { insideOf } from "./socket_connection.ts";
import type { ControlledStream } from "./controlled_stream.ts";
import { fileTransport } from "../transport/descriptor.ts";
import { FIRST_SIZE, type ReadSize } from "../transport/read_size.ts";
import { receiving } from "../transport/transport.ts";

/** Options of {@linkcode pipe}. */
export interface PipeOptions {
  /** Ends it: both connections are reset. */
  signal?: AbortSignal;
}

const PIPE_OPTIONS: Known<PipeOptions> = { signal: 1 };

/** The bytes that a pipe has moved. */
export interface PipeResult {
  /** Bytes from the first connection to the second. */
  aToB: number;
  /** Bytes from the second connection to the first. */
  bToA: number;
}

/** The error of a call of the kernel that moved nothing. */
function errorOf(what: string, code: number): SystemError {
  return new SystemError(what, code < 0 ? -code : ERRNO.EPIPE);
}

/**
 * The way from one connection to the other. Small reads are copied, which costs fewer calls; where
 * reads fill what they get, bytes pass through a pipe of the kernel and never come here.
 */
class Direction {
  /** Bytes that were taken from `from`. */
  count: number;
  /** The end of `from` was read. */
  isEnded: boolean;
  /** … and passed on. */
  isDone = false;
  /** `to` has no room: nothing is read before it has. */
  isBlocked = false;
  /** `from` has limits, and may not be read for a while: it tells when. */
  isHeld = false;
  /** One of both is broken, and knows. */
  isBroken = false;
  readonly #from: ControlledStream<unknown>;
  readonly #to: ControlledStream<unknown>;
  #pipe: KernelPipe | null = null;
  #size: ReadSize = FIRST_SIZE;
  #isSplicing = false;
  #canSplice: boolean;
  /** The last read left nothing. */
  #wasShort = false;
  #smallCount = 0;

  constructor(from: ControlledStream<unknown>, to: ControlledStream<unknown>) {
    this.#from = from;
    this.#to = to;
    this.#canSplice = from.io.isPlain && to.io.isPlain;
    this.isEnded = from.readEnd !== null;
    this.count = from.passInput(to);
  }

  /** Moves what is there, as far as there is room for it, within the bounds of one event. */
  move(): void {
    const before = this.count;
    this.#wasShort = false;
    this.isHeld = !this.isEnded && !this.#from.beginMove();
    try {
      this.#moveAll(before + receiving.most);
    } finally {
      this.#from.endMove(this.count - before);
    }
    if (this.#isSplicing && !this.isBlocked) this.#learn(this.count - before);
    if (this.#pipe?.heldBytes === 0) this.#givePipe();
    if (this.count === before) return;
    this.#from.touch();
    this.#to.touch();
  }

  /** Takes and sends, until so many were taken in all. */
  #moveAll(most: number): void {
    while (!this.isDone && !this.isBroken) {
      this.isBlocked = !this.#drain();
      if (this.isBlocked) break;
      if (this.isEnded) {
        if (!this.#end()) break;
      } else if (this.isHeld || this.count >= most || !this.#fill()) break;
    }
  }

  /** Ends the receiver's side. False while there is no room for what tells the peer. */
  #end(): boolean {
    const failure = this.#to.shutdownWrite();
    this.isBlocked = this.#to.isEndBlocked;
    this.isDone = !this.isBlocked;
    return failure === null ? this.isDone : this.#lose(this.#to, failure);
  }

  /** Sends what was taken and not sent. Whether all of it has left. */
  #drain(): boolean {
    const { writer } = this.#to;
    if (writeSide.unsentBytes(writer) > 0) {
      writeSide.sendNow(writer);
      if (writeSide.end(writer) !== null) this.isBroken = true;
      if (writeSide.unsentBytes(writer) > 0) return false;
    }
    const pipe = this.#pipe;
    while (pipe !== null && pipe.heldBytes > 0) {
      const count = pipe.drain(this.#to.fd);
      if (isNotNow(count)) return false;
      if (count > 0) this.#to.output.total += count;
      if (count === -ERRNO.EINVAL) return this.#drainByCopying(pipe);
      if (count <= 0) return this.#lose(this.#to, errorOf("send", count));
    }
    return true;
  }

  /** The receiver cannot be spliced to: what is in the pipe is read from it. */
  #drainByCopying(pipe: KernelPipe): boolean {
    this.#canSplice = false;
    this.#isSplicing = false;
    while (pipe.heldBytes > 0) {
      const count = this.#to.takeFrom(fileTransport, pipe.reading, this.#size);
      if (count <= 0) return this.#lose(this.#to, errorOf("read a pipe", count));
      pipe.copiedOut(count);
    }
    return this.#drain();
  }

  /** Takes what is there. Whether there may be more to do. */
  #fill(): boolean {
    const count = this.#isSplicing ? this.#splice() : this.#copy();
    if (isNotNow(count)) return false;
    const { io, fd } = this.#from;
    if (count < 0) return this.#lose(this.#from, io.error(fd, "receive", -count));
    this.count += count;
    this.#from.input.bypassed += count;
    if (count === 0) this.isEnded = true;
    return true;
  }

  #splice(): number {
    const pipe = this.#pipe ??= kernelPipes.take();
    const count = pipe === null ? -ERRNO.EINVAL : pipe.fill(this.#from.fd, receiving.most);
    if (count !== -ERRNO.EINVAL) return count;
    // This kind of descriptor has no splice, or no pipe is left.
    this.#canSplice = pipe === null;
    this.#isSplicing = false;
    return this.#copy();
  }

  #copy(): number {
    if (this.#wasShort) return NOT_READY; // a second call would say so, too
    const count = this.#to.takeFrom(this.#from.io, this.#from.fd, this.#size);
    if (count <= 0) return count;
    const wasFilled = count >= this.#size.blockBytes;
    this.#size = this.#size.learn(count, wasFilled);
    this.#wasShort = !wasFilled;
    this.#isSplicing = this.#canSplice && wasFilled && count >= SPLICE_BYTES_MIN;
    return count;
  }

  /** So little came that copying it costs less. */
  #learn(count: number): void {
    this.#smallCount = count < SPLICE_BYTES_MIN ? this.#smallCount + 1 : 0;
    if (this.#smallCount < SPLICE_READS_SMALL_MAX) return;
    this.#smallCount = 0;
    this.#isSplicing = false;
    this.#size = FIRST_SIZE;
  }

  #lose(stream: ControlledStream<unknown>, error: NetpollError): false {
    this.isBroken = true;
    stream.onSendFailure(error);
    return false;
  }

  #givePipe(): void {
    if (this.#pipe !== null) kernelPipes.give(this.#pipe);
    this.#pipe = null;
  }

  /** Gives back what it holds. */
  close(): void {
    this.#givePipe();
  }
}

/** One of both connections: what comes from it, and what goes to it. */
class Side implements Watcher {
  readonly stream: ControlledStream<unknown>;
  readonly outward: Direction;
  readonly inward: Direction;
  /** The peer has closed altogether. */
  isGone = false;
  readonly #piping: Piping;

  constructor(
    piping: Piping,
    stream: ControlledStream<unknown>,
    outward: Direction,
    inward: Direction,
  ) {
    this.#piping = piping;
    this.stream = stream;
    this.outward = outward;
    this.inward = inward;
  }

  get fd(): number {
    return this.stream.fd;
  }

  onEvent(events: number): void {
    if ((events & Event.HANG_UP) !== 0) this.isGone = true;
    // Without an event there are bytes of which the kernel does not tell.
    this.#piping.onEvent(this, events || Event.READABLE);
  }

  onCompletion(lo: number, hi: number, isCopied: boolean): void {
    this.stream.onCompletion(lo, hi, isCopied);
  }

  onFailure(error: unknown): void {
    this.#piping.end(error);
  }

  /** Watches for what there is to do. */
  watch(events: number): void {
    const { isEnded, isBlocked, isHeld } = this.outward;
    const isReading = !isEnded && !isBlocked && !isHeld;
    // A hang-up cannot be masked, and no read will answer it: it is not to be reported again.
    if (!isReading && (events & Event.HANG_UP) !== 0) this.stream.hush();
    this.stream.want(isReading, this.inward.isBlocked);
    const { io, fd } = this.stream;
    if (isReading && io.holdsBytes && io.hasPending(fd)) this.stream.again(this);
  }
}

/** Two connections whose bytes are moved. */
class Piping {
  readonly #sides: readonly [Side, Side];
  readonly #signal: AbortSignal | undefined;
  readonly #settled = Promise.withResolvers<PipeResult>();
  #isOver = false;

  constructor(
    a: ControlledStream<unknown>,
    b: ControlledStream<unknown>,
    signal: AbortSignal | undefined,
  ) {
    const [aToB, bToA] = [new Direction(a, b), new Direction(b, a)];
    this.#sides = [new Side(this, a, aToB, bToA), new Side(this, b, bToA, aToB)];
    this.#signal = signal;
    this.#settled.promise.catch(ignore);
    kernelPipes.enter();
  }

  /** Begins. How much was moved, when both directions have ended. */
  begin(): Promise<PipeResult> {
    const [first, second] = this.#sides;
    for (const side of this.#sides) {
      side.stream.beginPipe(side, (side === first ? second : first).stream);
      // However it ends, its deadlines and its user's close() included.
      side.stream.ended.then(() => this.#onClosed(), (error) => this.end(error));
    }
    this.#signal?.addEventListener("abort", this.#onAbort);
    this.#go(0);
    return this.#settled.promise;
  }

  /** Callbacks of the connections do not run within the user's call of `abort()`. */
  readonly #onAbort = () => queueMicrotask(() => this.end(this.#signal!.reason));

  #onClosed(): void {
    this.end(new ClosedError("Cannot go on piping: one of both connections was closed"));
  }

  onEvent(side: Side, events: number): void {
    const isAlive = !this.#isOver && side.stream.isOpen;
    const cause = isAlive && (events & Event.ERROR) !== 0 ? side.stream.brokenBy() : null;
    if (cause === null) return this.#go(events, side);
    // Its error is told once: whoever reads before all have heard of it would find an end.
    side.outward.isBroken = side.inward.isBroken = true;
    side.stream.onSendFailure(cause);
  }

  #go(events: number, reported?: Side): void {
    const [a, b] = this.#sides;
    const { outward: aToB, inward: bToA } = a;
    // One that is gone, or broken, tells by `closed`.
    if (this.#isOver || !a.stream.isOpen || !b.stream.isOpen || aToB.isBroken || bToA.isBroken) {
      return;
    }
    if (reported === undefined || isConcerned(reported, aToB, events)) aToB.move();
    // A failed send has taken the socket's error: the other way it would read as an end.
    if (aToB.isBroken) return;
    if (reported === undefined || isConcerned(reported, bToA, events)) bToA.move();
    if (bToA.isBroken) return;
    // By a hang-up a Unix socket says that its peer takes nothing any more, either. (Others are
    // silent until something is sent there.)
    const isOver = (aToB.isDone && (bToA.isDone || a.isGone)) || (bToA.isDone && b.isGone);
    if (isOver) return this.#finish();
    for (const side of this.#sides) side.watch(side === reported ? events : 0);
  }

  /** Both directions have ended. */
  #finish(): void {
    const [aToB, bToA] = this.#close();
    for (const { stream } of this.#sides) stream.endPipe(null);
    this.#settled.resolve({ aToB: aToB.count, bToA: bToA.count });
  }

  /** Ends it early: whoever received a part must not take it for the whole. */
  end(error: unknown): void {
    if (this.#isOver) return;
    this.#close();
    for (const { stream } of this.#sides) stream.endPipe({ error });
    this.#settled.reject(error);
  }

  #close(): [Direction, Direction] {
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    const { outward, inward } = this.#sides[0];
    outward.close();
    inward.close();
    kernelPipes.leave();
    return [outward, inward];
  }
}

/** Whether events of a connection let a direction go on. */
function isConcerned(side: Side, direction: Direction, events: number): boolean {
  const mask = direction === side.inward ? Event.WRITABLE : ~Event.WRITABLE;
  return (events & mask) !== 0;
}

/**
 * Sends to each of two connections what the other receives, until both peers have ended their
 * sides. The kernel moves the bytes, by splice; it waits for whoever is slow, and passes an end on
 * as an end: the other direction goes on. What was received already and not read goes first, behind
 * what was written already. Descriptors that come among the bytes of a Unix socket are closed.
 *
 * Both connections belong to the pipe from now on: their handlers are not called, their readers and
 * writers throw a {@linkcode BusyError}, and both are closed when it has ended. When it ends early,
 * by a reset, a deadline (`idleTimeoutMs` counts bytes that pass), `close()` or the signal, both are
 * reset, and `closed` of both says why. The same holds when one of them is closed already, or the
 * signal aborted: the other is reset. A `TypeError` or a `BusyError` leaves both as they were.
 *
 * @returns How many bytes went each way.
 * @throws {TypeError} It is one connection twice, or no connection, or one that is not open yet.
 * @throws {BusyError} Somebody waits for bytes of one of them, or it is piped already.
 * @throws {ClosedError} One of them is closed, or is closed before both directions have ended.
 * @throws {EofError} One of them was reset.
 *
 * @example
 * ```ts
 * import { pipe, socketPair } from "@netpoll/netpoll";
 *
 * const [client, front] = socketPair();
 * const [back, server] = socketPair();
 * const piped = pipe(front, back);
 *
 * client.writer.writeString("hello");
 * await client.writer.flush();
 * await client.closeWrite();
 * await server.reader.wait(5);
 * console.log(server.reader.readString(5)); // "hello"
 * await server.close();
 * console.log(await piped); // { aToB: 5, bToA: 0 }
 * await client.close();
 * ```
 */
export function pipe(
  a: Connection,
  b: Connection,
  options: PipeOptions = {},
): Promise<PipeResult> {
  const piped = begin(a, b, options);
  // A user who does not await it learns of the failure from `closed`.
  piped.catch(ignore);
  return piped;
}

/** Begins within the call: nothing else may read or write in between. */
async function begin(a: Connection, b: Connection, options: PipeOptions): Promise<PipeResult> {
  checkOptions("pipe", options, PIPE_OPTIONS);
  const { signal } = options;
  checkSignal("pipe", signal);
  if (a === b) throw new TypeError("Cannot pipe a connection to itself");
  const streams = [insideOf(a, "pipe"), insideOf(b, "pipe")] as const;
  const over = streams.map((stream) => stream.checkPipe());
  try {
    signal?.throwIfAborted();
    for (const error of over) if (error !== null) throw error;
  } catch (error) {
    // As if that had happened a moment later: whoever is at the other end must not wait for ever.
    for (const stream of streams) if (stream.isActive) stream.cut(error);
    throw error;
  }
  return await new Piping(...streams, signal).begin();
}
