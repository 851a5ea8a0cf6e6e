import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { DIAL_OPTIONS } from "../../src/client/dial_options.ts";

test("DIAL_OPTIONS has the callbacks that come after the dial, and no onPrepare", () => {
  const names = Object.keys(DIAL_OPTIONS).filter((name) => name.startsWith("on"));
  assertEquals(names, ["onConnect", "onRequest", "onDisconnect", "onError"]);
});
