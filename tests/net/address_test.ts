import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { NetpollError } from "../../src/core/errors.ts";
import {
  type Address,
  describeAddress,
  Family,
  formatAddress,
  isNumeric,
  isSameMachine,
  packAddress,
  parseHostPort,
  parsePath,
  rawFromNumeric,
  resolveHost,
  unpackAddress,
  wellKnown,
} from "../../src/net/address.ts";
import { seededRandom } from "../support/random.ts";

const SEED = Number(process.env["SEED"] ?? 20260722);
const ADDRESSES = 20_000;

function hostnameOf(address: Address): string {
  assert(address.transport === "tcp");
  return address.hostname;
}

/** A numeric address after it went through our parser. */
function normal(hostname: string): string {
  return hostnameOf(formatAddress(rawFromNumeric(hostname, 0)));
}

/** A numeric address after it went through the runtime's URL parser, which knows RFC 5952 too. */
function oracle(hostname: string): string {
  const isIPv6 = hostname.includes(":");
  // Bun refuses "1:2:3:4::0.0.0.1": the tail is spelled out for it.
  hostname = hostname.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (text, a, b, c, d) => {
    const group = (high: string, low: string) => (Number(high) << 8 | Number(low)).toString(16);
    return isIPv6 ? `${group(a, b)}:${group(c, d)}` : text;
  });
  const url = new URL(isIPv6 ? `http://[${hostname}]/` : `http://${hostname}/`).hostname;
  return isIPv6 ? url.slice(1, -1) : url;
}

/** A group of an IPv6 address in one of the ways it may be written. */
function groupText(next: () => number, group: number): string {
  const text = group.toString(16).padStart(Math.floor(next() * 5), "0");
  return next() < 0.3 ? text.toUpperCase() : text;
}

/** An IPv6 address, full of zeros, in one of the ways it may be written. */
function randomIPv6(next: () => number): string {
  const groups = Array.from({ length: 8 }, () => next() < 0.6 ? 0 : Math.floor(next() * 0x10000));
  const texts = groups.map((group) => groupText(next, group));
  const isDotted = next() < 0.2;
  const [high, low] = groups.splice(6);
  if (isDotted) texts.splice(6, 2, [high! >> 8, high! & 255, low! >> 8, low! & 255].join("."));
  const from = Math.floor(next() * (isDotted ? 6 : 8));
  let end = from;
  const all = isDotted ? groups : [...groups, high!, low!];
  while (end < all.length && all[end] === 0 && next() < 0.9) end += 1;
  if (end === from || next() < 0.3) return texts.join(":");
  return `${texts.slice(0, from).join(":")}::${texts.slice(end).join(":")}`;
}

test("parseHostPort() takes every form apart", () => {
  assertEquals(parseHostPort("127.0.0.1:80"), { hostname: "127.0.0.1", port: 80 });
  assertEquals(parseHostPort("localhost:0"), { hostname: "localhost", port: 0 });
  assertEquals(parseHostPort(":65535"), { hostname: "", port: 65535 });
  assertEquals(parseHostPort("[::1]:00080"), { hostname: "::1", port: 80 });
  assertEquals(parseHostPort("[fe80::1%2]:1"), { hostname: "fe80::1%2", port: 1 });
  assertEquals(parseHostPort("[fe80::1%eth0]:1"), { hostname: "fe80::1%eth0", port: 1 });
  assertEquals(parseHostPort("a-b.example.:1"), { hostname: "a-b.example.", port: 1 });
  assertEquals(parseHostPort("1e100.net:1"), { hostname: "1e100.net", port: 1 });
  assertEquals(parseHostPort("xn--bcher-kva.example:1").hostname, "xn--bcher-kva.example");
});

