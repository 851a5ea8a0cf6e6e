import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { callBack, heed, ignore, rejected, RESOLVED } from "../../src/core/promises.ts";

test("RESOLVED resolves to nothing, and ignore() makes nothing of a rejection", async () => {
  assertEquals(await RESOLVED, undefined);
  assertEquals(await Promise.reject(new Error("nobody need hear of it")).catch(ignore), undefined);
});

test("rejected() tells whoever waits, and ends no process where nobody does", async () => {
  rejected(new Error("nobody hears of this one"));
  await new Promise((resolve) => setImmediate(resolve)); // a runtime ends the process by now
  assertEquals(await rejected("reason").catch((reason) => reason), "reason");
});

test("heed() hears of a rejection, whatever the promise is made of, and says whether there was one", async () => {
  const heard: unknown[] = [];
  const hear = (error: unknown) => void heard.push(error);
  const results = [undefined, null, 5, "x", {}, { then: 5 }];
  assertEquals(results.map((each) => heed(each, hear)), results.map(() => false));
  assertEquals(heed(Promise.reject("rejected"), hear), true);
  assertEquals(heed(Promise.resolve("resolved"), hear), true);
  await Promise.resolve();
  assertEquals(heard, ["rejected"]);
});

test("callBack() hears of what the callback throws, and of what it rejects with", async () => {
  const heard: unknown[] = [];
  const hear = (error: unknown) => void heard.push(error);
  callBack(() => {
    throw new TypeError("thrown");
  }, hear);
  callBack(() => Promise.reject("rejected"), hear);
  callBack(() => "fine", hear);
  await Promise.resolve();
  assertEquals(heard, [new TypeError("thrown"), "rejected"]);
});
