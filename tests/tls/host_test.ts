import { assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { askedHost, hostOf } from "../../src/tls/host.ts";

const HOSTS: readonly [name: string, host: string][] = [
  ["db.example.org", "db.example.org"],
  ["DB.Example.ORG", "db.example.org"],
  ["db.example.org.", "db.example.org"],
  ["localhost", "localhost"],
  ["bücher.example", "xn--bcher-kva.example"],
  ["_service.example.org", "_service.example.org"],
  ["127.0.0.1", "127.0.0.1"],
  ["::1", "::1"],
];

test("hostOf() is the name as certificates have it", () => {
  for (const [name, host] of HOSTS) assertEquals(hostOf(name), host);
});

const NO_HOSTS: readonly unknown[] = [
  "",
  ".",
  ".example.org",
  "a..example.org",
  "*.example.org",
  "a b",
  "a\0.example.org",
  "a\nb",
  "[::1]",
  "127.0.0.1:443",
  "example.org/x",
  "bücher.example/x",
  "bücher.example:443",
  "bücher.example／x",
  "user@bücher.example",
  "bücher .example",
  "bücher.example？x",
  "a".repeat(64),
  `${"a.".repeat(127)}example`,
  7,
  null,
];

test("hostOf() refuses what OpenSSL would take for no name, or for any", () => {
  for (const name of NO_HOSTS) assertThrows(() => hostOf(name), TypeError, "serverName");
});

test("askedHost() is null for what is no name of a host", () => {
  assertEquals(askedHost("A.Example.org."), "a.example.org");
  for (const name of ["", "../../etc/passwd", "a\nb", "a b", "::1", ".a", "x".repeat(255)]) {
    assertEquals(askedHost(name), null);
  }
});
