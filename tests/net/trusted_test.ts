import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { packAddress, parsePath, rawFromNumeric } from "../../src/net/address.ts";
import { Trusted } from "../../src/net/trusted.ts";

function has(list: string[], host: string): boolean {
  return new Trusted(list).has(packAddress(rawFromNumeric(host, 80)));
}

test("Trusted.has() knows addresses and networks of any length, mapped ones as what they are", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.1.2.3/8", "10.9.9.9", true],
    ["10.0.0.128/25", "10.0.0.127", false],
    ["10.0.0.128/25", "10.0.0.128", true],
    ["0.0.0.0/0", "255.1.2.3", true],
    ["0.0.0.0/0", "::1", false],
    ["192.0.2.7", "192.0.2.7", true],
    ["192.0.2.7", "192.0.2.6", false],
    ["192.0.2.7/32", "192.0.2.7", true],
    ["::/0", "2001:db8::1", true],
    ["::/0", "10.0.0.1", false],
    ["fd00::/8", "fdff::1", true],
    ["fd00::/9", "fd80::1", false],
    ["2001:db8::/33", "2001:db8:7fff::", true],
    ["2001:db8::/33", "2001:db8:8000::", false],
    ["::1", "::1", true],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "11.1.2.3", false],
    ["unix", "10.0.0.1", false],
  ];
  for (const [network, host, expected] of cases) {
    assertEquals(has([network], host), expected, `${host} in ${network}`);
    assertEquals(has(["203.0.113.9", network, "unix"], host), expected);
  }
  assertEquals(has([], "127.0.0.1"), false);
  const path = packAddress(parsePath("@a"));
  assertEquals([new Trusted(["unix"]).has(path), new Trusted(["::/0"]).has(path)], [true, false]);
});

test("Trusted refuses what is no address, network or list", () => {
  const wrong = [
    "localhost",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0/8",
    "010.0.0.0/8",
    "::/129",
    "::ffff:10.0.0.0/95",
    "fe80::1%1",
    "[::1]",
    "10.0.0.1:80",
    "",
    "Unix",
    1,
    null,
    ["10.0.0.1"],
  ];
  for (const entry of wrong) {
    assertThrows(() => new Trusted([entry as never]), TypeError, "Cannot trust");
  }
  for (const list of ["10.0.0.1", undefined, null, new Set(["::1"])]) {
    assertThrows(() => new Trusted(list as never), TypeError, "array of addresses");
  }
});
