/**
 * PROXY headers: against a model that reads whole headers with regular expressions and offsets.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";
import {
  decodeProxyHeader,
  encodeProxyHeader,
  ProxyHeaderError,
  type ProxyHeaderOptions,
} from "../../mod.ts";
import type { Random } from "../support/random.ts";
import { anyBytes, assertBytes, joined, mutated, someCount, type Target } from "./target.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";

/** What is read: its length and its command, that more is needed, or that it is none. */
type Verdict = readonly [headerBytes: number, command: string] | "more" | "none";

function lineVerdict(text: string): Verdict {
  const unknown = /^PROXY UNKNOWN(?: [^]*?)?\r\n/.exec(text.slice(0, 107));
  if (unknown !== null) return [unknown[0].length, "PROXY"];
  const port = "(0|[1-9][0-9]{0,4})";
  const line = new RegExp(`^PROXY TCP([46]) ([^ \r\n]+) ([^ \r\n]+) ${port} ${port}\r\n`).exec(
    text,
  );
  if (line !== null) {
    const [whole, version, from, to, a, b] = line as unknown as [string, ...string[]];
    const is = (host: string) => version === "4" ? isIPv4(host) : isIPv6(host) && !/%/.test(host);
    const isRight = is(from!) && is(to!) && Number(a) < 65536 && Number(b) < 65536;
    return isRight && whole.length <= 107 ? [whole.length, "PROXY"] : "none";
  }
  if (text.length >= 107) return "none";
  if (text.startsWith("PROXY UNKNOWN ")) return "more";
  return /^P(R(O(X(Y( ([^\r\n]*\r?)?)?)?)?)?)?$/.test(text) ? "more" : "none";
}

/** Whether bytes are whole values; those with a checksum, where one stands. */
function valuesEnd(bytes: Buffer, from: number, to: number): number[] | null {
  const checksums: number[] = [];
  let at = from;
  while (at < to) {
    if (at + 3 > to) return null;
    const length = bytes.readUInt16BE(at + 1);
    if (at + 3 + length > to) return null;
    if (bytes[at] === 3) checksums.push(at);
    at += 3 + length;
  }
  return checksums;
}

function binaryVerdict(bytes: Buffer, isSummed: (bytes: Buffer, at: number) => boolean): Verdict {
  const [kind, ends] = [bytes[12], bytes[13]];
  if (kind === undefined) return "more";
  if (kind !== 0x20 && kind !== 0x21) return "none";
  if (ends === undefined) return "more";
  const isLocal = kind === 0x20;
  const family = isLocal ? 0 : ends >> 4;
  if (family > 3 || (!isLocal && (ends & 15) > 2)) return "none";
  if (bytes.length < 16) return "more";
  const end = 16 + bytes.readUInt16BE(14);
  const from = 16 + [0, 12, 36, 216][family]!;
  if (end < from) return "none";
  if (bytes.length < end) return "more";
  if (isLocal) return [end, "LOCAL"];
  const checksums = valuesEnd(bytes, from, end);
  if (checksums === null) return "none";
  const isWhole = isNamedWhole(bytes, from, end);
  if (!isWhole || !checksums.every((at) => isSummed(bytes.subarray(0, end), at))) return "none";
  return [end, "PROXY"];
}

/** Whether the first unique id and the first part about TLS have their form. */
function isNamedWhole(bytes: Buffer, from: number, end: number): boolean {
  const seen = new Set<number>();
  for (let at = from; at < end; at += 3 + bytes.readUInt16BE(at + 1)) {
    const [type, length] = [bytes[at]!, bytes.readUInt16BE(at + 1)];
    if (seen.has(type)) continue;
    seen.add(type);
    if (type === 5 && length > 128) return false;
    if (type !== 0x20) continue;
    if (length < 5) return false;
    const hasTls = (bytes[at + 3]! & 1) !== 0;
    if (hasTls && valuesEnd(bytes, at + 8, at + 3 + length) === null) return false;
  }
  return true;
}

