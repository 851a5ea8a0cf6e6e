/**
 * Cluster: a server on several cores, a poller in a Worker for each.
 */
import { currentScope, type Scope } from "../../ffi/context.ts";
import { availableParallelism } from "node:os";
import { clearTimeout, setTimeout } from "node:timers";
import { say } from "../core/config.ts";
import { showAs } from "../core/inspect.ts";
import { NetpollError, type SystemError } from "../core/errors.ts";
import { WORKER_BACKOFF_MS, WORKER_HEALTHY_MS } from "../core/limits.ts";
import { callBack } from "../core/promises.ts";
import {
  type ClusterMetrics,
  clusterMetrics,
  type ClusterPollerMetrics,
} from "../metrics/cluster_metrics.ts";
import { metrics } from "../metrics/metrics.ts";
import { listenerSocket } from "../net/listener.ts";
import type { Listener } from "../net/listener_contract.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import type { DatagramNetwork, UdpAddress } from "../net/address.ts";
import type { AddressLike } from "../net/written.ts";
import type { PollerLoad } from "./load_balance.ts";
import { isClusterWorker } from "./cluster_worker.ts"; // which begins by itself in a Worker
import {
  checkPollerCount,
  type ClusterOptions,
  measureMs,
  type MeasureOptions,
  readCluster,
} from "./cluster_options.ts";
import { type ClusterDatagramOptions, DatagramGroup } from "./datagram_group.ts";
import { setStreamOptions } from "./event_loop.ts";
import { Handover } from "./handover.ts";
import { loopRates, partOf } from "./loop_limits.ts";
import { afterMs } from "./patience.ts";
import { PollerWorker } from "./poller_worker.ts";
import type { Serves } from "./protocol.ts";
import { SharedListener } from "./shared_listener.ts";
import {
  drainWithin,
  Shutdown,
  shutdownMs,
  type ShutdownOptions,
  type ShutdownResult,
} from "./shutdown.ts";
import { Turns } from "./turns.ts";
import { entryOf } from "./worker_entry.ts";

/** Terminates one Worker of a cluster, as if it had died: for tests. */
export let killWorker: (cluster: Cluster, index: number) => void;

/**
 * Serves connections on several cores: what an {@linkcode EventLoop} is for one.
 *
 * The callbacks are the exports of a module, a {@linkcode HandlerModule}, which each Worker imports
 * for itself. A Worker that dies takes its own connections with it and is replaced.
 *
 * @example
 * ```ts
 * import { isMainThread } from "node:worker_threads";
 * import { Cluster, type Connection, createListener } from "@netpoll/netpoll";
 *
 * export function onRequest({ reader }: Connection) {
 *   reader.skip(reader.length);
 *   reader.release();
 * }
 *
 * if (isMainThread) {
 *   const cluster = new Cluster(new URL(import.meta.url), { pollerCount: 2 });
 *   const served = cluster.serve(createListener("tcp", "127.0.0.1:0"));
 *   await cluster.shutdown({ timeoutMs: 5000 });
 *   await served;
 * }
 * ```
 */
export class Cluster {
  #pollerCount: number;
  readonly #handler: URL;
  readonly #options: ClusterOptions;
  readonly #scope: Scope = currentScope();
  readonly #isHandover: boolean;
  readonly #handover: Handover;
  readonly #workers: (PollerWorker | null)[] = [];
  /** Those that are too many, and finish what they have. */
  readonly #leaving = new Set<PollerWorker>();
  /** The number of times that each poller's Worker ended lately. */
  readonly #failures: number[] = [];
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  /** With "reuseport", the sockets of each listener. */
  #shared: SharedListener[] = [];
  /** The sockets of datagrams, a group each address. */
  readonly #groups: DatagramGroup[] = [];
  readonly #served = Promise.withResolvers<void>();
  #started: Promise<void> | null = null;
  /** Listeners and groups that are served, or about to be: the failure of one ends no other. */
  #servedCount = 0;
  /** Changes of the pollers, and of the groups: these have a socket for each poller. */
  readonly #turns = new Turns();
  #isRef = true;
  readonly #shutdown = new Shutdown();

  static {
    killWorker = (cluster, index) => cluster.#workers[index]?.kill();
  }

