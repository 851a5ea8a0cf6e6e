/**
 * A Worker of a cluster: imports the handler module, and serves what the cluster sends.
 *
 * It begins by itself, wherever it is imported from (worker_entry.ts): the Worker may begin
 * with this file, with the bundle that holds it, or with a handler module that imports it.
 */
import { setTimeout } from "node:timers";
import { parentPort, workerData } from "node:worker_threads";
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { say } from "../core/config.ts";
import { SystemError } from "../core/errors.ts";
import { ACCEPT_BACKOFF_MS, CLOSE_TIMEOUT_MS } from "../core/limits.ts";
import type { DatagramSocket } from "../datagram/contract.ts";
import { datagramsOver } from "../datagram/open.ts";
import type { DatagramSettings } from "../datagram/options.ts";
import { metrics } from "../metrics/metrics.ts";
import { ListenerSocket } from "../net/listener_socket.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { type EventLoop, feed } from "./event_loop.ts";
import {
  checkHandlerModule,
  datagramCallbacksOf,
  type HandlerModule,
  loopOf,
  servesOf,
  type Teardown,
} from "./handler_module.ts";
import { Inbox } from "./inbox.ts";
import {
  ASSIGNMENT,
  type Assignment,
  Count,
  messageOf,
  type Order,
  type Report,
} from "./protocol.ts";

function tell(report: Report): void {
  parentPort!.postMessage(report);
}

/** Errors of the user's may hold what cannot be cloned: then their words go alone. */
function tellOf(error: unknown, report: (error: unknown) => Report): void {
  try {
    tell(report(error));
  } catch {
    tell(report(new Error(messageOf(error))));
  }
}

function tellFailure(error: unknown, isMisuse: boolean): void {
  const system = error instanceof SystemError
    ? { syscall: error.syscall, errno: error.errno }
    : null;
  tellOf(error, (error) => ({ type: "failed", error, isMisuse, system }));
}

/** One Worker that serves. */
class ClusterWorker {
  readonly #loop: EventLoop<unknown>;
  readonly #module: HandlerModule<unknown>;
  readonly #teardown: Teardown | null;
  /** The listeners that the cluster lends, by their descriptors. */
  readonly #listeners = new Map<number, ListenerSocket>();
  readonly #sockets: DatagramSocket[] = [];
  readonly #cut = new AbortController();
  #isShutDown = false;

  constructor(
    loop: EventLoop<unknown>,
    module: HandlerModule<unknown>,
    teardown: Teardown | null,
  ) {
    this.#loop = loop;
    this.#module = module;
    this.#teardown = teardown;
    parentPort!.on("message", (order: Order) => this.#obey(order));
  }

  #obey(order: Order): void {
    if (order.type === "listen") this.#listen(order);
    else if (order.type === "unlisten") this.#unlisten(order.fd);
    else if (order.type === "bind") this.#bind(order.fd, order.settings);
    else if (order.type === "cut") this.#cut.abort();
    else if (order.type === "measure") tell({ type: "measured", metrics: metrics() });
    else void this.#shutdown(order.timeoutMs);
  }

  #listen({ fd, tlsContext, proxyProtocol }: Extract<Order, { type: "listen" }>): void {
    const lent = new ListenerSocket(fd, null, null, tlsContext, undefined, proxyProtocol);
    this.#listeners.set(fd, lent);
    void this.#loop.serve(lent);
  }

  #unlisten(fd: number): void {
    this.#listeners.get(fd)?.close();
    this.#listeners.delete(fd);
    tell({ type: "unlistened" });
  }

  /**
   * Serves a datagram socket. Where no descriptor is left, what comes waits in the kernel, and this
   * thread goes on with what it has until it can be had.
   */
  #bind(fd: number, settings: DatagramSettings, attempts = 0): void {
    if (this.#isShutDown) return;
    let socket: DatagramSocket;
    try {
      socket = this.#open(fd, settings);
    } catch (error) {
      const why = `Cannot serve datagrams yet: ${messageOf(error)}`;
      if (attempts === 0) say("error", `${why}; they wait, and it is tried again`);
      const delayMs = ACCEPT_BACKOFF_MS[Math.min(attempts, ACCEPT_BACKOFF_MS.length - 1)]!;
      setTimeout(() => this.#bind(fd, settings, attempts + 1), delayMs);
      return;
    }
    this.#sockets.push(socket);
    this.#module.onDatagramSocket?.(socket);
  }

  /** A socket with a descriptor of its own: the cluster's one outlives this thread. */
  #open(fd: number, settings: DatagramSettings): DatagramSocket {
    const own = check("duplicate a descriptor", native.dup(fd));
    try {
      return datagramsOver(own, datagramCallbacksOf(this.#module), settings);
    } catch (error) {
      native.close(own);
      throw error;
    }
  }

  async #shutdown(timeoutMs: number): Promise<void> {
    this.#isShutDown = true;
    const over = this.#loop.shutdown({ timeoutMs, signal: this.#cut.signal });
    const closing = { timeoutMs: Math.min(timeoutMs, CLOSE_TIMEOUT_MS) };
    const closed = this.#sockets.map((socket) => socket.close(closing));
    tell({ type: "closed" });
    const { cut } = await over;
    await Promise.all(closed);
    tell({ type: "drained", cut });
    try {
      await this.#teardown?.();
    } catch (error) {
      return tellOf(error, (error) => ({ type: "over", failure: { error } }));
    }
    tell({ type: "over", failure: null });
  }
}

async function start({ handler, ring, counts, limits, ...context }: Assignment): Promise<void> {
  let isMisuse = false;
  tell({ type: "begun" });
  try {
    const exports = await import(handler);
    isMisuse = true;
    const module = checkHandlerModule(exports, handler);
    const loop = loopOf(module, limits);
    isMisuse = false;
    const teardown = await module.setup?.(context);
    const written = new Int32Array(counts);
    feed(loop, {
      open: ring === null ? null : (owner) =>
        new Inbox(ring, threadPoller(), owner, () => {
          Atomics.add(written, Count.TAKEN, 1);
        }),
      onCount: (count) => void Atomics.store(written, Count.OPEN, count),
    });
    new ClusterWorker(loop, module, teardown ?? null);
    const { noDelay, keepAlive } = module.options ?? {};
    tell({ type: "ready", serves: servesOf(module), socketOptions: { noDelay, keepAlive } });
  } catch (error) {
    tellFailure(error, isMisuse);
  }
}

const data = workerData as Record<string, Assignment | null | undefined> | null | undefined;
const assignment = data?.[ASSIGNMENT];

/** Whether this thread is the Worker of a cluster. */
export const isClusterWorker = assignment !== undefined;

// Not awaited: where the handler module imports this, it is imported only after this has ended.
if (assignment != null) {
  data![ASSIGNMENT] = null; // a second copy of this library, in another bundle, leaves it to this
  void start(assignment);
}
