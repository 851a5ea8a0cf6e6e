import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { ProxyHeaderError } from "../../mod.ts";
import { parsePath, rawFromNumeric } from "../../src/net/address.ts";
import { readBinary, writeBinary } from "../../src/net/proxy_binary.ts";

const NONE = new Uint8Array(0);

function digits(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex").slice(24); // behind the signature
}

test("writeBinary() lays out each family as the specification does", () => {
  const ip4 = [rawFromNumeric("192.0.2.1", 56324), rawFromNumeric("203.0.113.7", 443)] as const;
  const ip6 = [rawFromNumeric("2001:db8::1", 1), rawFromNumeric("::2", 65535)] as const;
  const ip4Block = "c0000201" + "cb007107" + "dc04" + "01bb";
  const ip6Block = "20010db8000000000000000000000001" + "00".repeat(15) + "02" + "0001" + "ffff";
  const stream = { isDatagram: false };
  assertEquals(digits(writeBinary(null, NONE, false)), "20000000");
  assertEquals(digits(writeBinary({ raws: ip4, ...stream }, NONE, false)), "2111000c" + ip4Block);
  assertEquals(
    digits(writeBinary({ raws: ip4, isDatagram: true }, NONE, false)),
    "2112000c" + ip4Block,
  );
  assertEquals(digits(writeBinary({ raws: ip6, ...stream }, NONE, false)), "21210024" + ip6Block);
  const paths = [parsePath("@a"), parsePath("/b")] as const;
  assertEquals(
    digits(writeBinary({ raws: paths, ...stream }, NONE, false)),
    "213100d8" + "0061".padEnd(216, "0") + "2f62".padEnd(216, "0"),
  );
});

test("readBinary() copies: what it has read is no view of what it was given", () => {
  const values = Uint8Array.of(0xe5, 0, 2, 1, 2);
  const bytes = Buffer.from(writeBinary(null, values, true));
  bytes[12] = 0x21; // a connection of nobody known, whose values count
  assertThrows(() => readBinary(bytes, 100), ProxyHeaderError, "checksum");
  const plain = Buffer.from(writeBinary(null, values, false));
  plain[12] = 0x21;
  const before = Buffer.from(plain);
  const header = readBinary(plain, 100)!;
  assertEquals(plain, before);
  plain.fill(0);
  assertEquals(header.values[0]!.bytes, Uint8Array.of(1, 2));
});
