import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { type ByteSink, writerTo } from "../../src/adapter/sink_writer.ts";
import { ClosedError, NetpollError } from "../../src/core/errors.ts";
import { assertBytes, balanced, bufferOf, bytesOfText, sequence } from "../buffer/balanced.ts";

/** A sink that keeps what it is given. */
class Kept implements ByteSink {
  readonly pieces: Uint8Array[] = [];
  closed = 0;

  write(bytes: Uint8Array): unknown {
    this.pieces.push(bytes);
    return Promise.resolve();
  }

  close(): void {
    this.closed += 1;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.pieces.flatMap((piece) => [...piece]));
  }
}

balanced("flush() writes everything and leaves nothing behind (netpoll 89)", async () => {
  const sink = new Kept();
  const writer = writerTo(sink);
  writer.malloc(1024).set(sequence(1024));
  await writer.flush();
  assertEquals(writer.mallocLength, 0);
  assertBytes(sink.bytes, sequence(1024));
  writer.malloc(2048).set(sequence(2048, 1024));
  assertEquals(writer.mallocLength, 2048);
  assertEquals(sink.pieces.length, 1); // not before flush()
  await writer.flush();
  assertEquals(writer.mallocLength, 0);
  assertBytes(sink.bytes, sequence(3072));
  await writer.flush();
  assertEquals(sink.pieces.length, 2);
  await writer.close();
});

balanced("everything that a writer writes arrives in order, and is the sink's own", async () => {
  const sink = new Kept();
  const writer = writerTo(sink);
  writer.writeUint16BE(0x6162);
  writer.writeString("cd");
  writer.writeDirect(bytesOfText("-"), 2);
  writer.append(bufferOf("ef"));
  const borrowed = sequence(5000);
  writer.writeBinary(borrowed);
  await writer.flush();
  borrowed.fill(0);
  writer.writeBinary(sequence(5000, 5000));
  await writer.flush();
  assertBytes(sink.bytes.subarray(0, 7), bytesOfText("ab-cdef"));
  assertBytes(sink.bytes.subarray(7), sequence(10_000));
  await writer.close();
});

balanced("flush() gives a long run to the sink in pieces of at most 1 MiB", async () => {
  const sink = new Kept();
  const writer = writerTo(sink);
  writer.writeBinary(sequence(2_500_000));
  await writer.flush();
  assertEquals(sink.pieces.map((piece) => piece.length), [1048576, 1048576, 402848]);
  await writer.close();
});

balanced("flush() goes on when the sink took a part", async () => {
  const taken: number[] = [];
  const sink = {
    write(bytes: Uint8Array) {
      const count = Math.min(bytes.length, 3);
      taken.push(...bytes.subarray(0, count));
      return Promise.resolve(count);
    },
  };
  const writer = writerTo(sink);
  writer.writeBinary(sequence(10));
  await writer.flush();
  assertEquals(taken, [...sequence(10)]);
  await writer.close();
});

balanced("flush() rejects when the sink takes nothing more", async () => {
  const writer = writerTo({ write: () => 0 });
  writer.writeByte(1);
  await assertRejects(() => writer.flush(), NetpollError, "took 0 bytes");
  await writer.close();
});

balanced("flushes at once queue, and resolve in order", async () => {
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const sink = {
    async write(bytes: Uint8Array) {
      await gate.promise;
      order.push(`write ${bytes.length}`);
    },
  };
  const writer = writerTo(sink);
  writer.writeBinary(sequence(5));
  const first = writer.flush().then(() => order.push("first"));
  writer.writeBinary(sequence(7));
  const second = writer.flush().then(() => order.push("second"));
  assertEquals(order, []);
  gate.resolve();
  await Promise.all([first, second]);
  assert(order.indexOf("write 5") < order.indexOf("write 7"));
  assert(order.indexOf("first") > order.indexOf("write 5"));
  assert(order.indexOf("second") > order.indexOf("write 7"));
  await writer.close();
});

balanced(
  "a sink that fails ends the writer: flushes reject and writes throw its error",
  async () => {
    const error = new Error("the disk is full");
    const writer = writerTo({ write: () => Promise.reject(error) });
    writer.writeBinary(sequence(10));
    const ignored = writer.flush();
    writer.writeBinary(sequence(10));
    assertStrictEquals(await assertRejects(() => writer.flush(), Error), error);
    assertStrictEquals(await assertRejects(() => ignored, Error), error);
    assertStrictEquals(await assertRejects(() => writer.flush(), Error), error);
    assertStrictEquals(assertThrows(() => writer.writeByte(1), Error), error);
    assertEquals(writer.isWritable, false);
    await writer.close();
  },
);

