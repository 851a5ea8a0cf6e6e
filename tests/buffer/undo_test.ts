import { assertEquals, assertThrows } from "@std/assert";
import { chainIfAny } from "../../src/buffer/chained.ts";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { move, onTakenBack, wholly } from "../../src/buffer/undo.ts";
import type { Writer } from "../../src/buffer/writer.ts";
import { ClosedError, TornFrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, bytesOfText } from "../buffer/balanced.ts";

/** Writes, and fails. */
function failing(write: (writer: LinkBuffer) => void): (writer: LinkBuffer) => void {
  return (writer) => {
    write(writer);
    throw new Error("on purpose");
  };
}

function run(write: (writer: LinkBuffer) => void, writer: LinkBuffer): void {
  wholly((by, to) => by(to as LinkBuffer), write, writer as Writer, null);
}

function assertFails(write: (writer: LinkBuffer) => void, writer: LinkBuffer): void {
  assertThrows(() => run(failing(write), writer), Error, "on purpose");
}

balanced("wholly() takes back what was written, and gives back what was moved", () => {
  using writer = new LinkBuffer();
  writer.writeString("kept");
  using first = bufferOf("read,flushed,");
  first.writeString("written");
  first.skip(5);
  using second = bufferOf("second");
  using whole = bufferOf("whole slice");
  using slice = whole.slice(5);
  assertFails((to) => {
    to.writeString("a");
    to.append(first);
    to.writeString("into the room of the first");
    to.append(second);
    to.append(slice);
    to.writeBinary(bytesOfText("b".repeat(10_000)));
  }, writer);
  assertEquals([writer.mallocLength, writer.length], [4, 0]);
  assertEquals([first.length, first.mallocLength], [8, 7]);
  first.writeString(", and more");
  first.flush();
  assertEquals(first.readString(first.length), "flushed,written, and more");
  assertEquals([second.readString(6), slice.readString(5)], ["second", "whole"]);
  assertThrows(() => slice.writeString("x"), TypeError, "slice");
  writer.writeString(" and sent");
  writer.flush();
  assertEquals(writer.readString(writer.length), "kept and sent");
});

balanced("wholly() leaves a chain without memory that had none", () => {
  using writer = new LinkBuffer();
  using part = bufferOf("part");
  assertFails((to) => to.append(part), writer);
  assertEquals(chainIfAny(writer)!.heldBytes, 0);
  run((to) => to.append(part), writer);
  assertEquals(writer.mallocLength, 4);
});

balanced("wholly() within another takes back its own; the outer one takes back both", () => {
  using writer = new LinkBuffer();
  using outer = bufferOf("outer");
  using inner = bufferOf("inner");
  assertFails((to) => {
    to.append(outer);
    assertFails((again) => again.append(inner), to);
    assertEquals([to.mallocLength, inner.length], [5, 5]);
    run((again) => again.append(inner), to);
  }, writer);
  assertEquals([writer.mallocLength, outer.length, inner.length], [0, 5, 5]);
});

balanced("wholly() does not give back what was dropped or broken up in between", () => {
  using writer = new LinkBuffer();
  const parts = ["one", "two", "three"].map(bufferOf);
  assertFails((to) => {
    for (const part of parts) to.append(part);
    to.writeDirect(bytesOfText("!"), 7); // amid "two"
    to.mallocAck(10); // and "three" ends early
  }, writer);
  assertEquals([writer.mallocLength, parts[0]!.length], [0, 3]);
  for (const part of parts.slice(1)) assertThrows(() => part.peek(1), TypeError, "appended");
  parts[0]!.close();
});

balanced("wholly() says so when a part was flushed, or others' bytes were dropped", () => {
  using writer = new LinkBuffer();
  assertThrows(() =>
    run(
      failing((to) => {
        to.writeString("half");
        to.flush();
      }),
      writer,
    ), TornFrameError);
  writer.writeString("others'");
  assertThrows(() => run(failing((to) => to.mallocAck(0)), writer), TornFrameError);
  const closing = failing((to) => to.close());
  assertThrows(() => run(closing, writer), Error, "on purpose");
  assertThrows(() => run(() => {}, writer), ClosedError);
});

balanced("onTakenBack() is heard of an attempt that failed, and of no other", () => {
  using writer = new LinkBuffer();
  let count = 0;
  const undo = { undo: () => void (count += 1), disturb() {} };
  onTakenBack(writer, undo);
  run((to) => onTakenBack(to, undo), writer);
  assertEquals(count, 0);
  assertFails((to) => run((again) => onTakenBack(again, undo), to), writer);
  assertEquals(count, 1);
});

balanced("move() outside of an attempt is for good", () => {
  using writer = new LinkBuffer();
  const part = bufferOf("part");
  move(chainIfAny(writer)!, chainIfAny(part)!, part);
  assertFails((to) => to.writeString("x"), writer);
  assertEquals(writer.mallocLength, 4);
  assertThrows(() => part.peek(1), TypeError, "appended");
});
