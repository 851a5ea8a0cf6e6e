/**
 * The callbacks of a connection's life, in their order.
 */
import type { Scope } from "../../ffi/context.ts";
import { say } from "../core/config.ts";
import { counts } from "../core/counts.ts";
import { checkFunction, type Known, show } from "../core/options.ts";
import { callBack, heed, promiseOf } from "../core/promises.ts";
import { turn } from "../poll/turn.ts";
import type { Callbacks, CloseCallback, Connection } from "./connection.ts";
import type { Failure } from "./ending.ts";
import type { ConnectionEnd } from "./settings.ts";

/** The callbacks that a user may give. */
export const CALLBACKS: Known<Callbacks<unknown>> = {
  onPrepare: 1,
  onConnect: 1,
  onRequest: 1,
  onDisconnect: 1,
  onError: 1,
};

/** Throws unless those that are given are functions. */
export function checkCallbacks<C>(callbacks: Callbacks<C>): void {
  for (const name of Object.keys(CALLBACKS) as (keyof Callbacks<C>)[]) {
    const callback = callbacks[name];
    if (callback === undefined || (name === "onRequest" && callback === null)) continue;
    checkFunction(name, callback);
  }
}

/** The connection that the callbacks concern. */
export interface CallbacksOwner {
  /** The connection as its user sees it. */
  readonly face: Connection;
  /** Its end, so far. */
  readonly end: ConnectionEnd;
  /** `onConnect` has settled; `failure` is what it failed with. */
  onConnected(failure: Failure | null): void;
  /** `onDisconnect` has settled. */
  onDisconnected(): void;
}

/** An error's text, for the log. */
function text(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : show(error);
}

/**
 * Calls the callbacks of one connection; the handler excepted, which comes and goes
 * (stream.ts).
 */
export class CallbackRunner<C> {
  /** The result of `onPrepare`, then that of `onConnect`. */
  context: C = undefined as C;
  readonly #callbacks: Callbacks<C>;
  readonly #scope: Scope;
  readonly #owner: CallbacksOwner;
  /** The number of callbacks that have not settled. */
  #openCount = 0;
  #isDisconnectTold = false;
  /** An object for each time that one was added, in that order. */
  #closeCallbacks: Set<{ readonly callback: CloseCallback }> | null = null;
  #isClosed = false;

  /** The callbacks of a connection, and the async context that they are called in. */
  constructor(callbacks: Callbacks<C>, scope: Scope, owner: CallbacksOwner) {
    this.#callbacks = callbacks;
    this.#scope = scope;
    this.#owner = owner;
  }

  /** Whether one of them has not settled. */
  get isRunning(): boolean {
    return this.#openCount > 0;
  }

  /** Calls `onPrepare`. Throws what it throws; what it may reject with comes to `onRejected`. */
  prepare(onRejected: (error: unknown) => void): void {
    const { onPrepare } = this.#callbacks;
    if (onPrepare === undefined) return;
    this.context = this.#call(onPrepare, this.#owner.face, undefined);
    heed(this.context, onRejected); // nobody waits for it: the context is the promise
  }

  /** Calls `onConnect`; the owner hears when it has settled. */
  connect(): void {
    const { onConnect } = this.#callbacks;
    if (onConnect === undefined) return this.#owner.onConnected(null);
    const settle = (context: C) => {
      this.context = context;
      this.#owner.onConnected(null);
    };
    this.#run(onConnect, settle, (error) => this.#owner.onConnected({ error }));
  }

  /** Calls `onDisconnect`, the first time. */
  disconnect(): void {
    const { onDisconnect } = this.#callbacks;
    if (onDisconnect === undefined || this.#isDisconnectTold) return;
    this.#isDisconnectTold = true;
    const { end } = this.#owner;
    const settle = () => this.#owner.onDisconnected();
    const tell = (connection: Connection, context: C) => onDisconnect(connection, context, end);
    this.#run(tell, settle, (error) => {
      this.report(error);
      settle();
    });
  }

  /** Calls one of them, and `settle` or `fail` when it has settled. */
  #run<T>(
    callback: (connection: Connection, context: C) => T | Promise<T>,
    settle: (value: T) => void,
    fail: (error: unknown) => void,
  ): void {
    this.#openCount += 1;
    const end = <V>(then: (value: V) => void) => (value: V) => {
      this.#openCount -= 1;
      then(value);
    };
    let result: T | Promise<T>;
    try {
      result = this.#call(callback, this.#owner.face, this.context);
    } catch (error) {
      return end(fail)(error);
    }
    const promise = promiseOf(result);
    if (promise === null) end(settle)(result as T);
    else promise.then(end(settle), end(fail));
  }

  /** Says what went wrong: to `onError`, or in the log. */
  report(error: unknown): void {
    counts.connections.failures += 1;
    const { onError } = this.#callbacks;
    if (onError === undefined) {
      return say("error", `a handler failed, its connection is closed: ${text(error)}`);
    }
    const fail = (second: unknown) => say("error", `onError failed: ${text(second)}`);
    callBack(() => this.#call(onError, error, this.#owner.face), fail);
  }

  /** Adds a close callback; when all is over already it is called soon. Returns what takes it back. */
  addClose(callback: CloseCallback): () => void {
    const callbacks = this.#closeCallbacks ??= new Set();
    const added = { callback };
    callbacks.add(added);
    if (this.#isClosed) {
      queueMicrotask(() => {
        if (callbacks.delete(added)) this.#callClose(callback);
      });
    }
    return () => void callbacks.delete(added);
  }

  /** Calls the close callbacks, the last one added first. */
  close(): void {
    this.#isClosed = true;
    const callbacks = this.#closeCallbacks;
    if (callbacks === null) return;
    this.#closeCallbacks = null;
    for (const added of [...callbacks].reverse()) {
      // An earlier one may have taken it back.
      if (callbacks.delete(added)) this.#callClose(added.callback);
    }
  }

  /** The time of it is not that of the next call of a handler, whosever that is. */
  #call<A, B, R>(callback: (a: A, b: B) => R, a: A, b: B): R {
    turn.spoilStep();
    return this.#scope(callback, a, b);
  }

  #callClose(callback: CloseCallback): void {
    const { face, end } = this.#owner;
    callBack(() => this.#call(callback, face, end), (error) => this.report(error));
  }
}
