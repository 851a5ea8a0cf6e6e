import { assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { RespError } from "../../src/codec/resp_value.ts";
import { NetpollError } from "../../src/core/errors.ts";

test("RespError can be thrown, and its code is the first word", () => {
  const error = new RespError("WRONGTYPE Operation against a key");
  assertInstanceOf(error, NetpollError);
  assertEquals([error.name, error.code], ["RespError", "WRONGTYPE"]);
  assertEquals(new RespError("ERR").code, "ERR");
});
