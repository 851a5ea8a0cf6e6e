/**
 * Addresses: what is parsed is what is formatted, and text that could be two hosts is none.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";
import { host } from "../../ffi/runtime.ts";
import {
  type Address,
  describeAddress,
  formatAddress,
  isWildcard,
  packAddress,
  parseHostPort,
  parsePath,
  rawFromNumeric,
  unpackAddress,
} from "../../src/net/address.ts";
import type { Random } from "../support/random.ts";
import { mutated, type Target, thrownBy } from "./target.ts";

const HOSTS = [
  "127.0.0.1",
  "0.0.0.0",
  "255.255.255.255",
  "010.0.0.1",
  "127.1",
  "0x7f.1",
  "1.2.3.4.",
  "[::1]",
  "[::]",
  "[fe80::1%1]",
  "[fe80::1%4294967295]",
  "[::ffff:1.2.3.4]",
  "[1::8]",
  "[2001:db8:0:0:1:0:0:1]",
  "localhost",
  "",
  "a.b-c.example",
  "xn--a",
  "[",
  "]",
  "[]",
  "a b",
  "a@b",
  "::1",
  "[1.2.3.4]",
  "å",
  "%",
  "[::1%]",
  "\0",
];

function hostCase(random: Random): void {
  let text = `${random.pick(HOSTS)}:${
    random.pick(["0", "80", "65535", "65536", "-1", "", "080", "1e3", " 1"])
  }`;
  if (random.chance(0.5)) text = Buffer.from(mutated(random, Buffer.from(text))).toString("utf8");
  const error = thrownBy(() => parseHostPort(text));
  if (error !== null) {
    return assert(error instanceof TypeError, `${JSON.stringify(text)}: ${error}`);
  }
  const { hostname, port } = parseHostPort(text);
  assert(Number.isInteger(port) && port >= 0 && port <= 65535, text);
  const isBracketed = text.startsWith("[");
  assertEquals(isBracketed, isIPv6(hostname), text);
  assertEquals(
    text.slice(0, text.lastIndexOf(":")),
    isBracketed ? `[${hostname}]` : hostname,
    text,
  );
  assert(!/[\s/@\0]/.test(isBracketed ? "" : hostname), text);
  // Nothing that a resolver would read as another number than it seems.
  if (!/^[a-z0-9.-]+$/i.test(hostname) || !URL.canParse(`http://${hostname}/`)) return;
  if (isIPv4(new URL(`http://${hostname}/`).hostname)) assert(isIPv4(hostname), text);
}

function numericCase(random: Random): void {
  const groups = Array.from({ length: 8 }, () => random.chance(0.5) ? 0 : random.below(0x10000));
  const hex = groups.map((group) => group.toString(16));
  const from = random.below(8);
  const zeros = hex.slice(from).findIndex((group) => group !== "0");
  const to = zeros < 0 ? 8 : from + zeros;
  const short = to - from > 0
    ? `${hex.slice(0, from).join(":")}::${hex.slice(to).join(":")}`
    : hex.join(":");
  const four = groups.slice(0, 4).map((group) => group & 255).join(".");
  const port = random.below(65536);
  const scope = random.chance(0.2) ? 1 + random.below(2 ** 32 - 1) : 0;
  for (const text of [hex.join(":"), short, `${hex.slice(0, 6).join(":")}:${four}`]) {
    if (!isIPv6(text)) continue;
    const raw = rawFromNumeric(scope === 0 ? text : `${text}%${scope}`, port);
    const address = formatAddress(raw);
    assertBoth(address, raw, port);
    if (address.transport !== "tcp") throw new Error("it is no Unix socket");
    if (isIPv4(address.hostname)) continue; // mapped
    assertEquals(address.hostname, canonical(text) + (scope === 0 ? "" : `%${scope}`), text);
    assertEquals(rawFromNumeric(address.hostname, port), raw, text);
  }
  const raw = rawFromNumeric(four, port);
  assertEquals(formatAddress(raw), { transport: "tcp", hostname: four, port });
  assertBoth(formatAddress(raw), raw, port);
}

/** The form that RFC 5952 asks for, as the URL Standard serialises it as well. */
function canonical(text: string): string {
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

function assertBoth(address: Address, raw: Uint32Array, port: number): void {
  assertEquals(unpackAddress(packAddress(raw)), address, "packed and unpacked");
  const line = describeAddress(address);
  assertEquals(parseHostPort(line).port, port, line);
  assertEquals(isWildcard(raw), /^(0\.0\.0\.0|\[::(%\d+)?\]):/.test(line), line);
}

function pathCase(random: Random): void {
  const letters = ["a", "å", "/", ".", "@", "\0", " ", "€"];
  const length = random.chance(0.5) ? random.below(12) : 95 + random.below(20);
  const text = (random.chance(0.4) ? "@" : "") +
    Array.from({ length }, () => random.chance(0.9) ? "a" : random.pick(letters)).join("");
  const isAbstract = text.startsWith("@");
  // Deno's sandbox is asked about a path without ".."; so that one is bound.
  const path = isAbstract || text.includes("\0") ? text : host.plainPath(text);
  const bytes = Buffer.byteLength(path);
  const isRight = text !== "" && text !== "@" && !text.includes("\0") &&
    bytes <= (isAbstract ? 108 : 107);
  const error = thrownBy(() => parsePath(text));
  assertEquals(error === null, isRight, `${JSON.stringify(text)}: ${error}`);
  if (error !== null) return assert(error instanceof TypeError, `${error}`);
  const raw = parsePath(text);
  assertEquals(formatAddress(raw), { transport: "unix", path });
  assertEquals(unpackAddress(packAddress(raw)), { transport: "unix", path });
  assert(!isWildcard(raw), text);
}

export const ADDRESS_TARGETS: readonly Target[] = [
  {
    name: "hosts",
    what: "parseHostPort() takes what is one host, and a TypeError is all the rest",
    run: hostCase,
  },
  {
    name: "numeric",
    what: "numeric addresses are formatted as they were parsed",
    run: numericCase,
  },
  {
    name: "paths",
    what: "paths of Unix sockets come back as they were, or are refused",
    run: pathCase,
  },
];
