import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { bytesOf, readableOf } from "../../src/adapter/readable.ts";
import { readerFrom } from "../../src/adapter/source_reader.ts";
import { EofError } from "../../src/core/errors.ts";
import { assertBytes, balanced, bytesOfText, sequence, textOf } from "../buffer/balanced.ts";
import { pairWith } from "../support/pair.ts";

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield bytesOfText(text);
}

// deno-lint-ignore require-yield
async function* failing(error: unknown): AsyncGenerator<Uint8Array> {
  throw await error;
}

async function allOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  let all = "";
  const kept: Uint8Array[] = [];
  for await (const bytes of source) kept.push(bytes); // owned: they may be kept
  for (const bytes of kept) all += textOf(bytes);
  return all;
}

balanced("bytesOf() gives everything up to the end (netpoll 90)", async () => {
  const reader = readerFrom(pieces("hello", " ", "world"));
  await reader.wait(7);
  assertEquals(reader.readString(2), "he");
  assertEquals(await allOf(bytesOf(reader)), "llo world");
  await reader.close();
});

balanced("bytesOf() gives pieces of at most 1 MiB", async () => {
  const reader = readerFrom(async function* () {
    yield sequence(2_500_000);
  }());
  const lengths = [];
  for await (const bytes of bytesOf(reader)) lengths.push(bytes.length);
  assertEquals(lengths, [1048576, 1048576, 402848]);
  await reader.close();
});

balanced("bytesOf() that is left early leaves the reader usable", async () => {
  const reader = readerFrom(pieces("one", "two"));
  for await (const bytes of bytesOf(reader)) {
    assertEquals(textOf(bytes), "one");
    break;
  }
  await reader.wait(3);
  assertEquals(reader.readString(3), "two");
  await reader.close();
});

balanced("bytesOf() throws what went wrong: a reset is no end", async () => {
  for (const error of [new Error("broken"), new EofError("reset", { cause: "ECONNRESET" })]) {
    const reader = readerFrom(failing(error));
    assertStrictEquals(await assertRejects(() => allOf(bytesOf(reader)), Error), error);
    await reader.close();
  }
});

balanced("readableOf() is a stream of everything", async () => {
  const reader = readerFrom(pieces("hello", " ", "world"));
  assertEquals(await new Response(readableOf(reader)).text(), "hello world");
  await reader.close();
});

balanced("readableOf() reads nothing before it is asked to", async () => {
  let asked = 0;
  const reader = readerFrom(async function* () {
    asked += 1;
    yield sequence(3);
  }());
  const stream = readableOf(reader).getReader();
  assertEquals(asked, 0);
  assertBytes((await stream.read()).value!, sequence(3));
  assertEquals(asked, 1);
  await stream.cancel();
  await reader.close();
});

balanced("readableOf() that is cancelled ends its wait and leaves the reader usable", async () => {
  const gate = Promise.withResolvers<void>();
  const reader = readerFrom(async function* () {
    await gate.promise;
    yield bytesOfText("late");
  }());
  const stream = readableOf(reader).getReader();
  const pending = stream.read();
  await stream.cancel();
  assertEquals((await pending).done, true);
  gate.resolve();
  await reader.wait(4);
  assertEquals(reader.readString(4), "late");
  await reader.close();
});

balanced("readableOf() fails as its reader does", async () => {
  const error = new Error("broken");
  const reader = readerFrom(failing(error));
  assertStrictEquals(
    await assertRejects(() => readableOf(reader).getReader().read(), Error),
    error,
  );
  await reader.close();
});

balanced("bytesOf() of a connection gives what the peer sent until it ended", async () => {
  const [ours, theirs] = pairWith();
  const sent = sequence(300_000);
  theirs.writer.writeBinary(sent);
  const flushed = theirs.writer.flush();
  const closed = flushed.then(() => theirs.close());
  const received = new Uint8Array(sent.length);
  let at = 0;
  for await (const bytes of bytesOf(ours.reader)) {
    received.set(bytes, at);
    at += bytes.length;
  }
  assertEquals(at, sent.length);
  assertBytes(received, sent);
  await closed;
  await ours.close();
});

balanced("cancel() of a readableOf() drops nothing, when bytes come at the same time", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const sink = writable.getWriter();
  const reader = readerFrom(readable);
  for (let hops = 0; hops < 20; hops++) {
    const stream = readableOf(reader).getReader();
    const read = stream.read();
    void sink.write(Uint8Array.of(hops));
    for (let n = 0; n < hops; n++) await Promise.resolve();
    void stream.cancel();
    const { value } = await read;
    if (value === undefined) await reader.wait(1);
    assertEquals(value?.[0] ?? reader.readByte(), hops);
  }
  await reader.close();
});

balanced("bytesOf() and readableOf() of what is no reader throw where they are called", () => {
  for (const value of [undefined, null, 5, {}, Symbol("s")]) {
    assertThrows(() => bytesOf(value as never), TypeError, "Cannot read ");
    assertThrows(() => readableOf(value as never), TypeError, "Cannot read ");
  }
});
