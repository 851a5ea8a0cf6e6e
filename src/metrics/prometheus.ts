/**
 * Metrics as Prometheus reads them (exposition format, version 0.0.4).
 */
import type { ClusterMetrics } from "./cluster_metrics.ts";
import {
  counter,
  counters,
  escaped,
  type Family,
  gauge,
  type Labelled,
  type Read,
  type Sample,
  write,
} from "./family.ts";
import type { Metrics } from "./metrics.ts";
import type { HistogramMetrics } from "../core/histogram.ts";
import type { TcpTotals } from "../net/tcp_totals.ts";
import type { PoolAddressMetrics, PoolMetrics } from "../client/pool/metrics.ts";
import { checkObject, readOptions, show } from "../core/options.ts";

function batchSamples({ poller: { batches, events } }: Metrics): Sample[] {
  const samples: Sample[] = [];
  let count = 0;
  for (const [bits, waits] of batches.entries()) {
    count += waits;
    samples.push([`le="${2 ** bits - 1}"`, count, "_bucket"]);
  }
  return [...samples, ['le="+Inf"', count, "_bucket"], ["", events, "_sum"], ["", count, "_count"]];
}

/** The upper bounds of the buckets of times, in seconds. */
const TIME_BOUNDS = [-6, -5, -4, -3, -2, -1, 0].flatMap((power) =>
  [1, 2.5, 5].map((factor) => Number(`${factor}e${power}`))
);

/** A histogram of times, by our own buckets, which are narrower. */
function timeSamples({ buckets, count, sumMicros }: HistogramMetrics): Sample[] {
  const entries = Object.entries(buckets).map(([micros, each]) => [Number(micros), each] as const);
  const upTo = (seconds: number) =>
    entries.reduce((sum, [micros, each]) => micros / 1e6 <= seconds ? sum + each : sum, 0);
  return [
    ...TIME_BOUNDS.map((bound): Sample => [`le="${bound}"`, upTo(bound), "_bucket"]),
    ['le="+Inf"', count, "_bucket"],
    ["", sumMicros / 1e6, "_sum"],
    ["", count, "_count"],
  ];
}

function times(name: string, help: string, read: Read<HistogramMetrics | undefined>): Family {
  return {
    name: `${name}_seconds`,
    type: "histogram",
    help,
    isOptional: true,
    read: (of) => {
      const found = read(of);
      return found === undefined ? [] : timeSamples(found);
    },
  };
}

/** One number of each kind of call. */
function ofCalls(read: (call: Metrics["calls"]["send"]) => number): Read<Record<string, number>> {
  return ({ calls }) =>
    Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, read(call)]));
}

const PROCESS: readonly Family[] = [
  counters("process_cpu_seconds", "Processor time of the process.", "mode", ({ process }) => ({
    user: process.userMicros / 1e6,
    system: process.systemMicros / 1e6,
  })),
  gauge(
    "process_uptime_seconds",
    "How long the process has been running.",
    (of) => of.process.uptimeMs / 1000,
  ),
  gauge(
    "process_resident_bytes",
    "Resident memory of the process.",
    (of) => of.process.residentBytes,
  ),
];

const CONNECTIONS: readonly Family[] = [
  counter("connections_accepted", "Connections accepted.", (of) => of.connections.accepted),
  counter(
    "connections_opened",
    "Connections that began: accepted, dialled, or over a given descriptor.",
    (of) => of.connections.opened,
  ),
  gauge("connections_active", "Connections that are open.", (of) => of.connections.activeCount),
  counter(
    "connections_lost",
    "Connections ended by a reset or a broken network.",
    (of) => of.connections.lost,
  ),
  counter(
    "connections_unsent",
    "Connections that ended with flushed bytes that the peer had not taken.",
    (of) => of.connections.unsent,
  ),
  counter(
    "unsent_bytes",
    "Flushed bytes that were dropped with their connections.",
    (of) => of.connections.unsentBytes,
  ),
  counter(
    "connections_detached",
    "Connections whose descriptor was given away.",
    (of) => of.connections.detached,
  ),
  counter(
    "connections_refused",
    "Connections reset at once: too many from one address.",
    (of) => of.connections.refused,
  ),
  counter(
    "callback_failures",
    "Failures of handlers and callbacks.",
    (of) => of.connections.failures,
  ),
  counters("timeouts", "Deadlines that passed.", "operation", (of) => of.timeouts),
  counters("limits", "Times that limits held somebody back.", "limit", (of) => ({ ...of.limits })),
  counter("tls_handshakes", "TLS handshakes that succeeded.", (of) => of.tls.handshakes),
  counters(
    "tls_handshake_failures",
    "TLS handshakes that failed.",
    "reason",
    (of) => of.tls.failures,
  ),
  counter(
    "proxy_headers",
    "PROXY headers that were right.",
    (of) => of.proxyProtocol.headers,
  ),
  counters(
    "proxy_header_failures",
    "PROXY headers that were not.",
    "reason",
    (of) => of.proxyProtocol.failures,
  ),
  counter(
    "proxy_untrusted",
    "Connections reset since their peer is no trusted proxy.",
    (of) => of.proxyProtocol.untrusted,
  ),
  counters("errors", "Failed system calls, and errors of sockets.", "code", (of) => of.errors),
];

