/**
 * The work of a thread and its state: one plain object, made when somebody asks.
 *
 * Counts only go up, and begin with the thread. Names that end in `Count` or say bytes that are
 * held go up and down.
 */
import process from "node:process";
import { blocks } from "../buffer/block.ts";
import { spareNodeCount } from "../buffer/link_node.ts";
import { config } from "../core/config.ts";
import {
  type ConnectionCounts,
  counts,
  datagramSockets,
  type DatagramTotals,
  type LimitCounts,
  type ProxyHeaderCounts,
  type TimeoutCounts,
  type TlsCounts,
  type ZeroCopyTotals,
} from "../core/counts.ts";
import { type LatencyMetrics, latencyMetrics } from "../core/latency.ts";
import { TCP_SAMPLED_MAX } from "../core/limits.ts";
import { type TcpTotals, tcpTotals } from "../net/tcp_totals.ts";
import { threadPollerIfAny } from "../poll/thread_poller.ts";
import {
  type ByteTotals,
  byteTotals,
  type CallCounts,
  type CallName,
  readCallCounts,
  type WaitCounts,
} from "./call_counts.ts";

/** The process, all of its threads together. */
export interface ProcessMetrics {
  /** Its number. */
  pid: number;
  /** The time that it has been running, in milliseconds. */
  uptimeMs: number;
  /** Processor time in its own code, in microseconds. */
  userMicros: number;
  /** Processor time that the kernel spent for it, in microseconds. */
  systemMicros: number;
  /** Memory that it occupies, in bytes; 0 while no descriptor is left to ask the kernel by. */
  residentBytes: number;
  /** The bytes in use of the JavaScript heap of the thread that was asked; 0 likewise, in Bun. */
  heapBytes: number;
}

/** Connections of a thread. */
export interface ConnectionTotals extends ConnectionCounts {
  /** Those that were accepted here: in a cluster, by the thread that accepts for the others. */
  accepted: number;
}

/** The counts of a poller that shares its thread with the runtime. */
export interface PollerMetrics {
  /** Turns of ours: macrotasks in which it polled. */
  turns: number;
  /** Waits that did not block: **hot**. */
  hotWaits: number;
  /** Waits that blocked the thread for a moment: **warm**. */
  warmWaits: number;
  /** The number of times that it went **cold**: it left the thread to the runtime until an event. */
  sleeps: number;
  /** The number of times that the waker's socket woke the runtime. */
  wakes: number;
  /** Events that all waits brought. */
  events: number;
  /** Waits by how many events they brought: 0, 1, 2–3, 4–7, and so on, up to 256–511. */
  batches: number[];
  /** Descriptors that are watched. */
  watchedCount: number;
  /** Deadlines that are set. */
  timerCount: number;
  /** Connections that get a turn without an event: they had more to do than one turn allows. */
  againCount: number;
  /** Events that came and were not told yet, for the turn's time was over. */
  untoldCount: number;
  /** Handlers that wait for something that is not of netpoll. */
  outsideWaitCount: number;
}

/** The memory that buffers are made of. */
export interface MemoryMetrics {
  /** Slabs that were ever mapped. */
  slabCount: number;
  /** Those of them that are in use; the others have given their pages back. */
  wrappedSlabCount: number;
  /** The bytes of these. */
  slabBytes: number;
  /** Blocks in use. */
  blockCount: number;
  /** The bytes of these. */
  blockBytes: number;
  /** Bytes of blocks that the kernel sends from without a copy, and that must wait for it. */
  pinnedBytes: number;
  /** Nodes of chains that are kept to be used again. */
  spareNodeCount: number;
}

/** The work of a thread, and its state. */
export interface Metrics {
  /** When this was so, in milliseconds since 1970. */
  takenAtMs: number;
  /** The process. */
  process: ProcessMetrics;
  /** Connections: accepted ones, dialled ones, and those over other descriptors. */
  connections: ConnectionTotals;
  /** System calls, by what they do. */
  calls: Record<CallName, CallCounts>;
  /** Bytes that came and left, by whichever of them. */
  bytes: ByteTotals;
  /** The counts of how the thread is shared. */
  poller: PollerMetrics;
  /** Slabs and blocks. */
  memory: MemoryMetrics;
  /** Sends without a copy. */
  zeroCopy: ZeroCopyTotals;
  /** Datagram sockets, all together. */
  datagrams: DatagramTotals;
  /** Deadlines that passed, by what was late. */
  timeouts: TimeoutCounts;
  /** The times that limits held somebody back. */
  limits: LimitCounts;
  /** TLS handshakes. */
  tls: TlsCounts;
  /** PROXY headers. */
  proxyProtocol: ProxyHeaderCounts;
  /** The times of handlers, waits and turns; null without `configure({ measure: true })`. */
  latency: LatencyMetrics | null;
  /**
   * The kernel's account of TCP connections: of up to 256 at a time, others with the next snapshot; null
   * without `configure({ measure: true })`.
   */
  tcp: TcpTotals | null;
  /** System calls and sockets that failed, by the name of the error: `{ ECONNRESET: 3 }`. */
  errors: Record<string, number>;
}

