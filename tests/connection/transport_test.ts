import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { ChainWriter } from "../../src/buffer/writer.ts";
import {
  fileTransport,
  FIRST_SIZE,
  onlyWay,
  ReadSize,
  receive,
  send,
  sending,
  socketTransport,
  type Transport,
} from "../../src/connection/transport.ts";
import { NOT_READY } from "../../src/core/errno.ts";
import { READ_BYTES_FIRST, READ_BYTES_MAX } from "../../src/core/limits.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pattern } from "../support/pair.ts";

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

/** What only writes: sending is this test's business. */
class Output extends ChainWriter {
  readonly isWritable = true;
  flush(): Promise<void> {
    return Promise.resolve();
  }
}

/** Sends everything and receives it at the other end: all bytes, and how many calls it took. */
function transfer(io: Transport, write: (writer: Output) => void): [Uint8Array, number] {
  const pair = new Int32Array(2);
  native.socketpair(pair);
  const [output, input] = [new LinkChain(), new LinkChain()];
  const size = new ReadSize();
  write(new Output(output));
  output.publish();
  const total = output.length;
  const drain = () => {
    while (receive(io, pair[1]!, input, size, total) > 0);
  };
  let calls = 0;
  while (output.length > 0) {
    const count = send(io, pair[0]!, output);
    calls += 1;
    assert(count > 0 || count === NOT_READY, `send returned ${count}`);
    if (count === NOT_READY || sending.wasShort) drain();
  }
  drain();
  const bytes = new Uint8Array(input.length);
  input.copyOut(bytes, 0, bytes.length);
  input.close(CLOSED);
  output.close(CLOSED);
  for (const fd of pair) native.close(fd);
  return [bytes, calls];
}

for (const [name, io] of [["sockets", socketTransport], ["files", fileTransport]] as const) {
  test(`the calls for ${name} move one piece, many, and borrowed arrays between them`, () =>
    leaks(() => {
      assertBytes(transfer(io, (writer) => writer.writeBinary(pattern(100)))[0], pattern(100));
      const [bytes] = transfer(io, (writer) => {
        let at = 0;
        for (let i = 0; i < 200; i++) {
          // Copied, in blocks of ours; and every third one borrowed.
          const count = i % 3 === 0 ? 5000 : 900;
          writer.writeBinary(pattern(count, at));
          at += count;
        }
      });
      assertBytes(bytes, pattern(bytes.length));
      assert(bytes.length > 400_000);
    }));
}

test("send() gathers the pieces of a chain into one call", () =>
  leaks(() => {
    const [bytes, calls] = transfer(socketTransport, (writer) => {
      for (let i = 0; i < 10; i++) writer.malloc(4096).set(pattern(4096, i * 4096));
    });
    assertBytes(bytes, pattern(40_960));
    assertEquals(calls, 1);
  }));

test("onlyWay() tells which end of a pipe it is, and null of what is open both ways", () =>
  leaks(() => {
    const pipe = new Int32Array(2);
    assertEquals(native.pipe(pipe), 0);
    const [reading, writing] = pipe as unknown as [number, number];
    const both = native.eventfd();
    assertEquals([reading, writing, both].map(onlyWay), ["reading", "writing", null]);
    for (const fd of [reading, writing, both]) native.close(fd);
  }));
