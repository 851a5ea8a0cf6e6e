/**
 * Counts of this thread beside its system calls, which libnetpoll.c counts itself. Nothing
 * here is touched for a message.
 */
import type { TimeoutOperation, TlsReason } from "./errors.ts";
import type { ProxyFault } from "./proxy_header_error.ts";

/** Connections of a thread, whoever made them. */
export interface ConnectionCounts {
  /** Connections that began to be watched: accepted, dialled, or made of a descriptor. */
  opened: number;
  /** Those that are watched now. */
  activeCount: number;
  /** Those that a reset or an error of the network ended, or `reset()` did. */
  lost: number;
  /** Those that ended with flushed bytes that the peer had not taken; detached ones included. */
  unsent: number;
  /** The bytes of them. */
  unsentBytes: number;
  /** Those whose descriptor was given away by `detach()`. */
  detached: number;
  /** Those that were reset at once: too many from one address (`connectionsPerAddressMax`). */
  refused: number;
  /** Failures of handlers and callbacks: what `onError` was told. */
  failures: number;
}

/** Handshakes of a thread, of servers and of clients. */
export interface TlsCounts {
  /** Those that succeeded. */
  handshakes: number;
  /** Those that failed: by the reason of the error, too late, or by an error of the socket. */
  failures: Record<TlsReason | "timeout" | "lost", number>;
}

/** PROXY headers that came to the listeners of a thread. */
export interface ProxyHeaderCounts {
  /** Those that were right. */
  headers: number;
  /** Those that were not: by the fault of the error, too late, or by an error of the socket. */
  failures: Record<ProxyFault | "timeout" | "lost", number>;
  /** Connections that were reset since their peer is no trusted proxy (`untrusted: "refuse"`). */
  untrusted: number;
}

/** The counts of zero copy, for all connections. */
export interface ZeroCopyTotals {
  /** Sends that the kernel took without copying at once. */
  calls: number;
  /** The bytes of them. */
  bytes: number;
  /** Sends that have completed. */
  completions: number;
  /** Notifications that came: each tells of one send, or of several. */
  notifications: number;
  /** Those of them that said the kernel had copied after all. */
  copied: number;
  /** Sends that the kernel refused for want of memory (ENOBUFS). */
  noBuffers: number;
  /** Sends large enough for zero copy that were made by copying. */
  fallBacks: number;
}

/** Before the first send. */
export function noZeroCopy(): ZeroCopyTotals {
  return {
    calls: 0,
    bytes: 0,
    completions: 0,
    notifications: 0,
    copied: 0,
    noBuffers: 0,
    fallBacks: 0,
  };
}

/** Datagrams of a socket, or of all sockets of a thread. They only go up. */
export interface DatagramCounts {
  /** Datagrams that came. */
  receivedCount: number;
  /** The bytes of them. */
  receivedBytes: number;
  /** The messages that they were for the kernel: a train of datagrams is one. */
  receivedMessages: number;
  /** Datagrams that the kernel has taken. */
  sentCount: number;
  /** The bytes of them. */
  sentBytes: number;
  /** The messages that they were for the kernel: a train of datagrams is one. */
  sentMessages: number;
  /** Datagrams that were written and dropped: the queue was full. */
  droppedFull: number;
  /** Those that had waited longer than `queueLifetimeMs`. */
  droppedExpired: number;
  /** Those that the kernel has refused. */
  droppedRefused: number;
  /** Those that were left when their socket closed. */
  droppedClosed: number;
  /** The times that the kernel had no room for more. */
  blocked: number;
  /** Errors of peers and of handlers: what `onError` hears. */
  errors: number;
}

/** Datagram sockets of a thread. */
export interface DatagramTotals extends DatagramCounts {
  /** Sockets that were opened. */
  opened: number;
  /** Those that are open. */
  activeCount: number;
  /** Datagrams that the kernel has dropped for sockets that are closed now. */
  droppedByKernel: number;
}

