import { assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { Endpoint, type Member } from "../../../src/client/pool/endpoint.ts";
import { Group } from "../../../src/client/pool/group.ts";

function groupOf(count: number): { group: Group; all: Endpoint[] } {
  const connect = () => Promise.reject(new Error("none"));
  const all = Array.from({ length: count }, (_, n) => new Endpoint(`${n}`, connect, 1, 1000));
  return { group: new Group(all), all };
}

test("isUsable() leaves out what is ejected, until all are", () => {
  const { group, all: [a, b] } = groupOf(2);
  a!.fail(0);
  assertEquals([group.isUsable(a!), group.isUsable(b!)], [false, true]);
  for (let i = 0; i < 20; i++) assertStrictEquals(group.toDial(), b);
  assertEquals(group.toDial(new Set([b!])), null);
  b!.fail(0);
  assertEquals([group.isUsable(a!), group.isUsable(b!)], [true, true]);
});

test("take() gives what was added last, of an address that may be used", () => {
  const { group, all: [a, b] } = groupOf(2);
  const member = (endpoint: Endpoint) => ({ endpoint }) as Member;
  const [first, second, third] = [member(a!), member(a!), member(b!)];
  for (const each of [first, second, third]) group.add(each!, 5);
  assertEquals([group.idleCount, first!.idleSinceMs, group.idle.length], [3, 5, 3]);
  b!.fail(0);
  assertStrictEquals(group.take(), second);
  group.remove(first!);
  assertEquals([group.take(), group.idleCount], [null, 1]);
  assertEquals([group.removeAll().length, group.idleCount], [1, 0]);
});

test("lacking() is an address that is due for a probe, or has two connections less", () => {
  const { group, all: [a, b, c] } = groupOf(3);
  assertEquals(group.lacking(0), null);
  a!.usedCount = b!.usedCount = 1;
  assertEquals(group.lacking(0), null);
  a!.usedCount = 2;
  assertStrictEquals(group.lacking(0), c);
  c!.fail(0);
  assertEquals([group.lacking(0), group.lacking(1000)], [null, c]);
});
