/**
 * The values of a cache: the longest unused goes first when there is no room.
 */
import { Buffer } from "node:buffer";

/** The bytes that an entry costs beside its key and its value, about. */
const ENTRY_BYTES = 120;
const DAY_SECONDS = 24 * 60 * 60;
/** A time up to this counts from now, a longer one from 1970 (protocol.txt, "Expiration times"). */
const RELATIVE_SECONDS_MAX = 30 * DAY_SECONDS;
const COUNTER = /^\d{1,20}$/;

/** A value and what belongs to it. A value that changes is a new array: answers may hold the old one. */
export interface Entry {
  readonly value: Uint8Array;
  readonly flags: number;
  /** Changes whenever the value does. */
  readonly cas: number;
  /** When it ends, in milliseconds since 1970; Infinity for never. */
  readonly endsAtMs: number;
}

/** The way to store a value. */
export type Verb = "set" | "add" | "replace" | "append" | "prepend" | "cas";
/** The result of storing. */
export type Stored = "STORED" | "NOT_STORED" | "EXISTS" | "NOT_FOUND" | "TOO_LARGE";

/** Counts since the start. */
export interface Counts {
  gets: number;
  hits: number;
  sets: number;
  evictions: number;
}

/** The time at which an entry ends that was stored with so many seconds. */
function endOf(seconds: number): number {
  if (seconds === 0) return Infinity;
  if (seconds < 0) return 0;
  return seconds <= RELATIVE_SECONDS_MAX ? Date.now() + seconds * 1000 : seconds * 1000;
}

function bytesOf(key: string, value: Uint8Array): number {
  return key.length + value.length + ENTRY_BYTES;
}

/** Values by key, in so much memory. */
export class Store {
  readonly bytesMax: number;
  readonly counts: Counts = { gets: 0, hits: 0, sets: 0, evictions: 0 };
  /** In the order of their use: the last used is the last. */
  readonly #entries = new Map<string, Entry>();
  readonly #valueBytesMax: number;
  #bytes = 0;
  #cas = 0;
  #flushAtMs = Infinity;

  /** An empty one. No value is longer than `valueBytesMax`. */
  constructor(bytesMax: number, valueBytesMax: number) {
    this.bytesMax = bytesMax;
    this.#valueBytesMax = valueBytesMax;
  }

  get count(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The entry of a key, which counts as used. */
  get(key: string): Entry | undefined {
    this.counts.gets += 1;
    const entry = this.#find(key);
    if (entry === undefined) return undefined;
    this.counts.hits += 1;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  /** Stores a value, as far as the verb allows it. */
  store(
    verb: Verb,
    key: string,
    value: Uint8Array,
    { flags, seconds, cas = 0 }: { flags: number; seconds: number; cas?: number },
  ): Stored {
    this.counts.sets += 1;
    const old = this.#find(key);
    if (cas !== 0 || verb === "cas") {
      if (old === undefined) return "NOT_FOUND";
      if (old.cas !== cas) return "EXISTS";
    }
    if (verb === "add" ? old !== undefined : verb !== "set" && old === undefined) {
      return "NOT_STORED";
    }
    if (verb === "append" || verb === "prepend") {
      const pieces = verb === "append" ? [old!.value, value] : [value, old!.value];
      if (old!.value.length + value.length > this.#valueBytesMax) return "TOO_LARGE";
      this.#put(key, { ...old!, value: Buffer.concat(pieces) });
    } else {
      this.#put(key, { value, flags, cas: 0, endsAtMs: endOf(seconds) });
    }
    return "STORED";
  }

  /** Adds to a counter of 64 bits; below zero is zero. Null when the value is no number. */
  count64(key: string, delta: bigint): bigint | null | undefined {
    const old = this.#find(key);
    if (old === undefined) return undefined;
    const text = Buffer.from(old.value).toString("latin1");
    const before = COUNTER.test(text) ? BigInt(text) : -1n;
    if (before < 0n || before !== BigInt.asUintN(64, before)) return null;
    const sum = before + delta;
    const after = sum < 0n ? 0n : BigInt.asUintN(64, sum);
    this.#put(key, { ...old, value: Buffer.from(`${after}`) });
    return after;
  }

  /** Gives an entry another end. It, if it is there. */
  touch(key: string, seconds: number): Entry | undefined {
    const old = this.#find(key);
    if (old === undefined) return undefined;
    const entry = { ...old, endsAtMs: endOf(seconds) };
    this.#entries.set(key, entry);
    return entry;
  }

  /** True when there was one. */
  delete(key: string): boolean {
    return this.#find(key) !== undefined && this.#remove(key);
  }

  /** The number that the entry of a key has: it tells a client of its own change. */
  casOf(key: string): number {
    return this.#entries.get(key)?.cas ?? 0;
  }

  /** Forgets all that is there, now or when so many seconds have passed. */
  flush(seconds: number): void {
    this.#flushAtMs = seconds === 0 ? 0 : endOf(seconds);
    this.#flushIfDue();
  }

  #flushIfDue(): void {
    if (Date.now() < this.#flushAtMs) return;
    this.#flushAtMs = Infinity;
    this.#entries.clear();
    this.#bytes = 0;
  }

  #find(key: string): Entry | undefined {
    this.#flushIfDue();
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.endsAtMs > Date.now()) return entry;
    this.#remove(key);
    return undefined;
  }

  #remove(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#bytes -= bytesOf(key, entry.value);
    return this.#entries.delete(key);
  }

  #put(key: string, entry: Entry): void {
    this.#remove(key);
    this.#bytes += bytesOf(key, entry.value);
    this.#entries.set(key, { ...entry, cas: ++this.#cas });
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.bytesMax || oldest === key) break;
      this.#remove(oldest);
      this.counts.evictions += 1;
    }
  }
}
