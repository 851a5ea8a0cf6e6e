/**
 * The ends of a stream: a close that delivers what was flushed, a reset, a detach, or a loss.
 */
import { type Ban, CLOSED } from "../buffer/link_chain.ts";
import { counts } from "../core/counts.ts";
import {
  ClosedError,
  EofError,
  NetpollError,
  SystemError,
  TlsError,
  UnsentError,
} from "../core/errors.ts";
import { checkOptions, checkTimeout, type Known } from "../core/options.ts";
import type { CloseOptions, CloseResult } from "./settings.ts";
import { readSide } from "./connection_reader.ts";
import { writeSide } from "./connection_writer.ts";
import { deliver, DELIVERED } from "../transport/deliver.ts";
import { Draining, type DrainOwner } from "./draining.ts";
import { lostError } from "../transport/lost.ts";
import { closedBan, closedError, Ending, oneWay, PEER_ENDED, WRITE_ENDED } from "./ending.ts";
import { next, type Step, Stop } from "./lifecycle.ts";
import { Stream } from "./stream.ts";
import { ZeroCopyClose } from "../transport/zero_copy_close.ts";

const CLOSE_OPTIONS: Known<CloseOptions> = { timeoutMs: 1 };

/** The calls that may fail for a moment when a broken connection receives what is left. */
const RECEIVE_TRIES = 16;

/** A stream with a life: who is called in the course of it is the business of the connection. */
export abstract class ClosableStream<C> extends Stream<C> implements DrainOwner {
  /** All is over, and the close callbacks were called. */
  protected isGone = false;
  /** The step that has closed it; null until then. */
  lastStep: Step | null = null;

  /** Whether a TLS handshake is under way. */
  get isSecuring(): boolean {
    return (this.stops & Stop.SECURING) !== 0;
  }

  get closed(): Promise<void> {
    const { closed } = this.ensureEnding();
    this.#settle();
    return closed;
  }

  get ended(): Promise<void> {
    const { ended } = this.ensureEnding();
    this.#settle();
    return ended;
  }

