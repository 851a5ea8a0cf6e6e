/**
 * The kernel's account of several TCP connections, summed.
 */
import { Histogram, type HistogramMetrics, mergeHistograms } from "../core/histogram.ts";
import { tcpInfo } from "./tcp_info.ts";

/** The numbers that are sums over connections. */
const SUMS = {
  retransmits: 0,
  unackedCount: 0,
  unsentBytes: 0,
  deliveryBytesPerSecond: 0,
  busyMicros: 0,
  receiveWindowLimitedMicros: 0,
  sendBufferLimitedMicros: 0,
};

/** Some open TCP connections of a thread, of which the kernel was asked. Sums go up and down. */
export interface TcpTotals {
  /** The number of connections that the others are of. */
  sampledCount: number;
  /** Their smoothed round trips. */
  rtt: HistogramMetrics;
  /** Segments that were sent again. */
  retransmits: number;
  /** Segments that are under way. */
  unackedCount: number;
  /** Bytes in the kernel that were not sent even once. */
  unsentBytes: number;
  /** The rates at which the peers got data of late, in bytes a second. */
  deliveryBytesPerSecond: number;
  /** The times in which there was something to send, in microseconds. */
  busyMicros: number;
  /** Of these, the times in which a peer took no more: its receive window. */
  receiveWindowLimitedMicros: number;
  /** Of these, the times in which a send buffer was too small. */
  sendBufferLimitedMicros: number;
}

/** Asks the kernel about each descriptor. What is no connected TCP socket is left out. */
export function tcpTotals(fds: readonly number[]): TcpTotals {
  const rtt = new Histogram();
  const sums = { ...SUMS };
  let sampledCount = 0;
  for (const fd of fds) {
    const info = tcpInfo(fd);
    if (info === null) continue;
    sampledCount += 1;
    rtt.record(info.rttMicros);
    for (const name of Object.keys(SUMS) as (keyof typeof SUMS)[]) sums[name] += info[name] ?? 0;
  }
  return { sampledCount, rtt: rtt.snapshot(), ...sums };
}

/** Those of several threads; null where none of them has any. */
export function mergeTcp(all: readonly (TcpTotals | null)[]): TcpTotals | null {
  const some = all.filter((one) => one !== null);
  if (some.length === 0) return null;
  const sums = { sampledCount: 0, ...SUMS };
  for (const one of some) {
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += one[name];
  }
  return { ...sums, rtt: mergeHistograms(some.map(({ rtt }) => rtt)) };
}
