/**
 * Outgoing datagrams: a bounded queue, and what the kernel says when it is given them.
 *
 * sendmmsg stops at the first datagram that it refuses, and the reason is lost unless that was the
 * first of the call: so a short count means nothing, and the rest is offered again.
 */
import { native } from "../../ffi/load.ts";
import { ERRNO, isOfNetwork } from "../core/errno.ts";
import {
  DATAGRAMS_MAX,
  NO_BUFFERS_MS,
  SEND_REPEATS_MAX,
  TRAIN_COUNT_MAX,
  TRAIN_SEGMENT_BYTES_SAFE,
} from "../core/limits.ts";
import type { PackedAddress } from "../net/address.ts";
import { clock } from "../poll/clock.ts";
import type { Poller } from "../poll/poller.ts";
import { Timer, type TimerOwner } from "../poll/timer_wheel.ts";
import { takesTrains } from "./kernel_options.ts";
import { Flag, peerAt, RECORD_WORDS, recordTable, Word } from "./record.ts";
import { SendQueue } from "./send_queue.ts";
import type { Tally } from "./tally.ts";

/** The bounds of a queue, and what happens at them. */
export interface QueueSettings {
  readonly queueCountMax: number;
  readonly queueBytesMax: number;
  readonly queueLifetimeMs: number;
  readonly onQueueFull: "drop-new" | "drop-old";
  readonly segmentation: "auto" | "off";
}

/** The socket that sends. */
export interface OutgoingOwner {
  readonly fd: number;
  readonly tally: Tally;
  /** Takes what the error queue of the socket has. The number of errors. */
  takeErrors(): number;
  /** The kernel refuses a datagram, or a train of them, which is dropped. Null: of the connected peer. */
  onRefused(errno: number, peer: PackedAddress | null): void;
  /** The kernel refuses trains, but perhaps (above 0) those of datagrams no longer than this. */
  onTrainsRefused(errno: number, segmentMax: number): void;
  /** An event shall tell of room from now on, or no more. */
  wantRoom(isWanted: boolean): void;
  /** Some datagrams have left. */
  onMoved(): void;
  /** The kernel has what it takes now, or some were dropped: perhaps nothing is left in the queue. */
  onOffered(): void;
}

/** Trains that are refused leave as single datagrams, from here. One table a thread. */
const singles = recordTable(DATAGRAMS_MAX);

/** Whether a train, and no single datagram, is refused by such an error (udp(7), UDP_SEGMENT). */
function isOfTrains(errno: number): boolean {
  return errno === ERRNO.EIO || errno === ERRNO.EINVAL || errno === ERRNO.EMSGSIZE;
}

/** The way out of a socket. */
export class Outgoing implements TimerOwner {
  /** The datagrams that wait. */
  readonly queue: SendQueue;
  /** Whether the kernel had no room, and nothing has told since that it has. */
  isBlocked = false;
  readonly #owner: OutgoingOwner;
  readonly #poller: Poller;
  readonly #settings: QueueSettings;
  #timer: Timer | null = null;
  /** Whether some trains leave datagram by datagram. */
  #areTrainsRefused = false;
  /** Why the train at the head was refused; 0 if it was not, or that is known. */
  #suspicion = 0;
  #isSending = false;

  /** An empty queue. */
  constructor(owner: OutgoingOwner, poller: Poller, settings: QueueSettings) {
    this.#owner = owner;
    this.#poller = poller;
    this.#settings = settings;
    const hasTrains = settings.segmentation === "auto" && takesTrains(owner.fd);
    this.queue = new SendQueue(hasTrains ? Infinity : 0);
  }

  /** Whether a datagram, or a train, of so many bytes fits into the queue. */
  fits(length: number, count = 1): boolean {
    const { queue } = this;
    const { queueCountMax, queueBytesMax } = this.#settings;
    return queue.count + count <= queueCountMax && queue.bytes + length <= queueBytesMax;
  }

  /**
   * Makes a record for a datagram of so many bytes, with the policy of a full queue. Its first word;
   * -1 if it is dropped.
   */
  add(length: number): number {
    if (!this.fits(length) && !this.#makeRoom(length)) {
      this.#owner.tally.add("droppedFull");
      return -1;
    }
    return this.#noted(this.queue.add(length));
  }

  /** Makes a record for a whole train; -1 where it has to be written datagram by datagram. */
  addTrain(length: number, segment: number): number {
    const count = Math.ceil(length / segment);
    if (segment > this.queue.trainSegmentMax) return -1;
    if (!this.fits(length, count) && !this.isBlocked) this.send();
    if (!this.fits(length, count)) return -1;
    return this.#noted(this.queue.addTrain(length, segment));
  }

