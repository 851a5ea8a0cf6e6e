/**
 * The parts of examples/redis; tests/acceptance/redis_test.ts looks at its answers.
 */
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { Database } from "../../examples/redis/database.ts";
import { Deque } from "../../examples/redis/deque.ts";
import { matches } from "../../examples/redis/glob.ts";
import { seededRandom } from "../support/random.ts";

test("Deque does what an array does, at both ends", () => {
  const random = seededRandom(7);
  const array: string[] = [];
  const deque = new Deque();
  for (let i = 0; i < 20_000; i++) {
    // It grows to hundreds, and shrinks to nothing again.
    const isGrowing = Math.floor(i / 1000) % 2 === 0;
    const what = random.pick(isGrowing ? ["push", "unshift", "push", "pop"] : ["pop", "shift"]);
    if (what === "push" || what === "unshift") {
      deque[what](`${i}`);
      array[what](`${i}`);
    } else {
      assertEquals(deque[what as "pop"](), array[what as "pop"]());
    }
    assertEquals(deque.length, array.length);
    assertEquals(deque.at(-1), array.at(-1));
    assertEquals(deque.at(3), array.at(3));
    if (i % 100 === 0) assertEquals(deque.slice(), array);
  }
  assertEquals(deque.slice(), array);
  assertEquals(new Deque(["a", "b", "c"]).slice(1, 3), ["b", "c"]);
});

test("Deque.replace() counts from either end, and says whether there is one", () => {
  const deque = new Deque(["a", "b"]);
  assertEquals([deque.replace(0, "x"), deque.replace(-1, "y")], [true, true]);
  assertEquals([deque.replace(2, "z"), deque.replace(-3, "z")], [false, false]);
  assertEquals(deque.slice(), ["x", "y"]);
});

test("matches() knows the patterns of Redis", () => {
  const cases: [string, string, boolean][] = [
    ["*", "", true],
    ["", "", true],
    ["", "a", false],
    ["a*c", "abc", true],
    ["a*c", "ac", true],
    ["a*c", "abcd", false],
    ["*b*b*", "abab", true],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["a\\*", "a*", true],
    ["a\\*", "ab", false],
    ["[abc]x", "bx", true],
    ["[^abc]x", "bx", false],
    ["[a-c]x", "bx", true],
    ["[c-a]x", "bx", true],
    ["[\\]]", "]", true],
    ["[a", "a", true],
    ["\\", "\\", true],
  ];
  for (const [pattern, text, answer] of cases) {
    assertEquals(matches(pattern, text), answer, `${pattern} ${text}`);
  }
});

// A RegExp of these stars looks at 10^20 ways: the test would not end.
test("matches() takes a pattern of many stars in its stride", () => {
  assert(!matches("a*".repeat(30) + "b", "a".repeat(2000)));
});

test("Database forgets what has expired, and keeps what has not", () => {
  const db = new Database();
  db.set("past", "x");
  db.set("later", "x");
  db.expireAt("past", Date.now() - 1);
  db.expireAt("later", Date.now() + 100_000);
  assertEquals([db.get("past"), db.get("later")], [undefined, "x"]);
  assertEquals([db.size, db.expiringCount], [1, 1]);
  db.update("later", "y"); // still expires
  assertEquals(db.expiringCount, 1);
  db.set("later", "z"); // and now does not
  assertEquals(db.expiringCount, 0);
  assertEquals([...db.keys()], ["later"]);
  db.clear();
});

test("Database tells who watches a key of each change, its expiry included, and of nothing else", () => {
  const database = new Database();
  const watcher = { isDirty: false };
  /** True when something changes a key, as its watcher sees it. */
  const changes = (key: string, action: () => void): boolean => {
    watcher.isDirty = false;
    database.watch(key, watcher);
    action();
    database.get(key);
    database.unwatch(key, watcher);
    return watcher.isDirty;
  };
  assertEquals(changes("a", () => database.clear()), false, "there was none");
  assertEquals(changes("a", () => void database.delete("a")), false);
  assertEquals(changes("a", () => database.set("b", "1")), false, "another key");
  assertEquals(changes("a", () => database.set("a", "1")), true);
  assertEquals(changes("a", () => void database.get("a")), false);
  assertEquals(changes("a", () => void database.persist("a")), false, "it does not expire");
  assertEquals(changes("a", () => database.expireAt("a", Date.now() + 1e6)), true);
  assertEquals(changes("a", () => void database.persist("a")), true);
  assertEquals(changes("a", () => database.expireAt("a", 1)), true, "it has expired");
  assertEquals(changes("a", () => database.clear()), false, "it is gone");
  database.set("b", "1");
  assertEquals(changes("b", () => database.clear()), true);
});
