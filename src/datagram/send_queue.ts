/**
 * The send queue of a socket: datagrams that were written and that the kernel has not taken yet.
 *
 * They lie one behind the other in blocks, so that neighbours of one peer and one size are one
 * *train*: a single record, which the kernel takes apart (UDP_SEGMENT, udp(7)). An empty queue has
 * neither blocks nor a table.
 *
 * ```text
 *   head ........................ tail
 *        written, oldest first          free
 * ```
 */
import { assert } from "../core/assert.ts";
import { type Block, blocks } from "../buffer/block.ts";
import {
  DATAGRAM_BYTES_MAX,
  DATAGRAM_SLOT_BYTES,
  DATAGRAMS_MAX,
  TRAIN_COUNT_MAX,
} from "../core/limits.ts";
import { isSameRoute, RECORD_WORDS, recordTable, Word } from "./record.ts";

const NO_TABLE = new Uint32Array(0);
/** A table for each socket that is about to send: most queues are empty again after one call. */
const spareTables: Uint32Array[] = [];
const SPARE_TABLES_MAX = 8;

/** The bytes of a train: it is one datagram to IP, which may have no more. */
export const TRAIN_BYTES_MAX: number = DATAGRAM_BYTES_MAX[4];

/** Datagrams in order. */
export class SendQueue {
  /** The records. */
  table: Uint32Array = NO_TABLE;
  /** The record that is sent next. */
  head = 0;
  /** The number of datagrams, those of trains counted each. */
  count = 0;
  /** The bytes of them. */
  bytes = 0;
  /** The number of datagrams that have left the queue so far, whereto ever. */
  leftCount = 0;
  /** The longest datagrams that trains are made of; 0 makes none. */
  trainSegmentMax: number;
  #tail = 0;
  /** The blocks that the datagrams lie in, oldest first, and how many records each has. */
  readonly #blocks: Block[] = [];
  readonly #recordCounts: number[] = [];
  /** The place in the last block where the next datagram begins. */
  #free = 0;
  /** Whether the last record may still change: it is being written, or `mallocTo` has lent its bytes. */
  #isOpen = false;

  /** An empty queue. */
  constructor(trainSegmentMax: number) {
    this.trainSegmentMax = trainSegmentMax;
  }

  /** The number of records: of trains, and of datagrams that are none of one. */
  get recordCount(): number {
    return this.#tail - this.head;
  }

  /** The first word of the record that is sent next. */
  get headAt(): number {
    return RECORD_WORDS * this.head;
  }

  /**
   * Makes a record for a datagram of so many bytes, the last of the queue, and room for them. Its
   * first word; the other end, and the flags if there are any, are the caller's to write.
   *
   * @throws {SystemError} No memory is left.
   */
  add(length: number): number {
    this.settle();
    const block = this.#room(length);
    if (RECORD_WORDS * this.#tail === this.table.length) this.#growTable();
    const at = RECORD_WORDS * this.#tail++;
    const { table } = this;
    table[at + Word.SLAB] = block.slab.id;
    table[at + Word.OFFSET] = this.#free;
    table[at + Word.LENGTH] = length;
    table[at + Word.SEGMENT] = 0;
    table[at + Word.FLAGS] = 0;
    this.#recordCounts[this.#recordCounts.length - 1]! += 1;
    this.#free += length;
    this.count += 1;
    this.bytes += length;
    this.#isOpen = true;
    return at;
  }

  /** Makes one record for a whole train: datagrams of so many bytes, the last of which may be shorter. */
  addTrain(length: number, segment: number): number {
    const at = this.add(length);
    if (length <= segment) return at;
    // It is not open: as a whole it would join what is before it as a single datagram.
    this.#isOpen = false;
    this.table[at + Word.SEGMENT] = segment;
    this.count += Math.ceil(length / segment) - 1;
    return at;
  }

  /** The last block, with so much room; a new one if need be. */
  #room(length: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.offset + last.capacity - this.#free >= length) return last;
    const block = blocks.take(DATAGRAM_SLOT_BYTES);
    this.#blocks.push(block);
    this.#recordCounts.push(0);
    this.#free = block.offset;
    return block;
  }

  #growTable(): void {
    if (this.table.length === 0) {
      this.table = spareTables.pop() ?? recordTable(DATAGRAMS_MAX);
    } else if (this.head > this.#tail / 2) {
      this.table.copyWithin(0, this.headAt, RECORD_WORDS * this.#tail);
      this.#tail -= this.head;
      this.head = 0;
    } else {
      const larger = new Uint32Array(2 * this.table.length);
      larger.set(this.table);
      this.table = larger;
    }
  }

  /** The memory that the last record's bytes lie in. */
  get lastBlock(): Block {
    return this.#blocks.at(-1)!;
  }

