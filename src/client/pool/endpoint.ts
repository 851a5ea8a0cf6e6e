/**
 * One of the addresses of a pool: its connections, and whether it can be relied on.
 *
 * ```text
 *   in use ── n failures in a row ──► ejected ── its time is over ──► due for a probe
 *     ▲                                  ▲                                  │
 *     │                                  └────────── it failed ◄────────────┤
 *     └──────────────────────── it connected ◄──────────────────────────────┘
 * ```
 */
import type { Connection } from "../../connection/connection.ts";
import type { SocketConnection } from "../../connection/socket_connection.ts";
import { BusyError, ClosedError, EofError, NetpollError, TimeoutError } from "../../core/errors.ts";
import { EJECT_MS_MAX } from "../../core/limits.ts";
import { chance, halfJitter } from "../../core/jitter.ts";

/** A connection of a pool. */
export interface Member {
  /** The connection. */
  readonly connection: Connection;
  /** Its inside. */
  readonly inside: SocketConnection<unknown>;
  /** The address that it leads to. */
  readonly endpoint: Endpoint;
  /** When its life is over, in milliseconds; Infinity for never. */
  readonly expiryMs: number;
  /** Its deadlines at first, which whoever has it may change: of a read, of a write, of silence. */
  readonly timeoutsMs: readonly [read: number, write: number, idle: number];
  /** Its holder. A connection that is gone is the pool's no more. */
  state: "made" | "idle" | "probed" | "leased" | "gone";
  /** Since when it lies idle, in milliseconds. */
  idleSinceMs: number;
}

/** The way to connect to an endpoint. */
export type Connect = (signal: AbortSignal) => Promise<Connection>;

/** An address of a pool. */
export class Endpoint {
  /** The address in one line. */
  readonly name: string;
  readonly connect: Connect;
  /** Connections that nobody uses; the one that was used last is the last. */
  readonly idle: Member[] = [];
  /** Connections that somebody has, or that are probed. */
  usedCount = 0;
  /** Connections that are on their way. */
  dialingCount = 0;
  /** Failures since something went well. */
  failureCount = 0;
  readonly #ejectAfter: number;
  readonly #ejectMs: number;
  #ejectionCount = 0;
  /** When the ejection is over, in milliseconds; 0 without one. */
  #ejectedUntilMs = 0;

  /** An address. It is ejected after so many failures in a row, 0 for never. */
  constructor(name: string, connect: Connect, ejectAfter: number, ejectMs: number) {
    this.name = name;
    this.connect = connect;
    this.#ejectAfter = ejectAfter;
    this.#ejectMs = ejectMs;
  }

  /** All of its connections, those on their way included. */
  get connectionCount(): number {
    return this.idle.length + this.usedCount + this.dialingCount;
  }

  /** The connections of it that are in use or on the way. */
  get load(): number {
    return this.usedCount + this.dialingCount;
  }

  /** Whether others are used instead. */
  get isEjected(): boolean {
    return this.#ejectedUntilMs > 0;
  }

  /** Whether it has been ejected for long enough, and nobody tries it yet. */
  isDueForProbe(nowMs: number): boolean {
    return this.isEjected && this.#ejectedUntilMs <= nowMs && this.dialingCount === 0;
  }

  /** Something went wrong. Whether it is ejected now, and was not before. */
  fail(nowMs: number): boolean {
    this.failureCount += 1;
    if (this.#ejectAfter === 0 || this.failureCount < this.#ejectAfter) return false;
    const wasEjected = this.isEjected;
    if (this.#ejectedUntilMs > nowMs) return false; // it was tried all the same
    this.#ejectedUntilMs = nowMs + halfJitter(this.#ejectionCount, this.#ejectMs, EJECT_MS_MAX);
    this.#ejectionCount += 1;
    return !wasEjected;
  }

  /** It could be connected to: it is used again, until the next failure. */
  letIn(): void {
    if (!this.isEjected) return;
    this.#ejectedUntilMs = 0;
    this.failureCount = this.#ejectAfter - 1;
  }

  /** A connection was used, and came back as it was. */
  succeed(): void {
    this.failureCount = 0;
    this.#ejectionCount = 0;
    this.#ejectedUntilMs = 0;
  }
}

/** Whether an error says something of the server: it is not the program's own, nor of its load. */
export function isOfPeer(error: unknown): boolean {
  if (error instanceof TimeoutError) return error.operation !== "acquire";
  const isOwn = error instanceof BusyError ||
    (error instanceof ClosedError && !(error instanceof EofError));
  return error instanceof NetpollError && !isOwn;
}

/**
 * One of those that fit: two at random, and of these the one that is less busy ("the power of two
 * choices"): nearly as even as to look for the least busy, and not all of many clients come to it.
 */
export function choose(
  endpoints: readonly Endpoint[],
  fits: (endpoint: Endpoint) => boolean,
): Endpoint | null {
  if (endpoints.length === 1) return fits(endpoints[0]!) ? endpoints[0]! : null;
  let [first, second]: [Endpoint | null, Endpoint | null] = [null, null];
  let count = 0;
  for (const endpoint of endpoints) {
    if (!fits(endpoint)) continue;
    // Each of those so far stays with the same probability (reservoir sampling).
    const place = count < 2 ? count : Math.floor(chance.next() * (count + 1));
    if (place === 0) first = endpoint;
    else if (place === 1) second = endpoint;
    count += 1;
  }
  if (first === null || second === null) return first;
  const isTie = first.load === second.load;
  if (isTie) return chance.next() < 0.5 ? first : second;
  return first.load < second.load ? first : second;
}