const BYTES: readonly Family[] = [
  counters("calls", "System calls.", "call", ofCalls(({ calls }) => calls)),
  counters(
    "calls_not_ready",
    "System calls that had nothing to do yet.",
    "call",
    ofCalls(({ notReady }) => notReady),
  ),
  counter("received_bytes", "Bytes received.", (of) => of.bytes.received),
  counters("sent_bytes", "Bytes sent, by how.", "call", ({ bytes, calls }) => {
    const [send, sendFile] = [calls.send.bytes, calls.sendFile.bytes];
    const sendZeroCopy = calls.sendZeroCopy.bytes;
    return { send, sendFile, sendZeroCopy, splice: bytes.sent - send - sendFile - sendZeroCopy };
  }),
  counter("spliced_bytes", "Bytes moved by splice, in and out.", (of) => of.calls.splice.bytes),
  counter(
    "zero_copy_completions",
    "Zero-copy sends that have completed.",
    (of) => of.zeroCopy.completions,
  ),
  counter(
    "zero_copy_notifications",
    "Notifications of completed zero-copy sends.",
    (of) => of.zeroCopy.notifications,
  ),
  counter(
    "zero_copy_copied",
    "Notifications of sends that the kernel copied all the same.",
    (of) => of.zeroCopy.copied,
  ),
  counter(
    "zero_copy_no_buffers",
    "Zero-copy sends refused for want of memory.",
    (of) => of.zeroCopy.noBuffers,
  ),
  counter(
    "zero_copy_fall_backs",
    "Sends large enough for zero copy that were made by copying.",
    (of) => of.zeroCopy.fallBacks,
  ),
];

const DATAGRAMS: readonly Family[] = [
  gauge(
    "datagram_sockets_active",
    "Datagram sockets that are open.",
    (of) => of.datagrams.activeCount,
  ),
  counter(
    "datagram_sockets_opened",
    "Datagram sockets that were opened.",
    (of) => of.datagrams.opened,
  ),
  counters("datagrams", "Datagrams received and sent.", "direction", ({ datagrams }) => ({
    received: datagrams.receivedCount,
    sent: datagrams.sentCount,
  })),
  counters("datagram_bytes", "Bytes of datagrams.", "direction", ({ datagrams }) => ({
    received: datagrams.receivedBytes,
    sent: datagrams.sentBytes,
  })),
  counters(
    "datagram_messages",
    "Datagrams as the kernel counts them: a train is one.",
    "direction",
    ({ datagrams }) => ({
      received: datagrams.receivedMessages,
      sent: datagrams.sentMessages,
    }),
  ),
  counters("datagrams_dropped", "Datagrams that were dropped.", "reason", ({ datagrams }) => ({
    kernel: datagrams.droppedByKernel,
    full: datagrams.droppedFull,
    expired: datagrams.droppedExpired,
    refused: datagrams.droppedRefused,
    closed: datagrams.droppedClosed,
  })),
  counter(
    "datagrams_blocked",
    "How often the kernel had no room for a datagram.",
    (of) => of.datagrams.blocked,
  ),
  counter(
    "datagram_errors",
    "Errors of peers, and failures of handlers of datagrams.",
    (of) => of.datagrams.errors,
  ),
];

