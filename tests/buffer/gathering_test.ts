import { assertEquals, assertStrictEquals } from "@std/assert";
import { blocks } from "../../src/buffer/block.ts";
import { Gathering } from "../../src/buffer/gathering.ts";
import { balanced } from "./balanced.ts";

balanced("reusable() is nothing before the first copy, nor before a copy holds bytes", () => {
  const gathering = new Gathering();
  assertStrictEquals(gathering.reusable(1), null);
  gathering.add(blocks.take(1024));
  assertStrictEquals(gathering.reusable(1), null);
  gathering.release();
});

balanced("reusable() is the last copy for as long as it has room behind what was read", () => {
  const gathering = new Gathering();
  const copy = blocks.take(1024);
  gathering.add(copy);
  assertEquals([gathering.peekedBytes, gathering.peekedAt], [0, copy.offset]);
  gathering.peekedBytes = 100;
  assertStrictEquals(gathering.reusable(1024), copy);
  assertStrictEquals(gathering.reusable(1025), null);
  gathering.consume(24);
  assertEquals([gathering.peekedBytes, gathering.peekedAt], [76, copy.offset + 24]);
  assertStrictEquals(gathering.reusable(1000), copy);
  assertStrictEquals(gathering.reusable(1001), null);
  gathering.release();
});

balanced("consume() of all that was peeked, or of more, leaves nothing to use again", () => {
  for (const count of [100, 300]) {
    const gathering = new Gathering();
    gathering.add(blocks.take(1024));
    gathering.peekedBytes = 100;
    gathering.consume(count);
    assertEquals(gathering.peekedBytes, 0);
    assertStrictEquals(gathering.reusable(1), null);
    gathering.release();
  }
});

balanced("add() begins anew; the copies of before live until release(), and count as held", () => {
  const gathering = new Gathering();
  const [first, second] = [blocks.take(1024), blocks.take(4096)];
  gathering.add(first);
  gathering.peekedBytes = 10;
  gathering.consume(5);
  gathering.add(second);
  assertEquals([gathering.peekedBytes, gathering.peekedAt], [0, second.offset]);
  assertEquals([first.references, second.references], [1, 1]);
  assertEquals(gathering.heldBytes, 1024 + 4096);
  gathering.release();
  assertEquals([first.references, second.references], [0, 0]);
});
