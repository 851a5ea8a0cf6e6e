import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { check } from "../../src/core/check.ts";
import { ERRNO, NOT_READY } from "../../src/core/errno.ts";
import { SystemError } from "../../src/core/errors.ts";

test("check() passes on a count, 0 and NOT_READY: they are outcomes", () => {
  for (const result of [0, 1, 2 ** 31 - 1, NOT_READY]) assertEquals(check("readv", result), result);
});

test("check() throws every other negative result, and names the call and its subject", () => {
  const error = assertThrows(
    () => check("connect", -ERRNO.ECONNREFUSED, "127.0.0.1:9"),
    SystemError,
    "Cannot connect 127.0.0.1:9: nobody listens there (ECONNREFUSED)",
  );
  assertEquals([error.syscall, error.errno, error.code], ["connect", 111, "ECONNREFUSED"]);
  assertThrows(() => check("epoll_wait", -1), SystemError, "Cannot epoll_wait: not permitted");
});

test("check() throws for the neighbours of NOT_READY", () => {
  for (const result of [NOT_READY - 1, NOT_READY + 1]) {
    assertEquals(assertThrows(() => check("readv", result), SystemError).errno, -result);
  }
});