  /** Tells whoever asks about the end: at once if it is over, and soon if only he is left. */
  #settle(): void {
    if (this.state === "closed") this.ensureEnding().end();
    else if (this.isEnding) queueMicrotask(() => this.goOn());
  }

  /** The object that knows of the end, made the first time. */
  protected ensureEnding(): Ending {
    return this.ending ??= new Ending();
  }

  /** A descriptor that is open one way only: nothing is read of it, or written to it. */
  limitTo(only: "reading" | "writing"): void {
    if (only === "reading") {
      this.output.writeBan = oneWay("write", this.fd);
    } else {
      this.input.readBan = oneWay("read", this.fd);
      this.stops |= Stop.ENDED;
    }
  }

  onReadEnd(cause: NetpollError | null): void {
    if (cause !== null) return this.#onLost(cause);
    // A failed send has taken the socket's error: what reads as an end is none, and its owner is told
    // of the loss soon.
    if (this.state !== "closed" && writeSide.end(this.writer) !== null) return;
    this.stops |= Stop.ENDED;
    if (this.state === "draining") return; // nobody reads any more, nor is told
    this.readEnd = PEER_ENDED;
    readSide.settle(this.reader);
  }

  // Nothing would tell any more when it can go on.
  protected override onUnwatchable(error: unknown): void {
    queueMicrotask(() => this.cut(error));
  }

  /** The connection is broken. What was received before is still delivered. */
  #onLost(cause: NetpollError): void {
    if (this.state === "closed") return;
    // A reset takes nothing away when all that was flushed before the close has arrived.
    if (this.state === "draining" && this.#undelivered === 0) return this.#finish("drained", 0);
    const error = lostError(cause);
    this.ensureEnding().fail(error);
    // A failed send comes first when reading has paused: what arrived before is still in the
    // kernel. What comes while it closes was dropped so far, and nothing goes on behind a gap.
    const isWanted = this.readEnd === null && this.state !== "draining";
    if (isWanted && this.input.readBan === null) {
      this.#receiveRest();
    }
    this.readEnd ??= { error: () => error, message: "" };
    this.stops |= Stop.ENDED;
    writeSide.fail(this.writer, error);
    // Broken by an error of ours it must not look to the peer like the end of the stream. TLS has told it
    // why, which a reset would take away, and an end without notice is none (RFC 8446 §6.1).
    if (!(cause instanceof TlsError)) this.io.cut(this.fd);
    this.#finish("lost", this.#undelivered);
    readSide.settle(this.reader);
  }

  /**
   * Receives what came before the loss. Nothing tells of it again: a call that fails for a moment
   * (ENOBUFS) is made again while bytes are there. Without memory for them, they are lost as well.
   */
  #receiveRest(): void {
    let tries = RECEIVE_TRIES;
    try {
      while (readSide.receive(this.reader, this.fd) > 0 || (this.unreadBytes > 0 && tries-- > 0));
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }

  // ---- closing ----------------------------------------------------------------------------------

  protected giveUp(error: unknown): void {
    if (!this.isActive) return;
    this.ensureEnding().fail(error);
    this.closeWithin(0);
    this.goOn();
  }

  closeWrite(): Promise<void> {
    const ending = this.ensureEnding();
    const { writeEnded } = ending;
    if (ending.isWriteEnding || this.isPiped) return writeEnded;
    ending.isWriteEnding = true;
    this.output.truncate(0);
    this.output.writeBan ??= WRITE_ENDED;
    if (!this.isOpen) ending.endWrite();
    else if (writeSide.unsentBytes(this.writer) === 0) this.onAllSent();
    else this.uncork();
    return writeEnded;
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    checkOptions("close", options, CLOSE_OPTIONS);
    if (options.timeoutMs !== undefined) checkTimeout("timeoutMs", options.timeoutMs);
    const { closing } = this.ensureEnding();
    this.closeWithin(options.timeoutMs);
    this.input.readBan ??= closedBan(this.ending); // nobody will read what was kept for him
    // No callback of the user's runs within his own call.
    if (this.state === "closed") {
      this.#forgetInput();
      this.ensureEnding().end();
      queueMicrotask(() => this.goOn());
    }
    return closing;
  }

  /** Closes. Unread bytes are forgotten, unless their user may still want them. */
  protected closeWithin(
    totalMs: number | undefined,
    input: "forgotten" | "kept" = "forgotten",
  ): void {
    if (!this.isActive) return;
    this.state = next(this.state, "close");
    if (input === "forgotten") this.input.readBan = closedBan(this.ending);
    this.output.truncate(0);
    this.output.writeBan = closedBan(this.ending);
    if (readSide.isWaiting(this.reader)) readSide.fail(this.reader, closedError(this.ending));
    if (this.isPiped || this.isSecuring) return this.#abort(); // a part of a stream must not end like the whole
    if (this.output.length > 0) this.uncork();
    if (this.state !== "draining") return;
    if (totalMs !== undefined && !(totalMs > 0)) return void this.#giveAway("close() had no time");
    if (writeSide.unsentBytes(this.writer) === 0 && deliver(this) === DELIVERED) {
      this.#finish("drained", 0);
    }
    if (this.state !== "draining") return;
    const limit = { stallMs: this.settings.closeTimeoutMs, totalMs };
    const draining = this.ensureEnding().draining = new Draining(this, this.service.poller, limit);
    draining.begin();
  }

  // A deadline that looks for room, or an answer that had been put off, may send the last bytes.
  protected override onAllSent(): void {
    super.onAllSent();
    const draining = this.ending?.draining;
    if (draining != null) this.service.poller.again(draining);
  }

  onError(): void {
    const cause = this.brokenBy();
    if (cause === null) return;
    this.#onLost(cause);
    this.goOn();
  }

  onDelivered(): void {
    this.#finish("drained", 0);
    this.goOn();
  }

  onBroken(): void {
    this.goOn();
  }

  onOverdue(limit: string): void {
    this.#giveAway(limit);
    this.goOn();
  }

  /**
   * The time to close is over. What the kernel has taken it goes on sending for as long as the peer
   * answers; but to what a peer sends after the close it answers with a reset, which would drop it
   * unseen. Whether anything is dropped.
   */
  #giveAway(limit: string): boolean {
    // Memory that is pinned can be left to the kernel no longer than we live to hear of its release.
    if (
      writeSide.unsentBytes(this.writer) === 0 &&
      (!this.pinner?.isPinning || this.#undelivered === 0)
    ) {
      const dropped = deliver(this);
      if (this.state === "closed") return true; // the peer has reset it
      const isSilent = dropped <= 0 && !this.ending?.draining?.hasHeard;
      if (isSilent || this.#undelivered === 0) {
        this.#finish("drained", 0);
        return false;
      }
    }
    this.#drop(limit);
    return true;
  }

  /** The peer has taken nothing for the time that it has. */
  protected onStall(): void {
    this.#drop(`the peer took nothing for ${this.settings.closeTimeoutMs} ms`);
  }

  /** Ends it by a reset, and says so where that drops what was flushed. */
  #drop(limit: string, otherwise: NetpollError | null = null): void {
    const bytes = this.#undelivered;
    if (bytes > 0) this.ensureEnding().fail(new UnsentError(bytes, limit));
    else if (otherwise !== null) this.ensureEnding().fail(otherwise);
    this.#abort(bytes);
  }

  /** The time that its server had to shut down is over. Whether that cut it. */
  expire(limit: string): boolean {
    if (this.state === "closed") return false; // something of its user's still runs
    if (this.state === "draining") return this.#giveAway(limit);
    this.#drop(limit, new ClosedError(`Cannot go on: ${limit}`));
    return true;
  }

  /** Flushed bytes that are not known to have arrived. */
  get #undelivered(): number {
    return writeSide.unsentBytes(this.writer) + this.unackedBytes;
  }

  /** Whether we have dropped what was flushed. */
  get isCut(): boolean {
    return this.droppedBytes > 0 && !(this.ending?.failure?.error instanceof EofError);
  }

  /** Flushed bytes that were dropped, once it is closed. */
  get droppedBytes(): number {
    return this.ending?.unsentBytes ?? 0;
  }

  reset(): void {
    if (this.state === "closed") this.#forgetInput();
    else this.#abort();
  }

  /** It was lost, and nobody will read what had been received before. */
  #forgetInput(): void {
    this.input.readBan ??= closedBan(this.ending);
    if (this.isGone) this.input.close(closedBan(this.ending));
  }

  cut(error: unknown): void {
    if (this.state === "closed") return;
    this.ensureEnding().fail(error);
    this.reset();
  }

  /** Ends it by a reset. */
  #abort(unsentBytes = this.#undelivered): void {
    this.input.readBan = closedBan(this.ending);
    this.output.writeBan = closedBan(this.ending);
    this.io.cut(this.fd);
    this.#finish("lost", unsentBytes);
  }

  detach(): number {
    if (!this.isActive) throw new ClosedError("Cannot detach: the connection is closed");
    if (this.output.length > 0) this.uncork(); // what has joined other answers
    const fd = this.#fdToDetach();
    this.input.readBan = CLOSED;
    this.output.writeBan = CLOSED;
    this.#finish("detached", writeSide.unsentBytes(this.writer));
    return fd;
  }

  /** Lets go of the descriptor: the end of what the peer sees. Callbacks are called soon. */
  #finish(step: "drained" | "lost" | "detached", unsentBytes: number): void {
    this.state = next(this.state, this.lastStep = step);
    if (unsentBytes > 0) this.#countUnsent(unsentBytes);
    if (step === "drained") this.owe(false); // what was owed may have been taken back
    const fd = this.release();
    if (step !== "detached") this.#closeFd(fd, step === "lost");
    this.deadlines?.close();
    this.ending?.draining?.close();
    this.ending?.securing?.cancel(closedError(this.ending));
    this.ending?.leaving?.close();
    this.ending?.selfWait?.close();
    this.output.close(this.#writeBan());
    writeSide.closeFiles(this.writer);
    // Nothing is unsent any more: what was received is served, however much was unsent.
    if (writeSide.checkPressure(this.writer)) this.updateChoke();
    if (writeSide.isAwaited(this.writer)) {
      writeSide.fail(this.writer, closedError(this.ending));
    }
    if (this.input.readBan !== null && readSide.isWaiting(this.reader)) {
      readSide.fail(this.reader, closedError(this.ending));
    }
    this.ending?.end();
    queueMicrotask(() => this.goOn()); // wherever it ended, in whoever's call
  }

  /** The descriptor, given away. */
  #fdToDetach(): number {
    if (!this.io.isPlain) {
      const why = this.io.isDescriptor
        ? "nobody else can go on with its TLS session"
        : "it has no descriptor";
      throw new NetpollError(`Cannot detach: ${why}`);
    }
    if (this.pinner?.isPinning) {
      const { outstandingBytes } = this.pinner.counts();
      throw new NetpollError(
        `Cannot detach: ${outstandingBytes} bytes are pinned by zero-copy sends; await writer.released() first`,
      );
    }
    if (writeSide.unsentBytes(this.writer) > 0) this.io.cork(this.fd, false); // a file may be under way
    counts.connections.detached += 1;
    return this.disown();
  }

  /** Closes a descriptor that nobody watches any more: at once, or when nothing is pinned. */
  #closeFd(fd: number, isLost: boolean): void {
    if (isLost) counts.connections.lost += 1;
    if (!this.pinner?.isPinning) return this.io.close(fd);
    new ZeroCopyClose(this.service.poller, fd, this.pinner, isLost);
  }

  #countUnsent(unsentBytes: number): void {
    this.ensureEnding().unsentBytes = unsentBytes;
    counts.connections.unsent += 1;
    counts.connections.unsentBytes += unsentBytes;
  }

  /** A writer of a broken connection learns that it is broken, and not that it is closed. */
  #writeBan(): Ban {
    const failure = this.ending?.failure?.error;
    return failure instanceof EofError || failure instanceof SystemError
      ? { error: () => failure, message: "" }
      : closedBan(this.ending);
  }
}
