/**
 * Requests that are being answered, and who tells them that nobody waits any more.
 */
import { currentScope, type Scope } from "../../ffi/context.ts";
import type { Connection } from "../connection/connection.ts";
import { insideOf } from "../connection/socket_connection.ts";

/** A request that is being answered. */
export interface RequestContext {
  /** Its number. */
  readonly id: number;
  /** The connection that it came from. */
  readonly connection: Connection;
  /**
   * Aborted when the connection is closed or reset before the request is answered: nobody will read
   * the answer. The signal of one that was answered stays as it is.
   */
  readonly signal: AbortSignal;
}

/** The requests of one connection whose signals were asked for, and that have no answer. */
class Unanswered {
  readonly #signals = new Set<AbortController>();
  /** The async context in which a signal was first asked for: that of the connection's handler. */
  readonly #scope: Scope = currentScope();
  #end: { readonly reason: unknown } | null = null;

  constructor(connection: Connection) {
    const end = insideOf(connection, "answer over").ended;
    // One reaction for all of them, since a connection may live for a month.
    end.then(() => this.#onEnd(undefined), (reason) => this.#onEnd(reason));
  }

  #onEnd(reason: unknown): void {
    this.#end = { reason };
    for (const signal of this.#signals) this.#scope(abort, signal, reason);
    this.#signals.clear();
  }

  add(signal: AbortController): void {
    if (this.#end === null) this.#signals.add(signal);
    else signal.abort(this.#end.reason);
  }

  delete(signal: AbortController): void {
    this.#signals.delete(signal);
  }
}

function abort(signal: AbortController, reason: unknown): void {
  signal.abort(reason);
}

const unanswered = new WeakMap<Connection, Unanswered>();

function unansweredOf(connection: Connection): Unanswered {
  const known = unanswered.get(connection) ?? new Unanswered(connection);
  unanswered.set(connection, known);
  return known;
}

/** Notes that a request was answered, or failed: nothing can end it any more. */
export let settle: (request: Request) => void;

/** A request as who answers it sees it. */
export class Request implements RequestContext {
  static {
    settle = (request) => request.#settle();
  }

  readonly id: number;
  readonly connection: Connection;
  #signal: AbortController | null = null;
  #isSettled = false;

  /** A request that has just come. */
  constructor(id: number, connection: Connection) {
    this.id = id;
    this.connection = connection;
  }

  get signal(): AbortSignal {
    if (this.#signal === null) {
      this.#signal = new AbortController();
      if (!this.#isSettled) unansweredOf(this.connection).add(this.#signal);
    }
    return this.#signal.signal;
  }

  #settle(): void {
    this.#isSettled = true;
    if (this.#signal !== null) unansweredOf(this.connection).delete(this.#signal);
  }
}
