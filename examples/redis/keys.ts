/**
 * Keys, whatever they hold, and when they expire.
 */
import { RespError, type RespInput, RespSimple } from "../../mod.ts";
import type { Client } from "./client.ts";
import {
  ALL,
  type Args,
  type Commands,
  FIRST,
  int64Of,
  integerOf,
  NONE,
  OK,
  reads,
  syntaxError,
  TWO,
  writes,
} from "./command.ts";
import { databases, typeOf, type Value } from "./database.ts";
import { Deque } from "./deque.ts";
import { matches } from "./glob.ts";

const SCAN_COUNT = 10;
/** Scans that were begun and not ended; the oldest is forgotten when there are more. */
const SCANS_MAX = 1000;
const KEEPS_NO_TTL = -1;
const NO_KEY = -2;

/** The expiry in a request, in milliseconds since 1970. @throws {RespError} Not in the future. */
export function expiryOf(unit: string, text: string, command: string): number {
  const number = int64Of(text);
  if (number > 0n) return timeOf(unit, number, command);
  throw invalidTime(command);
}

function invalidTime(command: string): RespError {
  return new RespError(`ERR invalid expire time in '${command}' command`);
}

/** @throws {RespError} The time has more than 64 bits. */
function timeOf(unit: string, number: bigint, command: string): number {
  const milliseconds = number * (unit.startsWith("EX") ? 1000n : 1n);
  const expiry = milliseconds + (unit.endsWith("AT") ? 0n : BigInt(Date.now()));
  const isOf64Bits = (value: bigint) => BigInt.asIntN(64, value) === value;
  if (isOf64Bits(milliseconds) && isOf64Bits(expiry)) return Number(expiry);
  throw invalidTime(command);
}

/** EXPIRE key number [NX | XX | GT | LT], and the others like it. */
function expire(unit: string) {
  return ({ db }: Client, [name, key, number, ...words]: Args): RespInput => {
    const expiry = timeOf(unit, int64Of(number), name.toLowerCase());
    const options = words.map((word) => word.toUpperCase());
    const unknown = options.find((word) => !["NX", "XX", "GT", "LT"].includes(word));
    if (unknown !== undefined) throw new RespError(`ERR Unsupported option ${unknown}`);
    if (options.includes("NX") && options.length > 1) {
      throw new RespError("ERR NX and XX, GT or LT options at the same time are not compatible");
    }
    if (options.includes("GT") && options.includes("LT")) {
      throw new RespError("ERR GT and LT options at the same time are not compatible");
    }
    if (db.get(key) === undefined) return 0;
    const before = db.expiry(key) ?? Infinity;
    if (options.includes("NX") && before !== Infinity) return 0;
    if (options.includes("XX") && before === Infinity) return 0;
    if (options.includes("GT") && expiry <= before) return 0;
    if (options.includes("LT") && expiry >= before) return 0;
    db.expireAt(key, expiry);
    return 1;
  };
}

function expiry(of: (milliseconds: number) => number) {
  return ({ db }: Client, [, key]: Args): RespInput => {
    if (db.get(key) === undefined) return NO_KEY;
    const at = db.expiry(key);
    return at === undefined ? KEEPS_NO_TTL : of(at);
  };
}

function rename({ db }: Client, [, from, to]: Args, isNew: boolean): RespInput {
  const value = db.get(from);
  if (value === undefined) throw new RespError("ERR no such key");
  if (isNew && db.get(to) !== undefined) return 0;
  if (from === to) return OK;
  const at = db.expiry(from);
  db.delete(from);
  db.set(to, value);
  if (at !== undefined) db.expireAt(to, at);
  return isNew ? 1 : OK;
}

function copyOf(value: Value): Value {
  if (value instanceof Deque) return new Deque(value.slice());
  if (value instanceof Map) return new Map(value);
  return value instanceof Set ? new Set(value) : value;
}

/** COPY from to [DB number] [REPLACE] */
function copy({ db }: Client, [, from, to, ...options]: Args): RespInput {
  let target = db;
  let isForced = false;
  for (let i = 0; i < options.length; i++) {
    const word = options[i]!.toUpperCase();
    if (word === "REPLACE") isForced = true;
    else if (word === "DB" && i + 1 < options.length) {
      const chosen = databases[integerOf(options[++i]!)];
      if (chosen === undefined) throw new RespError("ERR DB index is out of range");
      target = chosen;
    } else syntaxError();
  }
  const value = db.get(from);
  if (target === db && from === to) {
    throw new RespError("ERR source and destination objects are the same");
  }
  if (value === undefined || (!isForced && target.get(to) !== undefined)) return 0;
  const at = db.expiry(from);
  target.set(to, copyOf(value));
  if (at !== undefined) target.expireAt(to, at);
  return 1;
}

