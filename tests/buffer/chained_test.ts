import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { type BufferReader, lines, LinkBuffer, readerFrom, writerTo } from "../../mod.ts";
import { Chained, chainIfAny, chainOf } from "../../src/buffer/chained.ts";
import { LinkChain } from "../../src/buffer/link_chain.ts";
import { writeChain } from "../../src/buffer/reader.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, receive, send } from "../support/pair.ts";
import { soon } from "../support/until.ts";

test("chainOf() is the chain that was given, and nothing of it shows", () => {
  const chain = new LinkChain();
  const chained = new Chained(chain);
  assertStrictEquals(chainOf(chained), chain);
  assertStrictEquals(chainIfAny(chained), chain);
  assertEquals(Reflect.ownKeys(chained), []);
});

test("chainIfAny() is null for what only looks like a reader", () => {
  for (const other of [{}, Object.create(LinkBuffer.prototype), Object.create(Chained.prototype)]) {
    assertEquals(chainIfAny(other), null);
  }
});

test("a writer is no reader: what was flushed and is unsent cannot be taken back", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const sink = writerTo({ write: () => {} });
    for (const writer of [a.writer, sink] as unknown as BufferReader[]) {
      const names = ["next", "peek", "skip", "until", "readBinary", "slice", "release", "length"];
      for (const name of names) assert(!(name in writer), name);
      for (const read of ["readUint8", "readVarint", "close"] as const) {
        assertThrows(() => (LinkBuffer.prototype[read] as () => void).call(writer), TypeError);
      }
      assertThrows(() => lines().decode(writer), TypeError, "no reader of netpoll's");
    }
    await send(a, "all of it");
    assertEquals(await soon(receive(b, 9)), "all of it");
    await sink.close();
    await closeAll(a, b);
  }));

test("a reader is no writer: nobody writes into what was received", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const source = readerFrom(new ReadableStream());
    for (const reader of [b.reader, source]) {
      assert(!("writeBinary" in reader) && writeChain(reader) === null);
      assertThrows(() => LinkBuffer.prototype.writeString.call(reader as never, "x"), TypeError);
      assertThrows(() => a.writer.append(reader as never), TypeError, "not another LinkBuffer");
    }
    assertEquals(b.reader.length, 0);
    await source.close();
    await closeAll(a, b);
  }));
