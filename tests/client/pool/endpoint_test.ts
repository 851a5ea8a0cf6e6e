import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { choose, Endpoint } from "../../../src/client/pool/endpoint.ts";

function endpoint(name: string, load = 0): Endpoint {
  const made = new Endpoint(name, () => Promise.reject(new Error("none")), 3, 1000);
  made.usedCount = load;
  return made;
}

test("fail() ejects after so many failures in a row, for longer each time", () => {
  const at = endpoint("a");
  assertEquals([at.fail(0), at.fail(0)], [false, false]);
  at.succeed();
  assertEquals([at.fail(0), at.fail(0), at.isEjected], [false, false, false]);
  assertEquals([at.fail(0), at.isEjected], [true, true]);
  let now = 0;
  for (const spanMs of [1000, 2000, 4000]) {
    assertEquals(at.isDueForProbe(now + spanMs / 2 - 1), false, `${spanMs}`);
    assertEquals(at.isDueForProbe(now + spanMs), true, `${spanMs}`);
    now += spanMs;
    at.letIn(); // one dial went well
    assertEquals(at.isEjected, false);
    assertEquals([at.fail(now), at.isEjected], [true, true]); // and the next failed
  }
  at.letIn();
  at.succeed();
  assertEquals([at.failureCount, at.fail(now), at.fail(now), at.isEjected], [
    0,
    false,
    false,
    false,
  ]);
  const alone = new Endpoint("b", at.connect, 0, 1000);
  for (let i = 0; i < 100; i++) assertEquals(alone.fail(0), false);
});

test("isDueForProbe() is true of one dial at a time", () => {
  const at = endpoint("a");
  for (let i = 0; i < 3; i++) at.fail(0);
  assertEquals(at.isDueForProbe(1000), true);
  at.dialingCount = 1;
  assertEquals(at.isDueForProbe(1000), false);
});

test("choose() takes the less busy one of two, of any two, and of equals either", () => {
  const all = [endpoint("a", 3), endpoint("b", 1), endpoint("c", 2), endpoint("d", 9)];
  const counts = new Map(all.map(({ name }) => [name, 0]));
  for (let i = 0; i < 6000; i++) {
    const { name } = choose(all, () => true)!;
    counts.set(name, counts.get(name)! + 1);
  }
  // Of six pairs "b" is the better in three, "c" in two, "a" in one, "d" in none.
  for (const [name, share] of [["a", 1000], ["b", 3000], ["c", 2000], ["d", 0]] as const) {
    assert(Math.abs(counts.get(name)! - share) < 300, `${name}: ${counts.get(name)}`);
  }
  const equals = [endpoint("a"), endpoint("b")];
  const names = new Set(Array.from({ length: 100 }, () => choose(equals, () => true)!.name));
  assertEquals(names.size, 2);
  assertEquals(choose(all, ({ name }) => name === "d")!.name, "d");
  assertEquals([choose(all, () => false), choose([all[0]!], () => false)], [null, null]);
});
