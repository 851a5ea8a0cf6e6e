import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { SystemError } from "../../mod.ts";
import { ERRNO } from "../../src/core/errno.ts";
import { describeAddress, formatAddress } from "../../src/net/address.ts";
import { bindFirst } from "../../src/net/binding.ts";

test("bindFirst() tries one address after the other where one is missing, and stops at other errors", () => {
  const tried: string[] = [];
  const opener = (errno: number) => (raw: Uint32Array) => {
    tried.push(describeAddress(formatAddress(raw)));
    if (tried.length === 1) throw new SystemError("bind", errno);
    return 7;
  };
  assertEquals(bindFirst("udp", ":5", undefined, opener(99)), 7);
  assertEquals(tried, ["[::]:5", "0.0.0.0:5"]);
  tried.length = 0;
  assertThrows(() => bindFirst("udp", ":5", undefined, opener(ERRNO.EADDRINUSE)), SystemError);
  assertEquals(tried, ["[::]:5"]);
});

test("bindFirst() says whether IPv6 is alone, and where the address is from", () => {
  const ways: unknown[] = [];
  const open = (_: Uint32Array, way: unknown) => ways.push(way);
  bindFirst("tcp6", "[::1]:5", undefined, open);
  bindFirst("udp", "localhost:5", undefined, open);
  bindFirst("udp6", "[::1]:5", false, open);
  assertEquals(ways, [
    { v6Only: true, origin: "written" },
    { v6Only: false, origin: "stands for what was granted" },
    { v6Only: false, origin: "written" },
  ]);
});
