/**
 * Lists.
 */
import { RespError, type RespInput, RespNullArray } from "../../mod.ts";
import type { Client } from "./client.ts";
import {
  type Args,
  type Commands,
  FIRST,
  int64Of,
  integerOf,
  OK,
  popCountOf,
  rangeOf,
  reads,
  syntaxError,
  TWO,
  writes,
  wrongArity,
} from "./command.ts";
import type { Database } from "./database.ts";
import { Deque } from "./deque.ts";

type End = "left" | "right";

function endOf(word: string): End {
  const end = word.toLowerCase();
  return end === "left" || end === "right" ? end : syntaxError();
}

function put(list: Deque, end: End, value: string): void {
  if (end === "left") list.unshift(value);
  else list.push(value);
}

function take(list: Deque, end: End): string | undefined {
  return end === "left" ? list.shift() : list.pop();
}

function push(end: End, mustExist: boolean) {
  return ({ db }: Client, [, key, ...values]: Args): RespInput => {
    const held = db.list(key);
    if (held === undefined && mustExist) return 0;
    const list = db.add(key, held, () => new Deque());
    for (const value of values) put(list, end, value);
    db.changed(key);
    return list.length;
  };
}

/** LPOP key [count] */
function pop(end: End) {
  return ({ db }: Client, [, key, number, ...more]: Args): RespInput => {
    const isOne = number === undefined;
    if (more.length > 0) wrongArity(end === "left" ? "lpop" : "rpop");
    const count = isOne ? 1 : popCountOf(number);
    const list = db.list(key);
    if (list === undefined) return isOne ? null : new RespNullArray();
    const values = Array.from({ length: Math.min(count, list.length) }, () => take(list, end)!);
    if (values.length > 0) db.shrunk(key, list);
    return isOne ? values[0] : values;
  };
}

/** Puts other values in the place of a list; none, and it is gone. */
function replaceAll(db: Database, key: string, values: readonly string[]): void {
  if (values.length === 0) db.delete(key);
  else db.update(key, new Deque(values));
}

/** LREM key count value: the first so many, or the last if it is negative; all if it is 0. */
function remove({ db }: Client, [, key, number, value]: Args): RespInput {
  const count = integerOf(number);
  const list = db.list(key);
  if (list === undefined) return 0;
  const all = count < 0 ? list.slice().reverse() : list.slice();
  let left = count === 0 ? Infinity : Math.abs(count);
  const kept = all.filter((each) => each !== value || left-- <= 0);
  if (kept.length === all.length) return 0;
  replaceAll(db, key, count < 0 ? kept.reverse() : kept);
  return all.length - kept.length;
}

/** LINSERT key BEFORE | AFTER pivot value */
function insert({ db }: Client, [, key, where, pivot, ...values]: Args): RespInput {
  const place = where.toUpperCase();
  if (place !== "BEFORE" && place !== "AFTER") syntaxError();
  const all = db.list(key)?.slice();
  if (all === undefined) return 0;
  const at = all.indexOf(pivot);
  if (at < 0) return -1;
  all.splice(place === "BEFORE" ? at : at + 1, 0, values[0]!);
  replaceAll(db, key, all);
  return all.length;
}

function move({ db }: Client, from: string, to: string, ends: [End, End]): RespInput {
  const source = db.list(from);
  const held = db.list(to);
  if (source === undefined) return null;
  const value = take(source, ends[0])!;
  put(db.add(to, held, () => new Deque()), ends[1], value);
  db.changed(to);
  db.shrunk(from, source);
  return value;
}

/** Which match is the first wanted: Redis refuses the one number of 64 bits with no opposite. */
function rankOf(text: string): number {
  const rank = int64Of(text);
  if (rank > -(2n ** 63n)) return Number(rank);
  const most = 2n ** 63n - 1n;
  throw new RespError(`ERR value is out of range, value must between -${most} and ${most}`);
}

function countOf(text: string, name: string): number {
  const wrong = `ERR ${name} can't be negative`;
  const count = int64Of(text, wrong);
  if (count >= 0n) return Number(count);
  throw new RespError(wrong);
}

/** LPOS key value [RANK number] [COUNT number] [MAXLEN number] */
function position({ db }: Client, [, key, value, ...words]: Args): RespInput {
  const options: { RANK: number; COUNT?: number; MAXLEN: number } = { RANK: 1, MAXLEN: 0 };
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i]!.toUpperCase();
    const number = words[i + 1];
    if (number === undefined) syntaxError();
    if (word === "RANK") options.RANK = rankOf(number);
    else if (word === "COUNT" || word === "MAXLEN") options[word] = countOf(number, word);
    else syntaxError();
  }
  const { RANK, COUNT, MAXLEN } = options;
  if (RANK === 0) {
    throw new RespError(
      "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
        "or use negative to start from the end of the list",
    );
  }
  const all = db.list(key)?.slice() ?? [];
  const indices = [...all.keys()];
  if (RANK < 0) indices.reverse();
  const near = MAXLEN > 0 ? indices.slice(0, MAXLEN) : indices;
  const found = near.filter((i) => all[i] === value).slice(Math.abs(RANK) - 1);
  if (COUNT === undefined) return found[0] ?? null;
  return COUNT === 0 ? found : found.slice(0, COUNT);
}

export const lists: Commands = {
  lpush: writes(-3, FIRST, push("left", false)),
  rpush: writes(-3, FIRST, push("right", false)),
  lpushx: writes(-3, FIRST, push("left", true)),
  rpushx: writes(-3, FIRST, push("right", true)),
  lpop: writes(-2, FIRST, pop("left")),
  rpop: writes(-2, FIRST, pop("right")),
  llen: reads(2, FIRST, ({ db }, [, key]) => db.list(key)?.length ?? 0),
  lrange: reads(4, FIRST, ({ db }, [, key, first, last]) => {
    const list = db.list(key) ?? new Deque();
    return list.slice(...rangeOf(first, last, list.length));
  }),
  lindex: reads(3, FIRST, ({ db }, [, key, at]) => db.list(key)?.at(integerOf(at)) ?? null),
  lset: writes(4, FIRST, ({ db }, [, key, at, value]) => {
    const list = db.list(key);
    if (list === undefined) throw new RespError("ERR no such key");
    if (!list.replace(integerOf(at), value)) throw new RespError("ERR index out of range");
    db.changed(key);
    return OK;
  }),
  lrem: writes(4, FIRST, remove),
  ltrim: writes(4, FIRST, ({ db }, [, key, first, last]) => {
    const list = db.list(key);
    const range = rangeOf(first, last, list?.length ?? 0);
    if (list !== undefined) replaceAll(db, key, list.slice(...range));
    return OK;
  }),
  linsert: writes(5, FIRST, insert),
  lpos: reads(-3, FIRST, position),
  rpoplpush: writes(3, TWO, (client, [, from, to]) => move(client, from, to, ["right", "left"])),
  lmove: writes(5, TWO, (client, [, from, to, ...ends]) => {
    return move(client, from, to, [endOf(ends[0]!), endOf(ends[1]!)]);
  }),
};
