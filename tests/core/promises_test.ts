import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  callBack,
  heed,
  ignore,
  promiseOf,
  rejected,
  RESOLVED,
  synchronous,
} from "../../src/core/promises.ts";

test("RESOLVED resolves to nothing, and ignore() makes nothing of a rejection", async () => {
  assertEquals(await RESOLVED, undefined);
  assertEquals(await Promise.reject(new Error("nobody need hear of it")).catch(ignore), undefined);
});

test("rejected() tells whoever waits, and ends no process where nobody does", async () => {
  rejected(new Error("nobody hears of this one"));
  await new Promise((resolve) => setImmediate(resolve)); // a runtime ends the process by now
  assertEquals(await rejected("reason").catch((reason) => reason), "reason");
});

test("promiseOf() knows what has to be waited for, and that settles once, later", async () => {
  for (const each of [undefined, null, 5, "x", {}, { then: 5 }]) {
    assertEquals(promiseOf(each), null);
  }
  assertStrictEquals(promiseOf(RESOLVED), RESOLVED);
  const results: unknown[] = [];
  promiseOf({
    then(resolve: (value: string) => void, reject: (error: unknown) => void) {
      resolve("first");
      reject("second");
      throw new Error("third");
    },
  } as PromiseLike<string>)!.then((value) => results.push(value));
  assertEquals(results, []);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(results, ["first"]);
  const failing = {
    get then(): never {
      throw new Error("no look at it");
    },
  }; // deno-fmt-ignore
  assertEquals(await promiseOf(failing)!.catch(({ message }) => message), "no look at it");
});

test("synchronous() passes on what is no promise, and refuses one, whose rejection it hears of", async () => {
  assertEquals(synchronous("it", 5), 5);
  const refuse = () => synchronous("it", Promise.reject("nobody hears of it"), "it is not now");
  assertThrows(refuse, TypeError, "Cannot wait for it: it is not now");
  await new Promise((resolve) => setImmediate(resolve)); // a runtime ends the process by now
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
