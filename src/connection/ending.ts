/**
 * The end of a connection, and the promises of it. One that nobody asks has no object of this kind.
 */
import { type Ban, CLOSED } from "../buffer/link_chain.ts";
import { BusyError, ClosedError, EofError } from "../core/errors.ts";
import { ignore } from "../core/promises.ts";
import type { Handshake } from "../transport/handshake.ts";
import type { Draining } from "./draining.ts";
import type { Errand, Leaving } from "./leaving.ts";
import type { CloseResult } from "./settings.ts";
import type { SelfWait } from "./self_wait.ts";

/** We have ended our side. */
export const WRITE_ENDED: Ban = {
  error: (message) => new ClosedError(message),
  message: "Cannot write after closeWrite()",
};

/** The peer has ended its side. */
export const PEER_ENDED: Ban = {
  error: (message) => new EofError(message),
  message: "Cannot read more: the peer has ended its side",
};

/** A pipe moves its bytes. */
export const PIPED: Ban = {
  error: (message) => new BusyError(message),
  message: "Cannot read or write: the connection is piped",
};

/** A TLS handshake is under way. */
export const SECURING: Ban = {
  error: (message) => new BusyError(message),
  message: "Cannot read or write: startTls() has not finished",
};

/** A descriptor that is open one way only: why the other way fails. */
export function oneWay(verb: "read" | "write", fd: number): Ban {
  const only = verb === "read" ? "writing" : "reading";
  return {
    error: (message) => new TypeError(message),
    message: `Cannot ${verb}: descriptor ${fd} is open for ${only} only`,
  };
}

/** The error of whoever waited for something of a connection that was closed. */
export function closedError(ending: Ending | null): ClosedError {
  const cause = ending?.failure ? ending.failure.error : ending?.leaving?.reason;
  return new ClosedError("Cannot go on: the connection was closed", { cause });
}

/** The ban of a connection that was closed: why a later call fails. */
export function closedBan(ending: Ending | null): Ban {
  if (ending === null || (ending.failure === null && ending.leaving === null)) return CLOSED;
  return { error: () => closedError(ending), message: "" };
}

/**
 * That something failed, and with what. Whatever is thrown is a reason, null and undefined as well:
 * that there is none is told by the absence of this.
 */
export interface Failure {
  /** The value that was thrown, or rejected with. */
  readonly error: unknown;
}

/** A promise whose rejection may go unheard. */
function quiet(): PromiseWithResolvers<void> {
  const resolvers = Promise.withResolvers<void>();
  resolvers.promise.catch(ignore);
  return resolvers;
}

/** The promises about the end of a connection, each made when it is asked for. */
export class Ending {
  /** Why the connection ended, unless in order. */
  failure: Failure | null = null;
  /** Its time is over: it closes as soon as nothing is under way. */
  leaving: Leaving | null = null;
  /** A use of it without a callback, if anybody has told of one. */
  errand: Errand | null = null;
  /** Our side shall end when everything that was flushed has left. */
  isWriteEnding = false;
  /** Bytes that had been flushed and were dropped. */
  unsentBytes = 0;
  /** Delivers what was flushed. */
  draining: Draining | null = null;
  /** The handshake that is under way. */
  securing: Handshake | null = null;
  /** Looks whether one of its callbacks waits for `closed`. */
  selfWait: SelfWait | null = null;
  #closing: PromiseWithResolvers<CloseResult> | null = null;
  #closed: PromiseWithResolvers<void> | null = null;
  #ended: PromiseWithResolvers<void> | null = null;
  #writeEnded: PromiseWithResolvers<void> | null = null;

  /** Why it ends; the first reason is the one that counts. */
  fail(error: unknown): void {
    this.failure ??= { error };
  }

  /** The promise of `close()`. */
  get closing(): Promise<CloseResult> {
    return (this.#closing ??= Promise.withResolvers<CloseResult>()).promise;
  }

  /** The promise `closed`. A rejection that nobody looks at is no unhandled one. */
  get closed(): Promise<void> {
    return (this.#closed ??= quiet()).promise;
  }

  /** Whether somebody has asked for `closed`. */
  get isAsked(): boolean {
    return this.#closed !== null;
  }

  /** Resolves `closed`: nothing is left but the callback that waits for it. */
  endWaiting(): void {
    this.#closed?.resolve();
  }

  /** As `closed`, but never before it is closed: for ourselves. */
  get ended(): Promise<void> {
    return (this.#ended ??= quiet()).promise;
  }

  /** The promise of `closeWrite()`. */
  get writeEnded(): Promise<void> {
    return (this.#writeEnded ??= Promise.withResolvers<void>()).promise;
  }

  /** Our side has ended. */
  endWrite(): void {
    this.#writeEnded?.resolve();
  }

  /** All is over. */
  end(): void {
    this.#writeEnded?.resolve();
    this.#closing?.resolve({ unsentBytes: this.unsentBytes });
    for (const each of [this.#closed, this.#ended]) {
      if (this.failure === null) each?.resolve();
      else each?.reject(this.failure.error);
    }
  }
}
