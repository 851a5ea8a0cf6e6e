import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { DatagramCounts } from "../../src/datagram/counts.ts";

test("DatagramCounts begins with nothing", () => {
  assertEquals(Object.values(new DatagramCounts()).every((count) => count === 0), true);
});
