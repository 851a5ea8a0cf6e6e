import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { entryOf } from "../../src/server/worker_entry.ts";

test("entryOf() is our own module in a source tree, else the bundle, or the handler's", () => {
  const handler = new URL("file:///app/handler.ts");
  const entry = (url: string, main = false) => entryOf({ url, main }, handler).href;
  assertEquals(
    entry("file:///x/src/server/cluster.ts"),
    "file:///x/src/server/cluster_worker.ts",
  );
  assertEquals(
    entry("file:///x/src/server/cluster.js"),
    "file:///x/src/server/cluster_worker.js",
  );
  assertEquals(entry("file:///app/chunk.js"), "file:///app/chunk.js");
  assertEquals(entry("file:///app/server.js", true), handler.href);
});
