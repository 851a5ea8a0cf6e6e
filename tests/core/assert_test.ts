import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { test } from "node:test";
import { assert, AssertionError } from "../../src/core/assert.ts";
import { NetpollError } from "../../src/core/errors.ts";

test("assert() lets what holds pass", () => {
  assert(true);
  assert(1 < 2, "not said");
});

test("assert() throws what is broken, and says that it is a bug of netpoll", () => {
  const error = assertThrows(() => assert(false, "read <= flushed"), AssertionError);
  assertEquals(error.message, "Assertion failed in netpoll: read <= flushed");
  assertEquals(error.name, "AssertionError");
  assertThrows(() => assert(false), AssertionError, "broken invariant");
});

test("AssertionError is no NetpollError: who handles those does not swallow our bugs", () => {
  const error: Error = new AssertionError("on purpose");
  assertInstanceOf(error, Error);
  assertEquals(error instanceof NetpollError, false);
});
