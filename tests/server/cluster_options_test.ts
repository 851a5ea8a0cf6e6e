import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { Cluster, type ClusterOptions } from "../../mod.ts";

const HANDLER = new URL("../support/cluster_handler.ts", import.meta.url);

function assertRefused(options: unknown, type: typeof TypeError, message: string): void {
  assertThrows(() => new Cluster(HANDLER, options as ClusterOptions), type, message);
}

test("new Cluster() wants the URL of a handler module", () => {
  assertThrows(() => new Cluster("./x.ts" as unknown as URL), TypeError, "import.meta.url");
});

test("new Cluster() refuses a pollerCount that counts nothing (netpoll 183)", () => {
  for (const pollerCount of [0, -1, 1.5, NaN, "2", null, 1025, 2 ** 31]) {
    assertRefused({ pollerCount }, RangeError, "pollerCount to ");
  }
  assertEquals(new Cluster(HANDLER, { pollerCount: 3 }).pollerCount, 3);
});

test("new Cluster() refuses a loadBalance and an acceptMode that mean nothing", () => {
  for (const loadBalance of ["best", null, 5, {}, Symbol("random")]) {
    assertRefused({ loadBalance }, TypeError, "Cannot balance by ");
  }
  assertRefused({ acceptMode: "all" }, TypeError, "all");
});

test('new Cluster() refuses a loadBalance with acceptMode "reuseport"', () => {
  assertRefused(
    { acceptMode: "reuseport", loadBalance: "random" },
    TypeError,
    "the kernel chooses",
  );
});
