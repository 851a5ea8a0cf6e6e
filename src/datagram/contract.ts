/**
 * Datagram sockets as their users see them.
 */
import type { LinkBuffer } from "../buffer/contract.ts";
import type { PackedAddress, UdpAddress } from "../net/address.ts";
import type { GroupOptions } from "./groups.ts";
import type { DatagramMetrics } from "./metrics.ts";

/**
 * The options of a write.
 *
 * @example
 * ```ts
 * import { createDatagramSocket, packPeer } from "@netpoll/netpoll/udp";
 *
 * using socket = createDatagramSocket("udp4", "127.0.0.1:0");
 * socket.writeTo(packPeer("127.0.0.1:9"), new Uint8Array(10), { ecn: 1 });
 * await socket.flush();
 * ```
 */
export interface DatagramWriteOptions {
  /** The ECN bits of the datagram, 0 to 3 (RFC 3168). Those of `typeOfService` unless given. */
  ecn?: number;
}

/** The options of a wait, or of a flush. */
export interface DatagramWaitOptions {
  /** Ends the wait with its own reason. What was queued stays so. */
  signal?: AbortSignal;
}

/**
 * Writes an answer to a datagram that is over: a copy of `bytes`, to its peer, from the address that
 * it was sent to. Whether it was taken; false: the queue is full, and it was dropped and counted.
 *
 * @throws {RangeError} There are more bytes than a datagram has.
 * @throws {ClosedError} The socket is closed.
 */
export type DatagramReply = (bytes: Uint8Array, options?: DatagramWriteOptions) => boolean;

/**
 * The datagram that a handler is called for, or that a loop has come to. It is one object a socket,
 * a cursor: valid until the handler returns, the loop goes on, or `release()`.
 */
export interface Datagram {
  /**
   * The bytes, **lent** until the handler returns, or until `release()`. A view is made when they are
   * asked for.
   */
  readonly bytes: Uint8Array;
  /** Their number, without a view of them. 0 is a datagram like any other, and no end. */
  readonly length: number;
  /** The other end, owned: a number for IPv4, else a small array. `peerKey` is for a Map. */
  readonly peer: PackedAddress;
  /** A key for a `Map` or a `Set`: the same peer has the same one. A number for IPv4, else text. */
  readonly peerKey: number | string;
  /** The address of the other end. It is made when it is asked for. */
  readonly remoteAddress: UdpAddress;
  /**
   * The address of this end that it was sent to: where the socket is bound to every address of this
   * machine, the one that was asked.
   */
  readonly localAddress: UdpAddress;
  /** The ECN bits that it came with, 0 to 3 (RFC 3168); 0 without the option `ecn`. */
  readonly ecn: number;
  /**
   * When the kernel has received it, in microseconds since 1970; 0 without the option `timestamps`.
   */
  readonly receivedMicros: number;
  /**
   * Writes an answer, a copy of `bytes`: to the peer, from the address that it wrote to. Nothing is
   * asked of the sandbox. Whether it was taken; false: the queue is full, and it was dropped and counted.
   *
   * @throws {TypeError} The datagram is over, or `bytes` is no `Uint8Array`.
   * @throws {RangeError} There are more bytes than a datagram has.
   * @throws {ClosedError} The socket is closed.
   */
  reply(bytes: Uint8Array, options?: DatagramWriteOptions): boolean;
  /**
   * `reply`, **owned**: it outlives the handler, for answers that have to be waited for. What it writes
   * leaves with `flush`, or after the handler that calls it.
   *
   * @example
   * ```ts
   * import { createDatagramSocket, dialDatagram } from "@netpoll/netpoll/udp";
   *
   * await using server = createDatagramSocket("udp4", "0.0.0.0:0", {
   *   onDatagram(datagram) {
   *     const reply = datagram.replyLater();
   *     setTimeout(() => {
   *       reply(new TextEncoder().encode("later"));
   *       server.flush();
   *     }, 1);
   *   },
   * });
   * const { port } = server.localAddress;
   * await using client = await dialDatagram("udp4", `127.0.0.2:${port}`, { readTimeoutMs: 3000 });
   * client.write(new Uint8Array(1));
   * await client.flush();
   * await client.wait(); // from 127.0.0.2: a connected socket hears no other
   * console.log(new TextDecoder().decode(client.datagrams.at(0).bytes)); // "later"
   * ```
   */
  replyLater(): DatagramReply;
  /**
   * The bytes, **owned**: they outlive the handler. Close the buffer, or read all of it.
   *
   * @throws {TypeError} The datagram is over.
   * @throws {SystemError} No memory is left.
   */
  slice(): LinkBuffer;
}

