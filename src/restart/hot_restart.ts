/**
 * Hot restart: a new process takes the listeners of the old one, and no connection is refused.
 *
 * Both have the same sockets for a while, so that whoever waits in a queue is accepted by one of them.
 * The old process closes its own only when the new one has said that it is ready.
 */
import { native } from "../../ffi/load.ts";
import {
  closeDescriptor,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
} from "../client/descriptors.ts";
import { dial } from "../client/dial.ts";
import type { Connection } from "../connection/connection.ts";
import { check } from "../core/check.ts";
import { say } from "../core/config.ts";
import { EofError, NetpollError, SystemError } from "../core/errors.ts";
import { DESCRIPTORS_PER_MESSAGE_MAX, READY_TIMEOUT_MS, TAKE_TIMEOUT_MS } from "../core/limits.ts";
import { checkFunction, checkTimeout, type Known, readOptions, show } from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import {
  createListener,
  type InheritedOptions,
  type Listener,
  type ListenerSocket,
  listenerSocket,
} from "../net/listener.ts";
import { describeAddress, formatAddress, rawAddress } from "../net/address.ts";
import { Option } from "../net/socket.ts";
import { EventLoop } from "../server/event_loop.ts";
import { afterMs } from "../server/patience.ts";

/** Options of {@linkcode offerListeners}. */
export interface OfferOptions {
  /**
   * The time in milliseconds that a new process has to say that it is ready; 0 for ever. After it the
   * old one goes on as if nobody had come. 60000 unless given.
   */
  readyTimeoutMs?: number;
}

/** Options of {@linkcode takeListeners}. */
export interface TakeOptions {
  /** The options of each listener, such as `tls`: those of the old process are not passed on. */
  optionsOf?: (listener: { address: Listener["address"]; index: number }) => InheritedOptions;
  /** The time in milliseconds that the old process has for each answer. 10000 unless given. */
  timeoutMs?: number;
}

/** Listeners on offer. */
export interface Offer {
  /**
   * Resolves when a new process is ready: the listeners of this one are closed, and what arrives is the
   * new one's. Never while nobody is.
   */
  readonly taken: Promise<void>;
  /** Offers them no more. The listeners go on. */
  close(): void;
  /** Calls `close()`, for `using`. */
  [Symbol.dispose](): void;
}

/** The listeners of an old process. */
export interface Taken {
  /** They accept beside those of the old process, in the order in which it has offered them. */
  readonly listeners: readonly Listener[];
  /**
   * Tells the old process that this one serves. Resolves when it has closed its own listeners, and its
   * offer: this process may make one at the same path. Resolves, too, if the old process has died.
   *
   * @throws {NetpollError} The old process does not wait any more: too late, or another is ready. End
   * this one.
   */
  ready(): Promise<void>;
  /**
   * Gives up: the old process goes on. Listeners that are not served are closed. Does nothing when
   * `ready()` has resolved.
   */
  close(): Promise<void>;
}

/** The bytes that tell of the next step. */
const READY = 0x52;
const GO = 0x47;
const NO = 0x4e;
/** The first byte says in which version of this protocol the old process speaks. */
const VERSION = 1;
/** Flags of a listener: the file of a Unix socket goes with it; it begins with TLS. */
const OWNS_FILE = 1;
const HAS_TLS = 2;

/** The user that this process runs as, without asking the runtime for a permission. */
function ownUid(): number {
  const pair = new Int32Array(2);
  const credentials = new Int32Array(3);
  check("open a pair of sockets", native.socketpair(pair));
  const [level, name] = Option.PEER_CREDENTIALS;
  const code = native.getsockopt(pair[0]!, level, name, credentials, 12);
  for (const fd of pair) native.close(fd);
  check("learn who this process is", code);
  return credentials[1]! >>> 0;
}

/** Listeners that one process after the other may take, until one is ready. */
class ListenerOffer implements Offer {
  readonly #taken = Promise.withResolvers<void>();
  readonly #listeners: readonly ListenerSocket[];
  readonly #loop: EventLoop;
  readonly #listener: Listener;
  readonly #readyTimeoutMs: number;
  readonly #uid = ownUid();
  #isClosed = false;
  /** The process that came last, which alone may say that it is ready. */
  #taker: Connection | null = null;
  #giveUp = () => {};

