/**
 * One poller of a cluster, as the cluster sees it: a Worker, the ring that leads to it, and what it
 * has to do.
 */
import { URL } from "node:url"; // the one that Worker wants, in the types of both runtimes
import { SHARE_ENV, Worker } from "node:worker_threads";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { type Unloadable, unloadables } from "../../ffi/unload.ts";
import { check } from "../core/check.ts";
import { NOT_READY } from "../core/errno.ts";
import { ClosedError, NetpollError, SystemError } from "../core/errors.ts";
import { RING_COUNT_MAX } from "../core/limits.ts";
import { RESOLVED } from "../core/promises.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import type { SocketOptions } from "../net/socket.ts";
import type { DatagramGroup } from "./datagram_group.ts";
import type { PollerLoad } from "./load_balance.ts";
import {
  ASSIGNMENT,
  type Assignment,
  Count,
  messageOf,
  type Order,
  type Report,
  type Serves,
} from "./protocol.ts";
import { modulesOf } from "./worker_entry.ts";

/** The start values of a Worker. */
export interface WorkerPlan
  extends Pick<Assignment, "handler" | "index" | "pollerCount" | "limits" | "data"> {
  /** The module that the Worker begins with. */
  readonly entry: { readonly href: string };
  /** Whether connections are handed over to it; otherwise it listens itself. */
  readonly hasRing: boolean;
}

/** The cluster, which hears of a Worker's end. */
export interface PollerWorkerOwner {
  /** It has ended without being asked to. */
  onEnd(worker: PollerWorker, error: Error): void;
  /** It was told to drain, and takes nothing any more from the sockets where it listens. */
  onClosed(worker: PollerWorker): void;
  /** It has drained, and its teardown failed. */
  onTeardownError(worker: PollerWorker, error: Error): void;
}

type Failure = Extract<Report, { type: "failed" }>;

type State = "starting" | "serving" | "draining" | "over" | "ended";

/** A Worker from its start to its end. One that ended is replaced by another. */
export class PollerWorker implements PollerLoad {
  readonly index: number;
  /** Whether its handler module serves connections, datagrams, or both. */
  serves: Serves = { connections: false, datagrams: false };
  /** The options that its listeners shall have. */
  socketOptions: Pick<SocketOptions, "noDelay" | "keepAlive"> = {};
  /** When it began to serve, in milliseconds of `performance.now()`; 0 before. */
  servesSince = 0;
  readonly #worker: Worker;
  /** At the end of the program the runtime ends its Workers. */
  readonly #unload: Unloadable = { close: (isOver) => isOver || this.terminate() };
  readonly #owner: PollerWorkerOwner;
  readonly #handler: string;
  readonly #counts: Int32Array;
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<number>();
  /** The number of connections that it had to cut; null until the last one has gone. */
  #cut: number | null = null;
  /** The callers that wait for its metrics, in the order of their questions. */
  readonly #measuring: ((metrics: Metrics | null) => void)[] = [];
  /** The callers that wait until it takes no more from a socket, in the same order. */
  readonly #unlistening: (() => void)[] = [];
  #state: State = "starting";
  #ring: number;
  /** The number of connections that were handed over. */
  #pushed = 0;
  /** An error that it threw outside of a request, until it has ended. */
  #error: { readonly error: unknown } | null = null;
  /** The reason why it could not begin. */
  #failure: Error | null = null;
  /** Whether our part of it runs. */
  #hasBegun = false;

