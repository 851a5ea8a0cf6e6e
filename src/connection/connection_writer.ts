/**
 * The writing side of a connection: what was written, and sending it.
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import { ChainWriter, checkFlush } from "../buffer/writer.ts";
import { isNotNow } from "../core/errno.ts";
import { NetpollError, TimeoutError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, FILES_UNSENT_MAX, JOINED_BYTES_MAX } from "../core/limits.ts";
import { withSignal } from "../core/signal.ts";
import { ignore, rejected, RESOLVED } from "../core/promises.ts";
import type { ConnectionSettings } from "./settings.ts";
import { FileQueue, FileSending, type FileWriter } from "../transport/send_file.ts";
import { send, sending, TAKEN_AWAY, type Transport } from "../transport/transport.ts";
import type { ZeroCopy } from "../transport/zero_copy.ts";

/** The connection, as its writer needs it. */
export interface WriterOwner {
  /** Bytes to be sent. */
  readonly output: LinkChain;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** The calls that send. */
  readonly io: Transport;
  /** Pins bytes that the kernel still sends; null without zero copy. */
  readonly pinner: ZeroCopy | null;
  /** The descriptor to send to. */
  readonly fd: number;
  /** The time, in microseconds. */
  readonly clockMicros: number;
  /**
   * Whether what was flushed may wait for the answers to what is unread: it is sent in this turn all
   * the same, by {@linkcode WriteSide.sendJoined}.
   */
  join(): boolean;
  /** Sending was tried: so much is left, and whether the kernel has room may have changed. */
  onSent(unsentBytes: number, hasRoomChanged: boolean): void;
  /** More was flushed while the kernel has no room. */
  onQueued(): void;
  /**
   * Sending failed for good. Called from within the user's call: no callback of theirs may run now.
   */
  onSendFailure(error: NetpollError): NetpollError;
  /** A file was sent in part, and the rest is not to be had. Called as `onSendFailure` is. */
  onCut(error: NetpollError): void;
  /** Somebody waits for a flush, the first of which began then. */
  onFlushWait(since: number): void;
  /** Nobody waits for a flush any more. */
  onFlushWaitEnd(): void;
  /** Whether a handler that has returned, and not settled, waits for something that is not ours. */
  setOutside(isOutside: boolean): void;
  /** A wait that has no deadline is over. */
  onWaited(): void;
  /** Bytes that had joined other answers did not leave in time, and nobody waits for them. */
  onJoinedLate(error: TimeoutError): void;
}