balanced("an aborted flush rejects, and its bytes still go to the sink", async () => {
  const gate = Promise.withResolvers<void>();
  const kept = new Kept();
  const writer = writerTo({ write: (bytes) => gate.promise.then(() => kept.write(bytes)) });
  const controller = new AbortController();
  writer.writeString("hello");
  const flushed = writer.flush({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => flushed, Error, "enough");
  gate.resolve();
  await writer.close();
  assertBytes(kept.bytes, bytesOfText("hello"));
});

balanced(
  "close() waits for what was flushed, drops the rest, and closes the sink once",
  async () => {
    const sink = new Kept();
    const writer = writerTo(sink);
    writer.writeString("hello");
    writer.flush();
    writer.writeString("unflushed");
    const closing = writer.close();
    assertThrows(() => writer.writeByte(1), ClosedError);
    assertThrows(() => writer.flush(), ClosedError);
    await closing;
    await writer.close();
    assertBytes(sink.bytes, bytesOfText("hello"));
    assertEquals(sink.closed, 1);
  },
);

balanced("isWritable turns false above 4 MiB, and true again when they are written", async () => {
  const gate = Promise.withResolvers<void>();
  const writer = writerTo({ write: () => gate.promise });
  assertEquals(writer.isWritable, true);
  writer.writeBinary(sequence(5 * 1024 * 1024));
  const flushed = writer.flush();
  assertEquals(writer.isWritable, false);
  gate.resolve();
  await flushed;
  assertEquals(writer.isWritable, true);
  await writer.close();
});

balanced("writerTo() writes to a WritableStream and closes it", async () => {
  const sink = new Kept();
  const stream = new WritableStream<Uint8Array>({
    write: (bytes) => void sink.write(bytes),
    close: () => sink.close(),
  });
  const writer = writerTo(stream);
  writer.writeString("hello");
  await writer.flush();
  await writer.close();
  assertBytes(sink.bytes, bytesOfText("hello"));
  assertEquals(sink.closed, 1);
});

balanced("await using closes the writer", async () => {
  const sink = new Kept();
  {
    await using writer = writerTo(sink);
    writer.writeString("hello");
    writer.flush();
  }
  assertEquals([sink.bytes.length, sink.closed], [5, 1]);
});

balanced("released() resolves when the sink has what was flushed, or has failed", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const writer = writerTo({ write: () => promise });
  writer.writeString("x");
  void writer.flush();
  let isReleased = false;
  const released = writer.released().then(() => isReleased = true);
  await Promise.resolve();
  assert(!isReleased);
  resolve();
  await released;
  const failing = writerTo({ write: () => Promise.reject(new Error("full")) });
  failing.writeString("x");
  void failing.flush();
  await failing.released();
  await writer.close();
});

balanced("flush() waits for drained() when the sink took a part, or nothing", async () => {
  const taken: number[] = [];
  let drainCount = 0;
  const writer = writerTo({
    write(bytes: Uint8Array) {
      const count = Math.min(bytes.length, taken.length % 2 === 0 ? 3 : 0);
      taken.push(count);
      return count;
    },
    drained: () => Promise.resolve(drainCount += 1),
  });
  writer.writeBinary(sequence(7));
  await writer.flush();
  assertEquals(taken, [3, 0, 3, 0, 1]);
  assertEquals(drainCount, 4);
  await writer.close();
});

balanced("close() unlocks a WritableStream, and so does its failure", async () => {
  const good = new WritableStream<Uint8Array>();
  await writerTo(good).close();
  assertEquals(good.locked, false);
  const failing = new WritableStream<Uint8Array>({
    write: () => Promise.reject(new Error("full")),
  });
  const writer = writerTo(failing);
  writer.writeByte(1);
  await assertRejects(() => writer.flush(), Error, "full");
  assertEquals(failing.locked, false);
  await writer.close();
});

balanced("close() that nobody awaits is no unhandled rejection when the sink fails", async () => {
  const closing = writerTo({ write() {}, close: () => Promise.reject(new Error("stuck")) }).close();
  await new Promise((resolve) => setImmediate(resolve)); // the runtime has looked by then
  await assertRejects(() => closing, Error, "stuck");
});

balanced("writerTo() of what is none throws where it is called, and shows it", () => {
  for (const value of [undefined, null, 5, 5n, "x", Symbol("s"), {}, [], () => {}]) {
    assertThrows(() => writerTo(value as never), TypeError, `Cannot write to `);
  }
});

balanced("close() of a writer to what has closeWrite() ends that side alone", async () => {
  const calls: string[] = [];
  const sink = {
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    closeWrite: () => calls.push("closeWrite"),
    close: () => calls.push("close"),
  };
  await writerTo(sink).close();
  assertEquals(calls, ["closeWrite"]);
});
