import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { crc32c } from "../../src/net/crc32c.ts";

test("crc32c() has the sums of RFC 3720, B.4", () => {
  const rising = Uint8Array.from({ length: 32 }, (_, i) => i);
  assertEquals(crc32c(new Uint8Array(32)), 0x8a91_36aa);
  assertEquals(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
  assertEquals(crc32c(rising), 0x46dd_794e);
  assertEquals(crc32c(rising.toReversed()), 0x113f_db5c);
  assertEquals(crc32c(Buffer.from("123456789")), 0xe306_9283);
  assertEquals(crc32c(new Uint8Array(0)), 0);
});
