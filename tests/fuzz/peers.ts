/**
 * Parsers of others: those of two Redis clients, of varint and of protobufjs, which npm installs
 * into npm/ (`make -C tests/fuzz peers`).
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { LinkBuffer, resp, varintPrefixed } from "../../mod.ts";
import { decodeAll, feed, MEMORIES, randomPieces } from "../codec/cuts.ts";
import type { Random } from "../support/random.ts";
import { FOLDER } from "./native.ts";
import { comparable, plain, wireValue } from "./resp.ts";
import { parseAll, type Plain } from "./resp_reference.ts";
import { anyBytes, assertBytes, balanced, type Target } from "./target.ts";

const isThere = existsSync(`${FOLDER}npm/node_modules/.package-lock.json`);
const absence = isThere ? null : "needs npm ci in tests/fuzz/npm";
// They have no types that agree with ours.
// deno-lint-ignore no-explicit-any
const load = (name: string): any => createRequire(`${FOLDER}npm/`)(name);

const MOST = 1 << 20;

function wireOf(random: Random, types: string): Uint8Array {
  const texts = Array.from({ length: 1 + random.below(4) }, () => wireValue(random, 3, types));
  return new Uint8Array(Buffer.from(texts.join(""), "latin1"));
}

/** All values that are in bytes, as our codec says. */
function oursOf(random: Random, bytes: Uint8Array): Plain[] {
  using buffer = new LinkBuffer();
  const codec = resp({ bulk: "owned", frameBytesMax: MOST });
  const memory = random.pick(MEMORIES);
  return randomPieces(bytes, random).flatMap((piece) => {
    feed(buffer, piece, memory);
    return decodeAll(codec, buffer, (value) => plain(value, true)) as Plain[];
  });
}

/** A value of theirs in the reference's form. */
function theirs(value: unknown): Plain {
  const all = (values: Iterable<unknown>) => [...values].map(theirs);
  if (Buffer.isBuffer(value)) return ["$", value.toString("latin1")];
  if (value === null) return ["_", ""];
  if (typeof value === "string") return ["+", value];
  if (typeof value === "boolean") return ["#", value ? "t" : "f"];
  if (typeof value === "bigint") return ["n", String(value)];
  if (typeof value === "number") return ["number", String(value + 0)];
  if (value instanceof Error) return ["-", value.message];
  if (value instanceof Map) return ["%", [...value].flatMap(([k, v]) => all([k, v]))];
  if (value instanceof Set) return ["~", all(value)];
  if (Array.isArray(value)) return ["*", all(value)];
  const { format } = value as { format?: string };
  return ["=", `${format}:${value}`];
}

/**
 * Whether bytes mean the same to all: no 8-bit lines, of which text in UTF-8 keeps no bytes, and no
 * integer beyond 64 bits, which ours refuses.
 */
function isPlain(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80) && !/:-?\d{19}/.test(Buffer.from(bytes).toString());
}

/** Integers as they come, whatever they are to JavaScript. */
function withText([type, value]: Plain): Plain {
  if (typeof value !== "string") return [type, value.map(withText)];
  return [
    type === "number" || type === "n" ? "+" : type,
    value.replace(/^(-?)0+(?=\d)/, "$1").replace(/^-0$/, "0"),
  ];
}

function redisParserCase(random: Random): void {
  const Parser = load("redis-parser");
  const bytes = wireOf(random, "**$$:+-");
  if (!isPlain(bytes)) return;
  const found: Plain[] = [];
  const parser = new Parser({
    returnReply: (value: unknown) => found.push(theirs(value)),
    returnError: (error: unknown) => found.push(theirs(error)),
    returnFatalError: (error: unknown) => {
      throw error;
    },
    returnBuffers: true,
    stringNumbers: true,
  });
  for (const piece of randomPieces(bytes, random)) parser.execute(Buffer.from(piece));
  // It gives simple strings as buffers and integers as text: so do we, for this.
  const bytesAlone = (plain: Plain): Plain => {
    const [type, value] = withText(plain);
    if (typeof value !== "string") return [type, value.map(bytesAlone)];
    return [type === "+" ? "$" : type, value];
  };
  const what = Buffer.from(bytes).toString("latin1");
  assertEquals(found.map(bytesAlone), oursOf(random, bytes).map(bytesAlone), what);
}

