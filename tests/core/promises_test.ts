import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { ignore, RESOLVED } from "../../src/core/promises.ts";

test("RESOLVED resolves to nothing, and ignore() makes nothing of a rejection", async () => {
  assertEquals(await RESOLVED, undefined);
  assertEquals(await Promise.reject(new Error("nobody need hear of it")).catch(ignore), undefined);
});