/** The datagrams of one receive. One object a socket; valid as its datagrams are. */
export interface Datagrams extends Iterable<Datagram> {
  /** The number of datagrams. */
  readonly count: number;
  /**
   * Moves the cursor to a datagram, by its number from 0.
   *
   * @throws {RangeError} There are not so many.
   */
  at(index: number): Datagram;
  /**
   * Goes through all of them from the first one, until they are given back. There is one cursor: a
   * loop within a loop moves that of the outer one, which goes on from its own place.
   */
  [Symbol.iterator](): Iterator<Datagram>;
}

/** The result of a close. */
export interface DatagramCloseResult {
  /** The number of datagrams that were written and dropped, since they had no time to leave. */
  unsentCount: number;
}

/** The options of a close. */
export interface DatagramCloseOptions {
  /**
   * The time that what was received has to be told, and what was written to leave, in milliseconds.
   * 5000 unless given; 0: none.
   */
  timeoutMs?: number;
}

/**
 * A datagram socket: bound, or connected to one peer. Two verbs wait, `wait` and `flush`;
 * everything else is memory work.
 */
export interface DatagramSocket extends Disposable, AsyncDisposable {
  /** The descriptor; -1 once it is closed. */
  readonly fd: number;
  /** The address of this end. */
  readonly localAddress: UdpAddress;
  /** The address that it is connected to; null if it is not. */
  readonly remoteAddress: UdpAddress | null;

  /**
   * Waits until there is a datagram or more: `datagrams` has them. Gives back what the wait before
   * has brought, as `release` does.
   *
   * @throws {TimeoutError} None came within `readTimeoutMs`.
   * @throws {SystemError} The peer of a connected socket cannot be reached, or the kernel has no
   * memory (`"ENOMEM"`); wait again, if you like.
   * @throws {ClosedError} The socket is closed.
   * @throws {BusyError} Somebody waits already.
   * @throws {TypeError} Datagrams go to a handler.
   */
  wait(options?: DatagramWaitOptions): Promise<void>;
  /** The datagrams of the last wait, **lent** until `release()` or the next `wait`. */
  readonly datagrams: Datagrams;
  /** Gives back the memory of what the last wait has brought. */
  release(): void;
  /**
   * Receives nothing until `resumeRead`; the kernel keeps what fits its buffer. What was put off, since
   * a handler was slow, is not told until then, or `close`.
   */
  pauseRead(): void;
  /** Takes `pauseRead` back. */
  resumeRead(): void;
  /** Whether reading is paused. */
  readonly isReadPaused: boolean;

