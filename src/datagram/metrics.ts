/**
 * The metrics of a datagram socket: its counts, and what the kernel knows of it at this moment.
 */
import { native } from "../../ffi/load.ts";
import { Family, type UdpAddress } from "../net/address.ts";
import type { OptionName } from "../net/socket.ts";
import type { Tally } from "./tally.ts";

const SOL_SOCKET = 1;
const SO_MEMINFO = 55;
const IP_MTU: OptionName = [0, 14];
const IPV6_MTU: OptionName = [41, 24];
/** The places of SO_MEMINFO (linux/sock_diag.h, SK_MEMINFO_VARS). */
const RECEIVE_MEMORY = 0;
const RECEIVE_MEMORY_MAX = 1;
const SEND_MEMORY = 2;
const DROPS = 8;

const memory = new Int32Array(9);

/** The counts of a datagram socket, and what waits in it. */
export interface DatagramMetrics {
  /** The address of this end. */
  localAddress: UdpAddress;
  /** The address that it is connected to; null if it is not. */
  remoteAddress: UdpAddress | null;
  /** Datagrams that came. `messages` is what they were for the kernel: a train is one message. */
  received: {
    /** Datagrams. */
    count: number;
    /** The bytes of them. */
    bytes: number;
    /** Messages of the kernel. */
    messages: number;
    /**
     * Datagrams that the kernel has dropped, since its buffer was full, or a checksum was wrong
     * (SO_MEMINFO). It is known at once, unlike with SO_RXQ_OVFL.
     */
    droppedByKernel: number;
    /** The memory of what was not received yet: the kernel's own, several times the bytes. */
    bufferedBytes: number;
    /** Its bound: see `receiveBufferBytes`. */
    bufferedBytesMax: number;
  };
  /** Datagrams that the kernel has taken. */
  sent: {
    /** Datagrams. */
    count: number;
    /** The bytes of them. */
    bytes: number;
    /** Messages of the kernel. */
    messages: number;
    /** The memory of what the kernel has taken and not sent. */
    bufferedBytes: number;
  };
  /** Datagrams that were written and that the kernel has not taken. */
  queued: {
    /** Datagrams. */
    count: number;
    /** The bytes of them. */
    bytes: number;
  };
  /** Datagrams that were dropped: written ones, unless it says otherwise. */
  dropped: {
    /** The queue was full. */
    full: number;
    /** They had waited longer than `queueLifetimeMs`. */
    expired: number;
    /** The kernel has refused them. */
    refused: number;
    /** They were left when the socket closed; or had come, and no handler was told of them by then. */
    closed: number;
  };
  /**
   * The longest packet that the kernel knows to fit the path to the peer of a connected socket, in
   * bytes, IP and UDP headers included; 0 for others (IP_MTU, IPV6_MTU).
   */
  pathMtuBytes: number;
  /** The times that the kernel had no room for more. */
  blockedCount: number;
  /** Errors, of datagrams and of handlers: what `onError` heard, and what it did not for the number of them. */
  errorCount: number;
}

/** The socket, as its metrics see it. */
export interface MeasuredSocket {
  readonly fd: number;
  readonly family: number;
  readonly tally: Tally;
  readonly localAddress: UdpAddress;
  readonly remoteAddress: UdpAddress | null;
  readonly queuedCount: number;
  readonly queuedBytes: number;
  readonly droppedByKernel: number;
}

/** The kernel's counts of a socket. */
export interface KernelMemory {
  /** The memory of what was not received yet, in bytes. */
  readonly receivedBytes: number;
  /** The most of it. */
  readonly receivedBytesMax: number;
  /** The memory of what was not sent yet, in bytes. */
  readonly sentBytes: number;
  /** Datagrams that were dropped. */
  readonly droppedCount: number;
}

/** Asks the kernel. Zeros for a socket that is closed. */
export function kernelMemory(fd: number): KernelMemory {
  memory.fill(0);
  if (fd >= 0) native.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, memory.byteLength);
  return {
    receivedBytes: memory[RECEIVE_MEMORY]!,
    receivedBytesMax: memory[RECEIVE_MEMORY_MAX]!,
    sentBytes: memory[SEND_MEMORY]!,
    droppedCount: memory[DROPS]! >>> 0,
  };
}

/** The path MTU of a connected socket; 0 where the kernel does not say. */
function pathMtu(fd: number, family: number): number {
  const [level, name] = family === Family.IPV4 ? IP_MTU : IPV6_MTU;
  return fd >= 0 && native.getsockopt(fd, level, name, memory, 4) >= 0 ? memory[0]! : 0;
}

/** The metrics of a socket. */
export function datagramMetrics(socket: MeasuredSocket): DatagramMetrics {
  const {
    tally: { own: counts },
    fd,
    family,
    localAddress,
    remoteAddress,
    queuedCount,
    queuedBytes,
    droppedByKernel,
  } = socket;
  const memory = kernelMemory(fd);
  return {
    localAddress,
    remoteAddress,
    received: {
      count: counts.receivedCount,
      bytes: counts.receivedBytes,
      messages: counts.receivedMessages,
      droppedByKernel,
      bufferedBytes: memory.receivedBytes,
      bufferedBytesMax: memory.receivedBytesMax,
    },
    sent: {
      count: counts.sentCount,
      bytes: counts.sentBytes,
      messages: counts.sentMessages,
      bufferedBytes: memory.sentBytes,
    },
    queued: { count: queuedCount, bytes: queuedBytes },
    dropped: {
      full: counts.droppedFull,
      expired: counts.droppedExpired,
      refused: counts.droppedRefused,
      closed: counts.droppedClosed,
    },
    pathMtuBytes: remoteAddress === null ? 0 : pathMtu(fd, family),
    blockedCount: counts.blocked,
    errorCount: counts.errors,
  };
}
