/**
 * Memory of users, and what they do with it: nobody else is hurt, and the mistake has a name.
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import {
  Connection,
  delimited,
  fixedLength,
  lengthPrefixed,
  lines,
  LinkBuffer,
  NetpollError,
  readerFrom,
  resp,
  varintPrefixed,
  type Writer,
} from "../../mod.ts";
import { check } from "../../src/core/check.ts";
import { native } from "../../ffi/load.ts";
import { leaks } from "../support/leaks.ts";
import { closeAll, pairWith, pattern, receive, send } from "../support/pair.ts";
import { Liar, spoofed } from "../support/spoofed.ts";
import { soon } from "../support/until.ts";

const SIZES = [3, 600, 5000, 100_000] as const;
const TAKEN = "an array was transferred";

/** Arrays of so many bytes "A" that lie. */
function liars(count: number): Uint8Array[] {
  return [
    spoofed(count, count * 40),
    spoofed(count, 0),
    spoofed(count, 1),
    new Liar(new Uint8Array(count).fill(65)),
  ];
}

/** Writes, and returns the bytes that reach the peer. */
async function sent(write: (writer: Writer) => unknown, end = 0): Promise<string> {
  const [a, b] = pairWith();
  write(a.writer);
  void a.writer.flush();
  void a.close();
  const all = await soon(b.reader.wait(1 << 27).catch(() => b.reader.readString(b.reader.length)));
  await closeAll(a, b);
  return end === 0 ? all as string : (all as string).slice(0, end);
}

test("Writer.writeBinary() and writeDirect() send what an array has, whatever it says", () =>
  leaks(async () => {
    for (const size of SIZES) {
      for (const bytes of liars(size)) {
        const as = "A".repeat(size);
        assertEquals(await sent((writer) => writer.writeBinary(bytes)), as);
        assertEquals(await sent((writer) => writer.writeBinary(bytes, { copy: true })), as);
        assertEquals(await sent((writer) => writer.writeDirect(bytes)), as);
      }
    }
  }));

test("encode() counts the bytes that an array has, in every codec", () =>
  leaks(async () => {
    const codecs = [lengthPrefixed(), varintPrefixed(), fixedLength(600), lines(), resp()];
    for (const codec of [...codecs, delimited(new Uint8Array([1, 2]))]) {
      const honest = await sent((writer) => codec.encode(writer, new Uint8Array(600).fill(65)));
      for (const bytes of liars(600)) {
        assertEquals(await sent((writer) => codec.encode(writer, bytes)), honest);
      }
    }
    const whole = lengthPrefixed({ stripBytes: 0 });
    assertEquals((await sent((writer) => whole.encode(writer, spoofed(600, 9)))).length, 600);
  }));

test("a codec finds the delimiter in a frame that hides it", () => {
  const buffer = new LinkBuffer();
  const frame = new Liar([1, 10, 2]);
  assertThrows(() => lines().encode(buffer, frame), RangeError, "contains the delimiter");
  const two = delimited(new Uint8Array([10, 2]));
  assertThrows(() => two.encode(buffer, frame), RangeError, "contains the delimiter");
  buffer.close();
});

test("Reader.indexOf(), until() and waitUntil() look for what a delimiter has", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "xxAAyAA");
    await soon(b.reader.wait(7));
    for (const delimiter of liars(2)) {
      assertEquals(b.reader.indexOf(delimiter), 2);
      assertEquals(await b.reader.waitUntil(delimiter), 4);
      assertEquals(b.reader.peek(b.reader.until(delimiter).length - 1).length, 3);
      await send(a, "xxAA");
      await soon(b.reader.wait(7));
      b.reader.skip(b.reader.length - 4);
      await send(a, "yAA");
      await soon(b.reader.wait(7));
    }
    const waiting = b.reader.waitUntil(spoofed(3, 1));
    await send(a, "A");
    assertEquals(await soon(waiting), 8);
    await closeAll(a, b);
  }));

