// node tests/acceptance/clients/ioredis.mjs PORT
//
// Uses a server as programs do, and compares every answer. Prints how many it compared.
import { deepStrictEqual, rejects } from "node:assert/strict";
import { once } from "node:events";
import process from "node:process";
import { Redis } from "ioredis";

let count = 0;
async function expect(promise, answer) {
  deepStrictEqual(await promise, answer);
  count += 1;
}

const port = Number(process.argv[2]);
const redis = new Redis(port, "127.0.0.1", { connectionName: "test", db: 1 });
const bytes = Buffer.from(Array.from({ length: 65536 }, (_, i) => i * 7));

await expect(redis.flushdb(), "OK");
await expect(redis.client("GETNAME"), "test");
await expect(redis.set("text", "é\r\n€"), "OK");
await expect(redis.get("text"), "é\r\n€");
await expect(redis.set("bytes", bytes), "OK");
await expect(redis.getBuffer("bytes"), bytes);
await expect(redis.get("none"), null);
await expect(redis.set("text", "other", "EX", 100, "NX"), null);
await expect(redis.set("short", "lived", "PX", 1), "OK");
while (await redis.exists("short")); // gone by itself
await expect(redis.mset({ a: "1", b: "2" }), "OK");
await expect(redis.mget("a", "none", "b"), ["1", null, "2"]);
await expect(redis.incrby("a", 41), 42);
await expect(redis.incrbyfloat("a", 0.5), "42.5");
await expect(redis.rpush("list", "x", "y", "z"), 3);
await expect(redis.lrange("list", 0, -1), ["x", "y", "z"]);
await expect(redis.lpop("list", 2), ["x", "y"]);
await expect(redis.hset("hash", { one: "1", two: "2" }), 2);
await expect(redis.hgetall("hash"), { one: "1", two: "2" });
await expect(redis.hincrby("hash", "two", 3), 5);
await expect(redis.sadd("set", "p", "q"), 2);
await expect(redis.smembers("set").then((all) => all.sort()), ["p", "q"]);
await expect(redis.expire("set", 100), 1);
await expect(redis.ttl("set").then((seconds) => seconds > 90 && seconds <= 100), true);
await expect(redis.type("hash"), "hash");
await rejects(redis.lpush("text", "x"), /WRONGTYPE/);
await rejects(redis.call("NONSENSE", "x"), /unknown command 'NONSENSE'/);

// Keys of a scan, one page after the other.
const pipeline = redis.pipeline();
for (let i = 0; i < 1000; i++) pipeline.set(`scan:${i}`, i).get(`scan:${i}`);
const answers = await pipeline.exec();
await expect(
  Promise.resolve(answers),
  Array.from({ length: 1000 }, (_, i) => [[null, "OK"], [null, `${i}`]]).flat(),
);
const found = new Set();
for await (const page of redis.scanStream({ match: "scan:*", count: 100 })) {
  for (const key of page) found.add(key);
}
await expect(Promise.resolve(found.size), 1000);

await expect(
  redis.multi().incr("counter").get("counter").lpush("text", "x").exec().then((all) => {
    return all.map(([error, value]) => error ? error.message.split(" ")[0] : value);
  }),
  [1, "1", "WRONGTYPE"],
);
const other = redis.duplicate();
await redis.watch("counter");
await other.incr("counter");
await expect(redis.multi().incr("counter").exec(), null);

const listener = redis.duplicate();
await expect(listener.subscribe("news", "weather"), 2);
await expect(listener.psubscribe("n*"), 3);
const heard = Promise.all([once(listener, "message"), once(listener, "pmessage")]);
await expect(redis.publish("news", "é"), 2);
await expect(heard, [["news", "é"], ["n*", "news", "é"]]);
await expect(listener.unsubscribe("news"), 2);
await expect(redis.publish("weather", "rain"), 1);
for (const client of [listener, other, redis]) await client.quit();
console.log(`${count} answers as expected`);
