/**
 * A connection: a descriptor, its reader and writer, and the callbacks of its life.
 */
import { clearTimeout, setTimeout } from "node:timers";
import { native } from "../../ffi/load.ts";
import { CLOSED, LinkChain } from "../buffer/link_chain.ts";
import type { Reader } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import { config } from "../core/config.ts";
import { NOT_READY } from "../core/errno.ts";
import { ClosedError, EofError, type NetpollError, SystemError } from "../core/errors.ts";
import { BYTES_PER_EVENT_MAX, CLOSE_TIMEOUT_MS, RUNS_PER_EVENT_MAX } from "../core/limits.ts";
import {
  type Address,
  packAddress,
  type PackedAddress,
  rawAddress,
  unpackAddress,
} from "../net/address.ts";
import { Option, setOption } from "../net/socket.ts";
import type { Poller } from "../poll/poller.ts";
import { Event, Interest, type Watcher } from "../poll/watcher.ts";
import { ConnectionReader, type ReaderOwner } from "./connection_reader.ts";
import { ConnectionWriter, type WriterOwner } from "./connection_writer.ts";
import { next, type State } from "./lifecycle.ts";
import { filled } from "./transport.ts";

/** Answers what a connection receives. Called when there are bytes to read, once at a time. */
export type RequestHandler<C> = (connection: Connection, context: C) => void | Promise<void>;

/** What is called in the course of a connection's life, in this order; close callbacks come last. */
export interface Callbacks<C> {
  /** Before anything is read: the context that the other callbacks get. Synchronous, and without I/O. */
  onPrepare?: (connection: Connection) => C;
  /** The connection is there. Its result replaces the context. `onRequest` waits until it has settled. */
  onConnect?: (connection: Connection, context: C) => C | Promise<C>;
  /** There are bytes to read. */
  onRequest?: RequestHandler<C> | null;
  /** The peer ended or reset the connection. A running `onRequest` goes on meanwhile. */
  onDisconnect?: (connection: Connection, context: C) => void | Promise<void>;
  /** A callback failed; its connection is closed. Without it one line goes to `configure({ log })`. */
  onError?: (error: unknown, connection: Connection) => void;
}

/** How {@linkcode Connection.close} closes. */
export interface CloseOptions {
  /** How long flushed bytes may take to leave, in milliseconds. 5000 unless given. */
  timeoutMs?: number;
}

/** How a connection ended. */
export interface CloseResult {
  /** Bytes that were flushed and did not leave. */
  unsentBytes: number;
}

/** What a server wants to know of its connections, beside what users are told. */
export interface Owner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(connection: Connection): void;
}

/** One end of a byte stream. */
export interface Connection extends AsyncDisposable {
  /** What the peer sent. */
  readonly reader: Reader;
  /** What to send to the peer. */
  readonly writer: Writer;
  /** True until it is closed, or reset. The peer's end of sending leaves it true. */
  readonly isActive: boolean;
  /** The descriptor; -1 once it is closed. */
  readonly fd: number;
  /** Where this end is. Known after close, too. */
  readonly localAddress: Address;
  /** Where the other end is. Known after close, too. */
  readonly remoteAddress: Address;
  /** Resolves when it is closed; rejects when a reset or an error ended it. Never an unhandled rejection. */
  readonly closed: Promise<void>;
  /** Sets who answers what comes in. With bytes unread already, it is called soon. */
  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void;
  /** Adds what is called when all is over, the last one added first. Called soon if it is over already. */
  addCloseCallback(callback: (connection: Connection) => void): void;
  /** Sends what was flushed, then closes. What was written and not flushed is dropped. Never rejects. */
  close(options?: CloseOptions): Promise<CloseResult>;
  /** Closes at once and drops what is unsent: the peer sees a reset. */
  reset(): void;
  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const scratchAddress = rawAddress();

function ignore(): void {}

/** {@linkcode Connection}, as its poller and its server see it. */
export class SocketConnection<C> implements Connection, Watcher, ReaderOwner, WriterOwner {
  readonly reader: ConnectionReader;
  readonly writer: ConnectionWriter;
  readonly #input = new LinkChain();
  readonly #output = new LinkChain();
  readonly #poller: Poller;
  readonly #callbacks: Callbacks<C>;
  readonly #owner: Owner;
  #onRequest: RequestHandler<C> | null;
  #context: C = undefined as C;
  #state: State = "preparing";
  #fd: number;
  #token = -1;
  #interest: number = Interest.NONE;
  #remote: PackedAddress | null;
  #local: PackedAddress | null = null;

