/**
 * examples/memcached/: its protocols at every split, and its store.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { BinaryProtocol } from "../../examples/memcached/binary.ts";
import type { Protocol, Session } from "../../examples/memcached/session.ts";
import { Store } from "../../examples/memcached/store.ts";
import { TextProtocol } from "../../examples/memcached/text.ts";
import { LinkBuffer } from "../../mod.ts";

const VALUE_BYTES_MAX = 1 << 20;

function newStore(bytesMax = 64 << 20): Store {
  return new Store(bytesMax, VALUE_BYTES_MAX);
}

type Make = (session: Session) => Protocol;
const text: Make = (session) => new TextProtocol(session);
const binary: Make = (session) => new BinaryProtocol(session);

/** The answers to bytes that come in these pieces. */
function answersTo(make: Make, pieces: readonly Uint8Array[], store = newStore()): Buffer {
  using disposer = new DisposableStack();
  const input = disposer.adopt(new LinkBuffer(), (buffer) => buffer.close());
  const output = disposer.adopt(new LinkBuffer(), (buffer) => buffer.close());
  const session: Session = { store, writer: output, isClosing: false };
  const protocol = make(session);
  for (const piece of pieces) {
    input.writeBinary(piece);
    input.flush();
    while (!session.isClosing && protocol.answerNext(input) !== false);
    input.release();
    const needed = protocol.needed(input);
    assert(session.isClosing || needed === 0 || needed > input.length, `${needed} are there`);
  }
  output.flush();
  return Buffer.from(output.readBinary(output.length));
}

/** The answers are the same wherever the bytes are split in two, and when they come one by one. */
function assertEverySplit(make: Make, bytes: Buffer): string {
  const whole = answersTo(make, [bytes]).toString("latin1");
  for (let at = 1; at < bytes.length; at++) {
    const split = answersTo(make, [bytes.subarray(0, at), bytes.subarray(at)]);
    assertEquals(split.toString("latin1"), whole, `split at ${at}`);
  }
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  assertEquals(answersTo(make, single).toString("latin1"), whole);
  return whole;
}

test("TextProtocol answers each command, wherever its bytes are split", () => {
  const requests = [
    ["set a 5 0 2", "hi", "STORED"],
    ["add a 0 0 1", "x", "NOT_STORED"],
    ["append a 0 0 3", "\r\n!", "STORED"],
    ["prepend a 9 0 1 ", ">", "STORED"],
    ["gets a none a", null, "VALUE a 5 6 3\r\n>hi\r\n!\r\nVALUE a 5 6 3\r\n>hi\r\n!\r\nEND"],
    ["cas a 0 0 1 2", "x", "EXISTS"],
    ["cas a 0 0 1 3", "7", "STORED"],
    ["cas none 0 0 1 3", "7", "NOT_FOUND"],
    ["incr a 18446744073709551610", null, "1"],
    ["decr a 5", null, "0"],
    ["incr a x", null, "CLIENT_ERROR invalid numeric delta argument"],
    ["replace a 0 0 0 noreply", "", ""],
    ["get a", null, "VALUE a 0 0\r\n\r\nEND"],
    ["set a 0 0 2", "long", "CLIENT_ERROR bad data chunk"],
    ["ng", null, "ERROR"],
    ["set a 0 0 1000000000", null, "CLIENT_ERROR bad command line format"],
    ["set a -1 0 1", null, "CLIENT_ERROR bad command line format"],
    ["set a 0 0", null, "ERROR"],
    ["__proto__ 1", null, "ERROR"],
    ["touch a -1", null, "TOUCHED"],
    ["get a", null, "END"],
    [`get ${"k".repeat(251)}`, null, "CLIENT_ERROR bad command line format"],
    ["delete a", null, "NOT_FOUND"],
    ["flush_all noreply", null, ""],
    ["verbosity", null, "ERROR"],
  ] as const;
  // A block that is too long leaves its end to be read as a line.
  const bytes = requests.map(([line, block]) => {
    if (block === "long") return `${line}\r\nlo`;
    return `${line}\r\n` + (block === null ? "" : `${block}\r\n`);
  });
  const answers = requests.map(([, , answer]) => answer === "" ? "" : `${answer}\r\n`);
  assertEquals(assertEverySplit(text, Buffer.from(bytes.join(""))), answers.join(""));
});

test("TextProtocol goes on behind a value that is too large, and holds none of it", () => {
  const count = VALUE_BYTES_MAX + 1;
  const bytes = Buffer.concat([
    Buffer.from(`set a 0 0 ${count}\r\n`),
    Buffer.alloc(count, "x"),
    Buffer.from("\r\nget a\r\n"),
  ]);
  const pieces = [bytes.subarray(0, 500_000), bytes.subarray(500_000)];
  assertEquals(
    answersTo(text, pieces).toString(),
    "SERVER_ERROR object too large for cache\r\nEND\r\n",
  );
});

test("TextProtocol closes behind a line that is too long", () => {
  const answer = answersTo(text, [Buffer.alloc(70_000, "x"), Buffer.from("\r\nversion\r\n")]);
  assertEquals(answer.toString(), "CLIENT_ERROR line too long\r\n");
});

/** A request of the binary protocol. */
function request(code: number, key = "", extras = "", value = "", cas = 0n): Buffer {
  const header = Buffer.alloc(24);
  const body = Buffer.from(extras + key + value, "latin1");
  header[0] = 0x80;
  header[1] = code;
  header.writeUInt16BE(key.length, 2);
  header[4] = extras.length;
  header.writeUInt32BE(body.length, 8);
  header.writeUInt32BE(0xdecade00 + code, 12);
  header.writeBigUInt64BE(cas, 16);
  return Buffer.concat([header, body]);
}

