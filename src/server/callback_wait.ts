/**
 * A callback that waits for the shutdown of its own server, which waits for the callback: each would
 * wait for the other for ever. The shutdown settles for the callback when nothing but callbacks is
 * left, no more of them than have asked for it, and none has waited for anything of its connection
 * for a while. For everybody else it goes on until the callbacks have settled, too.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { SELF_WAIT_MS } from "../core/limits.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";

/** A connection that has not gone yet. */
export interface LeftConnection {
  /** -1 when it is closed: a callback has not settled. */
  readonly fd: number;
  /** Whether it is open for a callback alone, which waits for nothing of it. */
  readonly isKeptByCallback: boolean;
  /** The sum of bytes that came, and of those that the peer has taken. */
  readonly movedBytes: number;
}

/** The server in whose callback the running code is, whatever it has awaited since. */
const calledBy = new AsyncLocalStorage<object>();

/** Calls a function as if a callback of a server did. */
export function asCallbackOf<R>(server: object, call: () => R): R {
  return calledBy.run(server, call);
}

/** Whether a callback of that server calls. */
export function isInCallbackOf(server: object): boolean {
  return calledBy.getStore() === server;
}

/** The callbacks of one server that wait for its shutdown. */
export class CallbackWait implements TimerOwner {
  readonly #poller: Poller;
  readonly #list: () => readonly LeftConnection[];
  readonly #timer = new Timer(this);
  readonly #over = Promise.withResolvers<void>();
  #callbackCount = 0;
  /** Bytes that had moved at the last look; -1 when something else was left then. */
  #movedBytes = -1;

  /** `list` gives the connections that have not gone. */
  constructor(poller: Poller, list: () => readonly LeftConnection[]) {
    this.#poller = poller;
    this.#list = list;
  }

  /** One more callback waits. Resolves when nothing else is left. */
  add(): Promise<void> {
    this.#callbackCount += 1;
    if (!this.#timer.isSet) this.#look();
    return this.#over.promise;
  }

  #look(): void {
    const left = this.#list();
    const isOurs = left.length <= this.#callbackCount;
    this.#movedBytes = isOurs && left.every(isLeftToCallbacks) ? movedBy(left) : -1;
    this.#poller.setTimer(this.#timer, SELF_WAIT_MS);
  }

  onTimer(): void {
    const before = this.#movedBytes;
    this.#look();
    if (before < 0 || this.#movedBytes !== before) return;
    this.close();
    this.#over.resolve();
  }

  /** Nothing is left to wait for. */
  close(): void {
    this.#poller.cancelTimer(this.#timer);
  }
}

function isLeftToCallbacks({ fd, isKeptByCallback }: LeftConnection): boolean {
  return fd < 0 || isKeptByCallback;
}

function movedBy(left: readonly LeftConnection[]): number {
  return left.reduce((sum, { movedBytes }) => sum + movedBytes, 0);
}