/** What the client maps each type to, so that nothing of it is lost. */
const MAPPING = { 36: Buffer, 37: Map, 126: Set, 61: undefined as unknown };

function redisClientCase(random: Random): void {
  const { Decoder } = load("@redis/client/dist/lib/RESP/decoder.js");
  const { VerbatimString } = load("@redis/client/dist/lib/RESP/verbatim-string.js");
  const bytes = wireOf(random, "**%~$$!=:_#,(+-");
  if (!isPlain(bytes)) return;
  const found: Plain[] = [];
  const add = (value: unknown) => found.push(theirs(value));
  const decoder = new Decoder({
    onReply: add,
    onErrorReply: add,
    onPush: add,
    getTypeMapping: () => ({ ...MAPPING, 61: VerbatimString }),
  });
  for (const piece of randomPieces(bytes, random)) decoder.write(Buffer.from(piece));
  // An integer is a number to it, however large: some of its digits are lost then.
  const [values] = parseAll(bytes, MOST);
  const rounded = (plain: Plain): Plain => {
    const [type, value] = plain;
    if (type === ":" || type === "number") {
      if (value === "large") return plain;
      const number = Number(value) + 0;
      return ["number", Math.abs(number) > Number.MAX_SAFE_INTEGER ? "large" : String(number)];
    }
    return typeof value === "string" ? comparable(plain, true) : [type, value.map(rounded)];
  };
  const what = Buffer.from(bytes).toString("latin1");
  const hasSets = /[%~]/.test(what); // of which both have made their own already
  assertEquals(found.length, oursOf(random, bytes).length, what);
  if (!hasSets) {
    assertEquals(
      found.map(rounded),
      values.map((value) => rounded(rounded(value))),
      what,
    );
  }
}

function varintCase(random: Random): void {
  const varint = load("varint");
  const value = Math.floor(2 ** random.below(53) * random.next());
  using buffer = new LinkBuffer();
  buffer.writeVarint(value);
  buffer.flush();
  const bytes = buffer.readBinary(buffer.length);
  assertEquals([...bytes], varint.encode(value), `${value}`);
  assertEquals(varint.decode(bytes), value);
  const text = anyBytes(random, 1 + random.below(9));
  buffer.writeBinary(text);
  buffer.flush();
  let read: number | null = null;
  try {
    read = varint.decode(text);
  } catch { /* it is cut off, or too long */ }
  try {
    const ours = buffer.readVarint();
    if (read !== null) assertEquals(ours, read, `[${text}]`);
  } catch (error) {
    assert(error instanceof RangeError, `[${text}]: ${error}`);
    assert(read === null || read > Number.MAX_SAFE_INTEGER, `[${text}] is ${read}`);
  }
}

function protobufCase(random: Random): void {
  const { Reader, Writer } = load("protobufjs/minimal");
  const frame = anyBytes(random, random.chance(0.8) ? random.below(200) : random.below(40_000));
  const codec = varintPrefixed();
  using buffer = new LinkBuffer();
  codec.encode(buffer, frame);
  buffer.flush();
  const wire = buffer.readBinary(buffer.length);
  assertBytes(wire, new Uint8Array(Writer.create().bytes(frame).finish()), "encoded");
  assertBytes(new Uint8Array(Reader.create(wire).bytes()), frame, "decoded by protobufjs");
  buffer.writeBinary(wire);
  buffer.flush();
  assertBytes(codec.decode(buffer)!, frame, "decoded by us");
  buffer.release();
}

export const PEER_TARGETS: readonly Target[] = [
  {
    name: "redis-parser",
    what: "resp() reads what redis-parser reads",
    absence,
    run: balanced(redisParserCase),
  },
  {
    name: "redis-client",
    what: "resp() reads what @redis/client reads",
    absence,
    run: balanced(redisClientCase),
  },
  {
    name: "npm-varint",
    what: "varints are those of varint of npm",
    absence,
    run: balanced(varintCase),
  },
  {
    name: "protobufjs",
    what: "varintPrefixed() writes and reads what protobufjs does",
    absence,
    run: balanced(protobufCase),
  },
];
