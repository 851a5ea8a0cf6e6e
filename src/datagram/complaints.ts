/**
 * Errors that wait to be told. No callback runs inside a call of the user's, so what a write finds
 * out is heard a moment later; and a flood of errors fills no memory and no log.
 */
import type { Scope } from "../../ffi/context.ts";
import { say } from "../core/config.ts";
import { SystemError } from "../core/errors.ts";
import { DATAGRAM_ERRORS_MAX, DATAGRAM_LOG_MS } from "../core/limits.ts";
import { placed } from "../core/place.ts";
import { callBack } from "../core/promises.ts";
import { describeAddress, type PackedAddress, type UdpAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import { describePeer } from "./peer.ts";

/** The user's callback. */
export type OnError = (error: unknown, peer: PackedAddress | null) => void;

/** When this thread last logged an error that nobody hears, in milliseconds. */
let loggedAt = -Infinity;
/** Those that were not logged since. */
let silentCount = 0;

/** Says something where nobody was there to be told. */
export function logLine(line: string): void {
  try {
    say("warn", line);
  } catch {
    // A log that fails has nowhere to say so.
  }
}

/** An error of the kernel about an address. */
export function errorAt(action: string, errno: number, address: UdpAddress): SystemError {
  return placed(new SystemError(action, errno, describeAddress(address)), address);
}

/** Says that a socket sends trains no more, or none of more bytes a datagram. */
export function logTrains({ message }: SystemError, segmentMax: number): void {
  const which = segmentMax === 0 ? "they" : `those of more than ${segmentMax} bytes`;
  const line = `${message}; ${which} leave one by one from now on, and nothing is lost`;
  queueMicrotask(() => logLine(line)); // no callback runs inside a write
}

function log(what: string, error: unknown, peer: PackedAddress | null): void {
  const nowMs = clock.now() / 1000;
  if (nowMs - loggedAt < DATAGRAM_LOG_MS) {
    silentCount += 1;
    return;
  }
  loggedAt = nowMs;
  const others = silentCount > 0 ? ` (and ${silentCount} errors before it)` : "";
  silentCount = 0;
  const about = peer === null ? "" : ` about ${describePeer(peer)}`;
  const text = error instanceof Error ? error.stack : error;
  logLine(`${what}${about}: ${text}${others}`);
}

/** The errors of a socket. */
export class Complaints {
  readonly #onError: OnError | undefined;
  readonly #scope: Scope;
  #waiting: { error: unknown; peer: PackedAddress | null }[] = [];

  /** Nothing to tell. */
  constructor(onError: OnError | undefined, scope: Scope) {
    this.#onError = onError;
    this.#scope = scope;
  }

  /** Whether there is something to tell. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Notes an error. Those above a bound are counted by the socket alone. */
  add(error: unknown, peer: PackedAddress | null): void {
    if (this.#waiting.length < DATAGRAM_ERRORS_MAX) this.#waiting.push({ error, peer });
  }

  /** Tells all of them. Outside of any call of the user's. */
  tell(): void {
    const told = this.#waiting;
    this.#waiting = [];
    for (const { error, peer } of told) this.#tell(error, peer);
  }

  #tell(error: unknown, peer: PackedAddress | null): void {
    const onError = this.#onError;
    if (onError === undefined) return log("a datagram socket without onError", error, peer);
    const fail = (second: unknown) => log("onError of a datagram socket failed", second, peer);
    callBack(() => this.#scope(onError, error, peer), fail);
  }
}
