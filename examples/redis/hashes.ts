/**
 * Hashes.
 */
import type { RespInput } from "../../mod.ts";
import type { Client } from "./client.ts";
import {
  type Args,
  type Commands,
  FIRST,
  floatSum,
  int64Of,
  OK,
  reads,
  sumOf,
  syntaxError,
  writes,
  wrongArity,
} from "./command.ts";
import { matches } from "./glob.ts";
import { checkCursor, scanOptions } from "./keys.ts";
import { sample, sampleCount } from "./sets.ts";

const EMPTY: ReadonlyMap<string, string> = new Map();

function read({ db }: Client, key: string): ReadonlyMap<string, string> {
  return db.hash(key) ?? EMPTY;
}

function toWrite({ db }: Client, key: string): Map<string, string> {
  const hash = db.add(key, db.hash(key), () => new Map<string, string>());
  db.changed(key);
  return hash;
}

/** The number of new fields. */
function setAll(client: Client, [name, key, ...pairs]: Args): number {
  if (pairs.length % 2 !== 0) wrongArity(name);
  const hash = toWrite(client, key);
  const before = hash.size;
  for (let i = 0; i < pairs.length; i += 2) hash.set(pairs[i]!, pairs[i + 1]!);
  return hash.size - before;
}

/** HRANDFIELD key [count [WITHVALUES]] */
function random(client: Client, [, key, number, word, ...more]: Args): RespInput {
  const hash = read(client, key);
  if (number === undefined) return sample([...hash.keys()], 1)[0] ?? null;
  const count = sampleCount(number);
  if (more.length > 0 || (word !== undefined && word.toUpperCase() !== "WITHVALUES")) syntaxError();
  const fields = sample([...hash.keys()], count);
  if (word === undefined) return fields;
  const pairs = fields.map((field) => [field, hash.get(field)!]);
  return client.version === 3 ? pairs : pairs.flat();
}

export const hashes: Commands = {
  hset: writes(-4, FIRST, setAll),
  hmset: writes(-4, FIRST, (client, args) => {
    setAll(client, args);
    return OK;
  }),
  hsetnx: writes(4, FIRST, (client, [, key, field, value]) => {
    if (read(client, key).has(field)) return 0;
    toWrite(client, key).set(field, value);
    return 1;
  }),
  hget: reads(3, FIRST, (client, [, key, field]) => read(client, key).get(field) ?? null),
  hmget: reads(-3, FIRST, (client, [, key, ...fields]) => {
    const hash = read(client, key);
    return fields.map((field) => hash.get(field) ?? null);
  }),
  hgetall: reads(2, FIRST, (client, [, key]) => read(client, key)),
  hdel: writes(-3, FIRST, ({ db }, [, key, ...fields]) => {
    const hash = db.hash(key);
    if (hash === undefined) return 0;
    const count = fields.filter((field) => hash.delete(field)).length;
    if (count > 0) db.shrunk(key, hash);
    return count;
  }),
  hlen: reads(2, FIRST, (client, [, key]) => read(client, key).size),
  hexists: reads(3, FIRST, (client, [, key, field]) => read(client, key).has(field) ? 1 : 0),
  hkeys: reads(2, FIRST, (client, [, key]) => [...read(client, key).keys()]),
  hvals: reads(2, FIRST, (client, [, key]) => [...read(client, key).values()]),
  hstrlen: reads(3, FIRST, (client, [, key, field]) => read(client, key).get(field)?.length ?? 0),
  hincrby: writes(4, FIRST, (client, [, key, field, by]) => {
    const value = int64Of(read(client, key).get(field) ?? "0", "ERR hash value is not an integer");
    const sum = sumOf(value, int64Of(by));
    toWrite(client, key).set(field, String(sum));
    return sum;
  }),
  hincrbyfloat: writes(4, FIRST, (client, [, key, field, by]) => {
    const value = read(client, key).get(field) ?? "0";
    const sum = floatSum(
      value,
      by,
      "ERR hash value is not a float",
      "ERR value is NaN or Infinity",
    );
    toWrite(client, key).set(field, sum);
    return sum;
  }),
  hrandfield: reads(-2, FIRST, random),
  // All at once, as Redis answers for small ones.
  hscan: reads(-3, FIRST, (client, [, key, cursor, ...words]) => {
    checkCursor(cursor);
    const { pattern } = scanOptions(words);
    return ["0", [...read(client, key)].filter(([field]) => matches(pattern, field)).flat()];
  }),
};
