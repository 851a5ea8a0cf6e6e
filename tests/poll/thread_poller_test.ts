import { assertStrictEquals } from "@std/assert";
import { test } from "node:test";
import { threadPoller } from "../../src/poll/thread_poller.ts";

test("threadPoller() is the same one for the whole thread", () => {
  assertStrictEquals(threadPoller(), threadPoller());
});
