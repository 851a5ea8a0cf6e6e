import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { constants } from "node:os";
import { test } from "node:test";
import { describe, ERRNO, nameOf, NOT_READY } from "../../src/core/errno.ts";

/** The names of errors in the C library of this machine, as the runtime knows them. */
const SYSTEM = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));

/** Numbers with two names: which of them the runtime says, and which we do. */
const ALIASES: Readonly<Record<string, string>> = {
  EWOULDBLOCK: "EAGAIN",
  ENOTSUP: "EOPNOTSUPP",
};

test("nameOf() and describe() know every number that this machine has a name for", () => {
  for (const [errno, system] of SYSTEM) {
    assertEquals(nameOf(errno), ALIASES[system] ?? system);
    assertNotEquals(describe(errno), describe(4095), system);
  }
});

test("ERRNO has the numbers that nameOf() gives names to, and describe() words for", () => {
  for (const [name, errno] of Object.entries(ERRNO)) {
    assertEquals(nameOf(errno), name);
    assertNotEquals(describe(errno), describe(4095));
  }
});

test("nameOf() and describe() of a number that nobody knows say so, and do not throw", () => {
  assertEquals([nameOf(4095), nameOf(0)], ["E4095", "E0"]);
  assertMatch(describe(4095), /no words/);
});

test("NOT_READY is what a call returns for EAGAIN", () => {
  assertEquals(NOT_READY, -constants.errno.EAGAIN);
});
