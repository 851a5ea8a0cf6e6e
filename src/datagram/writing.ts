/**
 * Writing: from what a user gives to records of the queue, and waiting until it has left.
 */
import { plainView, presentCount } from "../core/bytes.ts";
import { DATAGRAM_BYTES_MAX, TRAIN_COUNT_MAX } from "../core/limits.ts";
import { ignore, RESOLVED } from "../core/promises.ts";
import { withSignal } from "../core/signal.ts";
import { checkOptions, type Known, show } from "../core/options.ts";
import { Family, type PackedAddress, type UdpAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { turn } from "../poll/turn.ts";
import type { DatagramWriteOptions } from "./contract.ts";
import type { DatagramSettings } from "./options.ts";
import { Outgoing, type OutgoingOwner } from "./outgoing.ts";
import { TRAIN_BYTES_MAX } from "./send_queue.ts";
import { copyRoute, familyAt, Flag, putPeer, SERVICE_SHIFT, Word } from "./record.ts";

const WRITE_OPTIONS: Known<DatagramWriteOptions> = { ecn: 1 };
const ECN_MAX = 3;
const PORT_MASK = 0xffff;

/** The socket that writes. */
export interface WritingOwner extends OutgoingOwner {
  readonly settings: DatagramSettings;
  /** Where it is connected to. */
  readonly remoteAddress: UdpAddress | null;
  /** Flushes wait from now on, the first of them since `flushingSince`. */
  onFlushBegin(): void;
  /** None does any more. */
  onFlushEnd(): void;
}

/** A flush that waits for the kernel. */
interface Flush extends PromiseWithResolvers<void> {
  /** It is done when so many datagrams have left the queue in all. */
  target: number;
  /** When it began, in microseconds, where there is a deadline. */
  since: number;
}

/** The bits of a type of service that are not ECN. */
const DSCP_MASK = 0xfc;

/** The flags that options ask for. ECN is sent with the rest of the type of service. */
function flagsOf(options: DatagramWriteOptions | undefined, typeOfService: number): number {
  if (options === undefined) return 0;
  checkOptions("a datagram", options, WRITE_OPTIONS);
  const { ecn } = options;
  if (ecn === undefined) return 0;
  if (Number.isInteger(ecn) && ecn >= 0 && ecn <= ECN_MAX) {
    return Flag.SERVICE | (typeOfService & DSCP_MASK | ecn) << SERVICE_SHIFT;
  }
  throw new RangeError(`Cannot set ecn to ${show(ecn)}: it is a whole number from 0 to ${ECN_MAX}`);
}

/** The way out of a socket. */
export class Writing {
  /** The queue, and what sends it. */
  readonly outgoing: Outgoing;
  readonly #owner: WritingOwner;
  readonly #poller: Poller;
  /** Resolved in the next turn, for whoever waits for that. */
  #nextTurn: Promise<void> | null = null;
  /** The family of what it sends where it is connected: an IPv6 socket may send by IPv4, too. */
  readonly #peerFamily: number;
  /** The flushes that wait, oldest first. */
  #flushes: Flush[] | null = null;
  /** Whether the last of them is of this batch of handlers, and nothing was sent since. */
  #isLastLater = false;

  /** Of a socket. */
  constructor(owner: WritingOwner, poller: Poller) {
    this.#poller = poller;
    this.#owner = owner;
    const isIPv6 = owner.remoteAddress?.hostname.includes(":");
    this.#peerFamily = isIPv6 ? Family.IPV6 : Family.IPV4;
    this.outgoing = new Outgoing(owner, poller, owner.settings);
  }

  /** Whether a flush waits. */
  get isAwaited(): boolean {
    return this.#flushes !== null && this.#flushes.length > 0;
  }

  /** Writes a datagram to a peer, or (null) to the one that the socket is connected to. */
  write(peer: PackedAddress | null, bytes: Uint8Array, options?: DatagramWriteOptions): boolean {
    const flags = flagsOf(options, this.#owner.settings.typeOfService);
    const length = this.#checkLength(presentCount(bytes, "write"), peer);
    const at = this.outgoing.add(length);
    if (at < 0) return false;
    this.#address(at, peer, flags);
    this.#copy(bytes);
    return true;
  }

  /** Writes an answer to a datagram, by its record: to its peer, from where it was sent to. */
  reply(
    from: Uint32Array,
    fromAt: number,
    bytes: Uint8Array,
    options: DatagramWriteOptions | undefined,
  ): boolean {
    const flags = flagsOf(options, this.#owner.settings.typeOfService);
    const length = presentCount(bytes, "write");
    if (length > DATAGRAM_BYTES_MAX[4]) this.#refuseLength(length, familyAt(from, fromAt));
    if ((from[fromAt + Word.END]! & PORT_MASK) === 0) {
      // Nothing has port 0 but a forged source: nothing is made of it, no error either.
      this.#owner.tally.add("droppedRefused");
      return false;
    }
    const at = this.outgoing.add(length);
    if (at < 0) return false;
    const { table } = this.outgoing.queue;
    copyRoute(from, fromAt, table, at);
    const isLocal = (from[fromAt + Word.FLAGS]! & (Flag.LOCAL | Flag.GROUP)) === Flag.LOCAL;
    table[at + Word.FLAGS] = isLocal ? flags | Flag.LOCAL : flags;
    this.#copy(bytes);
    return true;
  }

  /** Copies what was written. Nothing of that record changes any more, by a `mallocAck` neither. */
  #copy(bytes: Uint8Array): void {
    const { queue } = this.outgoing;
    queue.lastBlock.slab.bytes.set(bytes, queue.lastOffset);
    queue.settle();
  }

  #address(at: number, peer: PackedAddress | null, flags: number): void {
    const { table } = this.outgoing.queue;
    if (peer !== null) {
      putPeer(table, at, peer);
      table[at + Word.FLAGS] = flags;
    } else {
      // The family says how ECN is written; the rest is where the socket is connected to.
      table[at + Word.END] = this.#peerFamily << 16;
      table[at + Word.SCOPE] = 0;
      table.fill(0, at + Word.ADDRESS, at + Word.LOCAL);
      table[at + Word.FLAGS] = flags | Flag.CONNECTED;
    }
  }

  #checkLength(length: number, peer: PackedAddress | null): number {
    if (length <= DATAGRAM_BYTES_MAX[4]) return length;
    const isIPv4 = peer === null ? this.#peerFamily === Family.IPV4 : typeof peer === "number";
    return this.#refuseLength(length, isIPv4 ? Family.IPV4 : Family.IPV6);
  }

  #refuseLength(length: number, family: number): number {
    const most = DATAGRAM_BYTES_MAX[family === Family.IPV4 ? 4 : 6];
    if (length <= most) return length;
    throw new RangeError(`Cannot write a datagram of ${length} bytes: at most ${most}`);
  }

  /** Makes a datagram and lends its bytes; null when the queue is full. */
  malloc(peer: PackedAddress | null, count: number): Uint8Array | null {
    if (!Number.isInteger(count) || count < 0) {
      throw new TypeError(`Cannot make a datagram of ${show(count)} bytes`);
    }
    this.#checkLength(count, peer);
    const at = this.outgoing.add(count);
    if (at < 0) return null;
    this.#address(at, peer, 0);
    const { queue } = this.outgoing;
    return queue.lastBlock.lend(queue.lastOffset, count);
  }

  /** Keeps the first bytes of what was lent last. */
  mallocAck(count: number): void {
    const { queue } = this.outgoing;
    const most = queue.openBytes;
    if (!Number.isInteger(count) || count < 0 || count > most) {
      const lent = most < 0 ? "nothing is lent" : `${most} are lent`;
      throw new RangeError(`Cannot keep ${show(count)} bytes of a datagram: ${lent}`);
    }
    queue.shorten(count);
    queue.settle();
  }

  /** Writes datagrams of one size. How many were taken. */
  train(peer: PackedAddress | null, bytes: Uint8Array, segmentBytes: number): number {
    const total = presentCount(bytes, "write");
    if (!Number.isInteger(segmentBytes) || segmentBytes < 1) {
      throw new RangeError(`Cannot write datagrams of ${show(segmentBytes)} bytes each`);
    }
    this.#checkLength(Math.min(segmentBytes, total), peer);
    const plain = plainView(bytes);
    const perTrain = Math.min(TRAIN_COUNT_MAX, Math.floor(TRAIN_BYTES_MAX / segmentBytes));
    const step = segmentBytes * Math.max(1, perTrain);
    let taken = 0;
    for (let from = 0; from < total; from += step) {
      const piece = plain.subarray(from, from + step);
      const at = this.outgoing.addTrain(piece.length, segmentBytes);
      if (at < 0) {
        taken += this.#apart(peer, piece, segmentBytes);
        continue;
      }
      this.#address(at, peer, 0);
      this.#copy(piece);
      taken += Math.ceil(piece.length / segmentBytes);
    }
    return taken;
  }

  /** Writes the datagrams of a train one by one. How many were taken. */
  #apart(peer: PackedAddress | null, bytes: Uint8Array, segmentBytes: number): number {
    let taken = 0;
    for (let from = 0; from < bytes.length; from += segmentBytes) {
      if (this.write(peer, bytes.subarray(from, from + segmentBytes))) taken += 1;
    }
    return taken;
  }

  // ---- leaving ----------------------------------------------------------------------------------

  /** Sends, unless somebody does so later, and waits until what was written so far has left. */
  flush(signal: AbortSignal | undefined, isLater: boolean): Promise<void> {
    const { queue } = this.outgoing;
    queue.settle(); // what was lent is so until now, whenever it leaves
    if (!isLater) this.outgoing.send();
    if (queue.recordCount === 0) {
      // A kernel that always has room would let nobody else have the thread.
      return turn.step() ? withSignal(this.#untilTurn(), signal) : RESOLVED;
    }
    return withSignal(this.#flushUntil(queue.leftCount + queue.count, isLater).promise, signal);
  }

  /** Sends what a batch of handlers has written. Whether a flush of it waited for that. */
  sendJoined(): boolean {
    const { isAwaited } = this;
    this.#isLastLater = false; // also where the kernel is blocked: the next batch has its own start
    this.outgoing.send();
    return isAwaited;
  }

  #untilTurn(): Promise<void> {
    if (this.#nextTurn !== null) return this.#nextTurn;
    const { promise, resolve } = Promise.withResolvers<void>();
    const onEvent = () => {
      this.#nextTurn = null;
      resolve();
    };
    this.#poller.again({ fd: -1, onEvent, onFailure() {} });
    return this.#nextTurn = promise;
  }

  #flushUntil(target: number, isLater: boolean): Flush {
    const flushes = this.#flushes ??= [];
    const last = flushes.at(-1);
    if (last !== undefined && isLater && this.#isLastLater) {
      last.target = target; // all of a batch of handlers are one flush
      return last;
    }
    const since = this.#owner.settings.writeTimeoutMs > 0 ? clock.now() : 0;
    // Another one for the same datagrams is the same flush, unless its deadline is a later one.
    if (last !== undefined && last.target === target && last.since === since) return last;
    this.#isLastLater = isLater;
    const flush = Promise.withResolvers<void>() as Flush;
    flush.target = target;
    flush.since = since;
    if (flushes.push(flush) === 1) this.#owner.onFlushBegin();
    return flush;
  }

  /** When the first flush that waits began, in microseconds. */
  get flushingSince(): number {
    return this.#flushes?.[0]?.since ?? Infinity;
  }

  /** Ends the flushes all of whose datagrams have left the queue. */
  endFlushes(): void {
    const flushes = this.#flushes;
    if (flushes === null || flushes.length === 0) return;
    this.#isLastLater = false;
    const { leftCount } = this.outgoing.queue;
    while (flushes.length > 0 && flushes[0]!.target <= leftCount) flushes.shift()!.resolve();
    if (flushes.length === 0) this.#owner.onFlushEnd();
  }

  /** Fails the flushes that began until then. What they wait for stays queued. */
  failFlushes(error: unknown, untilMicros: number): void {
    const flushes = this.#flushes;
    if (flushes === null || flushes.length === 0) return;
    while (flushes.length > 0 && flushes[0]!.since <= untilMicros) {
      const { promise, reject } = flushes.shift()!;
      promise.catch(ignore); // not everybody awaits a flush
      reject(error);
    }
    if (flushes.length === 0) this.#owner.onFlushEnd();
    else this.#owner.onFlushBegin();
  }
}
