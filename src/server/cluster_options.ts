/**
 * What a cluster is told, and which of it means nothing.
 */
import type { Address } from "../net/address.ts";
import type { LoadBalance } from "../poll/load_balance.ts";
import { checkFunction, checkOptions, type Known, show } from "../core/options.ts";
import { POLLERS_MAX } from "../core/limits.ts";
import type { ShutdownOptions } from "./shutdown.ts";
import type { SignalOptions } from "./signals.ts";

/** What a `Cluster` is told beside its handler module. */
export interface ClusterOptions {
  /** How many pollers, each in a Worker with a thread of its own. One a core unless given. */
  pollerCount?: number;
  /** Which poller serves a new connection. "round-robin" unless given. */
  loadBalance?: LoadBalance<Address>;
  /**
   * Who accepts. "handover": this thread, and hands the connections over, as `loadBalance` says.
   * "reuseport": each Worker, from a socket of its own, and the kernel chooses by a hash of the
   * addresses; the listener needs `reusePort: true`. "handover" unless given.
   */
  acceptMode?: "handover" | "reuseport";
  /** What each Worker's `setup` gets, cloned; a SharedArrayBuffer in it is shared. */
  data?: unknown;
  /**
   * A Worker has ended by an error, or could not be replaced by another yet: it will be. Without
   * it one line goes to `configure({ log })`.
   */
  onWorkerError?: (error: Error, index: number) => void;
}

/** How `Cluster.metrics` asks. */
export interface MeasureOptions {
  /** How long a Worker may take to answer, in milliseconds. 1000 unless given. */
  timeoutMs?: number;
}

/** The names of {@linkcode ClusterOptions}. */
export const CLUSTER_OPTIONS: Known<ClusterOptions> = {
  pollerCount: 1,
  loadBalance: 1,
  acceptMode: 1,
  data: 1,
  onWorkerError: 1,
};

/** What {@linkcode serve} is told beside its handler module. */
export interface ServeOptions
  extends ClusterOptions, Pick<SignalOptions, "signals">, Pick<ShutdownOptions, "signal"> {
  /** How long running requests may take when it ends, in milliseconds. 10000 unless given. */
  timeoutMs?: number;
}

/** The names of {@linkcode ServeOptions}. */
export const SERVE_OPTIONS: Known<ServeOptions> = {
  ...CLUSTER_OPTIONS,
  signals: 1,
  signal: 1,
  timeoutMs: 1,
};

/** Throws unless it is a number of pollers. */
export function checkPollerCount(pollerCount: number): void {
  if (Number.isInteger(pollerCount) && pollerCount > 0 && pollerCount <= POLLERS_MAX) return;
  throw new RangeError(
    `Cannot set pollerCount to ${show(pollerCount)}: it is a whole number from 1 to ${POLLERS_MAX}`,
  );
}

/** Throws unless a cluster can be made of them. */
export function checkCluster(handler: unknown, options: ClusterOptions): void {
  if (!(handler instanceof URL)) {
    throw new TypeError(
      `Cannot serve ${
        show(handler)
      }: a handler module is a URL, new URL("./handler.ts", import.meta.url)`,
    );
  }
  checkOptions("Cluster", options, CLUSTER_OPTIONS);
  const { pollerCount, acceptMode, loadBalance } = options;
  if (options.onWorkerError !== undefined) checkFunction("onWorkerError", options.onWorkerError);
  if (pollerCount !== undefined) checkPollerCount(pollerCount);
  if (acceptMode !== undefined && acceptMode !== "handover" && acceptMode !== "reuseport") {
    throw new TypeError(
      `Cannot set acceptMode to "${acceptMode}": it is "handover" or "reuseport"`,
    );
  }
  if (acceptMode === "reuseport" && loadBalance !== undefined) {
    throw new TypeError('Cannot balance with acceptMode "reuseport": the kernel chooses');
  }
}
