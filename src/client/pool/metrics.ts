/**
 * The counts of a pool.
 */

/**
 * Why a pool has closed a connection: it lay `"idle"` for too long, its `"lifetime"` was over, its
 * peer or whoever had it has `"ended"` it, it came back `"unclean"` (or with unread bytes), whoever
 * had it or the probe said that it `"failed"`, its address was `"ejected"`, it was `"moved"` to an
 * address with fewer connections, or the pool was `"closed"`.
 */
export type PoolCloseReason =
  | "idle"
  | "lifetime"
  | "ended"
  | "unclean"
  | "failed"
  | "ejected"
  | "moved"
  | "closed";

/** One address of a pool. */
export interface PoolAddressMetrics {
  /** The address, as it was given. */
  address: string;
  /** Connections, those on their way included. */
  size: number;
  /** Those that somebody has, or that are probed. */
  inUse: number;
  /** Those that nobody uses. */
  idle: number;
  /** Failures since something went well. */
  failures: number;
  /** Whether the other addresses are used instead. */
  isEjected: boolean;
}

/** The counts of a {@linkcode ConnectionPool}. */
export interface PoolMetrics {
  /** Connections: idle, in use, probed and on their way; at most `max`. */
  size: number;
  /** Those that nobody uses. */
  idle: number;
  /** Those that somebody has. */
  inUse: number;
  /** Those on their way. */
  dialing: number;
  /** Those that are probed. */
  probing: number;
  /** Calls of `acquire` that wait. */
  waiting: number;
  /** Connections that were made. */
  created: number;
  /** Connections that were closed, by the reason. */
  closed: Record<PoolCloseReason, number>;
  /** Calls of `acquire` that have got a connection. */
  acquired: number;
  /** The waits of calls that had to wait, in milliseconds. */
  wait: { count: number; sumMs: number; maxMs: number };
  /** Dials and probes that failed; waits that were given up, by deadline or signal. */
  failures: { dial: number; probe: number; acquire: number };
  /** Each address. */
  addresses: PoolAddressMetrics[];
}

/** Nothing has been closed. */
export function nothingClosed(): Record<PoolCloseReason, number> {
  return {
    idle: 0,
    lifetime: 0,
    ended: 0,
    unclean: 0,
    failed: 0,
    ejected: 0,
    moved: 0,
    closed: 0,
  };
}
