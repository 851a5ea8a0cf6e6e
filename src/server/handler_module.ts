/**
 * Handler modules: what a Worker of a cluster imports, and calls.
 */
import type { Callbacks } from "../connection/connection.ts";
import type { DatagramSocket } from "../datagram/contract.ts";
import type { DatagramCallbacks } from "../datagram/options.ts";
import { EventLoop, type EventLoopOptions } from "./event_loop.ts";
import type { LoopLimits } from "./loop_limits.ts";
import type { Serves } from "./protocol.ts";

/** The poller in which a handler module runs. */
export interface PollerContext {
  /** Its number among the pollers of the cluster, from 0; the same after a Worker was replaced. */
  readonly index: number;
  /** The number of pollers. */
  readonly pollerCount: number;
  /** A clone of the cluster's `data`; a SharedArrayBuffer in it is shared. */
  readonly data: unknown;
}

/** Called when a Worker has served its last connection. */
export type Teardown = () => void | Promise<void>;

/** The exports of a handler module that serves datagrams (`Cluster.bindDatagram`). */
export interface DatagramHandlers extends Omit<DatagramCallbacks, "onError"> {
  /**
   * Called with the socket of this poller for each address, before the first datagram: to write by
   * itself. It is the cluster's, and stays open. An error here ends the Worker.
   */
  onDatagramSocket?: (socket: DatagramSocket) => void;
  /** Called with what concerns one datagram or one peer, and with what a handler throws. */
  onDatagramError?: DatagramCallbacks["onError"];
}

/**
 * The exports of a handler module: the callbacks that an {@linkcode EventLoop} takes, under their
 * names, and what to do before the first connection. At least one callback is needed.
 *
 * @example
 * ```ts
 * import type { Connection } from "@netpoll/netpoll";
 *
 * export function onRequest({ reader, writer }: Connection) {
 *   writer.writeBinary(reader.next(reader.length));
 *   writer.flush();
 *   reader.release();
 * }
 * export const options = { idleTimeoutMs: 60_000 };
 * ```
 */
export interface HandlerModule<C = undefined> extends Callbacks<C>, DatagramHandlers {
  /** The options of the loop. Bounds hold for each poller by itself. */
  options?: Omit<EventLoopOptions<C>, keyof Callbacks<C>>;
  /**
   * Runs once in each Worker before it serves. It may return what to do when the Worker has served
   * its last connection.
   */
  setup?: (context: PollerContext) => void | Teardown | Promise<void | Teardown>;
}

const CALLBACKS = [
  "onPrepare",
  "onConnect",
  "onRequest",
  "onDisconnect",
  "onError",
  "onDatagram",
  "onDatagrams",
  "onDatagramSocket",
  "onDatagramError",
] as const;

/** Tells whether a module serves connections, datagrams, or both. */
export function servesOf(module: HandlerModule<unknown>): Serves {
  const { onRequest, onConnect, onPrepare, onDatagram, onDatagrams } = module;
  return {
    connections: (onRequest ?? onConnect ?? onPrepare) != null,
    datagrams: (onDatagram ?? onDatagrams) != null,
  };
}

/** The callbacks of a module's datagram sockets. */
export function datagramCallbacksOf(module: HandlerModule<unknown>): DatagramCallbacks {
  const { onDatagram, onDatagrams, onDatagramError } = module;
  return {
    ...(onDatagram == null ? {} : { onDatagram }),
    ...(onDatagrams == null ? {} : { onDatagrams }),
    ...(onDatagramError == null ? {} : { onError: onDatagramError }),
  };
}

/**
 * Makes sure that what a module exports is a handler module's.
 *
 * @throws {TypeError} It has no callback, one that is no function, or two for the same datagrams.
 */
export function checkHandlerModule(exports: object, name: string): HandlerModule<unknown> {
  const module = exports as Record<string, unknown>;
  for (const callback of [...CALLBACKS, "setup"]) {
    const value = module[callback];
    if (value == null || typeof value === "function") continue;
    throw new TypeError(`Cannot serve: ${callback} of ${name} is no function, but ${typeof value}`);
  }
  const { options } = module;
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw new TypeError(`Cannot serve: options of ${name} is no object`);
  }
  const { connections, datagrams } = servesOf(module);
  if (!connections && !datagrams) {
    throw new TypeError(
      `Cannot serve: ${name} exports no onRequest, onConnect, onPrepare or onDatagram; it has ${
        Object.keys(module).join(", ") || "no exports"
      }`,
    );
  }
  if (module["onDatagram"] != null && module["onDatagrams"] != null) {
    throw new TypeError(
      `Cannot serve: ${name} exports onDatagram and onDatagrams; a socket has one of them`,
    );
  }
  return module as HandlerModule<unknown>;
}

/**
 * The loop of a handler module, with limits of its cluster if that has some.
 *
 * @throws {TypeError} Both have limits.
 */
export function loopOf(
  module: HandlerModule<unknown>,
  limits: LoopLimits | null = null,
): EventLoop<unknown> {
  const { onRequest, options, onPrepare, onConnect, onDisconnect, onError } = module;
  const given = { onPrepare, onConnect, onDisconnect, onError };
  if (limits !== null && options?.limits !== undefined) {
    throw new TypeError("Cannot serve: the cluster and its handler module both have limits");
  }
  const callbacks = Object.entries(given).filter(([, callback]) => callback != null);
  return new EventLoop<unknown>(onRequest ?? null, {
    ...options,
    ...(limits === null ? {} : { limits }),
    ...Object.fromEntries(callbacks),
  });
}
