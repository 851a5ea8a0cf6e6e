import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { READ_BYTES_FIRST, READ_BYTES_MAX } from "../../src/core/limits.ts";
import { FIRST_SIZE } from "../../src/transport/read_size.ts";

test("ReadSize doubles when reads fill what they get, up to 1 MiB, and halves again", () => {
  let size = FIRST_SIZE;
  assertEquals(size.blockBytes, READ_BYTES_FIRST);
  for (let i = 0; i < 20; i++) size = size.learn(size.blockBytes, true);
  assertEquals(size.blockBytes, READ_BYTES_MAX);
  for (let i = 0; i < 1000; i++) size = size.learn(10, false);
  assertEquals(size.blockBytes, READ_BYTES_FIRST);
});

test("ReadSize.learnMessage() makes room for the whole of the next message", () => {
  const size = FIRST_SIZE.learnMessage(100_000);
  assertEquals(size.blockBytes, 100_000);
});
