import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { bytesOf } from "../../src/adapter/readable.ts";
import { writerTo } from "../../src/adapter/sink_writer.ts";
import { readerFrom } from "../../src/adapter/source_reader.ts";
import { ClosedError, EofError } from "../../src/core/errors.ts";
import { balanced, bytesOfText } from "../buffer/balanced.ts";

/** A readable that is given its bytes by the test. */
function emptyReadable(): Readable {
  return new Readable({ read() {} });
}

balanced("readerFrom() reads a Node stream to its end, no faster than it is asked to", async () => {
  const stream = new PassThrough({ highWaterMark: 1024 });
  const reader = readerFrom(stream);
  let writtenCount = 0;
  const filled = (async () => {
    for (; writtenCount < 100; writtenCount++) {
      if (!stream.write(new Uint8Array(1024))) await once(stream, "drain");
    }
    stream.end();
  })();
  for (let n = 0; n < 100; n++) await new Promise((resolve) => setImmediate(resolve));
  assert(writtenCount < 10, `${writtenCount} pieces went in before anybody waited`);
  let length = 0;
  for await (const bytes of bytesOf(reader)) length += bytes.length;
  assertEquals(length, 100 * 1024);
  await filled;
  await reader.close();
});

balanced(
  "readerFrom() gives out what came before a Node stream failed, then its error",
  async () => {
    const failure = new Error("the line is cut");
    const stream = emptyReadable();
    const reader = readerFrom(stream);
    stream.push(bytesOfText("half"));
    await reader.wait(4);
    stream.destroy(failure); // nobody waits: it must not end the process
    await new Promise<void>((resolve) => stream.on("close", resolve));
    assertStrictEquals(await assertRejects(() => reader.wait(5), Error), failure);
    assertEquals(reader.readString(4), "half");
    await reader.close();
  },
);

balanced("readerFrom() tells a Node stream that was destroyed from one that ended", async () => {
  const stream = emptyReadable();
  const reader = readerFrom(stream);
  const waited = reader.wait(1);
  stream.destroy();
  const error = await assertRejects(() => waited, EofError, "destroyed before its end");
  assert(error.cause !== undefined);
  await assertRejects(() => readerFrom(stream).wait(1), EofError, "destroyed before its end");
  await reader.close();
});

balanced("readerFrom() finds the end of a Node stream that has ended already", async () => {
  const stream = new PassThrough().resume();
  stream.end();
  await once(stream, "end");
  await assertRejects(() => readerFrom(stream).wait(1), EofError, "the source has ended");
});

balanced(
  "close() of a reader ends a pending wait and destroys a stream that only reads",
  async () => {
    const stream = emptyReadable();
    const reader = readerFrom(stream);
    const waited = reader.wait(1);
    void reader.close();
    await assertRejects(() => waited, ClosedError);
    assert(stream.destroyed);
  },
);

test("readerFrom() leaves a socket's other side alone: at the peer's end, and when it is closed", async () => {
  for (const closes of [false, true]) {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const [[socket]] = await Promise.all([once(server, "connection"), once(client, "connect")]);
    server.close();
    const reader = readerFrom(socket as Socket);
    client.end("question");
    await reader.wait(8);
    assertEquals(reader.readString(8), "question");
    await assertRejects(() => reader.wait(1), EofError);
    if (closes) await reader.close();
    const writer = writerTo(socket as Socket);
    writer.writeBinary(new Uint8Array(4 << 20));
    void writer.flush();
    let received = 0;
    client.on("data", (bytes) => received += bytes.length);
    await Promise.all([writer.close(), once(client, "end")]);
    assertEquals(received, 4 << 20);
    await reader.close();
  }
});

test("readerFrom() takes any number of aborted waits: nothing is lost, no listener is left", async () => {
  const stream = new PassThrough();
  const reader = readerFrom(stream);
  const before = stream.listenerCount("readable");
  for (let n = 0; n < 100; n++) {
    const controller = new AbortController();
    const waited = reader.wait(1, { signal: controller.signal });
    controller.abort(new Error("given up"));
    await assertRejects(() => waited, Error, "given up");
  }
  assertEquals(stream.listenerCount("readable"), before);
  stream.write("x");
  await reader.wait(1);
  assertEquals(reader.readString(1), "x");
  await reader.close();
});
