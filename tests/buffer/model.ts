/**
 * The model that LinkBuffer is held against: the same operations on flat arrays.
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";

/** Numbers that look random and are the same for the same seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** Bytes in one array. */
export class Flat {
  #bytes = new Uint8Array(64);
  #from = 0;
  #to = 0;

  get length(): number {
    return this.#to - this.#from;
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.#from, this.#to);
  }

  /** Inserts bytes at a position. */
  insert(at: number, bytes: Uint8Array): void {
    const grown = this.length + bytes.length;
    if (this.#from + grown > this.#bytes.length) {
      const larger = new Uint8Array(2 * grown);
      larger.set(this.bytes);
      this.#bytes = larger;
      this.#to -= this.#from;
      this.#from = 0;
    }
    this.#bytes.copyWithin(this.#from + at + bytes.length, this.#from + at, this.#to);
    this.#bytes.set(bytes, this.#from + at);
    this.#to += bytes.length;
  }

  push(bytes: Uint8Array): void {
    this.insert(this.length, bytes);
  }

  /** Removes the first bytes: a copy of them. */
  shift(count: number): Uint8Array {
    const first = this.bytes.slice(0, count);
    this.#from += count;
    return first;
  }

  truncate(length: number): void {
    this.#to = this.#from + length;
  }
}

/** A lent view, and the bytes that it must hold until `release()`. */
interface Lent {
  readonly view: Uint8Array;
  readonly expected: Uint8Array;
}

/** A buffer beside its model. */
class Pair {
  readonly readable = new Flat();
  readonly pending = new Flat();
  lent: Lent[] = [];

  constructor(readonly buffer: LinkBuffer, readonly isSlice: boolean) {}

  check(): void {
    assertEquals(this.buffer.length, this.readable.length, "length");
    assertEquals(this.buffer.mallocLength, this.pending.length, "mallocLength");
  }

  lend(view: Uint8Array, expected: Uint8Array): void {
    same(view, expected);
    this.lent.push({ view, expected });
  }

  checkLent(): void {
    for (const { view, expected } of this.lent) same(view, expected);
  }
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  const isSame = actual.length === expected.length && Buffer.compare(actual, expected) === 0;
  assert(isSame, `bytes differ: ${actual.length} against ${expected.length}`);
}

const BUFFERS_MAX = 6;
const HELD_BYTES_MAX = 128 * 1024;
const EDGES = [512, 1024, 2048, 4096, 8192, 16384, 32768];
const TEXTS = ["", "a", "hello", "å", "€uro", "🙂", "a🙂b€c", "x".repeat(300), "é€🙂".repeat(90)];
const NUMBERS = [
  "Uint16BE",
  "Uint16LE",
  "Int32BE",
  "Uint32LE",
  "Float64BE",
  "Int16LE",
  "Uint8",
] as const;
const NUMBER_BYTES = {
  Uint16BE: 2,
  Uint16LE: 2,
  Int32BE: 4,
  Uint32LE: 4,
  Float64BE: 8,
  Int16LE: 2,
  Uint8: 1,
};

/** Random operations on a few buffers, each of them done on flat arrays, too. */
export class Model {
  readonly #random: Random;
  readonly #noise = new Uint8Array(2 * 1024 * 1024);
  #pairs: Pair[] = [];
  /** The number of times that each operation was done. */
  readonly done: Record<string, number> = {};

