/**
 * What can be seen of a running program: counters, their text for Prometheus, and the types of
 * what connections, loops, clusters and `node:diagnostics_channel` tell.
 *
 * @example
 * ```ts
 * import { metrics, prometheus } from "@netpoll/netpoll/metrics";
 *
 * const now = metrics();
 * console.log(now.connections.activeCount); // 0
 * console.log(prometheus(now).includes("netpoll_connections_active 0")); // true
 * ```
 *
 * @module
 */
export type { LoopMetrics } from "../server/event_loop.ts";
export type { ListenerMetrics } from "../server/acceptor.ts";
export { metrics } from "../metrics/metrics.ts";
export type {
  ConnectionTotals,
  MemoryMetrics,
  Metrics,
  PollerMetrics,
  ProcessMetrics,
} from "../metrics/metrics.ts";
export type { ByteTotals, CallCounts, CallName } from "../metrics/call_counts.ts";
export type { ClusterMetrics, ClusterPollerMetrics } from "../metrics/cluster_metrics.ts";
export { prometheus, type PrometheusOptions } from "../metrics/prometheus.ts";
export type {
  ConnectionMetrics,
  ConnectionState,
  QueueMetrics,
} from "../connection/connection_metrics.ts";
export type { TcpTotals } from "../net/tcp_totals.ts";
export type { AcceptQueue, TcpMetrics } from "../net/tcp_info.ts";
export type {
  ConnectionCounts,
  DatagramCounts,
  DatagramTotals,
  LimitCounts,
  ProxyHeaderCounts,
  TimeoutCounts,
  TlsCounts,
  ZeroCopyTotals,
} from "../core/counts.ts";
export { type HistogramMetrics, percentileMicros } from "../core/histogram.ts";
export type { LatencyMetrics } from "../core/latency.ts";
export type { TraceMessage } from "../core/channel.ts";
export type {
  ConnectionCloseMessage,
  ConnectionErrorMessage,
  ConnectionMessage,
  ConnectionOpenMessage,
  RequestMessage,
  TimeoutMessage,
} from "../connection/messages.ts";
export type { AcceptErrorMessage, AcceptRefusedMessage, ListenerMessage } from "../net/messages.ts";
export type { TlsHandshakeMessage } from "../transport/messages.ts";
export type { DialMessage } from "../client/messages.ts";
