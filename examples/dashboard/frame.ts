/**
 * The frames that examples/dashboard.ts sends to its page: each tells what happened since the last.
 *
 * @module
 */
import { type ClusterMetrics, type Metrics, percentileMicros } from "../../mod.ts";

/** Times, in microseconds. */
export interface Times {
  p50: number;
  p99: number;
  p999: number;
  longest: number;
}

/** Something that should not happen. */
export interface Trouble {
  name: string;
  /** Its count since the server began. */
  total: number;
  /** Its count since the event before. */
  recent: number;
  /** Its kinds that there were: "read 3, idle 1"; null where it has none. */
  kinds: string | null;
}

/** One event of the stream. Rates are of the threads that answered. */
export interface Frame {
  /** When it was taken, in milliseconds since 1970. */
  atMs: number;
  /** The time between two events, in milliseconds. */
  intervalMs: number;
  pid: number;
  uptimeMs: number;
  connections: { open: number; acceptedPerSecond: number };
  /** Calls of handlers: in a request-and-answer protocol, requests. */
  callsPerSecond: number;
  receivedBytesPerSecond: number;
  sentBytesPerSecond: number;
  /** Null where nothing happened, or a poller did not answer. */
  times: Record<"handler" | "wait" | "turn", Times | null>;
  tcp: { sampled: number; rttP50: number; rttP99: number; retransmits: number } | null;
  /** Null is the rate of a poller that did not answer. */
  pollers: { connections: number; callsPerSecond: number | null }[];
  memory: { residentBytes: number; heapBytes: number; blockBytes: number };
  troubles: Trouble[];
}

type Read = (of: Metrics) => number;

/** The sum of what each thread counted meanwhile, of those that answered both times. */
function counted(now: ClusterMetrics, before: ClusterMetrics, read: Read): number {
  const since = (a: Metrics | null, b?: Metrics | null) =>
    // A Worker that was replaced begins again from 0.
    a && b ? Math.max(0, read(a) - read(b)) : 0;
  return now.pollers.reduce(
    (sum, { metrics }, i) => sum + since(metrics, before.pollers[i]?.metrics),
    since(now.acceptor, before.acceptor),
  );
}

function timesOf(name: keyof Frame["times"], now: ClusterMetrics, before: ClusterMetrics) {
  const [a, b] = [now.total.latency?.[name], before.total.latency?.[name]];
  const answered = [now, before].every(({ pollers }) => pollers.every((one) => one.metrics));
  if (!a || !b || !answered || a.count <= b.count) return null;
  const at = (percent: number) => percentileMicros(percent, a, b);
  return { p50: at(50), p99: at(99), p999: at(99.9), longest: at(100) };
}

function sum(counts: object): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Counts of trouble: a number, or a number for each kind. */
const TROUBLES: Readonly<Record<string, (of: Metrics) => Record<string, number>>> = {
  "Connections lost to a reset or the network": (of) => ({ "": of.connections.lost }),
  "Connections refused": (of) => ({ "": of.connections.refused }),
  "Connections that ended with unsent bytes": (of) => ({ "": of.connections.unsent }),
  "Handlers that failed": (of) => ({ "": of.connections.failures }),
  "Timeouts": (of) => ({ ...of.timeouts }),
  "Limits reached": (of) => ({ ...of.limits }),
  "TLS handshakes that failed": (of) => of.tls.failures,
  "Datagrams dropped": ({ datagrams: of }) => ({
    full: of.droppedFull,
    expired: of.droppedExpired,
    refused: of.droppedRefused,
    "by the kernel": of.droppedByKernel,
  }),
  "Errors of system calls and sockets": (of) => of.errors,
};

function kindsOf(counts: Record<string, number>): string | null {
  if ("" in counts) return null;
  const some = Object.entries(counts).filter(([, count]) => count > 0);
  return some.map(([kind, count]) => `${kind} ${count}`).join(", ");
}

/** The event about the time between two snapshots. */
export function frameOf(now: ClusterMetrics, before: ClusterMetrics, intervalMs: number): Frame {
  const { total } = now;
  const seconds = Math.max(0.001, (total.takenAtMs - before.total.takenAtMs) / 1000);
  const rate = (read: Read) => counted(now, before, read) / seconds;
  const calls: Read = (of) => of.latency?.handler.count ?? 0;
  return {
    atMs: total.takenAtMs,
    intervalMs,
    pid: total.process.pid,
    uptimeMs: total.process.uptimeMs,
    connections: {
      open: total.connections.activeCount,
      acceptedPerSecond: rate((of) => of.connections.accepted),
    },
    callsPerSecond: rate(calls),
    receivedBytesPerSecond: rate((of) => of.bytes.received),
    sentBytesPerSecond: rate((of) => of.bytes.sent),
    times: {
      handler: timesOf("handler", now, before),
      wait: timesOf("wait", now, before),
      turn: timesOf("turn", now, before),
    },
    tcp: total.tcp && {
      sampled: total.tcp.sampledCount,
      rttP50: total.tcp.rtt.p50Micros,
      rttP99: total.tcp.rtt.p99Micros,
      retransmits: total.tcp.retransmits,
    },
    pollers: now.pollers.map(({ connectionCount, metrics }, i) => {
      const old = before.pollers[i]?.metrics;
      const callsPerSecond = metrics && old
        ? Math.max(0, calls(metrics) - calls(old)) / seconds
        : null;
      return { connections: connectionCount, callsPerSecond };
    }),
    memory: {
      residentBytes: total.process.residentBytes,
      heapBytes: sum(
        [now.acceptor, ...now.pollers.map((one) => one.metrics)].map((of) =>
          of?.process.heapBytes ?? 0
        ),
      ),
      blockBytes: total.memory.blockBytes,
    },
    troubles: Object.entries(TROUBLES).map(([name, read]) => ({
      name,
      total: sum(read(total)),
      recent: counted(now, before, (of) => sum(read(of))),
      kinds: kindsOf(read(total)),
    })),
  };
}
