import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { native } from "../../ffi/load.ts";
import { CLOSED, LinkChain } from "../../src/buffer/link_chain.ts";
import { ChainWriter } from "../../src/buffer/writer.ts";
import { NOT_READY } from "../../src/core/errno.ts";
import { fileTransport, socketTransport } from "../../src/transport/descriptor.ts";
import { ReadSize } from "../../src/transport/read_size.ts";
import { receive, send, sending, type Transport } from "../../src/transport/transport.ts";
import { leaks } from "../support/leaks.ts";
import { assertBytes, pattern } from "../support/pair.ts";

/** An owner that only writes: the test itself sends. */
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