  #noted(at: number): number {
    const note = this.#settings.queueLifetimeMs > 0 ? this.#nowMs() : 0;
    this.queue.table[at + Word.NOTE] = note;
    return at;
  }

  #nowMs(): number {
    return clock.now() / 1000 >>> 0;
  }

  #makeRoom(length: number): boolean {
    this.queue.settle(); // what was lent is so until the next write, one that is refused included
    // A bound of ours does not hold up what the kernel has room for.
    if (!this.isBlocked) this.send();
    const { leftCount } = this.queue;
    this.#dropExpired();
    const { onQueueFull, queueBytesMax } = this.#settings;
    if (onQueueFull === "drop-old" && length <= queueBytesMax) this.#dropOldest(length);
    // Flushes wait for what was dropped, too, and no send tells of it while the kernel is blocked.
    if (this.queue.leftCount > leftCount) this.#owner.onOffered();
    return this.fits(length);
  }

  #dropOldest(length: number): void {
    while (!this.fits(length)) {
      this.#suspicion = 0; // it was of the train at the head
      this.queue.removeOldest();
      this.#owner.tally.add("droppedFull");
    }
  }

  /** Gives the kernel what it takes. */
  send(): void {
    if (this.isBlocked || this.#isSending) return;
    const { queue } = this;
    this.#isSending = true;
    try {
      queue.settle();
      this.#dropExpired();
      if (queue.recordCount > 0) this.#sendAll();
    } finally {
      this.#isSending = false;
    }
    this.#owner.onOffered();
  }

  #dropExpired(): void {
    const { queue } = this;
    const { queueLifetimeMs } = this.#settings;
    if (queueLifetimeMs === 0) return;
    const nowMs = this.#nowMs();
    while (queue.recordCount > 0) {
      const ageMs = nowMs - queue.table[queue.headAt + Word.NOTE]! >>> 0;
      if (ageMs <= queueLifetimeMs) return;
      this.#suspicion = 0; // it was of the train at the head
      this.#owner.tally.add("droppedExpired", queue.removeRecords(1));
    }
  }

  #sendAll(): void {
    const owner = this.#owner;
    let isDoubtful = false;
    let repeatCount = 0;
    let quietCount = 0;
    while (this.queue.recordCount > 0 && owner.fd >= 0) {
      const code = this.#offer();
      if (code > 0) {
        repeatCount = quietCount = 0;
        owner.onMoved();
        continue;
      }
      const errno = -code;
      if (errno === ERRNO.EAGAIN) return this.#block(null);
      if (errno === ERRNO.ENOBUFS || errno === ERRNO.ENOMEM) return this.#block(NO_BUFFERS_MS);
      // The error may be of a datagram to somebody else, of which ICMP told meanwhile (ip(7),
      // IP_RECVERR): whatever met it is offered again. It is its own if it comes twice, and the
      // error queue was empty both times: another processor writes there before it sets the error.
      const tookErrors = owner.takeErrors() > 0 && isOfNetwork(errno);
      isDoubtful ||= tookErrors;
      quietCount = tookErrors ? 0 : quietCount + 1;
      repeatCount += 1;
      if (quietCount > 1 || quietCount === 1 && !isDoubtful && this.#isOfHead(errno)) {
        repeatCount = quietCount = 0;
        if (!this.#refusesTrain(errno)) this.#drop(errno);
      } else if (repeatCount > SEND_REPEATS_MAX) return this.#block(NO_BUFFERS_MS);
    }
  }

  /** Offers what is at the head of the queue. How many records the kernel has taken, or `-errno`. */
  #offer(): number {
    const { queue } = this;
    const { tally, fd } = this.#owner;
    if (this.#isRefusedTrain(queue.head)) return this.#offerSingly();
    const bytes = queue.bytes;
    const taken = native.sendmmsg(fd, queue.table, queue.head, this.#run());
    if (taken <= 0) return taken;
    const datagrams = queue.removeRecords(taken);
    tally.sent(datagrams, bytes - queue.bytes, taken);
    return taken;
  }

  /** The number of records that can be offered together, as they are. */
  #run(): number {
    const { head, recordCount } = this.queue;
    const most = Math.min(recordCount, DATAGRAMS_MAX);
    if (!this.#areTrainsRefused) return most;
    let count = 1;
    while (count < most && !this.#isRefusedTrain(head + count)) count += 1;
    return count;
  }

  #isRefusedTrain(record: number): boolean {
    if (!this.#areTrainsRefused) return false;
    const { table, trainSegmentMax } = this.queue;
    const at = RECORD_WORDS * record;
    const segment = table[at + Word.SEGMENT]!;
    return segment > trainSegmentMax || segment > 0 && (table[at + Word.FLAGS]! & Flag.APART) !== 0;
  }

  #offerSingly(): number {
    const { queue } = this;
    const { tally, fd } = this.#owner;
    const at = queue.headAt;
    const segment = queue.table[at + Word.SEGMENT]!;
    const isApart = (queue.table[at + Word.FLAGS]! & Flag.APART) !== 0;
    const count = Math.min(queue.countAt(at), TRAIN_COUNT_MAX);
    const record = queue.table.subarray(at, at + RECORD_WORDS);
    for (let i = 0; i < count; i++) {
      const to = RECORD_WORDS * i;
      singles.set(record, to);
      singles[to + Word.OFFSET]! += i * segment;
      singles[to + Word.LENGTH] = Math.min(segment, record[Word.LENGTH]! - i * segment);
      singles[to + Word.SEGMENT] = 0;
    }
    const bytes = queue.bytes;
    const taken = native.sendmmsg(fd, singles, 0, count);
    if (taken <= 0) return taken;
    queue.removeOfTrain(taken);
    tally.sent(taken, bytes - queue.bytes, taken);
    if (this.#suspicion !== 0 && isApart) this.#learn(segment); // no other train tells of it
    return taken;
  }

  /** Whether an error is one that the kernel finds in the datagram, or the train, at the head. */
  #isOfHead(errno: number): boolean {
    return errno === ERRNO.EMSGSIZE || isOfTrains(errno) && this.#isTrain();
  }

  /** Whether the record at the head is a train, and offered as one. */
  #isTrain(): boolean {
    const { table, head, headAt } = this.queue;
    return table[headAt + Word.SEGMENT]! > 0 && !this.#isRefusedTrain(head);
  }

  /** Whether an error may be of the train at the head as such: then its datagrams are offered singly. */
  #refusesTrain(errno: number): boolean {
    if (!isOfTrains(errno) || !this.#isTrain()) return false;
    const { table, headAt } = this.queue;
    table[headAt + Word.FLAGS]! |= Flag.APART;
    this.#areTrainsRefused = true;
    this.#suspicion = errno;
    return true;
  }

  /** The datagrams of a train that was refused are taken: so the reason was that it is a train. */
  #learn(segment: number): void {
    const errno = this.#suspicion;
    this.#suspicion = 0;
    const isTooLong = errno !== ERRNO.EIO && segment > TRAIN_SEGMENT_BYTES_SAFE;
    // The path to this peer takes packets of no such size. Those to all others may.
    if (errno === ERRNO.EMSGSIZE && !isTooLong) return;
    this.queue.trainSegmentMax = isTooLong ? TRAIN_SEGMENT_BYTES_SAFE : 0;
    this.#owner.onTrainsRefused(errno, this.queue.trainSegmentMax);
  }

  /** Drops what the kernel will not take, and says so. */
  #drop(errno: number): void {
    const { queue } = this;
    const { tally } = this.#owner;
    const at = queue.headAt;
    const isConnected = (queue.table[at + Word.FLAGS]! & Flag.CONNECTED) !== 0;
    const peer = isConnected ? null : peerAt(queue.table, at);
    this.#suspicion = 0;
    if (this.#isRefusedTrain(queue.head)) {
      queue.removeOfTrain(1);
      tally.add("droppedRefused");
    } else {
      tally.add("droppedRefused", queue.removeRecords(1));
    }
    this.#owner.onRefused(errno, peer);
  }

  /** Waits for room: until an event tells of it, or for some milliseconds. */
  #block(delayMs: number | null): void {
    this.isBlocked = true;
    this.#owner.tally.add("blocked");
    // Where buffers lack, the socket may have room: its event would come at once, and again and again.
    this.#owner.wantRoom(delayMs === null);
    if (delayMs === null) return;
    this.#timer ??= new Timer(this);
    this.#poller.setTimer(this.#timer, delayMs);
  }

  /** There may be room by now. */
  onRoom(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    if (this.#timer !== null) this.#poller.cancelTimer(this.#timer);
    this.send();
    if (!this.isBlocked) this.#owner.wantRoom(false);
  }

  onTimer(): void {
    this.onRoom();
  }

  /** Nothing is sent any more. The number of datagrams that were dropped. */
  close(): number {
    if (this.#timer !== null) this.#poller.cancelTimer(this.#timer);
    this.isBlocked = true;
    return this.queue.clear();
  }
}