/** The answers in short: the code, the status, and what is behind it. */
function shown(bytes: Buffer): string[] {
  const all: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 24 + bytes.readUInt32BE(at + 8);
    assertEquals([bytes[at], bytes.readUInt32BE(at + 12) & 0xff], [0x81, bytes[at + 1]]);
    const extras = bytes[at + 4]!;
    all.push(
      `${bytes[at + 1]} ${bytes.readUInt16BE(at + 6)} ${
        bytes.toString("latin1", at + 24 + extras, end)
      }`,
    );
    at = end;
  }
  return all;
}

test("BinaryProtocol answers each command, wherever its bytes are split", () => {
  const new0 = "\0\0\0\x07\0\0\0\0";
  const by1 = "\0\0\0\0\0\0\0\x01" + "\0\0\0\0\0\0\0\x05" + "\0\0\0\0";
  const bytes = Buffer.concat([
    request(0x01, "a", new0, "hi"),
    request(0x02, "a", new0, "hi"),
    request(0x11, "b", new0, "quiet"),
    request(0x0d, "none"), // GetKQ: silent
    request(0x0d, "b"),
    request(0x0e, "b", "", "er"),
    request(0x00, "b"),
    request(0x05, "b", by1),
    request(0x05, "n", by1),
    request(0x05, "n", by1),
    request(0x01, "a", new0, "x", 77n),
    request(0x01, "a", "", "no extras"),
    request(0x00, "k".repeat(251)),
    request(0x04, "a"),
    request(0x14, "a"),
    request(0x7f),
    request(0x08),
    request(0x00, "b"),
    request(0x0a),
  ]);
  const answers = shown(Buffer.from(assertEverySplit(binary, bytes), "latin1"));
  assertEquals(answers, [
    "1 0 ",
    "2 2 Data exists for key.",
    "13 0 bquiet",
    "14 0 ",
    "0 0 quieter",
    "5 6 Non-numeric server-side value for incr or decr",
    "5 0 \0\0\0\0\0\0\0\x05",
    "5 0 \0\0\0\0\0\0\0\x06",
    "1 2 Data exists for key.",
    "1 4 Invalid arguments",
    "0 4 Invalid arguments",
    "4 0 ",
    "20 1 Not found",
    "127 129 Unknown command",
    "8 0 ",
    "0 1 Not found",
    "10 0 ",
  ]);
});

test("BinaryProtocol refuses a body that is too large, lengths that lie, and what is no request", () => {
  const large = request(0x01, "a", "\0\0\0\0\0\0\0\0", "x".repeat(VALUE_BYTES_MAX + 512));
  const lying = request(0x00, "abc");
  lying.writeUInt16BE(0xffff, 2);
  const pieces = [large.subarray(0, 100_000), large.subarray(100_000), lying, request(0x0a)];
  assertEquals(shown(answersTo(binary, pieces)), [
    "1 3 Too large.",
    "0 4 Invalid arguments",
    "10 0 ",
  ]);
  assertEquals(answersTo(binary, [Buffer.from("get a\r\n".repeat(9)), request(0x0a)]).length, 0);
});

const AT_ONCE = { flags: 0, seconds: 0 };

test("store() forgets the longest unused, when there is no room", () => {
  const store = newStore(10_000);
  const value = Buffer.alloc(880);
  for (let n = 0; n < 9; n++) store.store("set", `k${n}`, value, AT_ONCE);
  assert(store.get("k0") !== undefined);
  for (let n = 9; n < 17; n++) store.store("set", `k${n}`, value, AT_ONCE);
  assert(store.bytes <= 10_000, `${store.bytes} bytes`);
  assertEquals([store.get("k1"), store.counts.evictions], [undefined, 8]);
  assert(store.get("k0") !== undefined, "it was used since");
  for (let n = 0; n < 17; n++) store.delete(`k${n}`);
  assertEquals([store.count, store.bytes], [0, 0]);
});

test("store() keeps nothing whose time is over, and counts no time for 0", () => {
  const store = newStore();
  const now = Math.floor(Date.now() / 1000);
  const keep = (seconds: number) => {
    store.store("set", "a", Buffer.from("x"), { flags: 0, seconds });
    return store.get("a") !== undefined;
  };
  assertEquals([0, 100, now + 100].map(keep), [true, true, true]);
  assertEquals([-1, now - 100, 60 * 60 * 24 * 31].map(keep), [false, false, false]);
  assertEquals([store.count, store.bytes], [0, 0]);
  keep(0);
  store.flush(100);
  assert(store.get("a") !== undefined, "it is flushed later");
  store.flush(0);
  assertEquals(store.get("a"), undefined);
});

test("count64() wraps above 64 bits, stops at 0, and takes no other text for a number", () => {
  const store = newStore();
  const after = (value: string, delta: bigint) => {
    store.store("set", "n", Buffer.from(value), AT_ONCE);
    return store.count64("n", delta);
  };
  assertEquals(after("18446744073709551615", 2n), 1n);
  assertEquals(after("3", -5n), 0n);
  for (const text of ["", "-1", "1 ", "0x1", "18446744073709551616"]) {
    assertEquals(after(text, 1n), null, text);
  }
  assertEquals(store.count64("none", 1n), undefined);
});