test("Reader.readInto() fills what an array has, and refuses what is none", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    await send(a, "b".repeat(300));
    await soon(b.reader.wait(300));
    for (const target of [spoofed(100, 4000), spoofed(100, 0), new Liar(100)]) {
      assertEquals(b.reader.readInto(target), 100);
      assertEquals([target[0], target[99]], [98, 98]);
    }
    for (const other of [5, new Uint16Array(4), new Proxy(new Uint8Array(4), {}), null]) {
      assertThrows(
        () => b.reader.readInto(other as never),
        TypeError,
        "read into what is no Uint8",
      );
    }
    await closeAll(a, b);
  }));

test("readerFrom() takes what a piece has, whatever it says", async () => {
  const reader = readerFrom((async function* () {
    for (const bytes of liars(700)) yield bytes;
  })());
  await assertRejects(() => reader.wait(1_000_000));
  assertEquals(reader.readString(reader.length), "A".repeat(2800));
  await reader.close();
});

// ---- taken away while it is borrowed ------------------------------------------------------------

/** Ways to take bytes away from who has borrowed them. */
const THEFTS: Record<string, (bytes: Uint8Array<ArrayBuffer>) => unknown> = {
  transfer: (bytes) => bytes.buffer.transfer(),
  structuredClone: (bytes) => structuredClone(bytes, { transfer: [bytes.buffer] }),
};

for (const [name, take] of Object.entries(THEFTS)) {
  test(`an array that is taken away before its flush fails that connection by name: ${name}`, () =>
    leaks(async () => {
      const [a, b] = pairWith();
      const bytes = new Uint8Array(pattern(10_000));
      a.writer.writeString("head");
      a.writer.writeBinary(bytes);
      a.writer.writeString("tail");
      take(bytes);
      const flushed = a.writer.flush();
      await assertRejects(() => soon(flushed), NetpollError, TAKEN);
      await assertRejects(() => soon(a.closed), NetpollError, TAKEN);
      await assertRejects(() => soon(b.reader.wait(10)));
      assert(!a.isActive && b.reader.length <= 4);
      await closeAll(a, b);
    }));

  test(`an array that is taken away amid its flush fails that connection by name: ${name}`, () =>
    leaks(async () => {
      const [a, b] = pairWith();
      const [c, d] = pairWith();
      const bytes = new Uint8Array(pattern(4 << 20));
      a.writer.writeBinary(bytes);
      const flushed = a.writer.flush();
      take(bytes);
      const read = (async () => {
        for (;;) {
          await b.reader.wait(1);
          b.reader.skip(b.reader.length);
          b.reader.release();
        }
      })();
      await assertRejects(() => soon(flushed), NetpollError, TAKEN);
      await assertRejects(() => soon(read));
      await send(c, "others go on");
      assertEquals(await soon(receive(d, 12)), "others go on");
      await closeAll(a, b, c, d);
    }));
}

test("a pipe's end notices as well that a borrowed array was taken away", () =>
  leaks(async () => {
    const ends = new Int32Array(2);
    check("open a pipe", native.pipe(ends));
    const reading = Connection.fromFd(ends[0]!);
    const writing = Connection.fromFd(ends[1]!);
    const bytes = new Uint8Array(pattern(10_000));
    writing.writer.writeBinary(bytes);
    bytes.buffer.transfer();
    await assertRejects(() => soon(writing.writer.flush()), NetpollError, TAKEN);
    await closeAll(reading, writing);
    assertEquals(reading.metrics().receivedBytes, 0);
  }));

test("a LinkBuffer whose borrowed array was taken away throws a TypeError, and consumes nothing", () => {
  const buffer = new LinkBuffer();
  const bytes = new Uint8Array(pattern(10_000));
  buffer.writeBinary(bytes);
  buffer.flush();
  bytes.buffer.transfer();
  const reads = [
    () => buffer.next(3),
    () => buffer.peek(3),
    () => buffer.readUint8(),
    () => buffer.readUint32BE(),
    () => buffer.readVarint(),
    () => buffer.readString(3),
    () => buffer.readBinary(300),
    () => buffer.readInto(new Uint8Array(9)),
    () => buffer.indexOf(66),
    () => buffer.until(new Uint8Array([66, 67])),
  ];
  for (const read of reads) assertThrows(read, TypeError, "taken away");
  assertEquals(buffer.length, 10_000);
  buffer.close();
});