  /**
   * A cluster that serves nothing yet; its Workers start with the first listener.
   *
   * @throws {TypeError} The handler is no URL, or an option means nothing.
   * @throws {RangeError} `pollerCount` is no number of pollers.
   */
  constructor(handler: URL, options: ClusterOptions = {}) {
    if (isClusterWorker) {
      throw new NetpollError(
        "Cannot make a cluster in the Worker of a cluster: who serves is there",
      );
    }
    const read = this.#options = readCluster(handler, options);
    this.#handler = handler;
    this.#isHandover = read.acceptMode !== "reuseport";
    this.#handover = new Handover(
      read.loadBalance === undefined ? "round-robin" : read.loadBalance,
      {
        takers: () => this.#workers.filter((worker) => worker?.canTake) as PollerWorker[],
        onPolicyError: (error) => this.#report(error as Error, -1, "the next one serves it"),
        onAcceptFailure: (error) => this.#onAcceptFailure(error),
      },
      loopRates(read.limits)?.accepts,
    );
    this.#pollerCount = checkPollerCount(read.pollerCount ?? availableParallelism(), read.limits);
  }

  /** The number of pollers, those included whose Worker is being replaced. */
  get pollerCount(): number {
    return this.#pollerCount;
  }

  /** The number of open connections in all Workers, and of those that come. */
  get connectionCount(): number {
    const all = [...this.pollers, ...this.#leaving];
    return all.reduce((sum, one) => sum + one.connectionCount, this.#handover.homelessCount);
  }

  /** The pollers that serve now. */
  get pollers(): readonly PollerLoad[] {
    return this.#workers.filter((worker) => worker !== null && worker.isServing) as PollerWorker[];
  }

  /**
   * The metrics of all threads of the cluster: of this one, which accepts, and of each
   * Worker. One that does not answer in time, because a handler keeps its thread, or that has ended
   * and is being replaced, is there without metrics.
   *
   * @throws {RangeError} `timeoutMs` is no time. As a rejection.
   *
   * @example
   * ```ts ignore
   * const { total, pollers } = await cluster.metrics();
   * console.log(total.connections.activeCount, pollers.length);
   * ```
   */
  async metrics(options: MeasureOptions = {}): Promise<ClusterMetrics> {
    const timeoutMs = measureMs(options);
    const { promise: late, resolve } = Promise.withResolvers<null>();
    const giveUp = afterMs(timeoutMs, () => resolve(null));
    const pollers = await Promise.all(
      Array.from({ length: this.#pollerCount }, async (_, index): Promise<ClusterPollerMetrics> => {
        const worker = this.#workers[index];
        if (worker == null) return { index, connectionCount: 0, pendingCount: 0, metrics: null };
        const metrics = await Promise.race([worker.measure(), late]);
        const { connectionCount, pendingCount } = worker;
        return { index, connectionCount, pendingCount, metrics };
      }),
    );
    giveUp();
    return clusterMetrics(metrics(), pollers);
  }

  /**
   * Takes connections from a listener, which it owns from now on, as soon as all Workers serve.
   * Several listeners may be served. Settles when the cluster has shut down.
   *
   * @throws {TypeError} The handler module is none, or the listener does not fit `acceptMode`.
   * @throws {NetpollError} A Worker could not start; all of them have ended then.
   * @throws {SystemError} The listener broke, or cannot be watched.
   */
  async serve(listener: Listener): Promise<void> {
    if (this.#shutdown.result !== null) {
      listener.close();
      return void await this.#shutdown.result;
    }
    const socket = listenerSocket(listener);
    socket.credentials?.askNobody();
    this.#servedCount += 1;
    try {
      const shared = this.#isHandover ? null : this.#share(socket);
      await (this.#started ??= this.#start());
      this.#checkServes("connections", "onRequest, onConnect or onPrepare");
      if (this.#shutdown.result !== null) socket.close(); // it was shut down meanwhile
      else if (shared !== null) this.#listenIn(shared);
      else {
        setStreamOptions(socket, this.#workers[0]?.socketOptions ?? {});
        this.#handover.accept(socket);
      }
    } catch (error) {
      const isShutDown = this.#shutdown.result !== null;
      socket.close();
      await this.#serveOneLess();
      if (!isShutDown) throw error;
    }
    return this.#served.promise;
  }

  /**
   * Serves the datagrams that are sent to an address, as soon as all Workers serve: `onDatagram` or
   * `onDatagrams` of the handler module gets those of the peers that the kernel, or `steerOffset`,
   * gives to its poller. A peer stays with its poller as long as the cluster runs: what comes for a
   * Worker that has died waits for its successor. The address, with its port.
   *
   * @throws {TypeError} The handler module has neither, or the address or an option is malformed.
   * @throws {SystemError} The kernel refuses the address.
   * @throws {ClosedError} The cluster has shut down.
   * @throws {NetpollError} A Worker could not start.
   *
   * @example
   * ```ts ignore
   * const { port } = await cluster.bindDatagram("udp", "127.0.0.1:0");
   * ```
   */
  bindDatagram(
    network: DatagramNetwork,
    address: AddressLike,
    options: ClusterDatagramOptions = {},
  ): Promise<UdpAddress> {
    return this.#turns.take(async () => {
      this.#shutdown.check("bind");
      const group = new DatagramGroup(network, address, options, this.#pollerCount);
      this.#servedCount += 1;
      try {
        await (this.#started ??= this.#start());
        this.#checkServes("datagrams", "onDatagram or onDatagrams");
        this.#shutdown.check("bind");
      } catch (error) {
        group.close();
        await this.#serveOneLess();
        throw error;
      }
      this.#groups.push(group);
      for (const worker of this.#workers) if (worker?.isServing) worker.bind(group);
      return group.address;
    });
  }

  /** Gives up what was to be served. The Workers end unless they serve something else. */
  async #serveOneLess(): Promise<void> {
    this.#servedCount -= 1;
    if (this.#started !== null && this.#servedCount === 0) await this.shutdown({ timeoutMs: 0 });
  }

  #checkServes(kind: keyof Serves, exports: string): void {
    if (this.#workers.every((worker) => worker === null || worker.serves[kind])) return;
    throw new TypeError(`Cannot serve ${kind}: ${this.#handler} exports no ${exports}`);
  }

  #onAcceptFailure(error: SystemError): void {
    this.#served.reject(error);
    void this.shutdown();
  }

  // ---- Workers ----------------------------------------------------------------------------------

  /** Starts as many as are missing; resolves when they serve. */
  async #start(): Promise<void> {
    const hired: Promise<void>[] = [];
    while (this.#workers.length < this.#pollerCount) {
      const worker = this.#hire(this.#workers.length);
      this.#workers.push(worker);
      this.#failures[worker.index] = 0;
      hired.push(worker.ready);
    }
    await Promise.all(hired);
  }

  #hire(index: number): PollerWorker {
    const { pollerCount } = this;
    const { href } = this.#handler;
    const { data, limits } = this.#options;
    const worker = new PollerWorker({
      entry: entryOf(import.meta, this.#handler),
      hasRing: this.#isHandover,
      handler: href,
      index,
      pollerCount,
      limits: limits === undefined ? null : partOf(limits, pollerCount),
      data,
    }, {
      onEnd: (ended, error) => this.#onEnd(ended, error),
      onClosed: (closed) => this.#onClosed(closed),
      onTeardownError: (ended, error) => this.#report(error, ended.index, "it ends all the same"),
    });
    if (!this.#isRef) worker.unref();
    return worker;
  }

  /** A Worker has ended: others serve what it did not get to, and another takes its place. */
  #onEnd(worker: PollerWorker, error: Error): void {
    const { index } = worker;
    if (this.#workers[index] === worker) this.#workers[index] = null;
    this.#handover.rehome(worker);
    // While the first ones start, `serve` tells of it.
    if (worker.servesSince === 0 && this.#failures[index] === 0) return;
    if (this.#shutdown.result !== null || this.#leaving.has(worker)) {
      return this.#report(error, index, "it was to end anyway");
    }
    const since = worker.servesSince;
    if (since > 0 && performance.now() - since > WORKER_HEALTHY_MS) this.#failures[index] = 0;
    this.#report(error, index, "it is replaced");
    this.#replace(index);
  }

  #report(error: Error, index: number, consequence: string): void {
    const { onWorkerError } = this.#options;
    if (onWorkerError === undefined) return say("error", `${error.message}; ${consequence}`);
    const fail = (second: unknown) => say("error", `onWorkerError failed: ${second}`);
    callBack(() => this.#scope(onWorkerError, error, index), fail);
  }

  #replace(index: number): void {
    const failures = this.#failures[index]!;
    this.#failures[index] = failures + 1;
    const delayMs = WORKER_BACKOFF_MS[Math.min(failures, WORKER_BACKOFF_MS.length - 1)]!;
    this.#later(delayMs, () => {
      if (this.#workers[index] !== null) return; // their number has changed meanwhile
      try {
        const worker = this.#workers[index] = this.#hire(index);
        worker.ready.then(() => this.#onReplaced(worker), () => {});
      } catch (error) {
        this.#report(error as Error, index, "it is tried again");
        this.#replace(index);
      }
    });
  }

  #later(delayMs: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delayMs);
    if (!this.#isRef) timer.unref();
    this.#timers.add(timer);
  }

  #onReplaced(worker: PollerWorker): void {
    if (this.#shutdown.result !== null) return; // it would take what nobody serves
    this.#spread();
    for (const group of this.#groups) worker.bind(group);
  }

  /**
   * Changes how many pollers there are, before or while they serve. New ones take their share of
   * what comes as soon as their Workers serve. Those that are too many take nothing more, finish
   * what runs and what was received already, and end: within a time, if `options` say so. How many
   * connections were cut then. Calls follow one another.
   *
   * A {@linkcode PollerContext} tells how many there were when its Worker started.
   *
   * @throws {RangeError} `pollerCount` is no number of pollers, or `timeoutMs` no time.
   * @throws {TypeError} It serves datagrams.
   * @throws {ClosedError} The cluster has shut down.
   * @throws {NetpollError} A Worker could not start; there are as many as before.
   * @throws {SystemError} With "reuseport", no descriptor is left for its socket; the same holds.
   *
   * @example
   * ```ts
   * import { Cluster } from "@netpoll/netpoll";
   *
   * const cluster = new Cluster(new URL("./handler.ts", import.meta.url), { pollerCount: 2 });
   * await cluster.resize(4);
   * console.log(cluster.pollerCount); // 4
   * ```
   */
  async resize(pollerCount: number, options: ShutdownOptions = {}): Promise<ShutdownResult> {
    checkPollerCount(pollerCount, this.#options.limits);
    shutdownMs(options);
    return { cut: await this.#turns.take(() => this.#resize(pollerCount, options)) };
  }

  async #resize(pollerCount: number, options: ShutdownOptions): Promise<number> {
    if (this.#groups.length > 0) {
      throw new TypeError(
        "Cannot resize with datagram sockets: another number of them moves peers",
      );
    }
    await this.#started;
    this.#shutdown.check("resize");
    const before = this.#pollerCount;
    this.#pollerCount = pollerCount;
    if (this.#started === null) return 0;
    if (pollerCount <= before) return await this.#dismiss(pollerCount, options);
    try {
      await this.#start();
      this.#spread();
      return 0;
    } catch (error) {
      this.#pollerCount = before;
      await this.#dismiss(before, options);
      throw error;
    }
  }

  /** Ends those above a number when they have served what they have. How many were cut. */
  async #dismiss(pollerCount: number, options: ShutdownOptions): Promise<number> {
    const leaving = this.#workers.splice(pollerCount).filter((worker) => worker !== null);
    for (const worker of leaving) this.#leaving.add(worker);
    this.#spread(); // before it drains: what waits at its socket is served by another
    try {
      return await this.#drain(leaving, options);
    } finally {
      for (const worker of leaving) {
        this.#handover.rehome(worker); // what it did not get to, in time or below its bounds
        this.#leaving.delete(worker);
        worker.terminate();
      }
    }
  }

  // ---- sharing the port -------------------------------------------------------------------------

  #share(socket: ListenerSocket): SharedListener {
    const fail = (error: Error) => this.#report(error, -1, "others serve its part");
    const spread = () => void this.#turns.take(() => this.#spread()).catch(fail);
    return new SharedListener(socket, this.#pollerCount, spread);
  }

  #listenIn(shared: SharedListener): void {
    this.#shared = [...this.#shared.filter(({ isStopped }) => !isStopped), shared];
    shared.spread(this.#workers);
  }

  #spread(): void {
    if (this.#shutdown.result !== null) return;
    for (const shared of this.#shared) shared.spread(this.#workers);
  }

  /** A Worker takes nothing any more. Others go on with its sockets unless all shut down. */
  #onClosed(worker: PollerWorker): void {
    if (!this.#leaving.has(worker)) { for (const shared of this.#shared) shared.closeOf(worker); }
  }

  // ---- the end ----------------------------------------------------------------------------------

  /** Keeps the process alive while it serves: the default. */
  ref(): void {
    this.#isRef = true;
    for (const one of [this.#handover, ...this.#workers, ...this.#leaving]) one?.ref();
  }

  /** Lets the process end although it serves: its connections end with it. */
  unref(): void {
    this.#isRef = false;
    for (const one of [this.#handover, ...this.#workers, ...this.#leaving]) one?.unref();
  }

  /**
   * Stops listening, lets all Workers finish what runs and what was received already, and ends them.
   * One deadline and one signal hold for all of them. A second call returns the same promise.
   *
   * @throws {RangeError} `timeoutMs` is no time; nothing has happened then.
   */
  shutdown(options: ShutdownOptions = {}): Promise<ShutdownResult> {
    return this.#shutdown.begin(options, () => this.#shutDown(options));
  }

  async #shutDown(options: ShutdownOptions): Promise<ShutdownResult> {
    const homeless = this.#handover.close();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const shared of this.#shared) shared.closeUnserved();
    const workers = [...this.#workers.filter((worker) => worker !== null), ...this.#leaving];
    const cut = homeless + await this.#drain(workers, options);
    for (const worker of workers) worker.terminate();
    for (const shared of this.#shared) shared.close();
    for (const group of this.#groups) group.close();
    this.#served.resolve();
    return { cut };
  }

  /** Waits for all of them, and no longer than it may take. How many connections were cut. */
  #drain(workers: readonly PollerWorker[], options: ShutdownOptions): Promise<number> {
    return drainWithin(
      workers,
      options,
      (error, { index }) => this.#report(error, index, "it was terminated"),
    );
  }
}

showAs(Cluster.prototype, "Cluster", ["pollerCount", "connectionCount"]);
