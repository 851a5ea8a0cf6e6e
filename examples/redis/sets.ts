/**
 * Sets.
 */
import { RespError, type RespInput } from "../../mod.ts";
import type { Client } from "./client.ts";
import {
  ALL,
  type Args,
  type Commands,
  FIRST,
  int64Of,
  integerOf,
  popCountOf,
  reads,
  syntaxError,
  TWO,
  writes,
} from "./command.ts";
import { matches } from "./glob.ts";
import { checkCursor, scanOptions } from "./keys.ts";

const EMPTY: ReadonlySet<string> = new Set();

function read({ db }: Client, key: string): ReadonlySet<string> {
  return db.members(key) ?? EMPTY;
}

const OUT_OF_RANGE = "ERR value is out of range";
/** The number that is asked for. @throws {RespError} It is no integer of 64 bits, or far too many. */
export function sampleCount(text: string): number {
  const count = Number(int64Of(text));
  if (Number.isSafeInteger(count)) return count;
  throw new RespError(OUT_OF_RANGE);
}

/** The most members that are drawn at once. */
const SAMPLE_MAX = 1_000_000;

/** So many of all, none of them twice; where the count is negative, one may come again. */
export function sample(all: string[], count: number): string[] {
  const pick = (from: number) => from + Math.floor(Math.random() * (all.length - from));
  if (count < -SAMPLE_MAX) throw new RespError(OUT_OF_RANGE);
  if (count < 0 && all.length > 0) return Array.from({ length: -count }, () => all[pick(0)]!);
  const most = Math.min(Math.max(0, count), all.length);
  for (let i = 0; i < most; i++) {
    const at = pick(i);
    [all[i], all[at]] = [all[at]!, all[i]!];
  }
  return all.slice(0, most);
}

/** SPOP key [count] */
function pop({ db }: Client, [, key, number, ...more]: Args): RespInput {
  if (more.length > 0) syntaxError();
  const count = number === undefined ? 1 : popCountOf(number);
  const set = db.members(key);
  if (set === undefined) return number === undefined ? null : new Set<string>();
  // One of many is taken without looking at all of them: a set keeps its order, not one of ours.
  const taken = number === undefined ? [...set.values().take(1)] : sample([...set], count);
  for (const member of taken) set.delete(member);
  if (taken.length > 0) db.shrunk(key, set);
  return number === undefined ? taken[0] : new Set(taken);
}

const OPERATIONS: Record<string, (a: ReadonlySet<string>, b: ReadonlySet<string>) => Set<string>> =
  {
    sinter: (a, b) => new Set([...a].filter((member) => b.has(member))),
    sunion: (a, b) => new Set([...a, ...b]),
    sdiff: (a, b) => new Set([...a].filter((member) => !b.has(member))),
  };

function combine(client: Client, name: string, keys: readonly string[]): Set<string> {
  const [first, ...others] = keys.map((key) => read(client, key));
  return others.reduce<Set<string>>((sum, set) => OPERATIONS[name]!(sum, set), new Set(first));
}

/** SINTERSTORE and the others: how many are in what they put. */
function store(client: Client, [name, to, ...keys]: Args): RespInput {
  const result = combine(client, name.toLowerCase().replace("store", ""), keys);
  if (result.size === 0) client.db.delete(to);
  else client.db.set(to, result);
  return result.size;
}

/** SINTERCARD count key… [LIMIT number] */
function intersectionSize(client: Client, [, number, ...words]: Args): RespInput {
  const noCount = "ERR numkeys should be greater than 0";
  const count = integerOf(number, noCount);
  if (count < 1) throw new RespError(noCount);
  if (count > words.length) {
    throw new RespError("ERR Number of keys can't be greater than number of args");
  }
  const [option, limit = "0", ...more] = words.slice(count);
  if (words.length === count + 1) syntaxError();
  if ((option !== undefined && option.toUpperCase() !== "LIMIT") || more.length > 0) syntaxError();
  const noLimit = "ERR LIMIT can't be negative";
  const most = integerOf(limit, noLimit);
  if (most < 0) throw new RespError(noLimit);
  const { size } = combine(client, "sinter", words.slice(0, count));
  return Math.min(size, most || Infinity);
}

export const sets: Commands = {
  sadd: writes(-3, FIRST, ({ db }, [, key, ...members]) => {
    const set = db.add(key, db.members(key), () => new Set<string>());
    const before = set.size;
    for (const member of members) set.add(member);
    if (set.size > before) db.changed(key);
    return set.size - before;
  }),
  srem: writes(-3, FIRST, ({ db }, [, key, ...members]) => {
    const set = db.members(key);
    if (set === undefined) return 0;
    const count = members.filter((member) => set.delete(member)).length;
    if (count > 0) db.shrunk(key, set);
    return count;
  }),
  smembers: reads(2, FIRST, (client, [, key]) => read(client, key)),
  sismember: reads(3, FIRST, (client, [, key, member]) => read(client, key).has(member) ? 1 : 0),
  smismember: reads(-3, FIRST, (client, [, key, ...members]) => {
    const set = read(client, key);
    return members.map((member) => set.has(member) ? 1 : 0);
  }),
  scard: reads(2, FIRST, (client, [, key]) => read(client, key).size),
  spop: writes(-2, FIRST, pop),
  srandmember: reads(-2, FIRST, (client, [, key, number, ...more]) => {
    if (more.length > 0) syntaxError();
    const all = [...read(client, key)];
    return number === undefined ? sample(all, 1)[0] ?? null : sample(all, sampleCount(number));
  }),
  smove: writes(4, TWO, ({ db }, [, from, to, member]) => {
    const source = db.members(from);
    const held = db.members(to);
    if (from === to) return source?.has(member) ? 1 : 0;
    if (!source?.delete(member)) return 0;
    const before = held?.size;
    const target = db.add(to, held, () => new Set<string>()).add(member);
    if (target.size !== before) db.changed(to);
    db.shrunk(from, source);
    return 1;
  }),
  sinter: reads(-2, ALL, (client, [, ...keys]) => combine(client, "sinter", keys)),
  sunion: reads(-2, ALL, (client, [, ...keys]) => combine(client, "sunion", keys)),
  sdiff: reads(-2, ALL, (client, [, ...keys]) => combine(client, "sdiff", keys)),
  sinterstore: writes(-3, ALL, store),
  sunionstore: writes(-3, ALL, store),
  sdiffstore: writes(-3, ALL, store),
  sintercard: reads(-3, ALL, intersectionSize),
  // All at once, as Redis answers for small ones.
  sscan: reads(-3, FIRST, (client, [, key, cursor, ...words]) => {
    checkCursor(cursor);
    const { pattern } = scanOptions(words);
    return ["0", [...read(client, key)].filter((member) => matches(pattern, member))];
  }),
};
