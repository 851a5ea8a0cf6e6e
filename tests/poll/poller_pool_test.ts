import { assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { threadPoller } from "../../src/poll/poller_pool.ts";

test("threadPoller() is the same one for the whole thread", () => {
  assertStrictEquals(threadPoller(), threadPoller());
});