/** A flush that waits for the kernel. */
interface Flush {
  /** It is done when so many bytes were sent in all. */
  readonly target: number;
  /** When it began, in microseconds; a file begins anew whenever some of it has left. */
  readonly since: number;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * A wait until what was flushed has left. It has no deadline: a flush that took too long has failed,
 * and its bytes are still queued.
 */
interface Departure {
  /** It is over when so many bytes of memory were sent in all. */
  readonly target: number;
  readonly resolve: () => void;
}

/** A writer as its connection sees it. Users see no more than {@linkcode Writer}. */
export interface WriteSide {
  /** Why nothing can be sent any more, once that is so. */
  end(writer: ConnectionWriter): NetpollError | null;
  /** Whether the kernel has no room: nothing is tried before it says that it has. */
  isBlocked(writer: ConnectionWriter): boolean;
  /** Whether so much is unsent that reading and serving have paused. */
  isChoked(writer: ConnectionWriter): boolean;
  /** Bytes that were flushed and not yet taken by the kernel. */
  unsentBytes(writer: ConnectionWriter): number;
  /** The number of bytes that left in all, those of files included. */
  sentBytes(writer: ConnectionWriter): number;
  /** The number of flushes that wait. */
  flushCount(writer: ConnectionWriter): number;
  /** Whether somebody waits: for a flush, or until what was flushed has left. */
  isAwaited(writer: ConnectionWriter): boolean;
  /**
   * When the first flush that waits began, in microseconds; 0 for none. That of a file begins anew
   * when bytes of it left, or the peer took some, if it is told when.
   */
  flushingSince(writer: ConnectionWriter, takenSince?: number): number;
  /** Looks whether too much is unsent, or little enough again. Whether that has changed. */
  checkPressure(writer: ConnectionWriter): boolean;
  /** The writer, as a sender of files needs it. */
  forFiles(writer: ConnectionWriter): FileWriter;
  /** Sends what was flushed, as much as the kernel takes now. */
  sendNow(writer: ConnectionWriter): void;
  /** Fails the flushes that began before then. What they flushed stays queued. */
  failBefore(writer: ConnectionWriter, micros: number, error: NetpollError): void;
  /** Nothing is sent any more: whoever waits for a flush learns why. */
  fail(writer: ConnectionWriter, error: NetpollError): void;
  /** The descriptor is gone: the files that were still to be sent are closed. */
  closeFiles(writer: ConnectionWriter): void;
}

/** The one way to the inside of a writer. */
export let writeSide: WriteSide;

/** {@linkcode Writer} of a connection. */
export class ConnectionWriter extends ChainWriter {
  static {
    writeSide = {
      end: (writer) => writer.#end,
      isBlocked: (writer) => writer.#isBlocked,
      isChoked: (writer) => writer.#isChoked,
      unsentBytes: (writer) => writer.#unsentBytes,
      sentBytes: (writer) => writer.#sentBytes,
      flushCount: (writer) => writer.#flushes?.length ?? 0,
      isAwaited: (writer) => writer.#flushes !== null || writer.#departures !== null,
      flushingSince(writer, takenSince = 0) {
        writer.#files?.progress(takenSince);
        return writer.#flushes?.[0]?.since ?? 0;
      },
      checkPressure: (writer) => writer.#checkPressure(),
      forFiles: (writer) => ({
        flush: (options) => writer.flush(options),
        flushFile: (file) => writer.#flushFile(file),
        abandonFile: (file, reason) => writer.#abandonFile(file, reason),
      }),
      sendNow(writer) {
        writer.#sendNow();
        if (writer.#joinedEnd > writer.#sentBytes) writer.#awaitJoined();
      },
      failBefore: (writer, micros, error) => writer.#failBefore(micros, error),
      fail: (writer, error) => writer.#fail(error),
      closeFiles: (writer) => writer.#files?.close(),
    };
  }

  #end: NetpollError | null = null;
  readonly #owner: WriterOwner;
  #isBlocked = false;
  #isChoked = false;
  #flushes: Flush[] | null = null;
  /** The count of sent bytes at which those have left that joined others and nobody waits for. */
  #joinedEnd = 0;
  /** In the order of their targets; null for none. */
  #departures: Departure[] | null = null;
  /** The promise of `released()`, and the count of sent bytes that it waits for. */
  #releasing: { readonly target: number; readonly promise: Promise<void> } | null = null;
  /** Made for the first file. */
  #files: FileQueue | null = null;

  /** A writer of what its connection sends. */
  constructor(owner: WriterOwner) {
    super(owner.output);
    this.#owner = owner;
  }

  get #unsentBytes(): number {
    const { length } = this.#owner.output;
    return this.#files === null ? length : length + this.#files.unsentBytes;
  }

  get #sentBytes(): number {
    const { total } = this.#owner.output;
    return this.#files === null ? total : total + this.#files.doneBytes;
  }

  get isWritable(): boolean {
    return this.#owner.output.writeBan === null && this.#end === null && !this.#isChoked &&
      this.#fullness <= 1;
  }