  /** The handler's call is on the stack. */
  #isDispatching = false;
  /** The handler was called and has not settled. */
  #isRunning = false;
  /** The running handler waits for something that is not ours. */
  #isOutside = false;
  /** `onDisconnect` was called, or is to be. */
  #isDisconnected = false;
  /** Callbacks beside the handler that have not settled. */
  #openCallbacks = 0;
  /** Bytes received when the handler last returned without having read any: it is called again when more came. */
  #stalledAt = -1;
  #runs = 0;
  #readAtStart = 0;
  #closeCallbacks: ((connection: Connection) => void)[] | null = null;
  #closing: PromiseWithResolvers<CloseResult> | null = null;
  #closed: PromiseWithResolvers<void> | null = null;
  /** Why it ended, unless in order. */
  #failure: unknown = null;
  #onSettled: (() => void) | null = null;
  #onRejected: ((error: unknown) => void) | null = null;

  /** A connection over a non-blocking stream socket, which it owns from now on. */
  constructor(
    poller: Poller,
    fd: number,
    remote: PackedAddress | null,
    callbacks: Callbacks<C>,
    owner: Owner,
  ) {
    this.#poller = poller;
    this.#fd = fd;
    this.#remote = remote;
    this.#callbacks = callbacks;
    this.#owner = owner;
    this.#onRequest = callbacks.onRequest ?? null;
    this.reader = new ConnectionReader(this.#input, this);
    this.writer = new ConnectionWriter(this.#output, this);
  }

  get isActive(): boolean {
    return this.#state !== "closed" && this.#state !== "draining";
  }

  get fd(): number {
    return this.#fd;
  }

  get localAddress(): Address {
    return unpackAddress(this.#local ??= this.#name(0));
  }

  get remoteAddress(): Address {
    return unpackAddress(this.#remote ??= this.#name(1));
  }

  /** The address of this end (0) or of the other (1); none when the kernel does not know any more. */
  #name(peer: number): PackedAddress {
    const raw = scratchAddress;
    raw.fill(0);
    native.name(this.#fd, peer, raw);
    return packAddress(raw);
  }

  get closed(): Promise<void> {
    if (this.#closed === null) {
      this.#closed = Promise.withResolvers<void>();
      this.#closed.promise.catch(ignore);
      if (this.#state === "closed") this.#settleClosed(this.#closed);
    }
    return this.#closed.promise;
  }

  #settleClosed(closed: PromiseWithResolvers<void>): void {
    if (this.#failure === null) closed.resolve();
    else closed.reject(this.#failure);
  }

  // ---- beginning -------------------------------------------------------------------------------------

  /** Runs `onPrepare`, begins to watch, and runs `onConnect`. */
  begin(): void {
    const { onPrepare, onConnect } = this.#callbacks;
    try {
      if (onPrepare !== undefined) this.#context = onPrepare(this);
      if (this.#fd < 0) return;
      this.#token = this.#poller.add(this, Interest.READ);
    } catch (error) {
      return this.#fail(error);
    }
    this.#interest = Interest.READ;
    this.#state = next(this.#state, "registered");
    if (onConnect === undefined) {
      this.#state = next(this.#state, "connected");
      return;
    }
    this.#openCallbacks += 1;
    try {
      const result = onConnect(this, this.#context);
      if (isPromise<C>(result)) result.then((context) => this.#onConnected(context), (error) => this.#onConnectFailed(error));
      else this.#onConnected(result);
    } catch (error) {
      this.#onConnectFailed(error);
    }
  }

  #onConnected(context: C): void {
    this.#openCallbacks -= 1;
    this.#context = context;
    if (this.#state === "connecting") this.#state = next(this.#state, "connected");
    this.#goOn();
  }

  #onConnectFailed(error: unknown): void {
    this.#openCallbacks -= 1;
    if (this.#state === "connecting") this.#state = next(this.#state, "connected");
    this.#fail(error);
    this.#goOn();
  }

  setOnRequest(handler: (connection: Connection) => void | Promise<void>): void {
    this.#onRequest = handler;
    this.#stalledAt = -1;
    if (this.#input.length > 0) queueMicrotask(() => this.#goOn());
  }

  // ---- events ----------------------------------------------------------------------------------------

  onEvent(events: number): void {
    this.#runs = 0;
    if ((events & Event.WRITABLE) !== 0 && this.#fd >= 0) this.writer.sendNow();
    if ((events & ~Event.WRITABLE) !== 0 && this.#fd >= 0) this.#onReadable(events);
    this.#goOn();
  }

  #onReadable(events: number): void {
    const canRead = this.reader.end === null && this.#state !== "draining";
    if (canRead && this.#receive()) return;
    // Errors and hang-ups cannot be masked: unless a read answered, they would be reported for ever.
    if ((events & (Event.ERROR | Event.HANG_UP)) === 0 || this.#fd < 0) return;
    const isBroken = (events & Event.ERROR) !== 0 || this.#state === "draining" ||
      this.writer.unsentBytes > 0;
    if (isBroken) return this.#onLost(this.#socketError());
    this.#setInterest(Interest.EDGE);
  }

  /** What the socket itself says has gone wrong with it. */
  #socketError(): SystemError {
    const raw = new Int32Array(1);
    const [level, name] = Option.ERROR;
    native.getsockopt(this.#fd, level, name, raw, 4);
    return new SystemError("send", raw[0] || 32);
  }

  /** Receives what is there, within bounds. Whether there was anything to learn: bytes, or the end. */
  #receive(): boolean {
    const { reader } = this;
    let sum = 0;
    while (sum < BYTES_PER_EVENT_MAX) {
      const count = reader.receive(this.#fd);
      if (count === NOT_READY) break;
      if (count <= 0) {
        this.#onReadEnd(count);
        return true;
      }
      sum += count;
      if (!filled(this.#input)) break; // the socket had less than there was room for
    }
    if (sum > 0) reader.settle();
    return sum > 0;
  }

  /** No more bytes come: the peer ended its side (0), or a reset did (`-errno`). */
  #onReadEnd(code: number): void {
    if (code < 0) return this.#onLost(new SystemError("receive", -code));
    this.reader.end = new EofError("Cannot read more: the peer has ended its side");
    this.#setInterest(this.#interest & ~Interest.READ);
    this.reader.settle();
    this.#isDisconnected = true;
  }

  /** The connection is broken. What was received before is still delivered. */
  #onLost(cause: SystemError): void {
    if (this.#state === "closed") return;
    this.#failure ??= this.#lostError(cause);
    this.reader.end ??= this.#failure as NetpollError;
    this.writer.fail(this.#failure as NetpollError);
    this.#output.close(CLOSED);
    this.#isDisconnected = true;
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

  #setInterest(interest: number): void {
    if (interest === this.#interest || this.#token < 0) return;
    this.#interest = interest;
    this.#poller.modify(this.#token, this.#fd, interest);
  }

  // ---- the handler -----------------------------------------------------------------------------------

  /** Does whatever is due: calls the handler, tells of the end, closes. Runs no user code of a user's call. */
  #goOn(): void {
    if (this.#state === "open" || this.#state === "closed") {
      this.#serve();
      this.#disconnect();
    }
    this.#closeIfOver();
    this.#tearDown();
  }

  /** Whether the handler should be called: there are bytes that it has not looked at. */
  #isDue(): boolean {
    return this.#input.length > 0 && !this.#isRunning && this.#onRequest !== null &&
      this.#input.readBan === null && this.#stalledAt !== this.#input.total + this.#input.length;
  }

  #serve(): void {
    while (this.#isDue()) {
      if (this.#runs++ === RUNS_PER_EVENT_MAX) {
        this.#runs = 0;
        this.#poller.again(this);
        break;
      }
      this.#call(this.#onRequest!);
    }
    if (this.#output.length > 0 && !this.#isDispatching && this.#fd >= 0) this.#uncork();
  }

  /** Sends what the handler's flushes put off. */
  #uncork(): void {
    if ((this.#interest & Interest.WRITE) === 0) this.writer.sendNow();
  }

  #call(handler: RequestHandler<C>): void {
    const input = this.#input;
    this.#readAtStart = input.total;
    this.#stalledAt = input.total + input.length;
    this.#isRunning = true;
    this.#isDispatching = true;
    try {
      const result = handler(this, this.#context);
      if (isPromise<void>(result)) this.#await(result);
      else this.#ran();
    } catch (error) {
      this.#ran();
      this.#fail(error);
    }
    this.#isDispatching = false;
  }

  #await(result: Promise<void>): void {
    if (!this.reader.isWaiting && !this.writer.isFlushing) this.#setOutside(true);
    this.#onSettled ??= () => {
      this.#ran();
      this.#goOn();
    };
    this.#onRejected ??= (error) => {
      this.#ran();
      this.#fail(error);
      this.#goOn();
    };
    result.then(this.#onSettled, this.#onRejected);
  }

  /** The handler has returned, or its promise has settled. */
  #ran(): void {
    this.#isRunning = false;
    this.#setOutside(false);
    if (this.#input.total !== this.#readAtStart) this.#stalledAt = -1;
  }

  #setOutside(isOutside: boolean): void {
    if (this.#isOutside === isOutside) return;
    this.#isOutside = isOutside;
    this.#poller.pace.outsideWaits += isOutside ? 1 : -1;
  }

  onWait(): void {
    this.#setOutside(false);
    // Whoever waits for an answer must have asked: what was put off leaves now.
    if (this.#output.length > 0 && this.#fd >= 0) this.#uncork();
  }

  onWaitEnd(): void {
    if (this.#isRunning) this.#setOutside(true);
  }

  onFlushWait(): void {
    this.#setOutside(false);
  }

  onFlushWaitEnd(): void {
    if (this.#isRunning && !this.#isDispatching) this.#setOutside(true);
  }

  get isCorked(): boolean {
    return this.#isDispatching && this.#input.length > 0;
  }

  onBlocked(): void {
    this.#setInterest(this.#interest | Interest.WRITE);
  }

  onDrained(): void {
    this.#setInterest(this.#interest & ~Interest.WRITE);
  }

  onSendFailure(cause: SystemError): NetpollError {
    // Found within the user's flush or close: whatever calls back does so later.
    queueMicrotask(() => {
      this.#onLost(cause);
      this.#goOn();
    });
    return this.#failure as NetpollError ?? (this.#failure = this.#lostError(cause));
  }

  /** A callback failed. The ordinary ends of a connection are no errors. */
  #fail(error: unknown): void {
    if (!(error instanceof ClosedError)) {
      this.#failure ??= error;
      this.#report(error);
    }
    void this.close();
  }

  #report(error: unknown): void {
    const { onError } = this.#callbacks;
    try {
      if (onError !== undefined) return onError(error, this);
      config.log(`netpoll: a handler failed: ${error instanceof Error ? error.stack : error}`);
    } catch (second) {
      config.log(`netpoll: onError failed: ${second instanceof Error ? second.stack : second}`);
    }
  }

  // ---- the end ---------------------------------------------------------------------------------------

  /** Tells of the peer's end, once, and not before `onConnect` has settled. */
  #disconnect(): void {
    const { onDisconnect } = this.#callbacks;
    if (!this.#isDisconnected || onDisconnect === undefined || this.#isTold) return;
    this.#isTold = true;
    this.#openCallbacks += 1;
    const done = () => {
      this.#openCallbacks -= 1;
      this.#tearDown();
    };
    try {
      const result = onDisconnect(this, this.#context);
      if (isPromise<void>(result)) {
        result.then(done, (error) => {
          this.#report(error);
          done();
        });
      } else {
        done();
      }
    } catch (error) {
      this.#report(error);
      done();
    }
  }
  #isTold = false;

  /** After the peer's end, an accepted connection, or one with a handler, closes once nothing is left to do. */
  #closeIfOver(): void {
    if (this.reader.end === null && !this.#isEnding) return;
    if (this.#state !== "open" || this.#isRunning || this.#isDue()) return;
    if (this.#onRequest !== null || this.#isEnding) void this.close();
  }

  /** Closes as soon as no handler runs and nothing is unread or unsent; what the kernel holds is read first. */
  closeWhenIdle(): void {
    this.#isEnding = true;
    if (this.#fd >= 0 && this.reader.end === null && this.#state === "open") this.#receive();
    this.#goOn();
  }
  #isEnding = false;

  close(options: CloseOptions = {}): Promise<CloseResult> {
    if (this.#closing !== null) return this.#closing.promise;
    this.#closing = Promise.withResolvers<CloseResult>();
    if (this.#state === "closed") {
      this.#closing.resolve({ unsentBytes: 0 });
      return this.#closing.promise;
    }
    this.#state = next(this.#state, "close");
    this.#input.readBan = CLOSED;
    this.#output.writeBan = CLOSED;
    this.#output.truncate(0);
    this.reader.fail(new ClosedError("Cannot wait: the connection was closed"));
    this.#setInterest(this.#interest & ~Interest.READ);
    if (this.#output.length > 0) this.#uncork();
    if (this.#fd < 0) return this.#closing.promise;
    if (this.#output.length === 0) this.#finish("drained");
    else this.#drainUntil(options.timeoutMs ?? CLOSE_TIMEOUT_MS);
    return this.#closing.promise;
  }

  #drainUntil(timeoutMs: number): void {
    const timer = setTimeout(() => {
      if (this.#state === "draining") this.#finish("drained");
      queueMicrotask(() => this.#tearDown());
    }, timeoutMs);
    this.#closing!.promise.then(() => clearTimeout(timer));
  }

  reset(): void {
    if (this.#state === "closed") return;
    this.#input.readBan = CLOSED;
    this.#output.writeBan = CLOSED;
    try {
      setOption(this.#fd, Option.LINGER, 1, 0);
    } catch {
      // Not a TCP socket: closing is all there is.
    }
    this.#finish("lost");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Closes the descriptor: the end of what the peer sees. */
  #finish(step: "drained" | "lost"): void {
    this.#state = next(this.#state, step);
    // Addresses are known after close.
    this.#local ??= this.#name(0);
    this.#remote ??= this.#name(1);
    const unsentBytes = this.#output.length;
    if (this.#token >= 0) this.#poller.remove(this.#token, this.#fd);
    native.close(this.#fd);
    this.#fd = -1;
    this.#token = -1;
    this.#output.close(CLOSED);
    const error = new ClosedError("Cannot go on: the connection was closed");
    this.writer.fail(error);
    if (this.#input.readBan !== null) this.reader.fail(error);
    (this.#closing ??= Promise.withResolvers<CloseResult>()).resolve({ unsentBytes });
    if (this.#closed !== null) this.#settleClosed(this.#closed);
    // No callback of the user's runs within his own call.
    queueMicrotask(() => this.#tearDown());
  }

  addCloseCallback(callback: (connection: Connection) => void): void {
    if (this.#isGone) queueMicrotask(() => this.#callClose(callback));
    else (this.#closeCallbacks ??= []).push(callback);
  }

  /** When nothing of the user's runs any more: close callbacks, and the memory goes back. */
  #tearDown(): void {
    if (this.#state !== "closed" || this.#isGone) return;
    if (this.#isRunning || this.#openCallbacks > 0 || this.#isDue()) return;
    this.#isGone = true;
    const callbacks = this.#closeCallbacks ?? [];
    this.#closeCallbacks = null;
    for (const callback of callbacks.reverse()) this.#callClose(callback);
    if (this.#onRequest !== null || this.#input.readBan !== null) this.#input.close(CLOSED);
    this.#owner.onGone(this);
  }
  #isGone = false;

  #callClose(callback: (connection: Connection) => void): void {
    try {
      callback(this);
    } catch (error) {
      this.#report(error);
    }
  }
}

function isPromise<T>(value: unknown): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === "function";
}
