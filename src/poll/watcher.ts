/**
 * The descriptors that a poller watches: their interest, and their events.
 */

/** A descriptor and what to do when something happened to it. */
export interface Watcher {
  /** The descriptor. */
  readonly fd: number;
  /** Something happened: a set of {@linkcode Event} bits. */
  onEvent(events: number): void;
  /**
   * Zero-copy sends `lo` to `hi` of the descriptor are over, in numbers that wrap at 2^32; whether
   * the kernel has copied. For watchers with {@linkcode Interest.COMPLETIONS}.
   */
  onCompletion?(lo: number, hi: number, isCopied: boolean): void;
  /** `onEvent` threw: that is a bug. Give up what is watched; the poller goes on. */
  onFailure(error: unknown): void;
}

/** The interest of a watcher: bits to combine (epoll_ctl(2)). */
export const Interest = {
  /** Nothing but what cannot be masked: errors and the end of both directions. */
  NONE: 0,
  /** Bytes to read, or the peer's end of sending: EPOLLIN and EPOLLRDHUP. */
  READ: 0x001 | 0x2000,
  /** Room to write: EPOLLOUT. */
  WRITE: 0x004,
  /** Tell once and not again while it lasts: EPOLLET. */
  EDGE: 0x8000_0000,
  /**
   * Zero-copy completions. They raise EPOLLERR; with this bit it is told only when something else
   * is wrong as well. A bit of ours, which libnetpoll.c takes out again.
   */
  COMPLETIONS: 0x0100_0000,
} as const;

/** An event: bits (epoll_ctl(2)). */
export const Event = {
  /** There is something to read: EPOLLIN. */
  READABLE: 0x001,
  /** There is room to write: EPOLLOUT. */
  WRITABLE: 0x004,
  /** The socket has an error: EPOLLERR. It cannot be masked. */
  ERROR: 0x008,
  /** Both directions are over: EPOLLHUP. It cannot be masked. */
  HANG_UP: 0x010,
  /** The peer will send no more: EPOLLRDHUP. */
  PEER_ENDED: 0x2000,
} as const;
