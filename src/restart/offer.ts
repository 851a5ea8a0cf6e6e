/**
 * The old process of a hot restart: it offers its listeners, and closes them when a new one is ready.
 *
 * Both have the same sockets for a while, and one of them accepts: whoever waits in a queue is served.
 * The old process closes its own only when the new one has said that it is ready.
 */
import { peerCredentials } from "../client/descriptors.ts";
import type { Connection } from "../connection/connection.ts";
import { say } from "../core/config.ts";
import {
  DESCRIPTORS_PER_MESSAGE_MAX,
  DESCRIPTORS_UNCLAIMED_MAX,
  READY_TIMEOUT_MS,
  STOP_TIMEOUT_MS,
  TAKE_TIMEOUT_MS,
} from "../core/limits.ts";
import { checkTimeout, type Known, readOptions, show } from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import { createListener, listenerSocket } from "../net/listener.ts";
import type { Listener } from "../net/listener_contract.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import { EventLoop } from "../server/event_loop.ts";
import { afterMs } from "../server/patience.ts";
import { fits, Flag, ownUid, passOn, Word } from "./takeover_protocol.ts";

/** Options of {@linkcode offerListeners}. */
export interface OfferOptions {
  /**
   * The time in milliseconds that a new process has to say that it is ready; 0 for ever. After it the
   * old one goes on as if nobody had come. 60000 unless given.
   */
  readyTimeoutMs?: number;
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

/** The descriptors of the sockets of a listener. */
function fdsOf({ fd, siblings }: ListenerSocket): number[] {
  return [fd, ...siblings.map((sibling) => sibling.fd)];
}

function flagsOf({ ownsFile, credentials }: ListenerSocket): number {
  return (ownsFile ? Flag.OWNS_FILE : 0) | (credentials === null ? 0 : Flag.HAS_TLS);
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
  /** The files of Unix sockets that go on to the process that came last, if it is ready. */
  readonly #files = new Set<ListenerSocket>();

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
    const isWhole = open.length === this.#listeners.length;
    // A cluster may have begun to serve one, or have got more pollers, since they were offered.
    const sockets = open.map((one) => ({ fds: fdsOf(one) }));
    if (!isWhole || !fits(sockets)) {
      const why = isWhole ? "they have too many sockets" : "some are closed";
      say("warn", `process ${pid} cannot take the listeners: ${why}`);
      return this.#answer(taker, Word.NO);
    }
    if (this.#taker !== null) this.#drop(this.#taker, "another has come");
    this.#taker = taker;
    const passed = open.map((one, n) => ({ fds: sockets[n]!.fds, flags: flagsOf(one) }));
    for (const one of open) this.#share(one);
    if (this.#readyTimeoutMs > 0) {
      const late = `it was not ready after ${this.#readyTimeoutMs} ms`;
      this.#giveUp = afterMs(this.#readyTimeoutMs, () => this.#drop(taker, late));
    }
    await passOn(taker, passed);
  }

  /** Another process has it as well: whoever closes it first leaves its file to the other. */
  #share(listener: ListenerSocket): void {
    listener.freeze("here");
    if (!listener.ownsFile) return;
    listener.ownsFile = false;
    this.#files.add(listener);
  }

  /** No other process has them any more. */
  #unshare(): void {
    for (const listener of this.#listeners) {
      const wasOwner = this.#files.has(listener);
      if (wasOwner && listener.fd < 0) listener.removeFile(); // it was closed meanwhile
      else if (wasOwner) listener.ownsFile = true;
      listener.thaw();
    }
    this.#files.clear();
  }

  /** Lets it know, lest it take us for dead. */
  #drop(taker: Connection, why: string): void {
    this.#onGone(taker, why);
    this.#answer(taker, Word.NO);
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
    this.#unshare();
    say("warn", `a new process did not take over: ${why}; this one goes on`);
  }

  async #onReady(taker: Connection): Promise<void> {
    const word = taker.reader.readByte();
    if (this.#taker !== taker || word !== Word.READY) {
      const why = word === Word.NO ? "it has given up" : "it did not say that it is ready";
      return this.#drop(taker, why);
    }
    this.#taker = null;
    this.#giveUp();
    this.#isClosed = true;
    this.#listener.close();
    await this.#stop();
    this.#taken.resolve();
    this.#answer(taker, Word.GO);
    void this.#loop.shutdown({ timeoutMs: TAKE_TIMEOUT_MS });
  }

  /**
   * Closes the listeners, whose files are the new process's. Waits until the Workers of a cluster
   * accept no more; one whose thread is kept by a handler accepts nothing either.
   */
  async #stop(): Promise<void> {
    this.#files.clear();
    for (const listener of this.#listeners) listener.close();
    const closing = this.#listeners.flatMap((one) => [one, ...one.siblings])
      .map(({ closing }) => closing);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const giveUp = afterMs(STOP_TIMEOUT_MS, resolve);
    await Promise.race([Promise.all(closing), late]);
    giveUp();
  }

  close(): void {
    this.#isClosed = true;
    const taker = this.#taker;
    if (taker !== null) {
      // Where this process has none of them any more, the new one is the only one.
      const isEnding = this.#listeners.every(({ fd }) => fd < 0);
      this.#taker = null;
      this.#giveUp();
      if (!isEnding) this.#unshare();
      this.#answer(taker, isEnding ? Word.GO : Word.NO);
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
 * The offer keeps no process alive. Serve the listeners with an {@linkcode EventLoop} or a
 * {@linkcode Cluster}: with `acceptMode: "reuseport"` all sockets of its Workers pass on, and the new
 * process may have another number of pollers. docs/RESTART.md has a whole server.
 *
 * @throws {TypeError} One is no listener, or was taken and is not ready, or an option means nothing.
 * @throws {RangeError} There are none, or more than 253, or more than 1012 sockets.
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
  if (sockets.some(({ isHeld }) => isHeld)) {
    throw new TypeError(
      "Cannot offer a listener that the old process still has: await ready() first",
    );
  }
  if (!fits(sockets.map((socket) => ({ fds: fdsOf(socket) })))) {
    throw new RangeError(
      `Cannot offer the listeners: they have more than ${DESCRIPTORS_UNCLAIMED_MAX} sockets`,
    );
  }
  return new ListenerOffer(path, sockets, readyTimeoutMs);
}

const OFFER: Known<OfferOptions> = { readyTimeoutMs: 1 };
