// node tests/acceptance/clients/node_redis.mjs PORT RESP
//
// Uses a server as programs do, and compares every answer. Prints how many it compared.
import { deepStrictEqual, rejects } from "node:assert/strict";
import process from "node:process";
import { createClient, RESP_TYPES } from "redis";

let count = 0;
async function expect(promise, answer) {
  const value = await promise;
  // Its objects have no prototype.
  const isBare = Object.getPrototypeOf(value ?? "") === null;
  deepStrictEqual(isBare ? { ...value } : value, answer);
  count += 1;
}

const [port, version] = process.argv.slice(2).map(Number);
const url = `redis://127.0.0.1:${port}/2`;
const redis = createClient({ url, RESP: version, name: "test" });
await redis.connect();
const raw = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const bytes = Buffer.from(Array.from({ length: 65536 }, (_, i) => i * 7));

await expect(redis.flushDb(), "OK");
await expect(redis.clientGetName(), "test");
await expect(redis.set("text", "é\r\n€"), "OK");
await expect(redis.get("text"), "é\r\n€");
await expect(redis.set("bytes", bytes), "OK");
await expect(raw.get("bytes"), bytes);
await expect(redis.get("none"), null);
await expect(redis.set("text", "new", { GET: true }), "é\r\n€");
await expect(redis.mSet({ a: "1", b: "2" }), "OK");
await expect(redis.mGet(["a", "none", "b"]), ["1", null, "2"]);
await expect(redis.incrBy("a", 41), 42);
await expect(redis.rPush("list", ["x", "y", "z"]), 3);
await expect(redis.lRange("list", 0, -1), ["x", "y", "z"]);
await expect(redis.lPop("list"), "x");
await expect(redis.hSet("hash", { one: "1", two: "2" }), 2);
await expect(redis.hGetAll("hash"), { one: "1", two: "2" });
await expect(redis.sAdd("set", ["p", "q"]), 2);
await expect(redis.sMembers("set").then((all) => [...all].sort()), ["p", "q"]);
await expect(redis.sIsMember("set", "p"), 1);
await expect(redis.expire("set", 100), 1);
await expect(redis.pTTL("set").then((ms) => ms > 90_000 && ms <= 100_000), true);
await expect(redis.configGet("databases"), { databases: "16" });
await expect(redis.info().then((text) => /^# Server\r\nredis_version:/.test(text)), true);
await rejects(redis.lPush("text", "x"), /WRONGTYPE/);

// Commands that are sent in one go are one pipeline.
const pairs = Array.from({ length: 1000 }, (_, i) => [`scan:${i}`, `${i}`]);
await Promise.all(pairs.map(([key, value]) => redis.set(key, value)));
await expect(Promise.all(pairs.map(([key]) => redis.get(key))), pairs.map(([, value]) => value));
const found = new Set();
for await (const page of redis.scanIterator({ MATCH: "scan:*", COUNT: 100 })) {
  for (const key of page) found.add(key);
}
await expect(Promise.resolve(found.size), 1000);

await expect(redis.multi().incr("counter").get("counter").exec(), [1, "1"]);
const watcher = redis.duplicate();
await watcher.connect();
await watcher.watch("counter");
await redis.incr("counter");
await rejects(watcher.multi().incr("counter").exec(), /WATCH/i);

const listener = redis.duplicate();
await listener.connect();
const heard = Promise.withResolvers?.() ?? withResolvers();
await listener.subscribe("news", (message, channel) => heard.resolve([channel, message]));
await expect(redis.publish("news", "é"), 1);
await expect(heard.promise, ["news", "é"]);
await listener.unsubscribe("news");
await expect(redis.publish("news", "nobody"), 0);
for (const client of [listener, watcher, redis]) await client.close();
console.log(`${count} answers as expected`);

/** Node 20 has no Promise.withResolvers. */
function withResolvers() {
  let resolve;
  const promise = new Promise((r) => resolve = r);
  return { promise, resolve };
}
