import { assertEquals, assertRejects } from "@std/assert";
import { writerTo } from "../../src/adapter/sink_writer.ts";
import { writableOf } from "../../src/adapter/writable.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { ClosedError } from "../../src/core/errors.ts";
import { assertBytes, balanced, sequence } from "../buffer/balanced.ts";

balanced("writableOf() writes and flushes each piece (netpoll 90)", async () => {
  const buffer = new LinkBuffer();
  const stream = writableOf(buffer).getWriter();
  await stream.write(sequence(5));
  assertEquals([buffer.length, buffer.mallocLength], [5, 0]);
  await stream.write(sequence(5000, 5));
  await stream.close();
  assertBytes(buffer.readBinary(5005), sequence(5005));
  buffer.close();
});

balanced("writableOf() takes the next piece when the last was flushed", async () => {
  const gate = Promise.withResolvers<void>();
  let written = 0;
  const writer = writerTo({
    write(bytes) {
      written += bytes.length;
      return gate.promise;
    },
  });
  const stream = writableOf(writer).getWriter();
  const first = stream.write(sequence(3));
  const second = stream.write(sequence(4));
  await Promise.resolve();
  assertEquals(written <= 3, true);
  gate.resolve();
  await Promise.all([first, second]);
  assertEquals(written, 7);
  await writer.close();
});

balanced("writableOf() fails as its writer does", async () => {
  const buffer = new LinkBuffer();
  buffer.close();
  const stream = writableOf(buffer).getWriter();
  const closed = assertRejects(() => stream.closed, ClosedError);
  await assertRejects(() => stream.write(sequence(1)), ClosedError);
  await closed;
});

balanced("writableOf() is a target to pipe to", async () => {
  const buffer = new LinkBuffer();
  await new Blob([sequence(100_000)]).stream().pipeTo(writableOf(buffer));
  assertBytes(buffer.readBinary(100_000), sequence(100_000));
  buffer.close();
});

balanced(
  "abort() of a writableOf() ends a flush that the peer holds up; its bytes still go out",
  async () => {
    const gate = Promise.withResolvers<void>();
    let written = 0;
    const writer = writerTo({ write: (bytes) => gate.promise.then(() => written += bytes.length) });
    const stream = writableOf(writer).getWriter();
    const writing = stream.write(sequence(3));
    await Promise.resolve();
    await stream.abort(new Error("enough"));
    await assertRejects(() => writing, Error, "enough");
    gate.resolve();
    await writer.close();
    assertEquals(written, 3);
  },
);
