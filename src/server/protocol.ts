/**
 * What a cluster and its Workers tell each other. Connections do not come this way: the ring of
 * libnetpoll.c brings them.
 */
import { show } from "../core/options.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { SocketOptions } from "../net/socket.ts";

/** What a Worker is given when it starts. */
export interface Assignment {
  /** The handler module. */
  readonly handler: string;
  /** Which poller it is. */
  readonly index: number;
  /** How many there are. */
  readonly pollerCount: number;
  /** The ring that brings connections; null when the Worker listens itself. */
  readonly ring: number | null;
  /** An Int32Array of {@linkcode Count}, which the Worker writes and the cluster reads. */
  readonly counts: SharedArrayBuffer;
  /** The user's own. */
  readonly data: unknown;
}

/** Places in the counts of a Worker. */
export const Count = { TAKEN: 0, OPEN: 1, LENGTH: 2 } as const;

/** The name under which `workerData` has the assignment. */
export const ASSIGNMENT = "@netpoll/netpoll assignment";

/** What a cluster tells a Worker. */
export type Order =
  /** Take connections from this socket, which stays the cluster's. */
  | { type: "listen"; fd: number }
  /** Shut down, within a time. */
  | { type: "shutdown"; timeoutMs: number }
  /** Cut what is left. */
  | { type: "cut" }
  /** Say what this thread did. */
  | { type: "measure" };

/** What a Worker tells its cluster. */
export type Report =
  /** It runs, and imports the handler module next. */
  | { type: "begun" }
  /** It serves. Its listeners shall have these options. */
  | { type: "ready"; socketOptions: Pick<SocketOptions, "noDelay" | "keepAlive"> }
  /** It cannot serve: the module is wrong, could not be imported, or the kernel refused. */
  | { type: "failed"; error: unknown; isMisuse: boolean; system: KernelFault | null }
  /** What its thread did: the answer to each "measure", in order. */
  | { type: "measured"; metrics: Metrics }
  /** Its last connection has gone; its teardown comes next. */
  | { type: "drained"; cut: number }
  /** It has shut down; what its teardown threw. */
  | { type: "over"; failure: { error: unknown } | null };

/** What a copy of a SystemError does not keep. */
export interface KernelFault {
  readonly syscall: string;
  readonly errno: number;
}

/** What an error says, be it any value. */
export function messageOf(error: unknown): string {
  const { message } = Object(error) as { message?: unknown };
  return typeof message === "string" ? message : show(error);
}