  /**
   * Starts a Worker.
   *
   * @throws {SystemError} No descriptor or memory is left for its ring.
   */
  constructor(plan: WorkerPlan, owner: PollerWorkerOwner) {
    const { entry, hasRing, ...rest } = plan;
    const counts = new SharedArrayBuffer(Count.LENGTH * Int32Array.BYTES_PER_ELEMENT);
    this.index = plan.index;
    this.#owner = owner;
    this.#handler = plan.handler;
    this.#counts = new Int32Array(counts);
    this.#ring = hasRing ? check("make a ring", native.ringOpen()) : -1;
    const assignment: Assignment = { ...rest, counts, ring: hasRing ? this.#ring : null };
    this.#ready.promise.catch(() => {}); // whoever waits for it is told
    try {
      // Before, since the runtime would stop the program and ask its user.
      for (const url of modulesOf(entry.href, plan.handler)) host.checkModule(url);
      this.#worker = new Worker(new URL(entry.href), {
        workerData: { [ASSIGNMENT]: assignment },
        // To make a copy it would ask for all variables; those that are granted are there anyway.
        ...(host.mayCopyEnv ? {} : { env: SHARE_ENV }),
      });
    } catch (error) {
      this.#closeRing();
      throw new NetpollError(`Cannot start a Worker for ${this.#handler}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#worker.on("message", (report: Report) => this.#onReport(report));
    this.#worker.on("error", (error: unknown) => this.#error ??= { error });
    this.#worker.on("exit", (code: number) => this.#onExit(code));
    unloadables.add(this.#unload);
  }

  /** Resolves when it serves; rejects when it cannot. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get connectionCount(): number {
    return this.pendingCount + Atomics.load(this.#counts, Count.OPEN);
  }

  /** Connections that were handed over, and that it has not taken yet. */
  get pendingCount(): number {
    if (this.#ring < 0) return 0;
    return this.#pushed - Atomics.load(this.#counts, Count.TAKEN);
  }

  /** Whether a connection can be handed over to it now. */
  get canTake(): boolean {
    return this.#state === "serving" && this.pendingCount < RING_COUNT_MAX;
  }

  /** Whether it serves. */
  get isServing(): boolean {
    return this.#state === "serving";
  }

  /** Hands a connection over. False when there is no room: then it is still the caller's. */
  push(fd: number, ends: Uint32Array): boolean {
    const code = native.ringPush(this.#ring, fd, ends);
    if (code === NOT_READY) return false;
    check("hand a connection over", code);
    this.#pushed += 1;
    return true;
  }

  /** Takes a connection back that the Worker did not get to: its descriptor, or a negative number. */
  takeBack(ends: Uint32Array): number {
    return this.#ring < 0 ? -1 : native.ringTake(this.#ring, ends);
  }

  /** Lets it take connections from a socket that stays the caller's. */
  listen({ fd, tlsContext, headers }: ListenerSocket): void {
    this.#order({ type: "listen", fd, tlsContext, proxyProtocol: headers?.options });
  }

  /** Lets it take no more connections from a socket; resolves when it does not, or has ended. */
  unlisten(fd: number): Promise<void> {
    if (this.#state === "starting" || this.#state === "ended") return RESOLVED;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unlistening.push(resolve);
    this.#order({ type: "unlisten", fd });
    return promise;
  }

  /** Lets it serve the datagrams of its socket of a group. */
  bind(group: DatagramGroup): void {
    this.#order({ type: "bind", fd: group.fdOf(this.index), settings: group.settings });
  }

  /**
   * Lets it serve what it has, within a time. How many connections were cut then. A second call
   * waits for the same.
   */
  drain(timeoutMs: number): Promise<number> {
    if (this.#state === "starting") return Promise.resolve(0);
    if (this.#state !== "serving") return this.#over.promise;
    this.#state = "draining";
    this.#order({ type: "shutdown", timeoutMs });
    return this.#over.promise;
  }

  /** Cuts what is left while it drains. */
  cut(): void {
    if (this.#state === "draining") this.#order({ type: "cut" });
  }

  /** The metrics of its thread; null when it has ended. They wait for a handler that keeps the thread. */
  measure(): Promise<Metrics | null> {
    if (this.#state === "starting" || this.#state === "ended") return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<Metrics | null>();
    this.#measuring.push(resolve);
    this.#order({ type: "measure" });
    return promise;
  }

  #order(order: Order): void {
    this.#worker.postMessage(order);
  }

  /** Terminates it as if that came from elsewhere: its owner hears of it. */
  kill(): void {
    void this.#worker.terminate();
  }

  /** Ends it at once: its thread gives back what it has open. */
  terminate(): void {
    if (this.#state === "ended") return;
    this.#end(this.connectionCount);
    this.#closeRing();
    this.kill();
  }

  /** The time that it had to drain is over: ends it. An error, if it had not ended by itself. */
  expire(): Error | null {
    const what = this.#cut === null ? "a callback has not settled" : "its teardown has not settled";
    const error = this.#state !== "draining" ? null : new NetpollError(
      `Worker ${this.index} did not end in time, ${what}; ` +
        `connections lost with it: ${this.connectionCount}`,
    );
    this.terminate();
    return error;
  }

  /** Keeps the process alive. */
  ref(): void {
    this.#worker.ref();
  }

  /** Lets the process end. */
  unref(): void {
    this.#worker.unref();
  }

  #onReport(report: Report): void {
    if (this.#state === "ended") return;
    if (report.type === "measured") return this.#measuring.shift()?.(report.metrics);
    if (report.type === "unlistened") return this.#unlistening.shift()?.();
    if (report.type === "closed") return this.#owner.onClosed(this);
    if (report.type === "drained") return void (this.#cut = report.cut);
    if (report.type === "over") return this.#onOver(report);
    if (report.type === "failed") return this.#onFailed(report);
    if (report.type === "begun") return void (this.#hasBegun = true);
    this.serves = report.serves;
    this.socketOptions = report.socketOptions;
    this.#state = "serving";
    this.servesSince = performance.now();
    this.#ready.resolve();
  }

  #onOver({ failure }: Extract<Report, { type: "over" }>): void {
    this.#state = "over";
    if (failure !== null) {
      const what = `Worker ${this.index} failed in its teardown: ${messageOf(failure.error)}`;
      this.#owner.onTeardownError(this, new NetpollError(what, { cause: failure.error }));
    }
    this.#over.resolve(this.#cut!);
  }

  #onFailed(failure: Failure): void {
    this.#failure = this.#describe(failure);
    this.kill(); // and `#onExit` goes on
  }

  /** A mistake of the user's as it is; what the kernel refused with its code. */
  #describe({ error, isMisuse, system }: Failure): Error {
    if (isMisuse && (error instanceof TypeError || error instanceof RangeError)) return error;
    const what = `Cannot start a Worker for ${this.#handler}: ${messageOf(error)}`;
    if (system === null) return new NetpollError(what, { cause: error });
    const cause = new SystemError(system.syscall, system.errno, "", { cause: error });
    return new SystemError("start a Worker for", system.errno, this.#handler, { cause });
  }

  #onExit(code: number): void {
    if (this.#state === "ended") return;
    const wasStarting = this.#state === "starting";
    const lost = this.connectionCount;
    const error = wasStarting ? this.#startError(code) : this.#endError(code, lost);
    this.#ready.reject(error);
    this.#end(lost);
    this.#owner.onEnd(this, error);
    this.#closeRing();
  }

  #endError(code: number, lost: number): Error {
    const error = this.#error;
    const why = error === null ? `with code ${code}` : `by an error: ${messageOf(error.error)}`;
    const what = `Worker ${this.index} ended ${why}; connections lost with it: ${lost}`;
    return new NetpollError(what, error === null ? undefined : { cause: error.error });
  }

  #startError(code: number): Error {
    if (this.#failure !== null) return this.#failure;
    const error = this.#error;
    const why = error !== null
      ? messageOf(error.error)
      : this.#hasBegun
      ? `it ended with code ${code}: its import or its setup has ended it, or waits for what never comes`
      : `it ended with code ${code}; in a bundle the handler module has to import netpoll`;
    return new NetpollError(
      `Cannot start a Worker for ${this.#handler}: ${why}`,
      error === null ? undefined : { cause: error.error },
    );
  }

  #end(lost: number): void {
    unloadables.delete(this.#unload);
    this.#state = "ended";
    this.#ready.reject(new ClosedError("Cannot serve: the cluster was shut down"));
    this.#over.resolve(this.#cut ?? lost);
    for (const resolve of this.#measuring.splice(0)) resolve(null);
    for (const resolve of this.#unlistening.splice(0)) resolve();
  }

  #closeRing(): void {
    if (this.#ring >= 0) native.ringClose(this.#ring);
    this.#ring = -1;
  }
}
