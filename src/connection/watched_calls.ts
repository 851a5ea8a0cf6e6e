/**
 * The calls of a connection's handler, looked at one by one: how long each waited and took, and what
 * it failed with. Only while somebody wants to know (core/watching.ts); a connection whose calls
 * nobody ever looked at has no object of this kind.
 */
import { threadId } from "node:worker_threads";
import type { Scope } from "../../ffi/context.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { config, say } from "../core/config.ts";
import { latency } from "../core/latency.ts";
import { watching } from "../core/watching.ts";
import { describeAddress, type StreamAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { turn } from "../poll/turn.ts";
import type { Connection } from "./connection.ts";
import { type ConnectionWriter, writeSide } from "./connection_writer.ts";
import type { Failure } from "./ending.ts";
import { type RequestMessage, requests } from "./messages.ts";

/** The connection whose handler is called. */
export interface WatchedConnection {
  /** The connection as its user sees it. */
  readonly face: Connection;
  /** The number of the connection in this thread. */
  readonly serial: number;
  /** Received bytes. */
  readonly input: LinkChain;
  /** Where answers go. */
  readonly writer: ConnectionWriter;
  readonly localAddress: StreamAddress;
  readonly remoteAddress: StreamAddress;
}

/** The name of a connection in messages and log lines. */
export function idOf({ serial }: Pick<WatchedConnection, "serial">): string {
  return threadId === 0 ? `${serial}` : `${threadId}-${serial}`;
}

/** Looks at the calls of one connection's handler, of which at most one is under way. */
export class WatchedCalls implements TimerOwner {
  /** The number of calls that were looked at. */
  count = 0;
  readonly #of: WatchedConnection;
  readonly #poller: Poller;
  readonly #scope: Scope;
  /** Tells of each call as well. Made for the first one. */
  #tellingScope: Scope | null = null;
  /** When the call that is under way began, in microseconds; 0 for none. */
  #since = 0;
  /** The histograms when it began: it counts in these, and in none that were begun meanwhile. */
  #latency: typeof latency = null;
  /** Whether more than how long it takes is wanted. */
  #isClose = false;
  /** Bytes that had been read and sent when it began. */
  #readBefore = 0;
  #sentBefore = 0;
  #message: RequestMessage | null = null;
  /** Made for the first call that is told of. */
  #id: string | null = null;
  /** Made for the first asynchronous call that may be slow. */
  #timer: Timer | null = null;

  /** Those of a connection that are called from now on. */
  constructor(of: WatchedConnection, { poller, scope }: { poller: Poller; scope: Scope }) {
    this.#of = of;
    this.#poller = poller;
    this.#scope = scope;
  }

  /**
   * A call begins: it is to be made in the scope that is returned, and its caller says when it has
   * settled: `end`. A measurement costs one look at the clock, mostly, and nothing is allocated.
   */
  begin(): Scope {
    this.count += 1;
    if (!watching.isTimed) return this.#scope;
    const since = this.#since = turn.since();
    this.#latency = latency;
    if (latency !== null) latency.wait.record(since - this.#poller.batchMicros);
    this.#isClose = watching.isClose;
    return this.#isClose ? this.#lookClosely() : this.#scope;
  }

  #lookClosely(): Scope {
    const { input, writer } = this.#of;
    this.#readBefore = input.total;
    this.#sentBefore = writeSide.sentBytes(writer);
    if (!requests.isHeard) return this.#scope;
    this.#message = {
      connection: this.#of.face,
      id: this.#id ??= idOf(this.#of),
      request: this.count,
      waitMs: Math.max(0, this.#since - this.#poller.batchMicros) / 1000,
      readableBytes: input.length,
      readBytes: 0,
      durationMs: null,
    };
    return this.#tellingScope ??= this.#makeTellingScope();
  }

  /** The scope of the service, within which the start of a call is told before it is made. */
  #makeTellingScope(): Scope {
    let handler: (a: never, b: never) => unknown;
    const call = (a: never, b: never) => requests.start(this.#message!, handler, a, b);
    return <A, B, R>(given: (a: A, b: B) => R, a: A, b: B): R => {
      handler = given;
      return this.#scope(call, a as never, b as never) as R;
    };
  }

  /** The call has returned a promise. */
  wait(): void {
    if (this.#since === 0 || !this.#isClose || config.slowHandlerMs === 0) return;
    this.#timer ??= new Timer(this);
    this.#poller.setTimer(this.#timer, config.slowHandlerMs);
  }

  /** The call has settled, whatever came of it; `isAsync`: not before it returned. */
  end(failure: Failure | null, isAsync: boolean): void {
    const since = this.#since;
    if (since === 0) return;
    const now = clock.now();
    const micros = now - since;
    this.#since = 0;
    turn.endStep(now);
    this.#latency?.handler.record(micros);
    if (this.#isClose) this.#conclude(micros, failure, isAsync);
  }

  #conclude(micros: number, failure: Failure | null, isAsync: boolean): void {
    if (this.#timer !== null) this.#poller.cancelTimer(this.#timer);
    if (config.slowHandlerMs > 0 && micros >= config.slowHandlerMs * 1000) {
      this.#complain(`took ${ms(micros)} ms${isAsync ? " until it settled" : ""}`);
    }
    const message = this.#message;
    if (message === null) return;
    this.#message = null;
    message.readBytes = this.#of.input.total - this.#readBefore;
    if (failure === null) requests.end(message, micros / 1000);
    else requests.fail(message, micros / 1000, failure.error);
  }

  onTimer(): void {
    this.#complain(`has not settled for ${ms(clock.now() - this.#since)} ms`);
  }

  #complain(what: string): void {
    const { input, writer, localAddress, remoteAddress } = this.#of;
    const read = input.total - this.#readBefore;
    const sent = writeSide.sentBytes(writer) - this.#sentBefore;
    try {
      say(
        "warn",
        `slow handler: call ${this.count} of connection ${idOf(this.#of)}, ` +
          `${describeAddress(localAddress)} ↔ ${describeAddress(remoteAddress)}, ${what}; ` +
          `${read} bytes read, ${sent} sent`,
      );
    } catch {
      // A log that fails has nowhere to say so.
    }
  }
}

function ms(micros: number): string {
  return (micros / 1000).toFixed(micros < 10_000 ? 2 : 0);
}