const scans = new Map<string, MapIterator<string>>();
let lastScan = 0;

/** Words that come in pairs: MATCH pattern, COUNT number, TYPE name. */
export function scanOptions(
  words: readonly string[],
): { pattern: string; count: number; type: string } {
  const options = { pattern: "*", count: SCAN_COUNT, type: "" };
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i]!.toUpperCase();
    const value = words[i + 1];
    if (value === undefined) syntaxError();
    if (word === "MATCH") options.pattern = value;
    else if (word === "TYPE") options.type = value.toLowerCase();
    else if (word === "COUNT") options.count = integerOf(value);
    else syntaxError();
  }
  if (options.count < 1) syntaxError();
  return options;
}

/** @throws {RespError} A cursor is a number. */
export function checkCursor(cursor: string): void {
  if (!/^\d{1,20}$/.test(cursor)) throw new RespError("ERR invalid cursor");
}

/** SCAN cursor [MATCH pattern] [COUNT number] [TYPE name]. A cursor is an iterator over all keys. */
function scan({ db }: Client, [, cursor, ...words]: Args): RespInput {
  checkCursor(cursor);
  const { pattern, count, type } = scanOptions(words);
  const keys = cursor === "0" ? db.keys() : scans.get(cursor);
  scans.delete(cursor);
  if (keys === undefined) return ["0", []];
  const found: string[] = [];
  for (let i = 0; i < count; i++) {
    const { value: key, done } = keys.next();
    if (done) return ["0", found];
    const value = matches(pattern, key) ? db.get(key) : undefined;
    if (value !== undefined && (type === "" || typeOf(value) === type)) found.push(key);
  }
  const next = String(++lastScan);
  scans.set(next, keys);
  for (const oldest of scans.keys()) {
    if (scans.size <= SCANS_MAX) break;
    scans.delete(oldest);
  }
  return [next, found];
}

function randomKey({ db }: Client): RespInput {
  const keys = db.keys();
  for (let left = Math.floor(Math.random() * db.size); left > 0; left--) keys.next();
  return keys.next().value ?? null;
}

/** FLUSHALL [ASYNC | SYNC]: nobody waits for either. */
function checkFlush([how = "sync", ...more]: string[]): void {
  if (more.length > 0 || !/^a?sync$/i.test(how)) syntaxError();
}

export const keys: Commands = {
  del: writes(-2, ALL, ({ db }, [, ...keys]) => keys.filter((key) => db.delete(key)).length),
  unlink: writes(-2, ALL, ({ db }, [, ...keys]) => keys.filter((key) => db.delete(key)).length),
  exists: reads(-2, ALL, ({ db }, [, ...keys]) => {
    return keys.filter((key) => db.get(key) !== undefined).length;
  }),
  touch: reads(-2, ALL, ({ db }, [, ...keys]) => {
    return keys.filter((key) => db.get(key) !== undefined).length;
  }),
  type: reads(2, FIRST, ({ db }, [, key]) => {
    const value = db.get(key);
    return new RespSimple(value === undefined ? "none" : typeOf(value));
  }),
  keys: reads(2, NONE, ({ db }, [, pattern]) => {
    return [...db.keys()].filter((key) => matches(pattern, key));
  }),
  scan: reads(-2, NONE, scan),
  randomkey: reads(1, NONE, randomKey),
  rename: writes(3, TWO, (client, args) => rename(client, args, false)),
  renamenx: writes(3, TWO, (client, args) => rename(client, args, true)),
  copy: writes(-3, TWO, copy),
  expire: writes(-3, FIRST, expire("EX")),
  pexpire: writes(-3, FIRST, expire("PX")),
  expireat: writes(-3, FIRST, expire("EXAT")),
  pexpireat: writes(-3, FIRST, expire("PXAT")),
  ttl: reads(2, FIRST, expiry((at) => Math.round((at - Date.now()) / 1000))),
  pttl: reads(2, FIRST, expiry((at) => at - Date.now())),
  expiretime: reads(2, FIRST, expiry((at) => Math.round(at / 1000))),
  pexpiretime: reads(2, FIRST, expiry((at) => at)),
  persist: writes(2, FIRST, ({ db }, [, key]) => {
    return db.get(key) !== undefined && db.persist(key) ? 1 : 0;
  }),
  dbsize: reads(1, NONE, ({ db }) => db.size),
  flushdb: writes(-1, NONE, ({ db }, [, ...how]) => {
    checkFlush(how);
    db.clear();
    return OK;
  }),
  flushall: writes(-1, NONE, (_, [, ...how]) => {
    checkFlush(how);
    for (const each of databases) each.clear();
    return OK;
  }),
};