  constructor(seed: number) {
    this.#random = new Random(seed);
    for (let i = 0; i < this.#noise.length; i++) this.#noise[i] = this.#random.below(256);
    this.#pairs.push(new Pair(new LinkBuffer(), false));
  }

  /** Does one operation and compares. */
  step(): void {
    const name = this.#random.pick(NAMES);
    const pair = this.#random.pick(this.#pairs);
    this.done[name] = (this.done[name] ?? 0) + 1;
    OPERATIONS[name].call(this, pair);
    if (!this.#pairs.includes(pair)) return; // closed, or appended
    pair.check();
    if (this.#random.once(16)) pair.checkLent();
    if (pair.readable.length + pair.pending.length > HELD_BYTES_MAX) this.drain(pair);
  }

  /** Closes everything; what was lent is compared once more. */
  close(): void {
    for (const pair of this.#pairs) {
      pair.checkLent();
      pair.buffer.close();
    }
    this.#pairs = [];
  }

  // ---- choices ----------------------------------------------------------------------------------

  size(): number {
    const random = this.#random;
    const kind = random.below(20);
    if (kind < 9) return 1 + random.below(16);
    if (kind < 13) return random.below(300);
    if (kind < 17) return Math.max(0, random.pick(EDGES) + random.below(7) - 3);
    if (kind < 19 || !random.once(60)) return random.below(6000);
    return 1024 * 1024 - 2 + random.below(200_000);
  }

  /** Fresh bytes: who borrows them may keep them. */
  bytes(count: number): Uint8Array {
    const from = this.#random.below(this.#noise.length - count);
    return this.#noise.slice(from, from + count);
  }

  /** A count of bytes to read that are there. */
  within(pair: Pair): number {
    const { length } = pair.readable;
    if (this.#random.once(4)) return length;
    return Math.min(length, this.size());
  }

  once(times: number): boolean {
    return this.#random.once(times);
  }

  below(below: number): number {
    return this.#random.below(below);
  }

  pick<T>(items: readonly T[]): T {
    return this.#random.pick(items);
  }

  add(buffer: LinkBuffer, isSlice: boolean, bytes: Uint8Array): void {
    const pair = new Pair(buffer, isSlice);
    pair.readable.push(bytes);
    pair.check();
    this.#pairs.push(pair);
    if (this.#pairs.length > BUFFERS_MAX) this.remove(this.pick(this.#pairs));
  }

  remove(pair: Pair): void {
    pair.checkLent();
    pair.buffer.close();
    pair.buffer.close();
    assertThrows(() => pair.buffer.next(1));
    this.forget(pair);
  }

  forget(pair: Pair): void {
    this.#pairs = this.#pairs.filter((other) => other !== pair);
    if (this.#pairs.length === 0) this.#pairs.push(new Pair(new LinkBuffer(this.size()), false));
  }

  other(pair: Pair): Pair | undefined {
    return this.#pairs.find((other) => other !== pair);
  }

  /** Something that was lent and not yet released, of any buffer. */
  anyLent(): Uint8Array | undefined {
    const { lent } = this.pick(this.#pairs);
    return lent.length > 0 ? this.pick(lent).view : undefined;
  }

  drain(pair: Pair): void {
    if (!pair.isSlice) this.flush(pair);
    same(pair.buffer.readBinary(pair.readable.length), pair.readable.shift(pair.readable.length));
    this.release(pair);
    pair.check();
  }

  flush(pair: Pair): void {
    pair.buffer.flush();
    pair.readable.push(pair.pending.shift(pair.pending.length));
  }

  release(pair: Pair): void {
    pair.checkLent();
    pair.buffer.release();
    pair.lent = [];
  }
}

type Operation = (this: Model, pair: Pair) => void;

/** An operation of writing, done where the buffer may be written. */
function writing(operation: Operation): Operation {
  return function (pair) {
    if (!pair.isSlice) operation.call(this, pair);
    else assertThrows(() => pair.buffer.writeByte(1), TypeError);
  };
}

const OPERATIONS = {
  next(pair) {
    const count = this.within(pair);
    const view = pair.buffer.next(count);
    pair.lend(view, pair.readable.shift(count));
  },
  peek(pair) {
    const count = this.within(pair);
    pair.lend(pair.buffer.peek(count), pair.readable.bytes.slice(0, count));
  },
  peekMore(pair) {
    const most = Math.min(pair.readable.length, 3000);
    for (let count = this.below(most + 1); count <= most; count += 1 + this.below(700)) {
      pair.lend(pair.buffer.peek(count), pair.readable.bytes.slice(0, count));
    }
  },
  skip(pair) {
    const count = this.within(pair);
    pair.buffer.skip(count);
    pair.readable.shift(count);
  },
  tooMuch(pair) {
    const count = pair.readable.length + 1 + this.below(3);
    const { buffer } = pair;
    const reads = [
      () => buffer.next(count),
      () => buffer.peek(count),
      () => buffer.skip(count),
      () => buffer.readString(count),
      () => buffer.peekString(count),
      () => buffer.readBinary(count),
      () => buffer.slice(count),
    ];
    assertThrows(this.pick(reads), RangeError);
  },
  readBinary(pair) {
    const count = this.within(pair);
    same(pair.buffer.readBinary(count), pair.readable.shift(count));
  },
  readInto(pair) {
    const target = new Uint8Array(this.size());
    const count = pair.buffer.readInto(target);
    assertEquals(count, Math.min(target.length, pair.readable.length));
    same(target.subarray(0, count), pair.readable.shift(count));
  },
  readString(pair) {
    const count = Math.min(this.within(pair), 5000);
    const peeked = pair.buffer.peekString(count, "latin1");
    assertEquals(pair.buffer.readString(count, "latin1"), peeked);
    assertEquals(peeked, Buffer.from(pair.readable.shift(count)).toString("latin1"));
  },
  readNumber(pair) {
    const kind = this.pick(NUMBERS);
    const count = NUMBER_BYTES[kind];
    if (pair.readable.length < count) {
      assertThrows(() => pair.buffer[`read${kind}`](), RangeError);
      return;
    }
    const bytes = pair.readable.shift(count);
    const view = new DataView(bytes.buffer);
    const isLittle = kind.endsWith("LE");
    const name = `get${kind.replace(/[BL]E$/, "")}` as "getUint16";
    assertEquals(pair.buffer[`read${kind}`](), view[name](0, isLittle));
  },
  until(pair) {
    const { buffer, readable } = pair;
    const from = this.below(readable.length + 2);
    const length = 1 + this.below(3);
    const isThere = this.once(2) && from + length <= readable.length;
    const delimiter = isThere ? readable.bytes.slice(from, from + length) : this.bytes(length);
    const at = Buffer.from(readable.bytes).indexOf(delimiter);
    assertEquals(buffer.indexOf(delimiter), at);
    const later = Buffer.from(readable.bytes).indexOf(delimiter, from);
    assertEquals(buffer.indexOf(delimiter, from), from > readable.length ? -1 : later);
    if (at < 0) assertThrows(() => buffer.until(delimiter), RangeError);
    else pair.lend(buffer.until(delimiter), readable.shift(at + length));
  },
  slice(pair) {
    const count = this.within(pair);
    const slice = pair.buffer.slice(count);
    this.add(slice, true, pair.readable.shift(count));
  },
  release(pair) {
    this.release(pair);
  },
  releaseAgain(pair) {
    this.release(pair);
    pair.buffer.release();
  },
  flush: writing(function (pair) {
    this.flush(pair);
  }),
  flushAgain: writing(function (pair) {
    this.flush(pair);
    this.flush(pair);
  }),
  malloc: writing(function (pair) {
    const count = this.size();
    const at = pair.pending.length;
    const view = pair.buffer.malloc(count);
    assertEquals(view.length, count);
    const bytes = this.bytes(count);
    pair.pending.push(bytes);
    if (this.once(3)) { // what was lent is filled after other writes, too
      const more = this.bytes(this.size());
      pair.buffer.writeBinary(more);
      pair.pending.push(more);
    }
    view.set(bytes);
    same(pair.pending.bytes.subarray(at, at + count), bytes);
  }),
  mallocAck: writing(function (pair) {
    const { length } = pair.pending;
    const kept = this.once(3) ? length : this.below(length + 1);
    pair.buffer.mallocAck(kept);
    pair.pending.truncate(kept);
    assertThrows(() => pair.buffer.mallocAck(kept + 1), RangeError);
  }),
  writeBinary: writing(function (pair) {
    const bytes = this.bytes(this.size());
    const isCopied = this.once(3);
    assertEquals(pair.buffer.writeBinary(bytes, { copy: isCopied }), bytes.length);
    pair.pending.push(bytes);
    if (isCopied || bytes.length <= 4096) bytes.fill(0); // ours again
  }),
  writeLent: writing(function (pair) {
    const view = this.anyLent();
    if (view === undefined || pair.pending.length > HELD_BYTES_MAX) return;
    pair.pending.push(view);
    pair.buffer.writeBinary(view);
  }),
  writeString: writing(function (pair) {
    const text = this.pick(TEXTS);
    const bytes = Buffer.from(text);
    assertEquals(pair.buffer.writeString(text), bytes.length);
    pair.pending.push(bytes);
  }),
  writeNumber: writing(function (pair) {
    const kind = this.pick(NUMBERS);
    const bytes = new Uint8Array(NUMBER_BYTES[kind]);
    const view = new DataView(bytes.buffer);
    const value = this.below(256 ** Math.min(4, bytes.length));
    const name = `set${kind.replace(/[BL]E$/, "")}` as "setUint16";
    view[name](0, value, kind.endsWith("LE"));
    pair.buffer[`write${kind}`](value);
    pair.pending.push(bytes);
  }),
  writeByte: writing(function (pair) {
    const bytes = this.bytes(1);
    pair.buffer.writeByte(bytes[0]!);
    pair.pending.push(bytes);
  }),
  writeDirect: writing(function (pair) {
    const bytes = this.once(5) ? this.anyLent() ?? this.bytes(3) : this.bytes(this.size());
    const remain = this.once(3) ? 0 : this.below(pair.pending.length + 1);
    if (pair.pending.length > HELD_BYTES_MAX) return;
    pair.pending.insert(pair.pending.length - remain, bytes.slice());
    pair.buffer.writeDirect(bytes, remain);
    if (bytes.length > 0) {
      assertThrows(() => pair.buffer.writeDirect(bytes, pair.pending.length + 1), RangeError);
    }
  }),
  append: writing(function (pair) {
    const other = this.other(pair);
    if (other === undefined) return;
    if (other.readable.length + other.pending.length === 0) {
      pair.buffer.append(other.buffer); // stays usable
      other.check();
      return;
    }
    other.checkLent();
    pair.buffer.append(other.buffer);
    pair.pending.push(other.readable.bytes);
    pair.pending.push(other.pending.bytes);
    assertThrows(() => other.buffer.next(1), TypeError);
    this.forget(other);
  }),
  create(_pair) {
    this.add(new LinkBuffer(this.below(2) * this.size()), false, new Uint8Array(0));
  },
  close(pair) {
    if (this.once(4)) this.remove(pair);
    else this.release(pair);
  },
} satisfies Record<string, Operation>;

const NAMES = Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[];
