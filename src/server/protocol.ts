/**
 * The messages between a cluster and its Workers. Connections do not come this way: the ring of
 * libnetpoll.c brings them.
 */
import { show } from "../core/options.ts";
import type { DatagramSettings } from "../datagram/options.ts";
import type { LoopLimits } from "./loop_limits.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { ProxyProtocolOptions } from "../net/header_policy.ts";
import type { SocketOptions } from "../net/socket.ts";

/** The start values of a Worker. */
export interface Assignment {
  /** The handler module. */
  readonly handler: string;
  /** The number of the poller, from 0. */
  readonly index: number;
  /** The number of pollers. */
  readonly pollerCount: number;
  /** The ring that brings connections; null when the Worker listens itself. */
  readonly ring: number | null;
  /** An Int32Array of {@linkcode Count}, which the Worker writes and the cluster reads. */
  readonly counts: SharedArrayBuffer;
  /** Its part in the limits of the cluster, if there are any. */
  readonly limits: LoopLimits | null;
  /** The user's own. */
  readonly data: unknown;
}

/** Places in the counts of a Worker. */
export const Count = { TAKEN: 0, OPEN: 1, LENGTH: 2 } as const;

/** The name under which `workerData` has the assignment. */
export const ASSIGNMENT = "@netpoll/netpoll assignment";

/** Whether a handler module serves connections, and datagrams. */
export interface Serves {
  readonly connections: boolean;
  readonly datagrams: boolean;
}

/** A message from a cluster to a Worker. */
export type Order =
  /** Take connections from this socket, which stays the cluster's. */
  | {
    type: "listen";
    fd: number;
    tlsContext: number;
    proxyProtocol: ProxyProtocolOptions | undefined;
  }
  /** Take no more connections from this socket. */
  | { type: "unlisten"; fd: number }
  /** Serve the datagrams of this socket, which stays the cluster's. */
  | { type: "bind"; fd: number; settings: DatagramSettings }
  /** Shut down, within a time. */
  | { type: "shutdown"; timeoutMs: number }
  /** Cut what is left. */
  | { type: "cut" }
  /** Say what this thread did. */
  | { type: "measure" };

/** A message from a Worker to its cluster. */
export type Report =
  /** It runs, and imports the handler module next. */
  | { type: "begun" }
  /** It serves connections, datagrams, or both. Its listeners shall have these options. */
  | { type: "ready"; serves: Serves; socketOptions: Pick<SocketOptions, "noDelay" | "keepAlive"> }
  /** It cannot serve: the module is wrong, could not be imported, or the kernel refused. */
  | { type: "failed"; error: unknown; isMisuse: boolean; system: KernelFault | null }
  /** The metrics of its thread: the answer to each "measure", in order. */
  | { type: "measured"; metrics: Metrics }
  /** It takes no more connections from a socket: the answer to each "unlisten", in order. */
  | { type: "unlistened" }
  /** It has begun to shut down, and takes nothing any more: the sockets where it listens may close. */
  | { type: "closed" }
  /** Its last connection has gone; its teardown comes next. */
  | { type: "drained"; cut: number }
  /** It has shut down; what its teardown threw. */
  | { type: "over"; failure: { error: unknown } | null };

/** The parts of a SystemError that its copy in another thread lacks. */
export interface KernelFault {
  readonly syscall: string;
  readonly errno: number;
}

/** The message of an error, which may be any value. */
export function messageOf(error: unknown): string {
  const { message } = Object(error) as { message?: unknown };
  return typeof message === "string" ? message : show(error);
}