const THREAD: readonly Family[] = [
  counter("turns", "Macrotasks in which the poller polled.", (of) => of.poller.turns),
  counters("waits", "Waits for events, by whether they may block.", "phase", ({ poller }) => ({
    hot: poller.hotWaits,
    warm: poller.warmWaits,
  })),
  counter(
    "sleeps",
    "How often the poller left the thread to the runtime.",
    (of) => of.poller.sleeps,
  ),
  counter("wakes", "How often the waker woke the runtime.", (of) => of.poller.wakes),
  {
    name: "events_per_wait",
    type: "histogram",
    help: "Events that a wait brought.",
    read: batchSamples,
  },
  gauge("watched_descriptors", "Descriptors in the epoll set.", (of) => of.poller.watchedCount),
  gauge("timers", "Deadlines that are set.", (of) => of.poller.timerCount),
  gauge(
    "queued_again",
    "Connections that get a turn without an event.",
    (of) => of.poller.againCount,
  ),
  gauge("untold_events", "Events that came and were not told yet.", (of) => of.poller.untoldCount),
  gauge(
    "outside_waits",
    "Handlers that wait for something not of netpoll.",
    (of) => of.poller.outsideWaitCount,
  ),
  gauge("heap_bytes", "JavaScript heap in use.", (of) => of.process.heapBytes),
  gauge("slabs_mapped", "Slabs ever mapped.", (of) => of.memory.slabCount),
  gauge("slabs_wrapped", "Slabs that have pages.", (of) => of.memory.wrappedSlabCount),
  gauge("slab_bytes", "Bytes of slabs that have pages.", (of) => of.memory.slabBytes),
  gauge("blocks", "Blocks in use.", (of) => of.memory.blockCount),
  gauge("block_bytes", "Bytes of blocks in use.", (of) => of.memory.blockBytes),
  gauge(
    "pinned_bytes",
    "Bytes of blocks that the kernel still sends from.",
    (of) => of.memory.pinnedBytes,
  ),
  gauge("spare_nodes", "Nodes that are kept to be used again.", (of) => of.memory.spareNodeCount),
];

/** Times, of threads that measure them. */
const TIMES: readonly Family[] = [
  times("handler", "How long calls of handlers took.", (of) => of.latency?.handler),
  times("queue_wait", "How long bytes waited for the handler.", (of) => of.latency?.wait),
  times("turn", "How long turns with something to do took.", (of) => of.latency?.turn),
  times("turn_gap", "How long the runtime had the thread.", (of) => of.latency?.gap),
];

/** A gauge of the TCP connections that were looked at. */
function tcpGauge(name: string, help: string, read: (of: TcpTotals) => number): Family {
  const samples = ({ tcp }: Metrics): Sample[] => tcp === null ? [] : [["", read(tcp)]];
  return { name: `tcp_${name}`, type: "gauge", help, isOptional: true, read: samples };
}

/** Open TCP connections, of threads that measure. */
const TCP: readonly Family[] = [
  tcpGauge(
    "sampled",
    "TCP connections that the other tcp metrics are of.",
    (of) => of.sampledCount,
  ),
  {
    name: "tcp_rtt_seconds",
    type: "summary",
    help: "Smoothed round trips.",
    isOptional: true,
    read: ({ tcp }) =>
      tcp === null ? [] : [
        ['quantile="0.5"', tcp.rtt.p50Micros / 1e6],
        ['quantile="0.9"', tcp.rtt.p90Micros / 1e6],
        ['quantile="0.99"', tcp.rtt.p99Micros / 1e6],
        ['quantile="1"', tcp.rtt.maxMicros / 1e6],
      ],
  },
  tcpGauge("retransmits", "Segments sent again.", (of) => of.retransmits),
  tcpGauge("unacked_segments", "Segments under way.", (of) => of.unackedCount),
  tcpGauge("unsent_bytes", "Bytes in the kernel not sent even once.", (of) => of.unsentBytes),
  tcpGauge(
    "delivery_bytes_per_second",
    "Rates at which peers got data of late.",
    (of) => of.deliveryBytesPerSecond,
  ),
  tcpGauge("busy_seconds", "Time with something to send.", (of) => of.busyMicros / 1e6),
  tcpGauge(
    "receive_window_limited_seconds",
    "Time in which peers took no more.",
    (of) => of.receiveWindowLimitedMicros / 1e6,
  ),
  tcpGauge(
    "send_buffer_limited_seconds",
    "Time in which a send buffer was too small.",
    (of) => of.sendBufferLimitedMicros / 1e6,
  ),
];

/** A sample for each address of a pool. */
function ofAddresses(
  name: string,
  help: string,
  read: (of: PoolAddressMetrics) => number,
): Family<PoolMetrics> {
  const samples = ({ addresses }: PoolMetrics): Sample[] =>
    addresses.map((each, i) => [
      // The same address may be given twice.
      `address="${escaped(each.address)}",index="${i}"`,
      read(each),
    ]);
  return { name, type: "gauge", help, read: samples };
}