/** Runtimes read a file to know it. Without a descriptor for that, Deno says 0 and Bun throws. */
function memoryUsage(): { rss: number; heapUsed: number } {
  try {
    return process.memoryUsage();
  } catch {
    return { rss: 0, heapUsed: 0 };
  }
}

function processMetrics(): ProcessMetrics {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = memoryUsage();
  return {
    pid: process.pid,
    uptimeMs: Math.round(process.uptime() * 1000),
    userMicros: user,
    systemMicros: system,
    residentBytes: rss,
    heapBytes: heapUsed,
  };
}

function memoryMetrics(): MemoryMetrics {
  const { slabCount, wrappedCount, wrappedBytes, usedCount, usedBytes } = blocks.counts();
  return {
    slabCount,
    wrappedSlabCount: wrappedCount,
    slabBytes: wrappedBytes,
    blockCount: usedCount,
    blockBytes: usedBytes,
    pinnedBytes: blocks.pinnedBytes,
    spareNodeCount: spareNodeCount(),
  };
}

function pollerMetrics({ hotWaits, warmWaits, events, batches }: WaitCounts): PollerMetrics {
  const poller = threadPollerIfAny();
  const pace = poller?.pace;
  return {
    turns: pace?.counts.turns ?? 0,
    hotWaits,
    warmWaits,
    sleeps: pace?.counts.colds ?? 0,
    wakes: pace?.counts.wakes ?? 0,
    events,
    batches,
    watchedCount: poller?.watcherCount ?? 0,
    timerCount: poller?.timerCount ?? 0,
    againCount: poller?.againCount ?? 0,
    untoldCount: poller?.untoldCount ?? 0,
    outsideWaitCount: pace?.outsideWaits ?? 0,
  };
}

/** The kernel counts for sockets that are open, and we for those that were. */
function datagramTotals(): DatagramTotals {
  const totals = { ...counts.datagrams };
  for (const { droppedByKernel } of datagramSockets) totals.droppedByKernel += droppedByKernel;
  return totals;
}

/**
 * The work of this thread so far, and its state: connections, system calls, turns, memory. A
 * snapshot that is yours. Taking one costs some ten microseconds; not taking one costs nothing.
 *
 * A cluster asks all of its threads: {@linkcode Cluster.metrics}.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { metrics } from "@netpoll/netpoll/metrics";
 *
 * const before = metrics();
 * const [a, b] = socketPair();
 * a.writer.writeString("hello");
 * await a.writer.flush();
 * await b.reader.wait(5);
 * const { calls, connections } = metrics();
 * console.log(calls.send.bytes - before.calls.send.bytes); // 5
 * console.log(connections.opened - before.connections.opened); // 2
 * await a.close();
 * await b.close();
 * ```
 */
export function metrics(): Metrics {
  const { calls, accepted, waits, errors } = readCallCounts();
  return {
    takenAtMs: Date.now(),
    process: processMetrics(),
    connections: { accepted, ...counts.connections },
    calls,
    bytes: byteTotals(calls),
    poller: pollerMetrics(waits),
    memory: memoryMetrics(),
    zeroCopy: { ...counts.zeroCopy },
    datagrams: datagramTotals(),
    timeouts: { ...counts.timeouts },
    limits: { ...counts.limits },
    tls: { ...counts.tls, failures: { ...counts.tls.failures } },
    proxyProtocol: {
      ...counts.proxyProtocol,
      failures: { ...counts.proxyProtocol.failures },
    },
    latency: latencyMetrics(),
    tcp: config.measure ? tcpTotals(threadPollerIfAny()?.sample(TCP_SAMPLED_MAX) ?? []) : null,
    errors,
  };
}
