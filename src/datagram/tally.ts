/**
 * The tally of a datagram socket: its counts, and with them those of the thread. Touched once a
 * batch, not once a datagram.
 */
import { counts, type DatagramCounts, noDatagrams } from "../core/counts.ts";

/** Counts of a socket. */
export class Tally {
  /** What the socket has done so far. */
  readonly own: DatagramCounts = noDatagrams();

  /** Counts one more kind of thing, or several. */
  add(what: keyof DatagramCounts, count = 1): void {
    this.own[what] += count;
    counts.datagrams[what] += count;
  }

  /** Datagrams came. */
  received(count: number, bytes: number, messages: number): void {
    this.add("receivedCount", count);
    this.add("receivedBytes", bytes);
    this.add("receivedMessages", messages);
  }

  /** Datagrams left. */
  sent(count: number, bytes: number, messages: number): void {
    this.add("sentCount", count);
    this.add("sentBytes", bytes);
    this.add("sentMessages", messages);
  }
}