test("memory that may shrink, grow or is shared is copied when it is written", () =>
  leaks(async () => {
    const resizable = new ArrayBuffer(9000, { maxByteLength: 10_000 });
    const growable = new SharedArrayBuffer(9000, { maxByteLength: 10_000 });
    for (const buffer of [resizable, growable, new SharedArrayBuffer(9000)]) {
      const bytes = new Uint8Array(buffer).fill(65);
      const text = await sent((writer) => {
        writer.writeBinary(bytes);
        writer.writeDirect(bytes, 0);
        bytes.fill(66);
        if (buffer === resizable) resizable.resize(10);
        if (buffer === growable) growable.grow(10_000);
      });
      assertEquals(text, "A".repeat(18_000));
    }
    const outside = new Uint8Array(resizable, 5, 5);
    resizable.resize(6);
    await sent((writer) => {
      assertThrows(() => writer.writeBinary(outside), TypeError, "taken away");
      assertThrows(() => writer.writeDirect(outside), TypeError, "taken away");
    });
  }));

test("Writer takes a Buffer as any Uint8Array, and refuses other views", () =>
  leaks(async () => {
    assertEquals(await sent((writer) => writer.writeBinary(Buffer.from("buffer"))), "buffer");
    const [a, b] = pairWith();
    const others = [new DataView(new ArrayBuffer(9)), new ArrayBuffer(9), new Uint32Array(9)];
    const disguised = Object.setPrototypeOf(new DataView(new ArrayBuffer(9)), Uint8Array.prototype);
    for (const bytes of [...others, disguised, Object.create(Uint8Array.prototype)]) {
      assertThrows(() => a.writer.writeBinary(bytes), TypeError, "what is no Uint8Array");
      assertThrows(() => a.writer.writeDirect(bytes), TypeError, "what is no Uint8Array");
    }
    await closeAll(a, b);
  }));

// ---- our memory, detached -----------------------------------------------------------------------

/** Detaches the slab of a lent view, where the runtime lets one. */
function detach(view: Uint8Array): void {
  try {
    (view.buffer as ArrayBuffer).transfer();
  } catch (error) {
    assert(error instanceof TypeError); // the runtime heeds markAsUntransferable
  }
}

test("a slab that one connection's user detaches stays the memory of the others", () =>
  leaks(async () => {
    const [a, b] = pairWith();
    const [c, d] = pairWith();
    await send(a, "x".repeat(100));
    await send(c, "SECRET-OF-SOMEBODY-ELSE!");
    await soon(receive(d, 24)); // its block is free again
    d.writer.writeString("1"); // takes the block
    await send(c, "0123456789");
    await soon(Promise.all([b.reader.wait(100), d.reader.wait(10)]));
    const writes: ((writer: Writer) => unknown)[] = [
      (writer) => writer.writeString("PUBLIC ANSWER"),
      (writer) => writer.writeString("p".repeat(200)),
      (writer) => writer.writeBinary(pattern(10)),
      (writer) => writer.writeBinary(pattern(600)),
      (writer) => writer.writeUint32BE(7),
      (writer) => writer.malloc(9).fill(1),
      (writer) => writer.writeVarint(300),
    ];
    const expected = new LinkBuffer();
    expected.writeString("1");
    for (const write of writes) {
      detach(b.reader.peek(10));
      write(d.writer);
      write(expected);
    }
    expected.flush();
    const { length } = expected;
    detach(b.reader.peek(10));
    await d.writer.flush();
    await soon(c.reader.wait(length));
    assertEquals(c.reader.readBinary(length), expected.readBinary(length));
    for (const text of ["01", "23"]) {
      detach(b.reader.peek(10));
      assertEquals(d.reader.readString(2), text);
    }
    detach(b.reader.peek(10));
    assertEquals([d.reader.readUint8(), d.reader.indexOf(57)], [52, 4]);
    assertEquals(b.reader.readString(100), "x".repeat(100));
    expected.close();
    await closeAll(a, b, c, d);
  }));
