/**
 * Readers and writers over the sockets of the runtimes themselves, each against a connection of ours:
 * what is held back, and what becomes of an end, an error and a wait that is given up.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "node:test";
import {
  bytesOf,
  type Connection,
  EofError,
  readableOf,
  type Reader,
  writableOf,
} from "../../mod.ts";
import { assertBytes, pattern, receive, send } from "../support/pair.ts";
import { type Ends, KINDS } from "../support/socket_ends.ts";
import { soon, ticks } from "../support/until.ts";

const MIB = 1 << 20;
/** More than the kernel holds for a connection, in both directions of it. */
const FLOOD_MIB = 64;

async function readAll(reader: Reader, count: number): Promise<Uint8Array> {
  const all = new Uint8Array(count);
  for (let at = 0; at < count;) {
    await reader.wait(1);
    const bytes = reader.next(Math.min(reader.length, count - at));
    all.set(bytes, at);
    at += bytes.length;
    reader.release();
  }
  return all;
}

/** Writes and flushes MiB after MiB. How many were flushed so far. */
function flood(writer: Connection["writer"]): { flushedMib: number; done: Promise<void> } {
  const block = pattern(MIB);
  const flooding = { flushedMib: 0, done: Promise.resolve() };
  flooding.done = (async () => {
    for (; flooding.flushedMib < FLOOD_MIB; flooding.flushedMib++) {
      writer.writeBinary(block, { copy: true });
      await writer.flush();
    }
  })();
  return flooding;
}

/** Someone who sends everything is held back while nobody reads, and everything comes once he does. */
async function isHeldBack(writer: Connection["writer"], reader: Reader): Promise<void> {
  const flooding = flood(writer);
  // As many turns of the runtime as would have sent everything, were it not held back.
  await ticks(8 * FLOOD_MIB);
  assert(flooding.flushedMib < FLOOD_MIB, `${flooding.flushedMib} MiB were flushed`);
  const block = pattern(MIB);
  for (let n = 0; n < FLOOD_MIB; n++) assertBytes(await readAll(reader, MIB), block, `MiB ${n}`);
  await soon(flooding.done, "the last flush");
}

const CASES: Record<string, (ends: Ends) => Promise<void>> = {
  "carries bytes both ways at once": async ([theirs, ours]) => {
    const sent = pattern(4 * MIB);
    for (const { writer } of [theirs, ours]) {
      writer.writeBinary(sent, { copy: true });
      void writer.flush();
    }
    const received = await Promise.all([theirs, ours].map((each) => readAll(each.reader, 4 * MIB)));
    for (const bytes of received) assertBytes(bytes, sent);
  },
  "holds back who flushes while the peer reads nothing": async ([theirs, ours]) => {
    ours.pauseRead();
    const flooding = flood(theirs.writer);
    await ticks(8 * FLOOD_MIB);
    assert(flooding.flushedMib < FLOOD_MIB, `${flooding.flushedMib} MiB were flushed`);
    ours.resumeRead();
    for (let n = 0; n < FLOOD_MIB; n++) assertBytes(await readAll(ours.reader, MIB), pattern(MIB));
    await soon(flooding.done, "the last flush");
  },
  "holds back the peer while nobody waits": ([theirs, ours]) =>
    isHeldBack(ours.writer, theirs.reader),
  "ends one side: the peer's answer to the end still comes": async ([theirs, ours]) => {
    theirs.writer.writeString("question");
    await theirs.writer.flush();
    await theirs.writer.close();
    assertEquals(await receive(ours, 8), "question");
    const end = await assertRejects(() => ours.reader.wait(1), EofError);
    assertEquals(end.cause, undefined);
    await send(ours, "answer");
    await theirs.reader.wait(6);
    assertEquals(theirs.reader.readString(6), "answer");
  },
  "tells of the peer's end, and can still answer": async ([theirs, ours]) => {
    await send(ours, "question");
    await ours.closeWrite();
    await theirs.reader.wait(8);
    const end = await assertRejects(() => theirs.reader.wait(9), EofError);
    assertEquals([end.cause, theirs.reader.readString(8)], [undefined, "question"]);
    theirs.writer.writeString("answer");
    await theirs.writer.flush();
    assertEquals(await receive(ours, 6), "answer");
  },
  "tells of a reset: waits and flushes reject": async ([theirs, ours]) => {
    const waiting = assertRejects(() => theirs.reader.wait(1), Error);
    ours.reset();
    await soon(waiting, "the wait rejects");
    await assertRejects(async () => {
      for (let n = 0; n < FLOOD_MIB; n++) {
        theirs.writer.writeString("lost");
        await soon(theirs.writer.flush(), "the flush settles");
      }
    }, Error);
  },
  "gives up a wait by its signal, and nothing is lost": async ([theirs, ours]) => {
    const aborting = new AbortController();
    const waiting = theirs.reader.wait(5, { signal: aborting.signal });
    const given = new Error("enough");
    aborting.abort(given);
    assertEquals(await assertRejects(() => waiting, Error), given);
    await send(ours, "whole");
    await theirs.reader.wait(5);
    assertEquals(theirs.reader.readString(5), "whole");
  },
  "gives up a flush by its signal, and its bytes still leave": async ([theirs, ours]) => {
    ours.pauseRead();
    const sent = pattern(16 * MIB);
    theirs.writer.writeBinary(sent, { copy: true });
    const aborting = new AbortController();
    const flushing = theirs.writer.flush({ signal: aborting.signal });
    aborting.abort(new Error("enough"));
    await assertRejects(() => flushing, Error, "enough");
    ours.resumeRead();
    assertBytes(await readAll(ours.reader, sent.length), sent);
    await theirs.writer.flush();
  },
  "goes through streams of the web and back": async ([theirs, ours]) => {
    const sent = pattern(4 * MIB);
    const piped = new Blob([sent as Uint8Array<ArrayBuffer>]).stream()
      .pipeThrough(new CompressionStream("gzip")).pipeTo(writableOf(theirs.writer))
      .then(() => theirs.writer.close());
    const plain = readableOf(ours.reader)
      .pipeThrough(new DecompressionStream("gzip") as TransformStream<Uint8Array, Uint8Array>);
    assertBytes(new Uint8Array(await new Response(plain).arrayBuffer()), sent);
    await piped;
    await send(ours, "answer");
    await ours.closeWrite();
    let text = "";
    for await (const bytes of bytesOf(theirs.reader)) text += new TextDecoder().decode(bytes);
    assertEquals(text, "answer");
  },
};

for (const [kind, make] of Object.entries(KINDS)) {
  for (const [what, check] of Object.entries(CASES)) {
    test(`${kind} ${what}`, async () => {
      const ends = await make();
      try {
        await check(ends);
      } finally {
        ends[1].reset();
        await ends[0].close();
      }
    });
  }
}
