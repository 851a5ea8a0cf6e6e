/**
 * The cursor of a socket: the two objects that its user sees of a batch.
 */
import type { LinkBuffer } from "../buffer/contract.ts";
import { show } from "../core/options.ts";
import { showAs } from "../core/inspect.ts";
import type { PackedAddress, UdpAddress } from "../net/address.ts";
import type { Batch } from "./batch.ts";
import type { Datagram, DatagramReply, Datagrams, DatagramWriteOptions } from "./contract.ts";
import { keyOf, udpOf } from "./peer.ts";
import { Flag, localAt, peerAt, RECORD_WORDS, SERVICE_SHIFT, Word } from "./record.ts";

const TWO_32 = 2 ** 32;

/** The socket, as its cursor needs it. */
export interface CursorOwner {
  /** The address of this end. */
  readonly localAddress: UdpAddress;
  /** Writes an answer to the datagram of the record at a word. */
  reply(table: Uint32Array, at: number, bytes: Uint8Array, options?: DatagramWriteOptions): boolean;
  /** Writes one to a datagram that is over, by its record. */
  replyLater(record: Uint32Array, bytes: Uint8Array, options?: DatagramWriteOptions): boolean;
}

/** {@linkcode Datagram} over a batch. */
class BatchDatagram implements Datagram {
  readonly #batch: Batch;
  readonly #owner: CursorOwner;

  constructor(batch: Batch, owner: CursorOwner) {
    this.#batch = batch;
    this.#owner = owner;
  }

  /** The batch, if there is a datagram at the cursor. */
  get #current(): Batch {
    if (this.#batch.index >= 0) return this.#batch;
    throw new TypeError(
      "Cannot use a datagram that is over: take slice() of it, or copy its bytes, in time",
    );
  }

  get bytes(): Uint8Array {
    return this.#current.lend();
  }

  get length(): number {
    return this.#current.length;
  }

  get peer(): PackedAddress {
    const { table, at } = this.#current;
    return peerAt(table, at);
  }

  get peerKey(): number | string {
    return keyOf(this.peer);
  }

  get remoteAddress(): UdpAddress {
    return udpOf(this.peer);
  }

  get localAddress(): UdpAddress {
    const { table, at } = this.#current;
    const { localAddress } = this.#owner;
    if ((table[at + Word.FLAGS]! & Flag.LOCAL) === 0) return localAddress;
    return udpOf(localAt(table, at, localAddress.port));
  }

  get ecn(): number {
    const { table, at } = this.#current;
    return table[at + Word.FLAGS]! >>> SERVICE_SHIFT & 3;
  }

  get receivedMicros(): number {
    const { table, at } = this.#current;
    return table[at + Word.TIME + 1]! * TWO_32 + table[at + Word.TIME]!;
  }

  reply(bytes: Uint8Array, options?: DatagramWriteOptions): boolean {
    const { table, at } = this.#current;
    return this.#owner.reply(table, at, bytes, options);
  }

  replyLater(): DatagramReply {
    const { table, at } = this.#current;
    const record = table.slice(at, at + RECORD_WORDS);
    const owner = this.#owner;
    return (bytes, options) => owner.replyLater(record, bytes, options);
  }

  slice(): LinkBuffer {
    return this.#current.slice();
  }
}

showAs(BatchDatagram.prototype, "Datagram", ["length", "remoteAddress"]);

/** {@linkcode Datagrams} over a batch. */
class BatchDatagrams implements Datagrams {
  readonly #batch: Batch;
  readonly #datagram: Datagram;

  constructor(batch: Batch, datagram: Datagram) {
    this.#batch = batch;
    this.#datagram = datagram;
  }

  get count(): number {
    return this.#batch.count;
  }

  at(index: number): Datagram {
    const { count } = this.#batch;
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw new RangeError(`Cannot look at datagram ${show(index)}: there are ${count}`);
    }
    this.#batch.moveTo(index);
    return this.#datagram;
  }

  [Symbol.iterator](): Iterator<Datagram> {
    return new BatchIterator(this.#batch, this.#datagram);
  }
}

showAs(BatchDatagrams.prototype, "Datagrams", ["count"]);

/**
 * Goes through a batch. Its place is its own, whoever else moves the cursor. The results are one
 * object: nothing is made for a datagram.
 */
class BatchIterator implements Iterator<Datagram> {
  readonly #batch: Batch;
  readonly #number: number;
  readonly #result: { done: boolean; value: Datagram };
  #place = 0;

  constructor(batch: Batch, datagram: Datagram) {
    this.#batch = batch;
    this.#number = batch.number;
    this.#result = { done: false, value: datagram };
  }

  next(): IteratorResult<Datagram> {
    const batch = this.#batch;
    const isOver = batch.number !== this.#number || this.#place >= batch.count;
    if (!isOver) batch.moveTo(this.#place++);
    this.#result.done = isOver;
    return this.#result as IteratorResult<Datagram>;
  }
}

/** The batches of a socket, as its user sees them. */
export class Cursor {
  /** One datagram. */
  readonly datagram: Datagram;
  /** All of them. */
  readonly datagrams: Datagrams;

  /** Over the batch of a socket. */
  constructor(batch: Batch, owner: CursorOwner) {
    this.datagram = new BatchDatagram(batch, owner);
    this.datagrams = new BatchDatagrams(batch, this.datagram);
  }
}
