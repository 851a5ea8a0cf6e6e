/**
 * Batches: what one receive has brought, and the place in it of the datagram that is looked at. A
 * train that the kernel has put together is taken apart here, without a copy.
 */
import type { Block } from "../buffer/block.ts";
import { blocks } from "../buffer/block.ts";
import type { LinkBuffer } from "../buffer/contract.ts";
import { sliceOf } from "../buffer/link_buffer.ts";
import { takeBack, track } from "../buffer/tracked.ts";
import { DATAGRAM_KEEP_BYTES_MIN } from "../core/limits.ts";
import { RECORD_WORDS, Word } from "./record.ts";

const NO_TABLE = new Uint32Array(0);
const NO_SLOTS: readonly Block[] = [];

/** The number of datagrams of the record at a word. */
function countAt(table: Uint32Array, at: number): number {
  const length = table[at + Word.LENGTH]!;
  const segment = table[at + Word.SEGMENT]!;
  return segment > 0 && segment < length ? Math.ceil(length / segment) : 1;
}

/** Datagrams, and a place among them. */
export class Batch {
  /** The records. */
  table: Uint32Array = NO_TABLE;
  /** The number of datagrams, those of trains counted each. */
  count = 0;
  /** How many batches there were: what went through another one has come to its end. */
  number = 0;
  /** The number of the datagram that is looked at; -1 before the first and when there is none. */
  index = -1;
  /** The first word of its record. */
  at = 0;
  /** The offset of its bytes in the slab. */
  offset = 0;
  /** The number of its bytes. */
  length = 0;
  #slots: readonly Block[] = NO_SLOTS;
  #recordCount = 0;
  /** The record that is looked at, the numbers of its datagrams, and where its bytes lie. */
  #record = 0;
  #first = 0;
  #past = 0;
  #begin = 0;
  #end = 0;
  #segment = 0;
  /** The memory of a batch that is kept. Made when one is. */
  #kept: Block[] | null = null;

  /** Takes what lies in records and slots of somebody else, who has them until `end`. */
  begin(table: Uint32Array, slots: readonly Block[], recordCount: number): void {
    this.table = table;
    this.#slots = slots;
    this.#recordCount = recordCount;
    this.index = -1;
    this.number += 1;
    let count = 0;
    for (let i = 0; i < recordCount; i++) count += countAt(table, RECORD_WORDS * i);
    this.count = count;
  }

  /** Goes to a datagram by its number, which there is. */
  moveTo(index: number): void {
    if (this.index < 0 || index < this.#first) this.#enter(0, 0);
    while (index >= this.#past) this.#enter(this.#record + 1, this.#past);
    this.index = index;
    this.offset = this.#begin + (index - this.#first) * this.#segment;
    this.length = Math.min(this.#segment, this.#end - this.offset);
  }

  /** Goes to a record, of which the number of the first datagram is known. */
  #enter(record: number, first: number): void {
    const { table } = this;
    const at = RECORD_WORDS * record;
    this.#record = record;
    this.at = at;
    this.#begin = table[at + Word.OFFSET]!;
    this.#end = this.#begin + table[at + Word.LENGTH]!;
    this.#segment = table[at + Word.SEGMENT]! || table[at + Word.LENGTH]!;
    this.#first = first;
    this.#past = first + countAt(table, at);
  }

  /** A view of the bytes of the datagram, lent. */
  lend(): Uint8Array {
    return track(this, this.#slots[this.#record]!.lend(this.offset, this.length));
  }

  /**
   * The bytes of the datagram, owned. What fills a good part of its slot keeps it; the rest is
   * copied, for it would hold many times its own size.
   */
  slice(): LinkBuffer {
    const { offset, length } = this;
    const slot = this.#slots[this.#record]!;
    if (length >= DATAGRAM_KEEP_BYTES_MIN) return sliceOf(slot, offset, offset + length);
    const block = blocks.take(length);
    try {
      block.slab.bytes.set(slot.lend(offset, length), block.offset);
      return sliceOf(block, block.offset, block.offset + length);
    } finally {
      block.release();
    }
  }

  /**
   * Keeps what the arena lends, for longer than a turn: full slots as they are, the others copied
   * together. What was lent is taken back. Kept once, it needs no more.
   *
   * @throws {SystemError} No memory is left, and nothing was kept.
   */
  keep(): void {
    this.index = -1;
    takeBack(this);
    if (this.#slots === this.#kept) return;
    const { table } = this;
    const end = RECORD_WORDS * this.#recordCount;
    let bytes = 0;
    for (let at = Word.LENGTH; at < end; at += RECORD_WORDS) {
      if (table[at]! < DATAGRAM_KEEP_BYTES_MIN) bytes += table[at]!;
    }
    const block = blocks.take(bytes);
    const own = table.slice(0, end);
    const kept = this.#kept ??= [];
    let free = block.offset;
    for (let i = 0, at = 0; at < end; i++, at += RECORD_WORDS) {
      const slot = this.#slots[i]!;
      const length = table[at + Word.LENGTH]!;
      if (length >= DATAGRAM_KEEP_BYTES_MIN) {
        kept.push(slot.retain());
        continue;
      }
      block.slab.bytes.set(slot.lend(table[at + Word.OFFSET]!, length), free);
      kept.push(block.retain());
      own[at + Word.OFFSET] = free;
      free += length;
    }
    block.release();
    this.table = own;
    this.#slots = kept;
  }

  /** There is nothing here any more: what was lent is taken back. */
  end(): void {
    if (this.#recordCount === 0) return;
    if (this.#slots === this.#kept) {
      for (const slot of this.#kept) slot.release();
      this.#kept.length = 0;
    }
    this.table = NO_TABLE;
    this.#slots = NO_SLOTS;
    this.#recordCount = 0;
    this.count = 0;
    this.index = -1;
    takeBack(this);
  }
}
