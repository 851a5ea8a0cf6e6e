import { assertEquals, assertThrows } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import { currentScope, neutral } from "../../ffi/context.ts";

const user = new AsyncLocalStorage<string>();

function whoRuns(): string | undefined {
  return user.getStore();
}

test("currentScope() calls in the context in which it was taken, with both arguments", () => {
  const scope = user.run("alice", currentScope);
  const call = (a: number, b: number) => [a, b, whoRuns()];
  assertEquals(user.run("bob", () => [scope(call, 1, 2), whoRuns()]), [[1, 2, "alice"], "bob"]);
  assertEquals(whoRuns(), undefined);
});

test("currentScope() goes back to the context before, whatever was entered and thrown in it", () => {
  const scope = user.run("alice", currentScope);
  const intrude = () => {
    user.enterWith("mallory");
    throw new Error("out");
  };
  const after = user.run("bob", () => {
    assertThrows(() => scope(intrude, undefined, undefined), Error, "out");
    return whoRuns();
  });
  assertEquals(after, "bob");
  assertEquals(scope(whoRuns, undefined, undefined), "alice");
});

test("neutral() calls in nobody's context, and so is what begins there", async () => {
  const later = () => Promise.resolve().then(whoRuns);
  const [now, soon] = user.run("alice", () => [
    neutral(whoRuns, undefined, undefined),
    neutral(later, undefined, undefined),
  ]);
  assertEquals([now, await soon], [undefined, undefined]);
});
