import { assertEquals, assertMatch } from "@std/assert";
import { test } from "node:test";
import { inspect } from "node:util";
import { LinkBuffer } from "../../mod.ts";
import { run } from "../support/child.ts";
import { root } from "../support/library.ts";

function linesOf(buffer: LinkBuffer): string[] {
  return inspect(buffer).split("\n");
}

test("inspect() draws a buffer: what is where, to scale, and the cursors", () => {
  using buffer = new LinkBuffer();
  buffer.malloc(1024);
  buffer.mallocAck(1024);
  buffer.flush();
  buffer.next(512);
  buffer.malloc(1024);
  assertEquals(linesOf(buffer), [
    "LinkBuffer: 512 bytes to read, 1024 written and not flushed; 1 node, 4096 bytes held",
    "  |····████▒▒▒▒▒▒▒▒                | 512 read, 512 to read, 1024 written, 2048 free; " +
    "head, reading, flushing, writing",
  ]);
});

test("inspect() draws a byte among thousands: what is not empty is seen", () => {
  using buffer = new LinkBuffer();
  buffer.writeByte(1);
  assertMatch(linesOf(buffer)[1]!, /^ {2}\|▒ {31}\| 0 read, 0 to read, 1 written, 4095 free; /);
});

test("inspect() says of each node whose bytes it has, and where the cursors stand", () => {
  using buffer = new LinkBuffer();
  buffer.writeString("12345");
  buffer.flush();
  buffer.writeBinary(new Uint8Array(9000));
  const [title, first, second] = linesOf(buffer);
  assertMatch(title!, /^LinkBuffer: 5 bytes to read, 9000 written and not flushed; 2 nodes, /);
  assertMatch(first!, /; head, reading, flushing$/);
  assertMatch(second!, /\|▒{32}\| 0 read, 0 to read, 9000 written, 0 free; borrowed; writing$/);
});

test("inspect() of a buffer without memory, and of a closed one", () => {
  const buffer = new LinkBuffer();
  assertEquals(inspect(buffer), "LinkBuffer: 0 bytes to read; 0 nodes, 0 bytes held");
  buffer.close();
  assertEquals(inspect(buffer), "LinkBuffer: Cannot read or write after close()");
});

test("inspect() of a long chain draws both of its ends", () => {
  using buffer = new LinkBuffer();
  for (let i = 0; i < 20; i++) buffer.writeBinary(new Uint8Array(5000));
  const lines = linesOf(buffer);
  assertEquals(lines.length, 1 + 8 + 1);
  assertEquals(lines[5], "  … 12 more nodes");
  assertMatch(lines.at(-1)!, /; writing$/);
});

test("inspect() reads nothing and moves no cursor", () => {
  using buffer = new LinkBuffer();
  buffer.writeString("hello");
  buffer.flush();
  buffer.peek(2);
  const drawn = inspect(buffer);
  assertEquals(inspect(buffer), drawn);
  assertEquals(buffer.readString(5), "hello");
});

test("console.log() draws a buffer as inspect() does", async () => {
  const { stdout, stderr } = await run(`${root}tests/support/log_buffer.ts`);
  assertEquals(stderr, "");
  assertMatch(
    stdout,
    /^LinkBuffer: 5 bytes to read; 1 node, 4096 bytes held\n {2}\|█ +\| 0 read, /,
  );
});
