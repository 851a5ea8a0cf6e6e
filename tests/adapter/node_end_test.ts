import { assertEquals, assertStrictEquals } from "@std/assert";
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import { Duplex, PassThrough } from "node:stream";
import { test } from "node:test";
import { endOf } from "../../src/adapter/node_end.ts";
import { EofError, NetpollError } from "../../src/core/errors.ts";

test("endOf() a stream is one, whoever asks, and listens once", () => {
  const stream = new PassThrough();
  assertStrictEquals(endOf(stream), endOf(stream));
  assertEquals(["error", "close"].map((event) => stream.listenerCount(event)), [1, 1]);
  stream.destroy();
});

test("endOf() tells its listeners: of the end, and of the close behind it", async () => {
  const stream = new PassThrough({ allowHalfOpen: true });
  const end = endOf(stream);
  let told = 0;
  end.listeners.add(() => told += 1);
  stream.resume().end();
  await once(stream, "close");
  assertEquals([end.read, told], [{ error: null }, 2]);
  assertEquals(end.write?.error instanceof NetpollError, true);
});

test("endOf() keeps the first reason: that of a stream that fails, now or before", async () => {
  for (const when of ["now", "before"]) {
    const stream = new PassThrough();
    const broken = new Error("broken");
    let end = when === "now" ? endOf(stream) : null;
    const closed = new Promise((resolve) => stream.on("close", resolve));
    stream.on("error", () => {}).destroy(broken);
    await closed;
    end ??= endOf(stream);
    assertEquals([end.read, end.write], [{ error: broken }, { error: broken }]);
  }
});

test("endOf() a stream that was destroyed has a cause, for readers no ordinary end", async () => {
  const stream = new Duplex({ read() {}, write: (_bytes: Buffer, _encoding, done) => done() });
  stream.destroy();
  await once(stream, "close");
  const { read } = endOf(stream);
  assertEquals(read?.error instanceof EofError && read.error.cause instanceof Error, true);
});