for (
  const [address, why] of [
    ["", "it has no port"],
    ["localhost", "it has no port"],
    ["[::1]", "a port is a number from 0 to 65535"],
    ["localhost:", "a port is a number from 0 to 65535"],
    ["localhost:http", "a port is a number from 0 to 65535"],
    ["localhost:65536", "a port is a number from 0 to 65535"],
    ["localhost:000001", "a port is a number from 0 to 65535"],
    ["localhost:-1", "a port is a number from 0 to 65535"],
    ["localhost:+1", "a port is a number from 0 to 65535"],
    ["localhost: 1", "a port is a number from 0 to 65535"],
    ["localhost:1.0", "a port is a number from 0 to 65535"],
    ["localhost:٣", "a port is a number from 0 to 65535"],
    ["::1:80", "an IPv6 address stands in brackets"],
    ["fe80::1%2:80", "an IPv6 address stands in brackets"],
    ["a:b:80", "an IPv6 address stands in brackets"],
    ["[]:80", '"" is no IPv6 address'],
    ["[::1%]:80", "is no IPv6 address"],
    ["[1::2::3]:80", "is no IPv6 address"],
    ["[12345::]:80", "is no IPv6 address"],
    ["[::ffff:1.2.3]:80", "is no IPv6 address"],
    ["[1:2:3:4:5:6:7:8:9]:80", "is no IPv6 address"],
    ["[localhost]:80", "is no IPv6 address"],
    ["[127.0.0.1]:80", "is no IPv6 address"],
    ["[::1:80", "an IPv6 address stands in brackets"],
    ["local host:80", "is no host name"],
    ["http://localhost:80", "an IPv6 address stands in brackets"],
    ["user@localhost:80", "is no host name"],
    ["a/b:80", "is no host name"],
    ["a\0b:80", "is no host name"],
    ["::1]:80", "an IPv6 address stands in brackets"],
    ["256.0.0.1:80", "is no IPv4 address"],
    ["1.2.3:80", "is no IPv4 address"],
    ["127.1:80", "is no IPv4 address"],
    ["010.0.0.1:80", "is no IPv4 address"],
    ["0x7f.1:80", "is no IPv4 address"],
    ["0x7F000001:80", "is no IPv4 address"],
    ["2130706433:80", "is no IPv4 address"],
    ["1.2.3.4.:80", "is no IPv4 address"],
    ["1.2.3.4.5:80", "is no IPv4 address"],
    ["example.1:80", "is no IPv4 address"],
  ] as const
) {
  test(`parseHostPort() refuses ${JSON.stringify(address)}`, () => {
    const error = assertThrows(() => parseHostPort(address), TypeError, why);
    assertStringIncludes(error.message, `Cannot use the address "${address}"`);
    assertStringIncludes(error.message, 'write "host:port", "[::1]:port" or ":port"');
  });
}

test(`rawFromNumeric() and formatAddress() agree with URL on ${ADDRESSES} IPv6 addresses (seed ${SEED})`, () => {
  const { next } = seededRandom(SEED);
  for (let i = 0; i < ADDRESSES; i++) {
    const text = randomIPv6(next);
    const expected = oracle(text);
    // Ours shows an IPv4 address that was mapped into IPv6 as what it is.
    const mapped = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(expected);
    const shown = normal(text);
    if (mapped === null) assertEquals(shown, expected, text);
    else assertEquals(oracle(`::ffff:${shown}`), expected, text);
    if (mapped === null) assertEquals(normal(shown), shown, `${text} twice`);
  }
});

test(`rawFromNumeric() and formatAddress() agree with URL on ${ADDRESSES} IPv4 addresses (seed ${SEED})`, () => {
  const { next } = seededRandom(SEED);
  for (let i = 0; i < ADDRESSES; i++) {
    const text = Array.from({ length: 4 }, () => Math.floor(next() * 256)).join(".");
    assertEquals(normal(text), oracle(text));
    assertEquals(normal(`::ffff:${text}`), text);
  }
});

