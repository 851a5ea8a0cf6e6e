/**
 * The tally of a datagram socket: its counts, and with them those of the thread. Touched once a
 * batch, not once a datagram.
 */
import { counts, type DatagramCounts, noDatagrams } from "../core/counts.ts";

function addReceived(to: DatagramCounts, count: number, bytes: number, messages: number): void {
  to.receivedCount += count;
  to.receivedBytes += bytes;
  to.receivedMessages += messages;
}

function addSent(to: DatagramCounts, count: number, bytes: number, messages: number): void {
  to.sentCount += count;
  to.sentBytes += bytes;
  to.sentMessages += messages;
}

/** Counts of a socket. */
export class Tally {
  /** The counts of the socket so far. */
  readonly own: DatagramCounts = noDatagrams();

  /** Counts one more of what is rare, or several. */
  add(what: keyof DatagramCounts, count = 1): void {
    this.own[what] += count;
    counts.datagrams[what] += count;
  }

  /** Datagrams came. */
  received(count: number, bytes: number, messages: number): void {
    addReceived(this.own, count, bytes, messages);
    addReceived(counts.datagrams, count, bytes, messages);
  }

  /** Datagrams left. */
  sent(count: number, bytes: number, messages: number): void {
    addSent(this.own, count, bytes, messages);
    addSent(counts.datagrams, count, bytes, messages);
  }
}