/** Before the first datagram. */
export function noDatagrams(): DatagramCounts {
  return {
    receivedCount: 0,
    receivedBytes: 0,
    receivedMessages: 0,
    sentCount: 0,
    sentBytes: 0,
    sentMessages: 0,
    droppedFull: 0,
    droppedExpired: 0,
    droppedRefused: 0,
    droppedClosed: 0,
    blocked: 0,
    errors: 0,
  };
}

/** An open datagram socket, whose kernel counts what it drops. */
export interface DroppingSocket {
  /** Its descriptor. */
  readonly fd: number;
  /** Datagrams that came and were dropped. */
  readonly droppedByKernel: number;
}

/** The datagram sockets of this thread that are open. */
export const datagramSockets: Set<DroppingSocket> = new Set();

/** Bytes that the kernel has moved from or to connections (splice), and that never came here. */
export interface SplicedTotals {
  /** Bytes that were received. */
  received: number;
  /** Bytes that were sent. */
  sent: number;
}

/** The times that limits held somebody back (docs/LIMITS.md). They only go up. */
export interface LimitCounts {
  /** Connections that were not read for a while: `bytesPerSecond`. */
  byteWaits: number;
  /** Those whose next call had to wait: `requestsPerSecond`. */
  requestWaits: number;
  /** Listeners that took nobody for a while: `acceptsPerSecond`. */
  acceptWaits: number;
  /** Connections that were not read for a while: all held too much together (`memoryBytesMax`). */
  memoryPauses: number;
  /** Times that new connections had to wait for that. */
  memoryHolds: number;
  /** Connections that were closed for that. */
  memoryCloses: number;
}

/** Deadlines that passed, by what was late. */
export type TimeoutCounts = Record<TimeoutOperation, number>;

/** The counts of this thread, which only go up; `activeCount` goes down as well. */
export const counts: {
  readonly connections: ConnectionCounts;
  readonly tls: TlsCounts;
  readonly proxyProtocol: ProxyHeaderCounts;
  readonly zeroCopy: ZeroCopyTotals;
  readonly spliced: SplicedTotals;
  readonly datagrams: DatagramTotals;
  readonly timeouts: TimeoutCounts;
  readonly limits: LimitCounts;
  /** Errors that the kernel told of a socket later than in the call that caused them, by number. */
  readonly socketErrors: Record<number, number>;
} = {
  connections: {
    opened: 0,
    activeCount: 0,
    lost: 0,
    unsent: 0,
    unsentBytes: 0,
    detached: 0,
    refused: 0,
    failures: 0,
  },
  tls: {
    handshakes: 0,
    failures: {
      certificate: 0,
      hostname: 0,
      protocol: 0,
      alert: 0,
      truncated: 0,
      timeout: 0,
      lost: 0,
    },
  },
  proxyProtocol: {
    headers: 0,
    failures: {
      signature: 0,
      version: 0,
      command: 0,
      family: 0,
      address: 0,
      length: 0,
      "too-long": 0,
      truncated: 0,
      value: 0,
      checksum: 0,
      timeout: 0,
      lost: 0,
    },
    untrusted: 0,
  },
  zeroCopy: noZeroCopy(),
  spliced: { received: 0, sent: 0 },
  datagrams: { ...noDatagrams(), opened: 0, activeCount: 0, droppedByKernel: 0 },
  timeouts: {
    read: 0,
    write: 0,
    dial: 0,
    acquire: 0,
    handshake: 0,
    header: 0,
    idle: 0,
    lifetime: 0,
    rate: 0,
    request: 0,
  },
  limits: {
    byteWaits: 0,
    requestWaits: 0,
    acceptWaits: 0,
    memoryPauses: 0,
    memoryHolds: 0,
    memoryCloses: 0,
  },
  socketErrors: {},
};

/** An error that a socket had (SO_ERROR): a connect that failed later, a reset. */
export function countSocketError(errno: number): void {
  counts.socketErrors[errno] = (counts.socketErrors[errno] ?? 0) + 1;
}
