import { assertEquals, assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { NetpollError, SystemError } from "../../src/core/errors.ts";
import { placed } from "../../src/core/place.ts";

test("placed() gives an error of ours the address that it is about, as node:net has it", () => {
  const error = new SystemError("connect", 111);
  assertEquals([Object.hasOwn(error, "address"), Object.hasOwn(error, "port")], [false, false]);
  assertStrictEquals(placed(error, { hostname: "::1", port: 80 }), error);
  assertEquals([error.address, error.port], ["::1", 80]);
  const atPath = placed(new NetpollError("x"), { path: "@name" });
  assertEquals([atPath.address, Object.hasOwn(atPath, "port")], ["@name", false]);
});

test("placed() leaves errors that have an address, that are not ours, and what is nowhere", () => {
  const error = placed(new NetpollError("x"), { hostname: "127.0.0.1", port: 1 });
  assertEquals(placed(error, { hostname: "127.0.0.1", port: 2 }).port, 1);
  const other = new Error("x");
  assertEquals(Object.keys(placed(other, { path: "/" })), Object.keys(new Error("x")));
  for (const at of [null, { path: "" }]) {
    assertEquals(Object.hasOwn(placed(new NetpollError("x"), at), "address"), false);
  }
  assertEquals(placed("text", { path: "/" }), "text");
});
