import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { NetpollError } from "../../src/core/errors.ts";
import { ResolveError } from "../../src/core/resolve_error.ts";

test("ResolveError has one code for an unknown host, whatever a resolver calls it", () => {
  const codes = ["ENOTFOUND", "ENODATA", "EAI_NONAME", "EAI_NODATA", "DNS_ENOTFOUND"];
  for (const code of codes) assertEquals(new ResolveError("a", code, "x").code, "ENOTFOUND");
  for (const code of ["EAI_AGAIN", "EAI_FAIL", "ESERVFAIL"]) {
    assertEquals(new ResolveError("a", code, "x").code, code);
  }
});

test("ResolveError says what was looked up, with what, and why it failed", () => {
  const error = new ResolveError("nowhere.invalid", "EAI_NONAME", "no such host");
  assertInstanceOf(error, NetpollError);
  assertEquals([error.name, error.hostname, error.syscall], [
    "ResolveError",
    "nowhere.invalid",
    "getaddrinfo",
  ]);
  assertEquals(error.message, 'Cannot resolve "nowhere.invalid": no such host (ENOTFOUND)');
});
