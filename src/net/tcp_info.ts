/**
 * The kernel's account of a TCP socket (tcp(7), TCP_INFO): how far away its peer is, what was lost
 * on the way, what waits in it.
 */
import { native } from "../../ffi/load.ts";

/** The kernel's account of a connection. */
export interface TcpMetrics {
  /** The smoothed time of a round trip, in microseconds. */
  rttMicros: number;
  /** The variation of that time, in microseconds. */
  rttVarianceMicros: number;
  /** The shortest that was ever seen, in microseconds. */
  rttMinMicros: number;
  /** Segments that were sent again, in all. */
  retransmits: number;
  /** Segments that may be under way at a time. */
  congestionWindow: number;
  /** Segments that are under way. */
  unackedCount: number;
  /** Bytes of data that came, those included that nobody has read yet. */
  receivedBytes: number;
  /** Bytes that the peer's kernel has confirmed; of the end that dialled, one more for the SYN. */
  ackedBytes: number;
  /** Bytes in the kernel that were not sent even once. */
  unsentBytes: number;
  /** The time since the last byte came, in milliseconds. */
  receivedAgoMs: number;
  /** The time since the last byte was sent, in milliseconds. */
  sentAgoMs: number;
  /** The rate at which the peer got data of late, in bytes a second; null before Linux 4.9. */
  deliveryBytesPerSecond: number | null;
  /** The time in which there was something to send, in microseconds; null before Linux 4.10. */
  busyMicros: number | null;
  /** Of this, the time in which the peer took no more: its receive window; null before Linux 4.10. */
  receiveWindowLimitedMicros: number | null;
  /** Of this, the time in which our send buffer was too small; null before Linux 4.10. */
  sendBufferLimitedMicros: number | null;
}

/** Connections of a listener that nobody accepted yet. */
export interface AcceptQueue {
  /** The number that waits. */
  waitingCount: number;
  /** The number that may wait. Peers beyond it have to try again. */
  waitingMax: number;
}

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
// The places of the fields, in 32-bit words (linux/tcp.h, struct tcp_info). The kernel gives as many
// bytes as it knows: those up to the shortest round trip since Linux 4.6, the lowest that may run this.
const Word = {
  UNACKED: 6,
  SACKED: 7,
  LAST_DATA_SENT: 11,
  LAST_DATA_RECEIVED: 13,
  RTT: 17,
  RTT_VARIANCE: 18,
  CONGESTION_WINDOW: 20,
  TOTAL_RETRANSMITS: 25,
  BYTES_ACKED: 30,
  BYTES_RECEIVED: 32,
  NOT_SENT_BYTES: 36,
  RTT_MIN: 37,
  DELIVERY_RATE: 40,
  BUSY: 42,
  RECEIVE_WINDOW_LIMITED: 44,
  SEND_BUFFER_LIMITED: 46,
} as const;

const words = new Int32Array(64);

/** The state of a socket that listens (net/tcp_states.h), in the first byte. */
const TCP_LISTEN = 10;

/** The bytes that the kernel has filled in: 0 or less for what is no TCP socket, or closed. */
function ask(fd: number): number {
  words.fill(0);
  return fd < 0 ? 0 : native.getsockopt(fd, IPPROTO_TCP, TCP_INFO, words, words.byteLength);
}

function word(index: number): number {
  return words[index]! >>> 0;
}

/** 64 bits, low half first on every machine that netpoll runs on. */
function long(index: number): number {
  return word(index) + word(index + 1) * 2 ** 32;
}

/** 64 bits that an older kernel may not know: null beyond the bytes that it gave. */
function longIfKnown(index: number, bytes: number): number | null {
  return 4 * (index + 2) <= bytes ? long(index) : null;
}

/** The kernel's account of a connection; null for a descriptor that is no connected TCP socket. */
export function tcpInfo(fd: number): TcpMetrics | null {
  const bytes = ask(fd);
  if (bytes <= 0 || (word(0) & 0xff) === TCP_LISTEN) return null;
  return {
    rttMicros: word(Word.RTT),
    rttVarianceMicros: word(Word.RTT_VARIANCE),
    rttMinMicros: word(Word.RTT_MIN),
    retransmits: word(Word.TOTAL_RETRANSMITS),
    congestionWindow: word(Word.CONGESTION_WINDOW),
    unackedCount: word(Word.UNACKED),
    receivedBytes: long(Word.BYTES_RECEIVED),
    ackedBytes: long(Word.BYTES_ACKED),
    unsentBytes: word(Word.NOT_SENT_BYTES),
    receivedAgoMs: word(Word.LAST_DATA_RECEIVED),
    sentAgoMs: word(Word.LAST_DATA_SENT),
    deliveryBytesPerSecond: longIfKnown(Word.DELIVERY_RATE, bytes),
    busyMicros: longIfKnown(Word.BUSY, bytes),
    receiveWindowLimitedMicros: longIfKnown(Word.RECEIVE_WINDOW_LIMITED, bytes),
    sendBufferLimitedMicros: longIfKnown(Word.SEND_BUFFER_LIMITED, bytes),
  };
}

/** The queue of a listener; null for a descriptor that is no open TCP socket. */
export function acceptQueue(fd: number): AcceptQueue | null {
  if (ask(fd) <= 0) return null;
  // Of a listener the kernel tells its queue in these two (net/ipv4/tcp.c, tcp_get_info).
  return { waitingCount: word(Word.UNACKED), waitingMax: word(Word.SACKED) };
}