  /**
   * Writes a datagram to the peer of a connected socket: a copy. What a handler of datagrams writes
   * leaves after the handlers of its batch; elsewhere nothing leaves before `flush`. Whether it was
   * taken; false: the queue is full, and it was dropped and counted.
   *
   * @throws {TypeError} The socket is not connected.
   * @throws {RangeError} There are more bytes than a datagram has.
   * @throws {ClosedError} The socket is closed.
   */
  write(bytes: Uint8Array, options?: DatagramWriteOptions): boolean;
  /**
   * Writes a datagram to a peer, likewise a copy. Under Deno the program needs `--allow-net` for each
   * destination.
   *
   * @throws {TypeError} The socket is connected, or that is no packed address of its family.
   * @throws {RangeError} There are more bytes than a datagram has.
   * @throws {ClosedError} The socket is closed.
   * @throws {Error} Deno's `NotCapable`.
   */
  writeTo(peer: PackedAddress, bytes: Uint8Array, options?: DatagramWriteOptions): boolean;
  /**
   * Makes a datagram of `count` bytes and **lends** them to be filled, until the next write or
   * flush; `mallocAck` shortens it. Null is the peer of a connected socket. Returns null when the
   * queue is full: nothing is sent, and it is counted.
   *
   * @throws {TypeError} The peer is none of this socket's, as with `write` and `writeTo`; or `count` is
   * no whole number.
   * @throws {RangeError} There are more bytes than a datagram has.
   * @throws {ClosedError} The socket is closed.
   * @throws {Error} Deno's `NotCapable`.
   */
  mallocTo(peer: PackedAddress | null, count: number): Uint8Array | null;
  /**
   * Keeps the first `count` bytes of what `mallocTo` has lent.
   *
   * @throws {RangeError} It has lent fewer, or nothing.
   */
  mallocAck(count: number): void;
  /**
   * Writes many datagrams of one size, copies of what lies one behind the other in `bytes`; the last
   * may be shorter. The number of datagrams that were taken; the rest found the queue full. Null is the
   * peer of a connected socket.
   *
   * @throws {TypeError} The peer is none of this socket's, as with `write` and `writeTo`.
   * @throws {RangeError} `segmentBytes` is no whole number above 0, or more than a datagram has.
   * @throws {ClosedError} The socket is closed.
   * @throws {Error} Deno's `NotCapable`.
   */
  writeTrain(peer: PackedAddress | null, bytes: Uint8Array, segmentBytes: number): number;
  /**
   * Sends what was written, and waits until the kernel has all of it. A handler of datagrams need
   * not call it, whichever socket it writes to. Of a datagram that the kernel refuses `onError`
   * hears; this goes on. A rejection that nobody waits for ends no process.
   *
   * @throws {TimeoutError} It took longer than `writeTimeoutMs`; the rest is still queued.
   * @throws {ClosedError} The socket is closed.
   */
  flush(options?: DatagramWaitOptions): Promise<void>;
  /** The number of datagrams that were written and that the kernel has not taken. */
  readonly queuedCount: number;
  /** The bytes of them. */
  readonly queuedBytes: number;
  /** Whether there is room in the queue. */
  readonly isWritable: boolean;

  /**
   * Hears what is sent to a multicast group, at this socket's port; nothing is heard that was not
   * joined. Bind the socket to every address, or to the group's.
   *
   * @throws {TypeError} It is no multicast address of its family.
   * @throws {SystemError} The kernel refuses: `"EADDRINUSE"` when it was joined already.
   */
  joinGroup(group: string, options?: GroupOptions): void;
  /**
   * Hears a group no more; the options are those of `joinGroup`.
   *
   * @throws {SystemError} `"EADDRNOTAVAIL"`: it was not joined.
   */
  leaveGroup(group: string, options?: GroupOptions): void;

  /** Its counts so far, and what waits in it. The counts stay after its end. */
  metrics(): DatagramMetrics;

  /** Keeps the process alive while it is open: the default. */
  ref(): void;
  /**
   * Lets the process end although the socket is open, and somebody waits for a datagram: what was
   * not flushed then is lost. A `close` that waits for room keeps it alive for its `timeoutMs`.
   */
  unref(): void;

  /**
   * Tells a handler the rest of what was received, sends what was written, and closes. It never
   * rejects. Call it in a `finally`, or say `await using`.
   */
  close(options?: DatagramCloseOptions): Promise<DatagramCloseResult>;
  /** Resolves when the socket is closed; rejects with what has ended it, if that was no `close`. */
  readonly closed: Promise<void>;
}