test("formatAddress() shortens the longest run of zeros, the first of several, never a single one", () => {
  // The examples of RFC 5952, sections 4 and 5.
  assertEquals(normal("2001:0db8::0001"), "2001:db8::1");
  assertEquals(normal("2001:db8:0:0:0:0:2:1"), "2001:db8::2:1");
  assertEquals(normal("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  assertEquals(normal("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1");
  assertEquals(normal("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  assertEquals(normal("2001:DB8::AAAA"), "2001:db8::aaaa");
  assertEquals(normal("::"), "::");
  assertEquals(normal("1::"), "1::");
  assertEquals(normal("0:0:0:0:0:0:0:1"), "::1");
  assertEquals(normal("1:2:3:4:5:6:7::"), "1:2:3:4:5:6:7:0");
});

test("formatAddress() shows a mapped IPv4 address as what it is, and no other", () => {
  assertEquals(normal("::ffff:127.0.0.1"), "127.0.0.1");
  assertEquals(normal("::fffe:127.0.0.1"), "::fffe:7f00:1");
  assertEquals(normal("::127.0.0.1"), "::7f00:1");
  assertEquals(normal("1::ffff:127.0.0.1"), "1::ffff:7f00:1");
});

test("rawFromNumeric() takes an IPv6 zone by number and by name", () => {
  assertEquals(normal("fe80::1%7"), "fe80::1%7");
  assertEquals(normal("fe80::1%0"), "fe80::1");
  assertEquals(normal("fe80::1%lo"), "fe80::1%1"); // the loopback interface is the first
});

test("rawFromNumeric() refuses a zone that no interface has", () => {
  assertThrows(() => normal("fe80::1%nosuch0"), NetpollError, 'Cannot resolve "fe80::1%nosuch0"');
});

test("resolveHost() knows the empty host and localhost by itself, best first", () => {
  const hosts = (network: "tcp" | "tcp4" | "tcp6", hostname: string) =>
    resolveHost(network, { hostname, port: 7 }).map((raw) => describeAddress(formatAddress(raw)));
  assertEquals(hosts("tcp", ""), ["[::]:7", "0.0.0.0:7"]);
  assertEquals(hosts("tcp4", ""), ["0.0.0.0:7"]);
  assertEquals(hosts("tcp6", ""), ["[::]:7"]);
  assertEquals(hosts("tcp", "localhost"), ["127.0.0.1:7", "[::1]:7"]);
  assertEquals(hosts("tcp4", "localhost"), ["127.0.0.1:7"]);
  assertEquals(hosts("tcp6", "localhost"), ["[::1]:7"]);
  assertEquals(hosts("tcp", "127.0.0.9"), ["127.0.0.9:7"]);
  assertEquals(hosts("tcp6", "::1"), ["[::1]:7"]);
});

test("parseHostPort() and parsePath() take a string and nothing that could be one at each reading", () => {
  const text = new String("127.0.0.1:80") as unknown as string;
  const liar = { lastIndexOf: () => 9, slice: () => "127.0.0.1", startsWith: () => false };
  for (const wrong of [text, liar, 80, null, undefined, ["127.0.0.1:80"]] as unknown as string[]) {
    assertThrows(() => parseHostPort(wrong), TypeError, "it is no string");
    assertThrows(() => parsePath(wrong), TypeError, "it is no string");
  }
});

test("isNumeric() and wellKnown() tell addresses and this machine's own names from the rest", () => {
  for (const host of ["127.0.0.1", "::1", "fe80::1%lo"]) assertEquals(isNumeric(host), true);
  for (const host of ["", "localhost", "constructor"]) assertEquals(isNumeric(host), false);
  assertEquals(wellKnown("LocalHost"), ["127.0.0.1", "::1"]);
  assertEquals([wellKnown("localhost.example"), wellKnown("constructor")], [null, null]);
});

test("resolveHost() refuses an address of the other version of IP", () => {
  const refuse = (network: "tcp4" | "tcp6", hostname: string) =>
    assertThrows(
      () => resolveHost(network, { hostname, port: 0 }),
      NetpollError,
      `Cannot use "${hostname}" with ${network}: it has no such address`,
    );
  refuse("tcp4", "::1");
  refuse("tcp6", "127.0.0.1");
});

test("parsePath() and formatAddress() agree, for paths and abstract names", () => {
  const through = (path: string) => formatAddress(parsePath(path));
  for (const path of ["/a", "a/b.sock", "@name", "/sock-ä-日本", `/${"x".repeat(106)}`]) {
    assertEquals(through(path), { transport: "unix", path });
  }
  assertEquals(through(`@${"y".repeat(107)}`), { transport: "unix", path: `@${"y".repeat(107)}` });
});

test("parsePath() refuses what the kernel would cut or misread", () => {
  assertThrows(() => parsePath(""), TypeError, "Cannot use an empty path for a Unix socket");
  assertThrows(() => parsePath("@"), TypeError, "Cannot use an empty path for a Unix socket");
  assertThrows(() => parsePath("/a\0b"), TypeError, "Cannot use a path with a 0 byte in it");
  assertThrows(
    () => parsePath(`/${"x".repeat(107)}`),
    TypeError,
    "Cannot use a path of 108 bytes for a Unix socket: Linux takes 107",
  );
  assertThrows(() => parsePath(`/${"ä".repeat(54)}`), TypeError, "Cannot use a path of 109 bytes");
  assertThrows(() => parsePath(`@${"y".repeat(108)}`), TypeError, "Cannot use a path of 109 bytes");
});

test(`packAddress() and unpackAddress() lose nothing (seed ${SEED})`, () => {
  const { next } = seededRandom(SEED);
  for (let i = 0; i < 2000; i++) {
    const port = Math.floor(next() * 65536);
    const hostname = i % 2 === 0
      ? Array.from({ length: 4 }, () => Math.floor(next() * 256)).join(".")
      : randomIPv6(next);
    const raw = rawFromNumeric(hostname, port);
    assertEquals(unpackAddress(packAddress(raw)), formatAddress(raw), hostname);
  }
  const extremes = ["0.0.0.0", "255.255.255.255", "fe80::1%4294967295"];
  for (const hostname of extremes) {
    for (const port of [0, 65535]) {
      const raw = rawFromNumeric(hostname, port);
      assertEquals(unpackAddress(packAddress(raw)), { transport: "tcp", hostname, port });
    }
  }
  for (const path of ["/a/b", "@name"]) {
    assertEquals(unpackAddress(packAddress(parsePath(path))), { transport: "unix", path });
  }
});

test("packAddress() keeps nothing of the table that C writes the next address to", () => {
  const raw = rawFromNumeric("2001:db8::1", 1);
  const packed = packAddress(raw);
  raw.fill(0);
  assertEquals(unpackAddress(packed), { transport: "tcp", hostname: "2001:db8::1", port: 1 });
});

test("formatAddress() shows a Unix socket without a name as an empty path", () => {
  const raw = new Uint32Array(31);
  raw[0] = Family.UNIX;
  assertEquals(formatAddress(raw), { transport: "unix", path: "" });
  assertEquals(describeAddress(formatAddress(raw)), "(a socket without a name)");
});

test("describeAddress() writes what parseHostPort() reads", () => {
  for (const text of ["127.0.0.1:80", "[::1]:0", "[fe80::1%2]:65535"]) {
    const { hostname, port } = parseHostPort(text);
    assertEquals(describeAddress({ transport: "tcp", hostname, port }), text);
  }
  assertEquals(describeAddress({ transport: "unix", path: "/a b" }), "/a b");
});

test("rawFromNumeric() writes the layout that libnetpoll.c reads", () => {
  const raw = rawFromNumeric("1.2.3.4", 80);
  assertEquals([...raw.subarray(0, 4)], [Family.IPV4, 80, 0, 4]);
  assertEquals([...Buffer.from(raw.buffer, 16, 4)], [1, 2, 3, 4]);
});

test("isSameMachine() is true of loopback, of one's own address, of Unix sockets", () => {
  const at = (hostname: string): Address => ({ transport: "tcp", hostname, port: 1 });
  const path: Address = { transport: "unix", path: "/tmp/x" };
  for (const own of ["127.0.0.1", "127.9.9.9", "::1"]) {
    assert(isSameMachine(at("192.0.2.1"), at(own)), own);
  }
  assert(isSameMachine(at("192.0.2.1"), at("192.0.2.1")));
  assert(isSameMachine(path, path));
  assert(!isSameMachine(at("192.0.2.1"), at("192.0.2.2")));
  assert(!isSameMachine(at("2001:db8::1"), at("2001:db8::2")));
  // A socket of IPv6 writes IPv4 peers so.
  assert(isSameMachine(at("192.0.2.1"), formatAddress(rawFromNumeric("::ffff:127.0.0.1", 1))));
});
