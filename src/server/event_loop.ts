/**
 * EventLoop: a server, that is listeners, the connections they bring, and what is called for each.
 */
import { currentScope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { CALLBACKS, checkCallbacks } from "../connection/callbacks.ts";
import type { Callbacks, Inside, RequestHandler } from "../connection/connection.ts";
import type { ConnectionMetrics } from "../connection/connection_metrics.ts";
import type { Service } from "../connection/service.ts";
import type { SocketConnection } from "../connection/socket_connection.ts";
import { connectionOf } from "../connection/limited_connection.ts";
import { type ConnectionOptions, DEFAULTS, settings } from "../connection/settings.ts";
import { socketTransport } from "../transport/descriptor.ts";
import { setProxy } from "../transport/proxied.ts";
import { transportTo } from "../transport/unix_transport.ts";
import { tlsTransport } from "../transport/tls_transport.ts";
import type { Credentials } from "../tls/credentials.ts";
import type { StreamAddress } from "../net/address.ts";
import { ClosedError, type NetpollError } from "../core/errors.ts";
import { showAs } from "../core/inspect.ts";
import { checkOptions, type Known, readOptions, show } from "../core/options.ts";
import { ignore } from "../core/promises.ts";
import { listenerSocket } from "../net/listener.ts";
import type { Listener } from "../net/listener_contract.ts";
import type { ListenerSocket } from "../net/listener_socket.ts";
import {
  checkKeepAlive,
  Option,
  setKeepAlive,
  setOption,
  type SocketOptions,
} from "../net/socket.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { rationOf } from "../poll/ration.ts";
import { Timer } from "../poll/timer_wheel.ts";
import { Acceptor, type ListenerMetrics } from "./acceptor.ts";
import { asCallbackOf, CallbackWait, isInCallbackOf } from "./callback_wait.ts";
import { Arrivals, checkMost, type Reception, type Visitor } from "./arrivals.ts";
import { checkMemory, type LoopLimits, type LoopRates, loopRates } from "./loop_limits.ts";
import { forgetAccount, MemoryBound, sharedLimits } from "./memory_bound.ts";
import { Roster } from "./roster.ts";
import { Shutdown, type ShutdownOptions, type ShutdownResult } from "./shutdown.ts";
import type { ConnectionSource, SourceOwner } from "./source.ts";

/**
 * The options of an {@linkcode EventLoop}.
 *
 * @example A context for each connection, and bounds
 * ```ts
 * import { EventLoop } from "@netpoll/netpoll";
 *
 * const loop = new EventLoop(({ reader }, session: { bytes: number }) => {
 *   session.bytes += reader.length;
 *   reader.skip(reader.length);
 *   reader.release();
 * }, {
 *   onPrepare: () => ({ bytes: 0 }),
 *   onDisconnect: (_, { bytes }) => console.log(`${bytes} bytes came`),
 *   onError: (error) => console.error(error),
 *   connectionsMax: 10_000,
 *   connectionsPerAddressMax: 100,
 *   idleTimeoutMs: 60_000,
 * });
 * await loop.shutdown();
 * ```
 */
export interface EventLoopOptions<C = undefined>
  extends
    Omit<Callbacks<C>, "onRequest">,
    Omit<ConnectionOptions, "limits">,
    Pick<SocketOptions, "noDelay" | "keepAlive"> {
  /**
   * The number of connections that may be open in this loop, over all its listeners. More wait in the
   * kernel's queue until one goes. Each Worker of a cluster has a loop, and so a bound, of its own.
   * Any number unless given.
   */
  connectionsMax?: number;
  /** The number of them that may come from one IP address; more are reset. Any number unless given. */
  connectionsPerAddressMax?: number;
  /** The number of TLS handshakes and PROXY headers under way at once; others wait. 256 unless given. */
  handshakesMax?: number;
  /** Its bounds of speed and memory. None unless given. */
  limits?: LoopLimits;
  /**
   * Called with the error of each TLS handshake that failed, and the address of the client, and of
   * each PROXY header, with that of the proxy: there is no connection then. Without it they are
   * counted, and that is all: anybody can make them fail.
   */
  onHandshakeError?: (error: NetpollError, remoteAddress: StreamAddress) => void;
}

/** The work of a loop so far, and its state. */
export interface LoopMetrics {
  /** Connections that it took. */
  accepted: number;
  /** Those that it reset at once: too many from one address. */
  refused: number;
  /** Those that are open, have a handler that still runs, or come. */
  connectionCount: number;
  /** The bytes that they hold; 0 unless `memoryBytesMax` is given, without which nobody counts. */
  heldBytes: number;
  /** Its listeners. */
  listeners: ListenerMetrics[];
  /** Some of its connections, if they were asked for. */
  connections: ConnectionMetrics[];
}

/** The options of {@linkcode EventLoop.metrics}. */
export interface LoopMetricsOptions {
  /** The most connections to list. Each costs some microseconds. None unless given. */
  listedMax?: number;
  /** @deprecated It is `listedMax`: `connectionsMax` bounds the connections of a loop. */
  connectionsMax?: number;
}

const { onRequest: _, ...OTHER_CALLBACKS } = CALLBACKS;

/** The names of {@linkcode EventLoopOptions}. */
export const EVENT_LOOP_OPTIONS: Known<EventLoopOptions> = {
  ...DEFAULTS,
  ...OTHER_CALLBACKS,
  noDelay: "boolean",
  keepAlive: 1,
  limits: 1,
  connectionsMax: 1,
  connectionsPerAddressMax: 1,
  handshakesMax: 1,
  onHandshakeError: 1,
};
const METRICS_OPTIONS: Known<LoopMetricsOptions> = { listedMax: 1, connectionsMax: 1 };

/** The options of a loop, each read once. Throws unless a loop can be made of them. */
function readLoop<C>(onRequest: unknown, options: EventLoopOptions<C>): EventLoopOptions<C> {
  if (typeof onRequest !== "function" && onRequest !== null) {
    const cure = "it is new EventLoop(onRequest, options), and null for a server without a handler";
    throw new TypeError(`Cannot use ${show(onRequest)} as the handler of EventLoop: ${cure}`);
  }
  const read = readOptions("EventLoop", options, EVENT_LOOP_OPTIONS);
  checkCallbacks(read);
  checkKeepAlive(read.keepAlive);
  return read;
}

/** Sets options of a listener, and its siblings, that the connections it brings inherit. */
export function setStreamOptions(
  { fd, address, siblings }: ListenerSocket,
  options: Pick<SocketOptions, "noDelay" | "keepAlive">,
): void {
  if (address.transport !== "tcp") return;
  const { noDelay, keepAlive } = options;
  if (noDelay !== undefined) setOption(fd, Option.NO_DELAY, noDelay ? 1 : 0);
  if (keepAlive !== undefined) setKeepAlive(fd, keepAlive);
  for (const sibling of siblings) setStreamOptions(sibling, options);
}

/** For a Worker of a cluster: whence else connections come, and who hears how many there are. */
export interface Feed {
  /** Makes the source; null when a listener is served. */
  readonly open: ((owner: SourceOwner) => ConnectionSource) | null;
  /** So many connections are open. */
  readonly onCount: (count: number) => void;
}

/** Connects a loop to a feed. */
export let feed: <C>(loop: EventLoop<C>, from: Feed) => void;

/**
 * Serves connections: calls a handler whenever one has bytes to read.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 *
 * const listener = createListener("tcp", "127.0.0.1:0");
 * const loop = new EventLoop(async ({ reader, writer }) => {
 *   await reader.wait(5);
 *   writer.writeBinary(reader.next(5));
 *   await writer.flush();
 *   reader.release();
 * });
 * const served = loop.serve(listener);
 * await loop.shutdown();
 * await served;
 * ```
 */
export class EventLoop<C = undefined> {
  readonly #service: Omit<Service<C>, "scope">;
  readonly #connections = new Roster<SocketConnection<C>>();
  readonly #socketOptions: Pick<SocketOptions, "noDelay" | "keepAlive">;
  readonly #limits: LoopRates | null;
  readonly #memory: MemoryBound | null;
  readonly #connectionsMax: number;
  readonly #sources = new Set<ConnectionSource>();
  readonly #poller = threadPoller();
  #served: PromiseWithResolvers<void> | null = null;
  readonly #shutdown = new Shutdown();
  readonly #arrivals: Arrivals;
  /** Made when a callback waits for the shutdown. */
  #callbackWait: CallbackWait | null = null;
  #onIdle: (() => void) | null = null;
  #onCount: ((count: number) => void) | null = null;
  #isRef = true;
  #accepted = 0;
  #refused = 0;
  /** Connections that were cut since the shutdown began. */
  #cut = 0;

  static {
    showAs(this.prototype, "EventLoop", (loop) => ({
      state: loop.#shutdown.result !== null ? "shut down" : loop.#served ? "serving" : "new",
      listeners: loop.metrics().listeners.map(({ address }) => address),
      connectionCount: loop.connectionCount,
    }));
    feed = (loop, { open, onCount }) => {
      loop.#onCount = onCount;
      if (open !== null) loop.#sources.add(open(loop.#sourceOwner()));
    };
  }

  /**
   * A server that listens nowhere yet.
   *
   * `onRequest` is called when a connection has bytes to read, never twice at a time for one
   * connection, and again for what it left unread. It may be synchronous: then it reads what
   * `reader.length` offers. A throw or rejection goes to `onError` and closes that connection only.
   */
  constructor(onRequest: RequestHandler<C> | null, options: EventLoopOptions<C> = {}) {
    const read = readLoop(onRequest, options);
    const rates = this.#limits = loopRates(read.limits);
    this.#service = {
      poller: this.#poller,
      callbacks: { ...read, onRequest },
      settings: settings({ ...read, limits: read.limits?.connection }),
      owner: { onGone: (connection) => this.#onGone(connection) },
      io: socketTransport,
      isDialled: false,
    };
    checkMemory(rates, this.#service.settings.readBufferBytesMax);
    this.#memory = rates?.memory == null ? null : new MemoryBound(this.#poller, rates.memory, {
      connections: () => this.#connections.list(),
      onMemory: (isFull) => isFull ? this.#onMore() : this.#onRoom(),
    });
    this.#socketOptions = { noDelay: read.noDelay, keepAlive: read.keepAlive };
    this.#connectionsMax = checkMost("connectionsMax", read.connectionsMax);
    this.#arrivals = new Arrivals(this.#poller, read, {
      onRefused: () => this.#onRefused(),
      onUnderWay: () => this.#onMore(),
      onRoom: () => this.#onRoom(),
    });
  }

  /**
   * The number of connections that are open, have a handler that still runs, or come: their TLS
   * handshake or PROXY header is under way.
   */
  get connectionCount(): number {
    return this.#connections.size + this.#arrivals.count;
  }

  /**
   * The work of this loop so far, and its state: a snapshot that is yours. {@linkcode metrics} tells
   * of its thread.
   *
   * @throws {RangeError} `listedMax` is no number of connections.
   *
   * @example
   * ```ts
   * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
   *
   * const listener = createListener("unix", "@netpoll-loop-metrics");
   * const accepted = Promise.withResolvers<void>();
   * const loop = new EventLoop(null, { onConnect: () => accepted.resolve() as undefined });
   * const served = loop.serve(listener);
   * const connection = await dial("unix", "@netpoll-loop-metrics");
   * await accepted.promise;
   * console.log(loop.metrics().accepted); // 1
   * console.log(loop.metrics({ listedMax: 10 }).connections[0]?.state); // "open"
   * await connection.close();
   * await loop.shutdown();
   * await served;
   * ```
   */
  metrics(options: LoopMetricsOptions = {}): LoopMetrics {
    checkOptions("EventLoop.metrics", options, METRICS_OPTIONS);
    const name = options.listedMax === undefined ? "connectionsMax" : "listedMax"; // its old name
    const listedMax = options[name] ?? 0;
    if (listedMax !== 0) checkMost(name, listedMax);
    const listeners: ListenerMetrics[] = [];
    this.#each((source) => source instanceof Acceptor && listeners.push(source.metrics()));
    return {
      accepted: this.#accepted,
      refused: this.#refused,
      connectionCount: this.connectionCount,
      heldBytes: this.#memory?.heldBytes ?? 0,
      listeners,
      connections: this.#connections.list(listedMax).map((one) => one.metrics()),
    };
  }

  /**
   * Takes connections from a listener, which it owns from now on. Several listeners may be served.
   * Settles when the loop has shut down.
   *
   * @throws {SystemError} The listener broke, or cannot be watched.
   */
  serve(listener: Listener): Promise<void> {
    if (this.#shutdown.result !== null) {
      listener.close();
      return this.#shutdown.result.then(ignore);
    }
    let ours: ListenerSocket | null = null;
    try {
      const socket = listenerSocket(listener);
      if (socket.onClose === null) ours = socket;
      const owner = this.#sourceOwner(socket.credentials);
      // Accepted sockets inherit them from the listener.
      setStreamOptions(socket, this.#socketOptions);
      const ration = rationOf(this.#poller, this.#limits?.accepts);
      for (const one of [socket, ...socket.siblings]) {
        const acceptor = new Acceptor(one, this.#poller, owner, ration);
        this.#sources.add(acceptor);
        if (!this.#isRef) acceptor.unref();
        if (this.#isFull) acceptor.pause();
      }
    } catch (error) {
      ours?.close(); // nobody would ever answer those who connect
      return Promise.reject(error);
    }
    this.#served ??= Promise.withResolvers<void>();
    return this.#served.promise;
  }

  /** Keeps the process alive while it listens: the default. */
  ref(): void {
    this.#isRef = true;
    this.#each((source) => source.ref());
  }

  /** Lets the process end although it listens. Connections that are open keep it alive. */
  unref(): void {
    this.#isRef = false;
    this.#each((source) => source.unref());
  }

  /** For a source whose connections are called back in the async context of now. */
  #sourceOwner(credentials: Credentials | null = null): SourceOwner {
    const scope = asCallbackOf(this, currentScope);
    const service = {
      ...this.#service,
      limits: sharedLimits(this.#poller, this.#limits, this.#memory),
      scope,
    };
    const secured = { ...service, io: tlsTransport };
    const choose = credentials === null ? null : (name: string | null) => credentials.choose(name);
    let plain = service; // the listeners of one source are of one kind, but for an inbox
    const reception: Reception = {
      scope: service.scope,
      choose,
      begin: (visitor, isSecure) => {
        if (isSecure) return this.#begin(secured, visitor);
        const io = transportTo(visitor.remote);
        if (plain.io !== io) plain = { ...service, io };
        this.#begin(plain, visitor);
      },
    };
    return {
      onAccept: (fd, arrival) => this.#arrivals.receive(fd, arrival, reception),
      onRefuse: (fd) => this.#arrivals.refuse(fd),
      onStop: (source) => this.#sources.delete(source),
      onAcceptFailure: (error) => {
        this.#served?.reject(error);
        void this.shutdown();
      },
    };
  }

  #onRefused(): void {
    this.#refused += 1;
    this.#onRoom();
  }

  #onMore(): void {
    this.#onCount?.(this.connectionCount);
    if (this.#isFull) this.#each((source) => source.pause());
  }

  /** A connection is there. */
  #begin(service: Service<C>, visitor: Visitor): void {
    const { fd, remote, proxy } = visitor;
    let connection: SocketConnection<C>;
    try {
      connection = connectionOf<C>(service, fd, visitor);
    } catch (error) {
      this.#arrivals.leave(remote, proxy); // no descriptor was left for a timer
      native.close(fd);
      throw error;
    }
    if (proxy !== null) setProxy(connection, proxy);
    this.#connections.add(connection);
    this.#accepted += 1;
    this.#onMore();
    connection.begin();
  }

  /** Whether no more may come for now. What is on its way counts as a connection. */
  get #isFull(): boolean {
    if (this.#memory !== null && this.#memory.isFull) return true;
    return this.connectionCount >= this.#connectionsMax;
  }

  /** A descriptor is free again. */
  #onRoom(): void {
    this.#onCount?.(this.connectionCount);
    this.#each((source) => source.retry());
    if (!this.#isFull) this.#each((source) => source.resume());
  }

  #onGone(inside: Inside): void {
    const gone = inside as SocketConnection<C>;
    if (gone.isCut) this.#cut += 1;
    this.#arrivals.leave(gone.peer, gone.proxy);
    this.#connections.remove(gone);
    if (this.#memory !== null) forgetAccount(gone);
    this.#onRoom();
    if (this.#connections.size === 0) this.#onIdle?.();
  }

  #each(action: (source: ConnectionSource) => void): void {
    for (const source of this.#sources) action(source);
  }

  /**
   * Stops listening, lets what is under way finish (docs/CONNECTION.md has the table), and closes
   * each connection when its peer has what was flushed. With a deadline or a signal, cuts what is
   * left then, by a reset; `closed` and pending waits of those say so. A second call waits for the
   * same shutdown, whatever its options; a call before `serve` makes that settle at once.
   *
   * It waits for all callbacks. One of them may await it: for that one it settles when only callbacks
   * that await it are left, and have waited for nothing of their connections for a second; `serve`
   * settles when those have settled, too.
   *
   * @throws {RangeError} `timeoutMs` is no time; nothing has happened then.
   */
  shutdown(options: ShutdownOptions = {}): Promise<ShutdownResult> {
    const result = this.#shutdown.begin(options, () => this.#shutDown(options));
    return isInCallbackOf(this) ? this.#settleFor(result) : result;
  }

  /** The result, for a callback that keeps its connection until it has it. */
  async #settleFor(result: Promise<ShutdownResult>): Promise<ShutdownResult> {
    const wait = this.#callbackWait ??= new CallbackWait(
      this.#poller,
      () => this.#connections.list(),
    );
    const left = wait.add().then(() => ({ cut: this.#cut }));
    try {
      return await Promise.race([result, left]);
    } finally {
      wait.close();
    }
  }

  async #shutDown(options: ShutdownOptions): Promise<ShutdownResult> {
    this.#each((source) => source.drain());
    this.#each((source) => source.close());
    this.#sources.clear();
    this.#arrivals.close();
    this.#cut = 0;
    const reason = new ClosedError("The server shuts down");
    for (const connection of this.#connections.list()) connection.leave(reason);
    const cut = await this.#untilIdle(options);
    this.#memory?.close();
    this.#served?.resolve();
    return { cut };
  }

  /** Waits for the last connection to go. How many had to be cut. */
  async #untilIdle({ timeoutMs = Infinity, signal }: ShutdownOptions): Promise<number> {
    if (this.#connections.size === 0) return 0;
    const { promise, resolve } = Promise.withResolvers<number>();
    const cut = () => {
      const limit = signal?.aborted
        ? "the shutdown was aborted"
        : `the shutdown had ${timeoutMs} ms`;
      const rest = this.#connections.list();
      resolve(this.#cut + rest.filter((connection) => connection.expire(limit)).length);
    };
    this.#onIdle = () => resolve(this.#cut);
    const timer = new Timer({ onTimer: cut });
    if (timeoutMs < Infinity) threadPoller().setTimer(timer, timeoutMs);
    if (signal?.aborted) cut();
    signal?.addEventListener("abort", cut);
    try {
      return await promise;
    } finally {
      threadPoller().cancelTimer(timer);
      signal?.removeEventListener("abort", cut);
    }
  }
}
