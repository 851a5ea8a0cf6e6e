/**
 * The options of a cluster, and their checks.
 */
import type { StreamAddress } from "../net/address.ts";
import { type LoopLimits, partOf } from "./loop_limits.ts";
import type { LoadBalance } from "./load_balance.ts";
import {
  checkFunction,
  checkNumber,
  checkOptions,
  checkTimeout,
  type Known,
  readOptions,
  show,
} from "../core/options.ts";
import { METRICS_TIMEOUT_MS, POLLERS_MAX } from "../core/limits.ts";
import type { ShutdownOptions } from "./shutdown.ts";
import type { SignalOptions } from "./signals.ts";

/** The options of a `Cluster`. */
export interface ClusterOptions {
  /** The number of pollers. Each runs in a Worker with a thread of its own. One a core unless given. */
  pollerCount?: number;
  /** The policy that chooses the poller of a new connection. "round-robin" unless given. */
  loadBalance?: LoadBalance<StreamAddress>;
  /**
   * The thread that accepts. "handover": this one, which hands connections over as `loadBalance` says.
   * "reuseport": each Worker, from a socket of its own, and the kernel chooses by a hash of the
   * addresses; the listener needs `reusePort: true`. "handover" unless given.
   */
  acceptMode?: "handover" | "reuseport";
  /**
   * Limits of all Workers together: each has its part, and the thread that accepts all of
   * `acceptsPerSecond`. Those of a connection hold in each. After `resize` those that ran before keep
   * theirs. None unless given; the handler module's `options` may have some for each Worker instead.
   */
  limits?: LoopLimits;
  /** A value for each Worker's `setup`. It is cloned; a SharedArrayBuffer in it is shared. */
  data?: unknown;
  /**
   * A Worker has ended by an error, or could not be replaced by another yet: it will be. Without
   * it one line goes to `configure({ log })`.
   */
  onWorkerError?: (error: Error, index: number) => void;
}

/** The options of `Cluster.metrics`. */
export interface MeasureOptions {
  /** The time in milliseconds that a Worker has to answer. 1000 unless given. */
  timeoutMs?: number;
}

const MEASURE_OPTIONS: Known<MeasureOptions> = { timeoutMs: 1 };

/** The time that a Worker has to answer. Throws unless it is one. */
export function measureMs(options: MeasureOptions): number {
  checkOptions("Cluster.metrics", options, MEASURE_OPTIONS);
  return checkTimeout("timeoutMs", options.timeoutMs ?? METRICS_TIMEOUT_MS);
}

/** The names of {@linkcode ClusterOptions}. */
export const CLUSTER_OPTIONS: Known<ClusterOptions> = {
  pollerCount: 1,
  loadBalance: 1,
  acceptMode: 1,
  limits: 1,
  data: 1,
  onWorkerError: 1,
};

/** The options of {@linkcode serve}. */
export interface ServeOptions
  extends ClusterOptions, Pick<SignalOptions, "signals">, Pick<ShutdownOptions, "signal"> {
  /** The time in milliseconds that running requests have when it ends. 10000 unless given. */
  timeoutMs?: number;
}

/** The names of {@linkcode ServeOptions}. */
export const SERVE_OPTIONS: Known<ServeOptions> = {
  ...CLUSTER_OPTIONS,
  signals: 1,
  signal: 1,
  timeoutMs: 1,
};

/** Throws unless it is a number of pollers, over which the limits can be divided. */
export function checkPollerCount(pollerCount: number, limits?: LoopLimits): number {
  checkNumber("pollerCount", pollerCount, 1, POLLERS_MAX);
  if (limits !== undefined) partOf(limits, pollerCount);
  return pollerCount;
}

/** The options of a cluster, each read once. Throws unless a cluster can be made of them. */
export function readCluster(handler: unknown, options: ClusterOptions): ClusterOptions {
  if (!(handler instanceof URL)) {
    throw new TypeError(
      `Cannot serve ${
        show(handler)
      }: a handler module is a URL, new URL("./handler.ts", import.meta.url)`,
    );
  }
  const read = readOptions("Cluster", options, CLUSTER_OPTIONS);
  const { pollerCount, acceptMode, loadBalance, onWorkerError } = read;
  if (onWorkerError !== undefined) checkFunction("onWorkerError", onWorkerError);
  if (pollerCount !== undefined) checkPollerCount(pollerCount);
  if (acceptMode !== undefined && acceptMode !== "handover" && acceptMode !== "reuseport") {
    throw new TypeError(
      `Cannot set acceptMode to ${show(acceptMode)}: it is "handover" or "reuseport"`,
    );
  }
  if (acceptMode === "reuseport" && loadBalance !== undefined) {
    throw new TypeError('Cannot balance with acceptMode "reuseport": the kernel chooses');
  }
  return read;
}