/** Pools that a caller names. */
const POOLS: readonly Family<PoolMetrics>[] = [
  {
    name: "pool_connections",
    type: "gauge",
    help: "Connections of a pool.",
    read: ({ idle, inUse, dialing, probing }) => [
      ['state="idle"', idle],
      ['state="in_use"', inUse],
      ['state="dialing"', dialing],
      ['state="probing"', probing],
    ],
  },
  gauge("pool_waiting", "Calls of acquire that wait.", (of) => of.waiting),
  counter("pool_acquired", "Calls of acquire that got a connection.", (of) => of.acquired),
  counter("pool_waits", "Those of them that had to wait.", (of) => of.wait.count),
  counter("pool_wait_seconds", "The time of these waits.", (of) => of.wait.sumMs / 1000),
  counter("pool_connections_created", "Connections that were made.", (of) => of.created),
  counters("pool_connections_closed", "Those that were closed.", "reason", (of) => of.closed),
  counters(
    "pool_failures",
    "Dials and probes that failed, and waits given up.",
    "operation",
    (of) => of.failures,
  ),
  ofAddresses("pool_address_connections", "Connections of an address.", (of) => of.size),
  ofAddresses(
    "pool_address_ejected",
    "Whether an address is left alone.",
    (of) => of.isEjected ? 1 : 0,
  ),
];

function writePools(pools: Readonly<Record<string, PoolMetrics>>): string {
  const all = Object.entries(pools).map(([name, of]) => {
    if (typeof of === "object" && of !== null && "addresses" in of) {
      return [`pool="${escaped(name)}"`, of] as const;
    }
    throw new TypeError(`Cannot write ${show(of)} for Prometheus: it is no metrics() of a pool`);
  });
  return all.length === 0 ? "" : POOLS.map((family) => write(family, all)).join("");
}

/** The metrics that each thread has of its own. */
const OWN: readonly Family[] = [
  ...CONNECTIONS,
  ...BYTES,
  ...DATAGRAMS,
  ...THREAD,
  ...TIMES,
  ...TCP,
];

function writeCluster({ acceptor, pollers }: ClusterMetrics): string {
  const all = pollers.map(({ index, ...poller }) => ({ label: `poller="${index}"`, ...poller }));
  const threads: Labelled[] = [['poller="main"', acceptor]];
  for (const { label, metrics } of all) if (metrics !== null) threads.push([label, metrics]);
  const ofPollers = (name: string, help: string, read: (of: typeof all[number]) => number) =>
    `# HELP netpoll_${name} ${help}\n# TYPE netpoll_${name} gauge\n` +
    all.map((poller) => `netpoll_${name}{${poller.label}} ${read(poller)}\n`).join("");
  return OWN.map((family) => write(family, threads)).join("") +
    ofPollers("poller_up", "Whether the Worker answered.", (of) => of.metrics === null ? 0 : 1) +
    ofPollers(
      "poller_pending",
      "Connections handed over and not taken yet.",
      (of) => of.pendingCount,
    );
}

/** The options of {@linkcode prometheus}. */
export interface PrometheusOptions {
  /** The results of `metrics()` of pools, each by the name that it has in the label `pool`. */
  pools?: Readonly<Record<string, PoolMetrics>>;
}

/**
 * Metrics as Prometheus reads them, to be answered with the type
 * `text/plain; version=0.0.4`. Names begin with `netpoll_`; times are in seconds, sizes in bytes.
 * Those of a cluster have a label `poller`: `"0"`, `"1"`, …, and `"main"` for the thread that
 * accepts. Pools are written when they are given. docs/METRICS.md says what each means.
 *
 * @throws {TypeError} It is given what is none of these.
 *
 * @example
 * ```ts
 * import { metrics, prometheus } from "@netpoll/netpoll/metrics";
 *
 * const text = prometheus(metrics());
 * console.log(text.match(/^netpoll_connections_active .*$/m)?.[0]); // "netpoll_connections_active 0"
 * ```
 */
export function prometheus(
  of: Metrics | ClusterMetrics,
  options: PrometheusOptions = {},
): string {
  const { pools = {} } = readOptions("prometheus", options, { pools: 1 });
  checkObject("pools of prometheus", pools);
  if (typeof of !== "object" || of === null || !("pollers" in of || "calls" in of)) {
    throw new TypeError(`Cannot write ${show(of)} for Prometheus: it is no metrics() of netpoll's`);
  }
  const process = (one: Metrics) => PROCESS.map((family) => write(family, [["", one]])).join("");
  const own = "pollers" in of
    ? process(of.acceptor) + writeCluster(of)
    : process(of) + OWN.map((family) => write(family, [["", of]])).join("");
  return own + writePools(pools);
}
