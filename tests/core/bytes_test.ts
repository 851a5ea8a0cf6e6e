import { assert, assertEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import {
  bufferOf,
  byteCount,
  copyInto,
  isFixed,
  offsetOf,
  plainView,
  presentCount,
} from "../../src/core/bytes.ts";
import { spoofed } from "../support/spoofed.ts";

test("byteCount() and its like see through properties of an array's own, and through a subclass", () => {
  class Longer extends Uint8Array {
    override get length(): number {
      return 1000;
    }
  }
  const lying = spoofed(8, 1000);
  assertEquals([lying.length, byteCount(lying), byteCount(new Longer(9))], [1000, 8, 9]);
  assertEquals([bufferOf(lying).byteLength, offsetOf(lying)], [8, 0]);
  const plain = plainView(lying);
  assertEquals([plain.length, plain.buffer.byteLength, plain[7]], [8, 8, 65]);
  assertEquals(plainView(new Uint8Array(new ArrayBuffer(9), 2, 3)).byteOffset, 2);
});

/** Arrays whose memory is gone, in each way that it can go, and whether they were empty before. */
function goneArrays(): Uint8Array[] {
  const resizable = (count: number) => new ArrayBuffer(count, { maxByteLength: 32 } as object);
  const shrunk = resizable(16) as ArrayBuffer & { resize(count: number): void };
  const outside = [
    new Uint8Array(shrunk, 8, 8),
    new Uint8Array(shrunk, 8),
    new Uint8Array(shrunk, 0, 16),
  ];
  shrunk.resize(4);
  const transferred = [new Uint8Array(8), new Uint8Array(0), new Uint8Array(resizable(8))];
  for (const { buffer } of transferred) {
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  }
  return [...outside, ...transferred];
}

test("presentCount() tells an array without memory from an empty one", () => {
  for (const gone of goneArrays()) {
    assertEquals(byteCount(gone), 0);
    assertThrows(() => presentCount(gone, "use"), TypeError, "Cannot use bytes that were taken");
  }
  const shrunk = new ArrayBuffer(8, { maxByteLength: 8 } as object);
  const following = new Uint8Array(shrunk);
  (shrunk as ArrayBuffer & { resize(count: number): void }).resize(0);
  for (const empty of [new Uint8Array(0), new Uint8Array(new ArrayBuffer(8), 8), following]) {
    assertEquals(presentCount(empty, "use"), 0);
  }
  assertEquals(presentCount(new Uint8Array(3), "use"), 3);
});

test("byteCount() of what is no Uint8Array is a TypeError that says what was to be done", () => {
  const empty = Object.create(Uint8Array.prototype);
  const others = [null, 5, "text", [1], new ArrayBuffer(3), new DataView(new ArrayBuffer(3))];
  const arrays = [new Uint16Array(3), new Uint8ClampedArray(3), new Proxy(new Uint8Array(3), {})];
  for (const other of [empty, ...others, ...arrays]) {
    assertThrows(
      () => byteCount(other as never, "send"),
      TypeError,
      "Cannot send what is no Uint8",
    );
  }
  assertThrows(() => byteCount("text" as never), TypeError, "new TextEncoder() encodes it");
});

test("byteCount() is 0 when the bytes were transferred, or a buffer has shrunk below them", () => {
  const gone = new Uint8Array(9);
  gone.buffer.transfer();
  const buffer = new ArrayBuffer(9, { maxByteLength: 9 });
  const outside = new Uint8Array(buffer, 4, 5);
  buffer.resize(8);
  assertEquals([byteCount(gone), byteCount(outside)], [0, 0]);
});

test("copyInto() does not ask the target's class", () => {
  class Deaf extends Uint8Array {
    override set(): void {}
  }
  const target = new Deaf(4);
  copyInto(target, new Uint8Array([1, 2]), 1);
  assertEquals([...target], [0, 1, 2, 0]);
});

test("isFixed() is false of memory that may change behind its owner's back", () => {
  assert(isFixed(new ArrayBuffer(1)));
  const resizable = new ArrayBuffer(1, { maxByteLength: 2 });
  Object.defineProperty(resizable, "resizable", { value: false });
  for (const buffer of [resizable, new SharedArrayBuffer(1)]) assert(!isFixed(buffer));
});
