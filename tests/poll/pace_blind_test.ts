/**
 * A pace keeps its promises where the runtime's event loop is not found, too: all its tests again,
 * without.
 */
import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { configure, socketPair } from "../../mod.ts";
import { threadPoller } from "../../src/poll/thread_poller.ts";

configure({ watchRuntime: false });
await import("./pace_test.ts");

test("configure({ watchRuntime: false }) holds for the poller of this thread", async () => {
  const [a, b] = socketPair();
  a.writer.writeString("x");
  void a.writer.flush();
  await b.reader.wait(1);
  assertEquals(threadPoller().pace.isRuntimeHeard, false);
  await Promise.all([a.close(), b.close()]);
});
