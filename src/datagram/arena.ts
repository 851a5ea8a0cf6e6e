/**
 * The arena: memory that datagrams are received into, one for all sockets of a thread. A socket uses
 * it from its recvmmsg until its handlers have returned, within one turn: an idle socket has none.
 */
import { native } from "../../ffi/load.ts";
import { assert } from "../core/assert.ts";
import { type Block, blocks } from "../buffer/block.ts";
import { ERRNO } from "../core/errno.ts";
import { DATAGRAM_SLOT_BYTES, DATAGRAMS_MAX } from "../core/limits.ts";
import { RECORD_WORDS, recordTable, Word } from "./record.ts";

/** Slots of 64 KiB, each with its record, and who has them. */
export class Arena {
  /** The records of what was received last. */
  readonly table: Uint32Array = recordTable(DATAGRAMS_MAX);
  /** The slot of each record. */
  readonly slots: Block[] = [];
  #userCount = 0;
  #isReading = false;

  /** A socket may receive from now on. */
  join(): void {
    this.#userCount += 1;
  }

  /** A socket receives no more. With the last one, the memory goes back. */
  leave(): void {
    this.#userCount -= 1;
    if (this.#userCount === 0 && !this.#isReading) this.#giveBack();
  }

  /** Receives up to so many datagrams, or trains. How many, or `-errno`. `done` comes afterwards. */
  receive(fd: number, most: number): number {
    assert(!this.#isReading, "one socket at a time receives");
    while (this.slots.length < most) {
      const block = blocks.takeIfAny(DATAGRAM_SLOT_BYTES);
      if (block === null) break;
      this.#put(this.slots.length, block);
    }
    if (this.slots.length === 0) return -ERRNO.ENOMEM;
    const count = native.recvmmsg(fd, this.table, Math.min(most, this.slots.length));
    if (count > 0) this.#isReading = true;
    return count;
  }

  /** Ends a receive, once all of it was handled: slots that somebody keeps are replaced. */
  done(count: number): void {
    this.#isReading = false;
    if (this.#userCount === 0) return this.#giveBack();
    for (let i = count - 1; i >= 0; i--) {
      if (this.slots[i]!.references > 1) this.#replace(i);
    }
  }

  #replace(index: number): void {
    this.slots[index]!.release();
    const block = blocks.takeIfAny(DATAGRAM_SLOT_BYTES);
    if (block !== null) return this.#put(index, block);
    // Without memory there is one slot less.
    const last = this.slots.pop()!;
    if (index < this.slots.length) this.#put(index, last);
  }

  #put(index: number, block: Block): void {
    const at = RECORD_WORDS * index;
    this.slots[index] = block;
    this.table[at + Word.SLAB] = block.slab.id;
    this.table[at + Word.OFFSET] = block.offset;
    this.table[at + Word.CAPACITY] = block.capacity;
  }

  #giveBack(): void {
    for (const slot of this.slots) slot.release();
    this.slots.length = 0;
  }
}

/** The arena of this thread. */
export const arena: Arena = new Arena();
