import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { inspect } from "node:util";
import { showAs } from "../../src/core/inspect.ts";

class Counter {
  #count = 1;
  get count(): number {
    return this.#count;
  }
}
showAs(Counter.prototype, "Shown", ["count"]);

test("showAs() prints an instance by its name and some properties, also within others", () => {
  assertEquals(inspect(new Counter()), "Shown { count: 1 }");
  assertEquals(inspect({ a: [new Counter()] }), "{ a: [ Shown { count: 1 } ] }");
  assertEquals(inspect({ a: new Counter() }, { depth: 0 }), "{ a: [Shown] }");
});

test("showAs() prints a view, or a text as it is", () => {
  class Viewed {}
  showAs(Viewed.prototype, "Viewed", () => ({ a: "x" }));
  assertEquals(inspect(new Viewed()).replaceAll('"', "'"), "Viewed { a: 'x' }");
  showAs(Viewed.prototype, "Viewed", () => "a text");
  assertEquals(inspect(new Viewed()), "a text");
});

test("showAs() never throws: what is no instance, or fails, is printed by the name alone", () => {
  assertEquals(inspect(Object.create(Counter.prototype)), "[Shown]");
  class Failing {}
  showAs(Failing.prototype, "Failing", () => {
    throw new Error("on purpose");
  });
  assertEquals(inspect(new Failing()), "[Failing]");
});

test("showAs() adds nothing that is enumerated", () => {
  assertEquals(Reflect.ownKeys({ ...Counter.prototype }), []);
  assertEquals(Reflect.ownKeys(new Counter()), []);
});
