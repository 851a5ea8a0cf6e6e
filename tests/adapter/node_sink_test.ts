import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { test } from "node:test";
import { writerTo } from "../../src/adapter/sink_writer.ts";
import { readerFrom } from "../../src/adapter/source_reader.ts";
import { NetpollError } from "../../src/core/errors.ts";
import { assertBytes, balanced, sequence } from "../buffer/balanced.ts";

/** Two sockets of node:net that are connected, neither of which ends by itself. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [[far]] = await Promise.all([once(server, "connection"), once(near, "connect")]);
  server.close();
  return [near, far as Socket];
}

balanced("writerTo() waits for a Node stream: no more than one piece is queued in it", async () => {
  const dones: (() => void)[] = [];
  const stream = new Writable({
    highWaterMark: 1,
    write: (_bytes, _encoding, done) => void dones.push(done),
  });
  const writer = writerTo(stream);
  let flushedCount = 0;
  const flushes = Array.from({ length: 3 }, () => {
    writer.writeBinary(sequence(1000));
    return writer.flush().then(() => flushedCount += 1);
  });
  for (let n = 0; n < 3; n++) {
    while (dones.length === n) await Promise.resolve();
    assertEquals([flushedCount, stream.writableLength], [n, 1000]);
    dones[n]!();
    await flushes[n];
  }
  await writer.close();
  assert(stream.writableFinished);
});

test("writerTo() is held back by a peer of a socket that does not read", async () => {
  const [near, far] = await socketPair();
  far.pause();
  const writer = writerTo(near);
  const block = new Uint8Array(1 << 20);
  const mebibytes = 64; // more than the kernel holds for a connection
  let flushedCount = 0;
  const flooded = (async () => {
    for (; flushedCount < mebibytes; flushedCount++) {
      writer.writeBinary(block);
      await writer.flush();
    }
  })();
  // As many turns of the runtime as would have flushed everything, were it not held back.
  for (let n = 0; n < 4 * mebibytes; n++) await new Promise((resolve) => setImmediate(resolve));
  assert(flushedCount < mebibytes, `${flushedCount} MiB were flushed`);
  assert(near.writableLength <= block.length);
  let receivedBytes = 0;
  far.on("data", (bytes) => receivedBytes += bytes.length).resume();
  await flooded;
  await Promise.all([writer.close(), once(far, "end")]);
  assertEquals(receivedBytes, mebibytes << 20);
  far.destroy();
  near.destroy();
});

test("close() of a writer ends a socket, and its peer's answer is still read", async () => {
  const [near, far] = await socketPair();
  const writer = writerTo(near);
  const reader = readerFrom(near);
  writer.writeString("bye");
  void writer.flush();
  const [, ended] = await Promise.all([writer.close(), once(far.resume(), "end")]);
  assertEquals(ended, []);
  far.end("answer");
  await reader.wait(6);
  assertEquals(reader.readString(6), "answer");
  await reader.close();
});

balanced(
  "writerTo() rejects with the error of a Node stream, and nothing is unhandled",
  async () => {
    const failure = new Error("the disk is full");
    const stream = new Writable({ write: (_bytes, _encoding, done) => done(failure) });
    const writer = writerTo(stream);
    writer.writeString("lost");
    void writer.flush({ signal: new AbortController().signal });
    assertStrictEquals(await assertRejects(() => writer.flush(), Error), failure);
    await writer.close();
  },
);

balanced("writerTo() rejects when a Node stream is destroyed, before or amid a flush", async () => {
  const stuck = new Writable({ write() {} });
  const writer = writerTo(stuck);
  writer.writeString("stuck");
  const flushed = writer.flush();
  setImmediate(() => stuck.destroy());
  await assertRejects(() => flushed, Error);
  await writer.close();
  const late = writerTo(stuck);
  late.writeString("late");
  await assertRejects(() => late.flush(), NetpollError, "the stream was destroyed");
  void late.close();
  void writerTo(stuck).close(); // it rejects, and nobody need hear of it
});

balanced("close() of a writer resolves for a Node stream that has ended already", async () => {
  const stream = new PassThrough().resume();
  stream.end();
  await once(stream, "finish");
  await writerTo(stream).close();
  assert(stream.writableFinished);
});

balanced("writerTo() writes to a Node stream in order, in copies of its own", async () => {
  const pieces: Uint8Array[] = [];
  const stream = new Writable({
    write: (bytes, _encoding, done) => (pieces.push(bytes), done()),
  });
  const writer = writerTo(stream);
  const borrowed = sequence(5000);
  writer.writeBinary(borrowed);
  await writer.flush();
  borrowed.fill(0);
  writer.writeBinary(sequence(5000, 5000));
  await writer.close();
  assertEquals(pieces.length, 1); // what was not flushed is dropped
  assertBytes(new Uint8Array(pieces[0]!), sequence(5000));
});
