/**
 * examples/ingest/: records at every split, and batches of lines.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Batches, type LogFile } from "../../examples/ingest/batches.ts";
import { records, toLine } from "../../examples/ingest/record.ts";
import { everySplit, FrameError, frames, LinkBuffer } from "../../mod.ts";
import { ticks } from "../support/until.ts";

test("records.decode() tells lines from texts behind their length, wherever the bytes are split", async () => {
  const counted = (text: string) => `${Buffer.byteLength(text)} ${text}`;
  const texts = ["<13>a line", '{"json":true}', "<14>two\nlines", "<1>é", "", "plain"];
  const stream = [
    ...["<13>a line\n", '{"json":true}\r\n', counted("<14>two\nlines"), counted("<1>é\n")],
    ...["\n", "plain\n"],
  ].join("");
  const counts = await everySplit(async (sender, receiver) => {
    sender.writer.writeString(stream);
    await sender.writer.flush();
    await sender.closeWrite();
    const heard: string[] = [];
    for await (const text of frames(receiver, records)) heard.push(text);
    assertEquals(heard, texts);
  }, { casesMax: 1000 });
  assert(counts.cases > stream.length, `${counts.cases} cases`);
});

test("records.decode() throws for what has no end, or no length", () => {
  const thrown = (text: string) => {
    const buffer = new LinkBuffer();
    try {
      buffer.writeString(text);
      buffer.flush();
      return assertThrows(() => records.decode(buffer), FrameError).fault;
    } finally {
      buffer.close();
    }
  };
  assertEquals(thrown("x".repeat(70_000)), "too-long");
  for (const text of ["99999 <1>", "123456", "12x <1>", "1-", "999999999999 x"]) {
    assertEquals(thrown(text), "malformed", text);
  }
});

test("toLine() makes one line of JSON of whatever comes", () => {
  const lines: [string, string, unknown][] = [
    ["<13>1 text", "syslog", { severity: "notice", text: "text" }],
    ["<13>two\nlines", "syslog", { severity: "notice", text: "two lines" }],
    ["<999>text", "other", { text: "<999>text" }],
    ['{"a":\n1}', "json", { a: 1 }],
    ["{nonsense", "other", { text: "{nonsense" }],
    ["a\nb", "other", { text: "a\nb" }],
  ];
  for (const [text, kind, value] of lines) {
    const [gotKind, line] = toLine(text);
    assertEquals([gotKind, JSON.parse(line), line.includes("\n")], [kind, value, false]);
  }
});

/** A file whose writes end when the test says so. */
class SlowFile implements LogFile {
  readonly writes: string[] = [];
  isClosed = false;
  #next = Promise.withResolvers<void>();

  appendFile(text: string): Promise<void> {
    this.writes.push(text);
    return this.#next.promise;
  }

  /** Ends the write that is under way, well or not. */
  async end(error?: Error): Promise<void> {
    const { resolve, reject } = this.#next;
    this.#next = Promise.withResolvers();
    if (error === undefined) resolve();
    else reject(error);
    await ticks(2);
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

test("Batches gather lines while others are written, and tell when there is room", async () => {
  const file = new SlowFile();
  const batches = new Batches(file, () => {});
  batches.add("a");
  batches.add("b");
  await ticks(1);
  batches.add("c");
  batches.add("d");
  assertEquals(file.writes, ["a\nb\n"]);
  batches.add("x".repeat(5 << 20));
  assert(batches.isFull);
  let hasRoom = false;
  void batches.room().then(() => hasRoom = true);
  const closing = batches.close();
  await ticks(2);
  assertEquals([hasRoom, file.isClosed], [false, false]);
  await file.end();
  assertEquals([hasRoom, batches.isFull, file.writes.length], [true, false, 2]);
  await file.end();
  await closing;
  assertEquals([file.isClosed, batches.writeCount], [true, 2]);
  assertEquals(file.writes[1]!.length, 5 + (5 << 20));
});

test("Batches say once that a file cannot be written to, and hold up nobody then", async () => {
  const file = new SlowFile();
  const errors: unknown[] = [];
  const batches = new Batches(file, (error) => void errors.push(error));
  batches.add("a");
  await ticks(1);
  batches.add("x".repeat(5 << 20));
  const room = batches.room();
  const error = new Error("the disk is full");
  await file.end(error);
  await room;
  batches.add("b");
  await ticks(2);
  await batches.close();
  assertEquals([errors, file.writes.length, batches.isFull], [[error], 1, false]);
});
