/**
 * The data of a server of Redis: values by key, and when they expire.
 */
import { clearInterval, setInterval } from "node:timers";
import { RespError } from "../../mod.ts";
import { Deque } from "./deque.ts";

/** A string, a list, a hash or a set. Strings are latin1: a character a byte, whatever it is. */
export type Value = string | Deque | Map<string, string> | Set<string>;

const DATABASE_COUNT = 16;
/** The interval of the search for expired keys, and the number of keys at most each time. */
const SWEEP_MS = 100;
const SWEEP_KEYS_MAX = 1000;

const WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";

/** The name of a value's type, as TYPE tells it. */
export function typeOf(value: Value): "string" | "list" | "hash" | "set" {
  if (typeof value === "string") return "string";
  return value instanceof Deque ? "list" : value instanceof Map ? "hash" : "set";
}

function sizeOf(value: Value): number {
  return typeof value === "string" || value instanceof Deque ? value.length : value.size;
}

/** A client that wants to know whether a key has changed. */
export interface KeyWatcher {
  /** Set when it has. */
  isDirty: boolean;
}

/** The keys of one database. */
export class Database {
  readonly #values = new Map<string, Value>();
  /** Milliseconds since 1970, for the keys that expire. */
  readonly #expiries = new Map<string, number>();
  readonly #watchers = new Map<string, Set<KeyWatcher>>();
  #sweeper: ReturnType<typeof setInterval> | null = null;

  /** The number of keys; expired ones may still be among them. */
  get size(): number {
    return this.#values.size;
  }

  /** The number of them that expire. */
  get expiringCount(): number {
    return this.#expiries.size;
  }

  /** The value of a key. */
  get(key: string): Value | undefined {
    if (this.#expiries.size > 0) this.#expire(key, Date.now());
    return this.#values.get(key);
  }

  /** Puts a value, which does not expire, in the place of what was there. */
  set(key: string, value: Value): void {
    if (this.#expiries.size > 0) this.#expiries.delete(key);
    this.update(key, value);
  }

  /** Puts another value in the place of one, which expires when that would have. */
  update(key: string, value: Value): void {
    this.#values.set(key, value);
    this.changed(key);
  }

  /** True when there was such a key. */
  delete(key: string): boolean {
    const isThere = this.get(key) !== undefined;
    this.#forget(key);
    return isThere;
  }

  /** A key goes, for whatever reason. */
  #forget(key: string): void {
    this.#expiries.delete(key);
    if (this.#values.delete(key)) this.changed(key);
  }

  /** All keys go. */
  clear(): void {
    for (const key of this.#watchers.keys()) this.delete(key); // what was not there has not changed
    this.#values.clear();
    this.#expiries.clear();
  }

  /** All keys. The iterator minds nothing that is added or deleted meanwhile. */
  keys(): MapIterator<string> {
    this.#sweep(Infinity);
    return this.#values.keys();
  }

  // ---- by kind: a list, a hash or a set that is empty is none -------------------------------------

  /** The string of a key. @throws {RespError} It holds something else. */
  string(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw new RespError(WRONG_TYPE);
  }

  /** The list of a key. @throws {RespError} It holds something else. */
  list(key: string): Deque | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof Deque) return value;
    throw new RespError(WRONG_TYPE);
  }

  /** The hash of a key. @throws {RespError} It holds something else. */
  hash(key: string): Map<string, string> | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof Map) return value;
    throw new RespError(WRONG_TYPE);
  }

  /** The set of a key. @throws {RespError} It holds something else. */
  members(key: string): Set<string> | undefined {
    const value = this.get(key);
    if (value === undefined || value instanceof Set) return value;
    throw new RespError(WRONG_TYPE);
  }

  /**
   * Puts a value that was `made` now; one that a key held before is there already. Who changes it then
   * says so.
   */
  add<T extends Value>(key: string, held: T | undefined, made: () => T): T {
    if (held !== undefined) return held;
    const value = made();
    this.update(key, value);
    return value;
  }

  /** Something was taken out of what a key holds: the last takes the key along. */
  shrunk(key: string, value: Value): void {
    if (sizeOf(value) === 0) this.delete(key);
    else this.changed(key);
  }

  // ---- watchers of changes -----------------------------------------------------------------------

  /** Tells that the value of a key was changed within. */
  changed(key: string): void {
    if (this.#watchers.size === 0) return;
    for (const watcher of this.#watchers.get(key) ?? []) watcher.isDirty = true;
  }

  /** Tells of changes of a key from now on. */
  watch(key: string, watcher: KeyWatcher): void {
    this.get(key); // one that has expired is gone already
    const all = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, all.add(watcher));
  }

  /** Tells of them no more. */
  unwatch(key: string, watcher: KeyWatcher): void {
    const all = this.#watchers.get(key);
    if (all?.delete(watcher) && all.size === 0) this.#watchers.delete(key);
  }

  // ---- expiry -----------------------------------------------------------------------------------

  /** The expiry of a key, in milliseconds since 1970; undefined when it has none. */
  expiry(key: string): number | undefined {
    return this.#expiries.get(key);
  }

  /** Sets the expiry of a key that is there: it expires at once if that is past. */
  expireAt(key: string, milliseconds: number): void {
    this.#expiries.set(key, milliseconds);
    this.changed(key);
    this.#expire(key, Date.now());
    this.#sweeper ??= setInterval(() => this.#sweep(SWEEP_KEYS_MAX), SWEEP_MS).unref();
  }

  /** A key expires no more. True when it would have. */
  persist(key: string): boolean {
    const isExpiring = this.#expiries.delete(key);
    if (isExpiring) this.changed(key);
    return isExpiring;
  }

  #expire(key: string, now: number): void {
    const at = this.#expiries.get(key);
    if (at !== undefined && at <= now) this.#forget(key);
  }

  /** Forgets what has expired, of so many keys; those that have not are looked at last next time. */
  #sweep(keysMax: number): void {
    const now = Date.now();
    let left = Math.min(keysMax, this.#expiries.size);
    for (const [key, at] of this.#expiries) {
      if (left-- <= 0) break;
      this.#expiries.delete(key);
      if (at > now) this.#expiries.set(key, at);
      else this.#forget(key);
    }
    if (this.#expiries.size > 0 || this.#sweeper === null) return;
    clearInterval(this.#sweeper);
    this.#sweeper = null;
  }
}

/** All databases, by the number that SELECT takes. */
export const databases: readonly Database[] = Array.from(
  { length: DATABASE_COUNT },
  () => new Database(),
);
