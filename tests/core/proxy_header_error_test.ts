import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { NetpollError } from "../../src/core/errors.ts";
import { ProxyHeaderError } from "../../src/core/proxy_header_error.ts";

test("ProxyHeaderError says what is wrong with a header, for a program and for a reader", () => {
  const error = new ProxyHeaderError("length", "it has 3 bytes");
  assertInstanceOf(error, NetpollError);
  assertEquals([error.name, error.fault], ["ProxyHeaderError", "length"]);
  assertEquals(error.message, "Cannot read the PROXY header: it has 3 bytes");
});
