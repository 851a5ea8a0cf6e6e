/**
 * The metrics of a cluster: of each thread, and of all together.
 */
import { mergeLatency } from "../core/latency.ts";
import { mergeTcp } from "../net/tcp_totals.ts";
import type { Metrics } from "./metrics.ts";

/** One poller of a cluster. */
export interface ClusterPollerMetrics {
  /** Its number, from 0. */
  index: number;
  /** Connections that it has, or that are on their way to it. */
  connectionCount: number;
  /** Those that were handed over and that it has not taken yet. */
  pendingCount: number;
  /** The metrics of its thread; null when it did not answer in time, or there is none just now. */
  metrics: Metrics | null;
}

/** The metrics of a cluster. */
export interface ClusterMetrics {
  /** All threads together; those left out that did not answer. */
  total: Metrics;
  /** The thread that the cluster was made in, which accepts for the others. */
  acceptor: Metrics;
  /** All pollers, those included whose Worker has ended. */
  pollers: readonly ClusterPollerMetrics[];
}

type Tree = { [name: string]: Tree | number } | number[];

/** The sum of two trees of numbers; what one of them lacks counts as nothing. */
function add(a: Tree | number, b: Tree | number): Tree | number {
  if (typeof a === "number" || typeof b === "number") return (a as number) + (b as number);
  if (Array.isArray(a)) return a.map((value, i) => value + (b as number[])[i]!);
  const sum: { [name: string]: Tree | number } = { ...a };
  for (const [name, value] of Object.entries(b)) {
    sum[name] = name in sum ? add(sum[name]!, value) : value;
  }
  return sum;
}

/** Puts the answers of a cluster's threads together. */
export function clusterMetrics(
  acceptor: Metrics,
  pollers: readonly ClusterPollerMetrics[],
): ClusterMetrics {
  const threads = [acceptor, ...pollers.map(({ metrics }) => metrics)].filter((one) =>
    one !== null
  );
  const sum = threads.map(({ latency: _, tcp: __, ...counts }) => counts as unknown as Tree)
    .reduce((sum, one) => add(sum, one) as Tree);
  // These are of the process already.
  const { takenAtMs, process } = acceptor;
  const latency = mergeLatency(threads.map((one) => one.latency)); // percentiles add up to nothing
  const tcp = mergeTcp(threads.map((one) => one.tcp));
  return {
    total: { ...sum as unknown as Metrics, takenAtMs, process, latency, tcp },
    acceptor,
    pollers,
  };
}