  /** The offset of the last record's bytes in its slab. */
  get lastOffset(): number {
    return this.table[RECORD_WORDS * (this.#tail - 1) + Word.OFFSET]!;
  }

  /** The bytes of the last record that were lent and may be shortened; -1 if there are none. */
  get openBytes(): number {
    return this.#isOpen ? this.table[RECORD_WORDS * (this.#tail - 1) + Word.LENGTH]! : -1;
  }

  /** Gives back the end of the last record, which is still open. */
  shorten(length: number): void {
    const at = RECORD_WORDS * (this.#tail - 1);
    const less = this.table[at + Word.LENGTH]! - length;
    assert(this.#isOpen && less >= 0, "only what is being written is shortened");
    this.table[at + Word.LENGTH] = length;
    this.#free -= less;
    this.bytes -= less;
  }

  /** The last record is complete: it joins the one before it, if both can be one train. */
  settle(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#tail - this.head < 2) return;
    const at = RECORD_WORDS * (this.#tail - 1);
    if (!this.#joins(at - RECORD_WORDS, at)) return;
    const { table } = this;
    const before = at - RECORD_WORDS;
    if (table[before + Word.SEGMENT] === 0) {
      table[before + Word.SEGMENT] = table[before + Word.LENGTH]!;
    }
    table[before + Word.LENGTH]! += table[at + Word.LENGTH]!;
    this.#tail -= 1;
    this.#recordCounts[this.#recordCounts.length - 1]! -= 1;
  }

  /** Whether a record can be the next of a train that another one is, or begins. */
  #joins(before: number, at: number): boolean {
    const { table } = this;
    const length = table[at + Word.LENGTH]!;
    const total = table[before + Word.LENGTH]!;
    const segment = table[before + Word.SEGMENT]! || total;
    return length > 0 && length <= segment && segment <= this.trainSegmentMax &&
      total % segment === 0 && total < segment * TRAIN_COUNT_MAX &&
      total + length <= TRAIN_BYTES_MAX &&
      table[before + Word.OFFSET]! + total === table[at + Word.OFFSET]! &&
      table[before + Word.SLAB] === table[at + Word.SLAB] &&
      table[before + Word.NOTE] === table[at + Word.NOTE] && isSameRoute(table, before, at);
  }

  /** The number of datagrams that the record at a word is. */
  countAt(at: number): number {
    const segment = this.table[at + Word.SEGMENT]!;
    return segment === 0 ? 1 : Math.ceil(this.table[at + Word.LENGTH]! / segment);
  }

  /** The first so many records have left the queue, to the kernel or for good. How many datagrams. */
  removeRecords(count: number): number {
    let datagrams = 0;
    for (let i = 0; i < count; i++) {
      const at = this.headAt;
      datagrams += this.countAt(at);
      this.bytes -= this.table[at + Word.LENGTH]!;
      this.head += 1;
      this.#recordCounts[0]! -= 1;
      if (this.#recordCounts[0] === 0 && this.#blocks.length > 1) this.#releaseFirst();
    }
    this.count -= datagrams;
    this.leftCount += datagrams;
    if (this.head === this.#tail) this.#empty();
    return datagrams;
  }

  /** The first so many datagrams of the train at the head have left the queue. */
  removeOfTrain(count: number): void {
    const at = this.headAt;
    const { table } = this;
    const bytes = count * table[at + Word.SEGMENT]!;
    if (bytes >= table[at + Word.LENGTH]!) return void this.removeRecords(1);
    table[at + Word.OFFSET]! += bytes;
    table[at + Word.LENGTH]! -= bytes;
    this.count -= count;
    this.leftCount += count;
    this.bytes -= bytes;
    if (table[at + Word.LENGTH]! <= table[at + Word.SEGMENT]!) table[at + Word.SEGMENT] = 0;
  }

  /** Drops the oldest datagram. */
  removeOldest(): void {
    this.settle();
    if (this.table[this.headAt + Word.SEGMENT]! > 0) this.removeOfTrain(1);
    else this.removeRecords(1);
  }

  #releaseFirst(): void {
    this.#blocks.shift()!.release();
    this.#recordCounts.shift();
  }

  #empty(): void {
    while (this.#blocks.length > 0) this.#releaseFirst();
    this.head = 0;
    this.#tail = 0;
    this.#isOpen = false;
    if (
      spareTables.length < SPARE_TABLES_MAX && this.table.length === RECORD_WORDS * DATAGRAMS_MAX
    ) {
      spareTables.push(this.table);
    }
    this.table = NO_TABLE;
  }

  /** Drops everything. How many datagrams that were. */
  clear(): number {
    this.#isOpen = false;
    return this.removeRecords(this.recordCount);
  }
}