  /** Unsent memory, as a part of its bound. */
  get #fullness(): number {
    const ofBytes = this.#owner.output.heldBytes / this.#owner.settings.writeBufferBytesMax;
    return this.#files === null ? ofBytes : Math.max(ofBytes, this.#files.count / FILES_UNSENT_MAX);
  }

  #checkPressure(): boolean {
    const wasChoked = this.#isChoked;
    this.#isChoked = wasChoked ? this.#fullness >= 0.5 : this.#fullness > 1;
    return this.#isChoked !== wasChoked;
  }

  flush(options?: { signal?: AbortSignal }): Promise<void> {
    if (options !== undefined) checkFlush(options);
    const chain = this.#owner.output;
    if (chain.writeBan !== null || this.#end !== null) return this.#refuse();
    const mayJoin = chain.isPendingOwn;
    chain.publish();
    const unsentBytes = this.#unsentBytes;
    if (unsentBytes === 0) return RESOLVED;
    if (!this.#isBlocked) {
      if (mayJoin && chain.length < JOINED_BYTES_MAX && this.#owner.join()) {
        this.#joinedEnd = this.#sentBytes + unsentBytes;
        return RESOLVED;
      }
      const left = this.#sendNow(unsentBytes);
      if (this.#end !== null) return this.#refuse();
      if (left === 0) return RESOLVED;
    }
    if (this.#isBlocked) this.#owner.onQueued();
    this.#joinedEnd = 0;
    return this.#wait(options?.signal);
  }

  #refuse(): Promise<void> {
    const ban = this.#owner.output.writeBan;
    // A user who does not await a flush learns of its failure from `closed`, `onError` or the next.
    return rejected(this.#end ?? ban!.error(ban!.message));
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    const target = this.#sentBytes + this.#unsentBytes;
    let last = this.#flushes?.at(-1);
    if (last === undefined || last.target !== target || last instanceof FileSending) {
      last = { target, since: this.#owner.clockMicros, ...Promise.withResolvers<void>() };
      last.promise.catch(ignore);
      this.#queue(last);
    }
    return signal === undefined ? last.promise : withSignal(last.promise, signal);
  }

  #queue(flush: Flush): void {
    const flushes = this.#flushes ??= [];
    flushes.push(flush);
    if (flushes.length > 1) return;
    try {
      this.#owner.onFlushWait(flush.since);
    } catch (error) {
      this.#take(flushes, 1); // nobody would time it
      flush.reject(error);
    }
  }

  #flushFile(file: FileSending): Promise<void> {
    const chain = this.#owner.output;
    if (chain.writeBan !== null || this.#end !== null) {
      file.close();
      return this.#refuse();
    }
    chain.publish();
    const files = this.#files ??= new FileQueue();
    files.add(file, chain.total + chain.length);
    file.since = this.#owner.clockMicros;
    this.#queue(file);
    if (this.#isBlocked) this.#owner.onQueued();
    else this.#sendNow();
    return file.promise;
  }

  #abandonFile(file: FileSending, reason: unknown): void {
    if (!this.#files?.remove(file)) return;
    const index = this.#flushes?.indexOf(file) ?? -1;
    if (index >= 0) this.#take(this.#flushes!, 1, index);
    file.reject(reason);
    // Bytes that were flushed behind it leave with the next event, unless the peer would take them
    // for the rest of the file.
    if (file.sentBytes === 0) return;
    const error = file.takenBack(reason);
    this.#fail(error);
    this.#owner.onCut(error);
  }

  override released(): Promise<void> {
    const chain = this.#owner.output;
    const target = chain.total + chain.length;
    // A second call for as much gets the same promise: nothing accumulates while a peer stalls.
    if (this.#releasing?.target !== target) {
      const promise = this.#untilReleased(target);
      const releasing = this.#releasing = { target, promise };
      void promise.then(() => {
        if (this.#releasing === releasing) this.#releasing = null;
      });
    }
    return this.#releasing.promise;
  }

  async #untilReleased(target: number): Promise<void> {
    const chain = this.#owner.output;
    if (chain.length > 0 && chain.total < target) await this.#departure(target);
    await this.#owner.pinner?.released(target);
  }

  #departure(target: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const departures = this.#departures ??= [];
    departures.push({ target, resolve });
    if (departures.length === 1) this.#owner.setOutside(false);
    return promise;
  }

  /** Tells who waits until so many bytes have left. */
  #depart(departures: Departure[], sentBytes: number): void {
    while (departures.length > 0 && departures[0]!.target <= sentBytes) {
      departures.shift()!.resolve();
    }
    if (departures.length > 0) return;
    this.#departures = null;
    this.#owner.onWaited();
  }

  /** Sends as much as the kernel takes. How many bytes are left. */
  #sendNow(unsentBytes = this.#unsentBytes): number {
    const chain = this.#owner.output;
    const { fd, io } = this.#owner;
    for (let sent = 0; unsentBytes > 0;) {
      const files = this.#files;
      const count = files === null ? send(io, fd, chain) : files.send(io, fd, chain);
      if (count < 0 && !isNotNow(count)) this.#onFailure(count);
      if (count === 0) this.#abandonFile(files!.failed, files!.failed.failure);
      if (this.#end !== null) return 0;
      if (files !== null && count > 0) files.progress(this.#owner.clockMicros);
      sent += count;
      unsentBytes = this.#unsentBytes;
      if (count < 0 || sending.wasShort || sent >= BYTES_PER_EVENT_MAX) break;
    }
    // Before the owner hears of it, who may close now: these flushes are done.
    if (this.#flushes !== null) this.#settle(this.#flushes);
    if (this.#departures !== null) this.#depart(this.#departures, chain.total);
    const hasRoomChanged = this.#isBlocked !== unsentBytes > 0;
    if (hasRoomChanged) this.#isBlocked = !this.#isBlocked;
    this.#owner.onSent(unsentBytes, hasRoomChanged);
    return unsentBytes;
  }

  /** The kernel has no room for what has joined others. So that it has a deadline, it is waited for. */
  #awaitJoined(): void {
    if (this.#flushes !== null || this.#end !== null) return;
    this.#wait(undefined).catch((error) => {
      if (error instanceof TimeoutError) this.#owner.onJoinedLate(error);
    });
  }

  #onFailure(code: number): void {
    if (code === TAKEN_AWAY) return this.#onTakenAway();
    const { io, fd } = this.#owner;
    this.#fail(this.#owner.onSendFailure(io.error(fd, "send", -code)));
  }

  /** The user's mistake, not the peer's doing. What was to follow makes no sense without it. */
  #onTakenAway(): void {
    const error = new NetpollError(
      "Cannot send any more: an array was transferred, or its buffer shrunk, while it was " +
        "borrowed; leave it alone until flush() has finished, or write it with copy: true",
    );
    this.#fail(error);
    this.#owner.onCut(error);
  }

  #settle(flushes: Flush[]): void {
    let done = 0;
    while (done < flushes.length && flushes[done]!.target <= this.#sentBytes) done += 1;
    for (const flush of this.#take(flushes, done)) flush.resolve();
  }

  /** Takes flushes out of the queue, the first ones unless told from where on. */
  #take(flushes: Flush[], count: number, from = 0): Flush[] {
    if (count === 0) return [];
    const taken = flushes.splice(from, count);
    if (flushes.length > 0) {
      this.#owner.onFlushWait(flushes[0]!.since);
    } else {
      this.#flushes = null;
      this.#owner.onFlushWaitEnd();
    }
    return taken;
  }

  #failBefore(micros: number, error: NetpollError): void {
    const flushes = this.#flushes ?? [];
    let late = 0;
    while (late < flushes.length && flushes[late]!.since <= micros) late += 1;
    // Bytes of a file left meanwhile: it has its time anew.
    if (late === 0 && flushes.length > 0) this.#owner.onFlushWait(flushes[0]!.since);
    for (const flush of this.#take(flushes, late)) flush.reject(error);
  }

  #fail(error: NetpollError): void {
    this.#end ??= error;
    this.#failBefore(Infinity, error);
    if (this.#departures !== null) this.#depart(this.#departures, Infinity);
  }
}
