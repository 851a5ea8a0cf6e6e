/**
 * Strings and counters.
 */
import { RespError, type RespInput } from "../../mod.ts";
import { type Client, REQUEST_BYTES_MAX } from "./client.ts";
import {
  ALL,
  type Args,
  type Commands,
  FIRST,
  floatSum,
  int64Of,
  integerOf,
  OK,
  PAIRS,
  rangeOf,
  reads,
  sumOf,
  syntaxError,
  writes,
  wrongArity,
} from "./command.ts";
import { expiryOf } from "./keys.ts";

const EXPIRY_WORDS = ["EX", "PX", "EXAT", "PXAT"];

/** SET key value [NX | XX] [GET] [EX | PX | EXAT | PXAT number | KEEPTTL] */
function set({ db }: Client, args: Args): RespInput {
  const [, key, value, ...options] = args;
  if (options.length === 0) {
    db.set(key, value);
    return OK;
  }
  let condition = "";
  let isGet = false;
  let expiry: number | null | undefined; // undefined: none; null: as before
  for (let i = 0; i < options.length; i++) {
    const word = options[i]!.toUpperCase();
    if ((word === "NX" || word === "XX") && condition === "") condition = word;
    else if (word === "GET") isGet = true;
    else if (word === "KEEPTTL" && expiry === undefined) expiry = null;
    else if (EXPIRY_WORDS.includes(word) && expiry === undefined && i + 1 < options.length) {
      expiry = expiryOf(word, options[++i]!, "set");
    } else syntaxError();
  }
  const before = isGet ? db.string(key) : db.get(key);
  const isRefused = condition !== "" && (condition === "NX") === (before !== undefined);
  const answer = isGet ? before as string | undefined ?? null : isRefused ? null : OK;
  if (isRefused) return answer;
  if (expiry === null) db.update(key, value);
  else db.set(key, value);
  if (typeof expiry === "number") db.expireAt(key, expiry);
  return answer;
}

function setFor(unit: "EX" | "PX", name: string) {
  return ({ db }: Client, [, key, time, value]: Args): RespInput => {
    const expiry = expiryOf(unit, time, name);
    db.set(key, value);
    db.expireAt(key, expiry);
    return OK;
  };
}

/** GETEX key [EX | PX | EXAT | PXAT number | PERSIST] */
function getAndExpire({ db }: Client, [, key, word, number, ...more]: Args): RespInput {
  const value = db.string(key);
  const option = word?.toUpperCase();
  if (option === "PERSIST" && number === undefined) db.persist(key);
  else if (EXPIRY_WORDS.includes(option) && number !== undefined && more.length === 0) {
    const expiry = expiryOf(option, number, "getex");
    if (value !== undefined) db.expireAt(key, expiry);
  } else if (option !== undefined) syntaxError();
  return value ?? null;
}

function add({ db }: Client, key: string, by: bigint): RespInput {
  const sum = sumOf(int64Of(db.string(key) ?? "0"), by);
  db.update(key, String(sum));
  return sum;
}

function checkLength(count: number): void {
  if (count <= REQUEST_BYTES_MAX) return;
  throw new RespError("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

function setRange({ db }: Client, [, key, offset, part]: Args): RespInput {
  const at = integerOf(offset);
  if (at < 0) throw new RespError("ERR offset is out of range");
  const value = db.string(key) ?? "";
  if (part === "") return value.length;
  checkLength(at + part.length);
  const all = value.slice(0, at).padEnd(at, "\0") + part + value.slice(at + part.length);
  db.update(key, all);
  return all.length;
}

function getRange({ db }: Client, [, key, first, last]: Args): RespInput {
  const value = db.string(key) ?? "";
  return value.slice(...rangeOf(first, last, value.length));
}

function setAll({ db }: Client, [name, ...pairs]: Args, isNew: boolean): RespInput {
  if (pairs.length % 2 !== 0) wrongArity(name);
  if (isNew && pairs.some((key, i) => i % 2 === 0 && db.get(key) !== undefined)) return 0;
  for (let i = 0; i < pairs.length; i += 2) db.set(pairs[i]!, pairs[i + 1]!);
  return isNew ? 1 : OK;
}

export const strings: Commands = {
  get: reads(2, FIRST, ({ db }, args) => db.string(args[1]) ?? null),
  set: writes(-3, FIRST, set),
  setnx: writes(3, FIRST, (client, [, key, value]) => {
    if (client.db.get(key) !== undefined) return 0;
    client.db.set(key, value);
    return 1;
  }),
  setex: writes(4, FIRST, setFor("EX", "setex")),
  psetex: writes(4, FIRST, setFor("PX", "psetex")),
  getset: writes(3, FIRST, ({ db }, [, key, value]) => {
    const before = db.string(key) ?? null;
    db.set(key, value);
    return before;
  }),
  getdel: writes(2, FIRST, ({ db }, [, key]) => {
    const value = db.string(key) ?? null;
    db.delete(key);
    return value;
  }),
  getex: writes(-2, FIRST, getAndExpire),
  mget: reads(-2, ALL, ({ db }, [, ...keys]) =>
    keys.map((key) => {
      const value = db.get(key);
      return typeof value === "string" ? value : null;
    })),
  mset: writes(-3, PAIRS, (client, args) => setAll(client, args, false)),
  msetnx: writes(-3, PAIRS, (client, args) => setAll(client, args, true)),
  append: writes(3, FIRST, ({ db }, [, key, more]) => {
    const value = db.string(key) ?? "";
    checkLength(value.length + more.length);
    db.update(key, value + more);
    return value.length + more.length;
  }),
  strlen: reads(2, FIRST, ({ db }, [, key]) => db.string(key)?.length ?? 0),
  getrange: reads(4, FIRST, getRange),
  substr: reads(4, FIRST, getRange),
  setrange: writes(4, FIRST, setRange),
  incr: writes(2, FIRST, (client, [, key]) => add(client, key, 1n)),
  decr: writes(2, FIRST, (client, [, key]) => add(client, key, -1n)),
  incrby: writes(3, FIRST, (client, [, key, by]) => add(client, key, int64Of(by))),
  decrby: writes(3, FIRST, (client, [, key, by]) => {
    const number = int64Of(by);
    if (BigInt.asIntN(64, -number) !== -number) throw new RespError("ERR decrement would overflow");
    return add(client, key, -number);
  }),
  incrbyfloat: writes(3, FIRST, ({ db }, [, key, by]) => {
    const sum = floatSum(db.string(key) ?? "0", by);
    db.update(key, sum);
    return sum;
  }),
};
