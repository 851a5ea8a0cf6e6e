import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { entryOf, modulesOf } from "../../src/server/worker_entry.ts";

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

test("modulesOf() is the handler's module and our own source tree, or the bundle", () => {
  const handler = "file:///app/handler.ts";
  assertEquals(modulesOf("file:///x/src/server/cluster_worker.ts", handler), [
    "file:///x/src/",
    "file:///x/ffi/",
    handler,
  ]);
  assertEquals(modulesOf("file:///app/chunk.js", handler), ["file:///app/chunk.js", handler]);
});