/** CRC32c bit by bit. */
function isSummed(bytes: Buffer, at: number): boolean {
  if (bytes.readUInt16BE(at + 1) !== 4) return false;
  let sum = 0xffff_ffff;
  for (const [i, byte] of bytes.entries()) {
    sum ^= i >= at + 3 && i < at + 7 ? 0 : byte;
    for (let bit = 0; bit < 8; bit++) sum = sum >>> 1 ^ ((sum & 1) === 0 ? 0 : 0x82f6_3b78);
  }
  return (~sum >>> 0) === bytes.readUInt32BE(at + 3);
}

function expected(bytes: Buffer): Verdict {
  if (bytes.length === 0) return "more";
  const digits = bytes.toString("hex");
  if (SIGNATURE.startsWith(digits.slice(0, 24)) && digits.length <= 24) return "more";
  if (digits.startsWith(SIGNATURE)) return binaryVerdict(bytes, isSummed);
  return lineVerdict(bytes.toString("latin1"));
}

function actual(bytes: Uint8Array): Verdict {
  try {
    const header = decodeProxyHeader(bytes);
    return header === null ? "more" : [header.headerBytes, header.command];
  } catch (error) {
    assert(error instanceof ProxyHeaderError, `${error}`);
    return "none";
  }
}

function someHost(random: Random): string {
  if (random.chance(0.5)) return Array.from({ length: 4 }, () => random.below(256)).join(".");
  const groups = Array.from({ length: 8 }, () => random.chance(0.4) ? 0 : random.below(0x10000));
  return groups.map((group) => group.toString(16)).join(":");
}

function someEnds(random: Random): ProxyHeaderOptions {
  if (random.chance(0.2)) return {};
  if (random.chance(0.2)) {
    const path = () =>
      ({ transport: "unix", path: "/".padEnd(1 + random.below(108), "a") }) as const;
    return { source: path(), destination: path() };
  }
  const transport = random.chance(0.2) ? "udp" : "tcp";
  const end = () => ({ transport, hostname: someHost(random), port: random.below(65536) }) as const;
  return { source: end(), destination: end() };
}

function someHeader(random: Random): ProxyHeaderOptions {
  const ends = someEnds(random);
  if (random.chance(0.3)) return { version: 1, ...ends };
  const text = () => "é".repeat(random.below(9));
  return {
    ...ends,
    ...(random.chance(0.3) ? { authority: text(), alpn: text() } : {}),
    ...(random.chance(0.3) ? { uniqueId: anyBytes(random, random.below(129)) } : {}),
    ...(random.chance(0.3)
      ? { tls: { hasCertificate: random.chance(0.5), commonName: text() } }
      : {}),
    values: Array.from({ length: random.below(3) }, () => ({
      type: random.pick([4, 0xe0, 0xea, 0xee, 0xff]),
      bytes: anyBytes(random, someCount(random, 600)),
    })),
    checksum: random.chance(0.5),
  };
}

function headerCase(random: Random): void {
  const written = encodeProxyHeader(someHeader(random));
  let bytes = joined([written, anyBytes(random, random.below(5))]);
  if (random.chance(0.6)) bytes = mutated(random, bytes);
  if (random.chance(0.2)) bytes = bytes.slice(0, random.below(bytes.length + 1));
  if (random.chance(0.05)) bytes = anyBytes(random, random.below(40));
  const before = bytes.slice();
  const verdict = expected(Buffer.from(bytes));
  const shown = Buffer.from(bytes).toString("latin1");
  assertEquals(actual(bytes), verdict, JSON.stringify(shown));
  assertBytes(bytes, before, "what is read is left as it was");
  // However it is cut, it is the same header; what is none may be so earlier.
  const cut = random.below(bytes.length + 1);
  const early = actual(bytes.subarray(0, cut));
  if (early === "none") assertEquals(verdict, "none", JSON.stringify(shown));
  else if (early !== "more") assertEquals(early, verdict, JSON.stringify(shown));
}

export const PROXY_TARGETS: readonly Target[] = [
  {
    name: "proxy",
    what: "PROXY headers are read as a model reads them, however they are cut",
    run: headerCase,
  },
];
