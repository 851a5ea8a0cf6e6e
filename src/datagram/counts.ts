/**
 * The counts of a datagram socket. They only go up.
 */

/** What a socket has done so far. One object: there may be many sockets. */
export class DatagramCounts {
  /** Datagrams that the kernel has taken. */
  sentCount = 0;
  /** The bytes of them. */
  sentBytes = 0;
  /** What they were for the kernel: a train is one message. */
  sentMessages = 0;
  /** Datagrams that came. */
  receivedCount = 0;
  /** The bytes of them. */
  receivedBytes = 0;
  /** What they were for the kernel: a train is one message. */
  receivedMessages = 0;
  /** Datagrams that were dropped before they left: the queue was full. */
  droppedFull = 0;
  /** Those that had waited longer than `queueLifetimeMs`. */
  droppedExpired = 0;
  /** Those that the kernel has refused. */
  droppedRefused = 0;
  /** Those that were left when the socket closed. */
  droppedClosed = 0;
  /** The times that the kernel had no room for more. */
  blockedCount = 0;
  /** Errors, of datagrams and of handlers. */
  errorCount = 0;
  /** Datagrams that were longer than the room for them: there are none. */
  truncatedCount = 0;
}
