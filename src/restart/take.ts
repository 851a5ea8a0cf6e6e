/**
 * The new process of a hot restart: it takes the listeners of the old one.
 */
import { setTimeout as delay } from "node:timers/promises";
import { native } from "../../ffi/load.ts";
import { closeDescriptor, peerCredentials } from "../client/descriptors.ts";
import { dial } from "../client/dial.ts";
import type { Connection } from "../connection/connection.ts";
import { check } from "../core/check.ts";
import { EofError, NetpollError, SystemError } from "../core/errors.ts";
import { TAKE_ATTEMPTS_MAX, TAKE_RETRY_MS, TAKE_TIMEOUT_MS } from "../core/limits.ts";
import { checkFunction, checkTimeout, type Known, readOptions } from "../core/options.ts";
import { ignore, synchronous } from "../core/promises.ts";
import { describeAddress, formatAddress, rawAddress } from "../net/address.ts";
import { createListener, listenerSocket } from "../net/listener.ts";
import type { InheritedOptions, Listener } from "../net/listener_contract.ts";
import {
  Flag,
  nextWord,
  ownUid,
  type Passed,
  receiveListeners,
  Word,
} from "./takeover_protocol.ts";

/** Options of {@linkcode takeListeners}. */
export interface TakeOptions {
  /** The options of each listener, such as `tls`: those of the old process are not passed on. */
  optionsOf?: (listener: { address: Listener["address"]; index: number }) => InheritedOptions;
  /** The time in milliseconds that the old process has for each answer. 10000 unless given. */
  timeoutMs?: number;
}

/** The listeners of an old process. */
export interface Taken {
  /** In the order in which the old process has offered them. They accept as soon as `ready()` resolves. */
  readonly listeners: readonly Listener[];
  /**
   * Tells the old process that this one serves. Resolves when it has closed its own listeners, and its
   * offer: this process accepts from now on, and may make an offer at the same path. Resolves, too, if
   * the old process has died.
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

const TAKE: Known<TakeOptions> = { optionsOf: 1, timeoutMs: 1 };

/** The listeners of an old process, which waits to hear of this one. */
class TakenListeners implements Taken {
  readonly listeners: readonly Listener[];
  readonly #connection: Connection;
  readonly #passed: readonly Passed[];
  #ready: Promise<void> | null = null;

  constructor(
    connection: Connection,
    listeners: readonly Listener[],
    passed: readonly Passed[],
  ) {
    this.#connection = connection;
    this.listeners = listeners;
    this.#passed = passed;
  }

  ready(): Promise<void> {
    return this.#ready ??= this.#takeOver();
  }

  async #takeOver(): Promise<void> {
    let answer: number | null;
    try {
      answer = await this.#ask(Word.READY);
    } catch (cause) {
      await this.#connection.close();
      throw new NetpollError("Cannot take over: the old process does not answer", { cause });
    }
    if (answer !== Word.GO && answer !== null) {
      await this.#connection.close();
      throw new NetpollError("Cannot take over: the old process does not wait any more");
    }
    this.#own();
    await this.#connection.close();
  }

  /** No other process has them any more. */
  #own(): void {
    for (const [index, listener] of this.listeners.entries()) {
      if (listener.fd < 0) continue;
      const socket = listenerSocket(listener);
      if ((this.#passed[index]!.flags & Flag.OWNS_FILE) !== 0) socket.ownsFile = true;
      socket.thaw();
    }
  }

  /** Gives up. Whether the old process has ended, and the listeners are nobody else's. */
  async #isAlone(): Promise<boolean> {
    try {
      return this.#connection.isActive && await this.#ask(Word.NO) !== Word.NO;
    } catch {
      return false;
    }
  }

  /** The answer of the old process, which it may have sent before it was asked; null if it has died. */
  async #ask(word: number): Promise<number | null> {
    const { writer } = this.#connection;
    try {
      writer.writeByte(word);
      await writer.flush();
    } catch (error) {
      if (!(error instanceof EofError)) throw error;
    }
    return nextWord(this.#connection);
  }

  async close(): Promise<void> {
    // Listeners that were taken over are nobody else's any more.
    if (await this.#ready?.then(() => true, () => false)) return;
    if (await this.#isAlone()) this.#own();
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
  const options = synchronous("optionsOf", optionsOf?.({ address, index })) ?? {};
  if ((flags & Flag.HAS_TLS) !== 0 && options.tls === undefined) {
    throw new TypeError(
      `Cannot take the listener ${index}, ${
        describeAddress(address)
      }: it is of TLS, and optionsOf gives it no tls`,
    );
  }
  return options;
}

/** Makes a listener of what came. The descriptors are its own, or closed. */
function listenerOf({ fds, flags }: Passed, index: number, options: TakeOptions): Listener {
  const [fd, ...more] = fds;
  let listener: Listener;
  try {
    listener = createListener({ ...optionsFor(fd!, index, flags, options), fd: fd! });
  } catch (error) {
    for (const each of fds) closeDescriptor(each);
    throw error;
  }
  try {
    const socket = listenerSocket(listener);
    socket.adopt(more);
    socket.freeze("there");
    return listener;
  } catch (error) {
    listener.close();
    throw error;
  }
}

/** Makes listeners of what came: all, or none. */
function listenersOf(passed: readonly Passed[], options: TakeOptions): Listener[] {
  const listeners: Listener[] = [];
  try {
    for (const [index, one] of passed.entries()) listeners.push(listenerOf(one, index, options));
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    for (const { fds } of passed.slice(listeners.length + 1)) {
      for (const fd of fds) closeDescriptor(fd);
    }
    throw error;
  }
}

/**
 * Takes the listeners that an old process offers at a path; null where nobody offers any, or whoever
 * did is ending: then this is the first, and opens its own. Serve them, and say `ready()`: until then
 * the old process accepts, and goes on if this one ends.
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
  for (let n = 0; n < TAKE_ATTEMPTS_MAX; n++) {
    const connection = await dialOld(path, timeoutMs);
    if (connection === null) return null;
    const taken = await takeFrom(connection, path, { optionsOf });
    if (taken !== null) return taken;
    // It ends, or another process has just taken over, and makes an offer of its own.
    await delay(TAKE_RETRY_MS);
  }
  return null;
}

/** A connection to the old process; null where there is none. */
async function dialOld(path: string, timeoutMs: number): Promise<Connection | null> {
  try {
    return await dial("unix", path, { timeoutMs, readTimeoutMs: timeoutMs });
  } catch (error) {
    const isNobody = error instanceof SystemError &&
      (error.code === "ENOENT" || error.code === "ECONNREFUSED");
    if (isNobody) return null;
    throw error;
  }
}

/** The listeners of an old process; null where it has ended before it has offered them. */
async function takeFrom(
  connection: Connection,
  path: string,
  options: TakeOptions,
): Promise<TakenListeners | null> {
  try {
    const { uid } = peerCredentials(connection);
    if (uid !== ownUid()) {
      throw new NetpollError(`Cannot take the listeners at ${path}: user ${uid} offers them`);
    }
    const word = await nextWord(connection);
    if (word === Word.NO) {
      throw new NetpollError(
        `Cannot take the listeners at ${path}: the old process cannot pass them all on`,
      );
    }
    if (word === null) {
      await connection.close();
      return null;
    }
    const passed = await receiveListeners(connection, word);
    return new TakenListeners(connection, listenersOf(passed, options), passed);
  } catch (error) {
    connection.close().catch(ignore);
    throw error;
  }
}