  constructor(path: string, listeners: readonly ListenerSocket[], readyTimeoutMs: number) {
    this.#listeners = listeners;
    this.#readyTimeoutMs = readyTimeoutMs;
    this.#loop = new EventLoop((taker) => this.#onReady(taker), {
      onConnect: (taker) => this.#onTaker(taker),
      onDisconnect: (taker) => this.#onGone(taker, "it has ended"),
      onError: () => {}, // of a process that has gone: the old one goes on
    });
    this.#listener = createListener("unix", path, { mode: 0o600 });
    void this.#loop.serve(this.#listener).catch((error) => say("error", `offer: ${error.message}`));
    this.#loop.unref();
  }

  get taken(): Promise<void> {
    return this.#taken.promise;
  }

  async #onTaker(taker: Connection): Promise<undefined> {
    const { uid, pid } = peerCredentials(taker);
    if (uid !== this.#uid) {
      say("warn", `process ${pid} of user ${uid} may not take the listeners of user ${this.#uid}`);
      taker.reset();
      return;
    }
    const open = this.#listeners.filter(({ fd }) => fd >= 0);
    // This process ends: the new one goes on as if it had come after that.
    if (open.length === 0) this.close();
    if (this.#isClosed) return void taker.close().catch(ignore);
    // A cluster may have begun to serve one since it was offered.
    const isWhole = open.length === this.#listeners.length &&
      !open.some(({ isShared }) => isShared);
    if (!isWhole) {
      const why = 'some are closed, or of a cluster with acceptMode "reuseport"';
      say("warn", `process ${pid} cannot take the listeners: ${why}`);
      return this.#answer(taker, NO);
    }
    if (this.#taker !== null) this.#drop(this.#taker, "another has come");
    this.#taker = taker;
    if (this.#readyTimeoutMs > 0) {
      const late = `it was not ready after ${this.#readyTimeoutMs} ms`;
      this.#giveUp = afterMs(this.#readyTimeoutMs, () => this.#drop(taker, late));
    }
    const flags = this.#listeners.map(({ ownsFile, credentials }) =>
      (ownsFile ? OWNS_FILE : 0) | (credentials === null ? 0 : HAS_TLS)
    );
    const fds = this.#listeners.map(({ fd }) => fd);
    await sendDescriptors(taker, fds, Uint8Array.of(VERSION, flags.length, ...flags));
  }

  /** Lets it know, lest it take us for dead. */
  #drop(taker: Connection, why: string): void {
    this.#onGone(taker, why);
    this.#answer(taker, NO);
  }

  /** Says the last word to a process, which may have gone. */
  #answer(taker: Connection, word: number): undefined {
    if (taker.isActive) {
      taker.writer.writeByte(word);
      taker.writer.flush().catch(ignore);
    }
    taker.close().catch(ignore);
  }

  #onGone(taker: Connection, why: string): void {
    if (this.#taker !== taker) return;
    this.#taker = null;
    this.#giveUp();
    say("warn", `a new process did not take over: ${why}; this one goes on`);
  }

  #onReady(taker: Connection): void {
    if (this.#taker !== taker || taker.reader.readByte() !== READY) {
      return this.#drop(taker, "it did not say that it is ready");
    }
    this.#taker = null;
    this.#giveUp();
    this.#isClosed = true;
    this.#listener.close();
    for (const listener of this.#listeners) {
      listener.ownsFile = false; // it is the new one's
      listener.close();
    }
    this.#taken.resolve();
    this.#answer(taker, GO);
    void this.#loop.shutdown({ timeoutMs: TAKE_TIMEOUT_MS });
  }

  close(): void {
    this.#isClosed = true;
    const taker = this.#taker;
    if (taker !== null) {
      // Where this process has none of them any more, the new one is the only one.
      const isEnding = this.#listeners.every(({ fd }) => fd < 0);
      this.#taker = null;
      this.#giveUp();
      this.#answer(taker, isEnding ? GO : NO);
    }
    void this.#loop.shutdown({ timeoutMs: 0 });
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Offers listeners to the process that comes after this one, at a Unix socket of the user's alone. Only
 * a process of the same user may take them. One that ends or is not ready in time changes nothing;
 * where several come, the last one may be ready.
 *
 * The offer keeps no process alive. Serve the listeners with an {@linkcode EventLoop}, or with a
 * {@linkcode Cluster} in its default mode. docs/RESTART.md has a whole server.
 *
 * @throws {TypeError} One is no listener, or of a cluster with `acceptMode: "reuseport"`, or an option
 * means nothing.
 * @throws {RangeError} There are none, or more than 253.
 * @throws {SystemError} Nobody can listen at `path`: `code` is `"EADDRINUSE"` while another process
 * offers there.
 *
 * @example
 * ```ts
 * import { createListener, EventLoop } from "@netpoll/netpoll";
 * import { offerListeners, takeListeners } from "@netpoll/netpoll/operations";
 *
 * const before = await takeListeners("@netpoll-example");
 * const listener = before?.listeners[0] ?? createListener("tcp", "127.0.0.1:0");
 * const loop = new EventLoop(null);
 * const served = loop.serve(listener);
 * await before?.ready();
 * using offer = offerListeners("@netpoll-example", [listener]);
 * void offer.taken.then(() => loop.shutdown({ timeoutMs: 10_000 }));
 *
 * await loop.shutdown(); // until nobody has come, in an example
 * await served;
 * ```
 */
export function offerListeners(
  path: string,
  listeners: readonly Listener[],
  options: OfferOptions = {},
): Offer {
  const { readyTimeoutMs = READY_TIMEOUT_MS } = readOptions("offerListeners", options, OFFER);
  checkTimeout("readyTimeoutMs", readyTimeoutMs);
  if (!Array.isArray(listeners)) {
    throw new TypeError(`Cannot offer ${show(listeners)}: it is no array of listeners`);
  }
  const { length } = listeners;
  if (length < 1 || length > DESCRIPTORS_PER_MESSAGE_MAX) {
    throw new RangeError(
      `Cannot offer ${length} listeners: from 1 to ${DESCRIPTORS_PER_MESSAGE_MAX} pass on at once`,
    );
  }
  const sockets = listeners.map(listenerSocket);
  if (sockets.some(({ isShared }) => isShared)) {
    throw new TypeError(
      'Cannot offer the listener of a cluster with acceptMode "reuseport": its Workers have more of them',
    );
  }
  return new ListenerOffer(path, sockets, readyTimeoutMs);
}

const OFFER: Known<OfferOptions> = { readyTimeoutMs: 1 };
const TAKE: Known<TakeOptions> = { optionsOf: 1, timeoutMs: 1 };

/** The listeners of an old process, which waits to hear of this one. */
class TakenListeners implements Taken {
  readonly listeners: readonly Listener[];
  readonly #connection: Connection;
  readonly #flags: Uint8Array;
  #ready: Promise<void> | null = null;

  constructor(connection: Connection, listeners: readonly Listener[], flags: Uint8Array) {
    this.#connection = connection;
    this.listeners = listeners;
    this.#flags = flags;
  }

  ready(): Promise<void> {
    return this.#ready ??= this.#takeOver();
  }

  async #takeOver(): Promise<void> {
    let answer: number | null;
    try {
      answer = await this.#ask();
    } catch (cause) {
      await this.#connection.close();
      throw new NetpollError("Cannot take over: the old process does not answer", { cause });
    }
    if (answer !== GO && answer !== null) {
      await this.#connection.close();
      throw new NetpollError("Cannot take over: the old process does not wait any more");
    }
    for (const [index, listener] of this.listeners.entries()) {
      if ((this.#flags[index]! & OWNS_FILE) !== 0 && listener.fd >= 0) {
        listenerSocket(listener).ownsFile = true;
      }
    }
    await this.#connection.close();
  }

  /** The answer of the old process, which it may have sent before it was asked; null if it has died. */
  async #ask(): Promise<number | null> {
    const { writer } = this.#connection;
    try {
      writer.writeByte(READY);
      await writer.flush();
    } catch (error) {
      if (!(error instanceof EofError)) throw error;
    }
    return nextWord(this.#connection);
  }

  async close(): Promise<void> {
    // Listeners that were taken over are nobody else's any more.
    if (await this.#ready?.then(() => true, () => false)) return;
    for (const listener of this.listeners) {
      if (listener.fd >= 0 && listenerSocket(listener).onClose === null) listener.close();
    }
    await this.#connection.close();
  }
}

/** The options of a listener that was offered. */
function optionsFor(fd: number, index: number, flags: number, { optionsOf }: TakeOptions) {
  const raw = rawAddress();
  check("learn the address of a socket", native.name(fd, 0, raw));
  const address = formatAddress(raw);
  const options = optionsOf?.({ address, index }) ?? {};
  if ((flags & HAS_TLS) !== 0 && options.tls === undefined) {
    throw new TypeError(
      `Cannot take the listener ${index}, ${
        describeAddress(address)
      }: it is of TLS, and optionsOf gives it no tls`,
    );
  }
  return options;
}

/** Makes listeners of what came: all, or none. */
function listenersOf(fds: readonly number[], flags: Uint8Array, options: TakeOptions): Listener[] {
  const listeners: Listener[] = [];
  try {
    for (const [index, fd] of fds.entries()) {
      listeners.push(createListener({ ...optionsFor(fd, index, flags[index]!, options), fd }));
    }
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    for (const fd of fds.slice(listeners.length)) closeDescriptor(fd);
    throw error;
  }
}

/**
 * Takes the listeners that an old process offers at a path; null where nobody offers any, or whoever
 * did is ending: then this is the first, and opens its own. Serve them, and say `ready()`: until then
 * the old process serves as well, and goes on if this one ends.
 *
 * Under Deno the program needs what `dial` needs for the path.
 *
 * @throws {TypeError} An option means nothing, or one of `optionsOf` does.
 * @throws {NetpollError} Another user offers them, or what answers is no old process of this library.
 * @throws {TimeoutError} The old process does not answer.
 *
 * @example
 * ```ts
 * import { takeListeners } from "@netpoll/netpoll/operations";
 *
 * console.log(await takeListeners("@netpoll-nobody-is-there")); // null
 * ```
 */
export async function takeListeners(
  path: string,
  options: TakeOptions = {},
): Promise<Taken | null> {
  const { optionsOf, timeoutMs = TAKE_TIMEOUT_MS } = readOptions("takeListeners", options, TAKE);
  if (optionsOf !== undefined) checkFunction("optionsOf", optionsOf);
  checkTimeout("timeoutMs", timeoutMs);
  let connection: Connection;
  try {
    connection = await dial("unix", path, { timeoutMs, readTimeoutMs: timeoutMs });
  } catch (error) {
    const isNobody = error instanceof SystemError &&
      (error.code === "ENOENT" || error.code === "ECONNREFUSED");
    if (isNobody) return null;
    throw error;
  }
  try {
    const { uid } = peerCredentials(connection);
    if (uid !== ownUid()) {
      throw new NetpollError(`Cannot take the listeners at ${path}: user ${uid} offers them`);
    }
    const word = await nextWord(connection);
    if (word === NO) {
      throw new NetpollError(
        `Cannot take the listeners at ${path}: the old process cannot pass them all on`,
      );
    }
    if (word === null) {
      await connection.close();
      return null;
    }
    if (word !== VERSION) throw otherWay();
    const fds = await receiveDescriptors(connection);
    const flags = await readHeader(connection, fds);
    return new TakenListeners(connection, listenersOf(fds, flags, { optionsOf }), flags);
  } catch (error) {
    connection.close().catch(ignore);
    throw error;
  }
}

/** The next byte that an old process says; null where it has ended. */
async function nextWord({ reader }: Connection): Promise<number | null> {
  try {
    await reader.wait(1);
    return reader.readByte();
  } catch (error) {
    if (error instanceof EofError) return null;
    throw error;
  }
}

function otherWay(): NetpollError {
  return new NetpollError("Cannot take listeners: who offers them speaks in another way");
}

/** Flags of each listener. The descriptors are closed if who offers them speaks in another way. */
async function readHeader({ reader }: Connection, fds: readonly number[]): Promise<Uint8Array> {
  try {
    await reader.wait(1 + fds.length);
    if (reader.readByte() === fds.length) return reader.readBinary(fds.length);
    throw otherWay();
  } catch (error) {
    for (const fd of fds) closeDescriptor(fd);
    throw error;
  }
}
