/**
 * RESP: any values and any bytes, cut anywhere, against a parser of flat arrays.
 */
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  FrameError,
  LinkBuffer,
  resp,
  RespError,
  type RespInput,
  RespNullArray,
  RespPush,
  RespSimple,
  type RespValue,
  RespVerbatim,
} from "../../mod.ts";
import { feed, MEMORIES, randomPieces } from "../codec/cuts.ts";
import type { Random } from "../support/random.ts";
import { type Fault, parseAll, type Plain } from "./resp_reference.ts";
import {
  anyBytes,
  balanced,
  checkRefused,
  joined,
  mutated,
  type Target,
  thrownBy,
} from "./target.ts";

const KINDS = ["lent", "owned", "text", "latin1"] as const;

/** What the codec has read, in the reference's form. Text of UTF-8 comes as its bytes. */
export function plain(value: RespValue<Uint8Array | string>, isBytes: boolean): Plain {
  const all = (values: Iterable<RespValue<Uint8Array | string>>): Plain[] =>
    [...values].map((each) => plain(each, isBytes));
  if (value instanceof Uint8Array) return ["$", Buffer.from(value).toString("latin1")];
  if (value === null) return ["_", ""];
  if (typeof value === "string") return [isBytes ? "+" : "$+", value];
  if (typeof value === "boolean") return ["#", value ? "t" : "f"];
  if (typeof value === "bigint") return ["n", String(value)];
  if (typeof value === "number") return ["number", String(value)];
  if (value instanceof RespError) return ["-", value.message];
  if (value instanceof RespVerbatim) return ["=", `${value.format}:${value.text}`];
  if (value instanceof RespPush) return [">", all(value.values)];
  if (value instanceof Set) return ["~", all(value)];
  if (value instanceof Map) return ["%", [...value].flatMap(([k, v]) => all([k, v]))];
  return ["*", all(value)];
}

/** The reference's values in the form in which the codec's can be compared. */
export function comparable([type, value]: Plain, isBytes: boolean): Plain {
  const isNumber = type === "," || (type === ":" && Number.isSafeInteger(Number(value)));
  if (isNumber) return ["number", String(Number(value) + 0)];
  if (type === ":") return ["n", value];
  if (!isBytes && (type === "$" || type === "+")) return ["$+", value];
  if (typeof value === "string") return [type, value];
  const all = value.map((v) => comparable(v, isBytes));
  return [type, type === "%" ? distinct(all, 2) : type === "~" ? distinct(all, 1) : all];
}

/** JavaScript's maps and sets have each primitive once, at its first place, with its last value. */
function distinct(all: readonly Plain[], step: number): Plain[] {
  const entries = new Map<string, readonly Plain[]>();
  for (let i = 0; i < all.length; i += step) {
    const [type, value] = all[i]!;
    const isPrimitive = ["$+", "+", "number", "n", "#", "_"].includes(type);
    const key = isPrimitive ? `${type}${value}` : `object ${i}`;
    const first = entries.get(key)?.[0] ?? all[i]!;
    entries.set(key, [first, ...all.slice(i + 1, i + step)]);
  }
  return [...entries.values()].flat();
}

/** The values that a codec finds in pieces, and how they end. */
function decoded(
  random: Random,
  options: { bulk: typeof KINDS[number]; frameBytesMax: number; inline?: boolean },
  pieces: readonly Uint8Array[],
): [Plain[], "pending" | Fault] {
  const codec = resp(options as { bulk: "latin1"; frameBytesMax: number });
  const isBytes = options.bulk === "lent" || options.bulk === "owned";
  const memory = random.pick(MEMORIES);
  using buffer = new LinkBuffer();
  const values: Plain[] = [];
  for (const piece of pieces) {
    feed(buffer, piece, memory);
    try {
      for (let value; (value = codec.decode(buffer)) !== undefined;) {
        values.push(plain(value, isBytes));
        buffer.release();
      }
      assert(codec.needed(buffer) > buffer.length, "more is needed than is there");
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      checkRefused(codec, buffer, error);
      assert(error.offset <= buffer.length, `offset ${error.offset} of ${buffer.length}`);
      return [values, error.fault as Fault];
    }
  }
  return [values, "pending"];
}

// ---- bytes --------------------------------------------------------------------------------------

/** A value as it stands on the wire, mostly as it should. */
export function wireValue(random: Random, depth: number, types: string): string {
  const type = random.pick([...types]);
  const text = () => Buffer.from(anyBytes(random, random.below(12))).toString("latin1");
  const line = () => text().replace(/[\r\n]/g, "");
  const digits = () => String(random.below(10 ** random.below(10)));
  switch (type) {
    case "*":
    case "%":
    case "~":
    case ">":
    case "|": {
      const count = depth === 0 ? 0 : random.below(4);
      const all = Array.from(
        { length: "%|".includes(type) ? 2 * count : count },
        () => wireValue(random, depth - 1, types),
      );
      const behind = type === "|" ? wireValue(random, depth, types.replace("|", "")) : "";
      return `${type}${count}\r\n${all.join("")}${behind}`;
    }
    case "$":
    case "!": {
      if (type === "$" && random.chance(0.1)) return random.pick(["$-1\r\n", "*-1\r\n"]);
      const blob = text();
      return `${type}${blob.length}\r\n${blob}\r\n`;
    }
    case "=":
      return ((blob) => `=${blob.length}\r\n${blob}\r\n`)(`txt:${line()}`);
    case ":":
      return `:${random.pick(["", "-"])}${digits()}${
        random.chance(0.1) ? digits() + digits() : ""
      }\r\n`;
    case "_":
      return "_\r\n";
    case "#":
      return random.pick(["#t\r\n", "#f\r\n"]);
    case ",":
      return `,${
        random.pick([digits(), `-${digits()}.${digits()}`, `${digits()}e-3`, "inf", "-inf"])
      }\r\n`;
    case "(":
      return `(${random.pick(["", "-"])}${digits()}${digits()}${digits()}\r\n`;
    default:
      return `${type}${line()}\r\n`;
  }
}

/** All types of both versions. */
export const TYPES = "*%~>|$$$!=:_#,(+-";

function wireBytes(random: Random): Uint8Array {
  const texts = Array.from({ length: 1 + random.below(4) }, () => wireValue(random, 3, TYPES));
  const bytes = new Uint8Array(Buffer.from(texts.join(""), "latin1"));
  return random.chance(0.5) ? mutated(random, bytes) : bytes;
}

function decodeCase(random: Random): void {
  const bytes = wireBytes(random);
  const bulk = random.pick(["lent", "owned", "latin1"] as const);
  const frameBytesMax = random.chance(0.3) ? 1 + random.below(60) : 1 << 20;
  const isBytes = bulk !== "latin1";
  const [values, end] = parseAll(bytes, frameBytesMax);
  const expected = values.map((value) => comparable(value, isBytes));
  // Lines are text, of UTF-8 unless all is latin1: their bytes need not come back.
  const has8Bits = isBytes && bytes.some((byte) => byte >= 0x80);
  for (const pieces of [[bytes], randomPieces(bytes, random)]) {
    const what = `${bulk} ${frameBytesMax} ${
      JSON.stringify(Buffer.from(bytes).toString("latin1"))
    }`;
    const actual = decoded(random, { bulk, frameBytesMax }, pieces);
    assertEquals(actual[1], end, what);
    if (has8Bits) assertEquals(actual[0].length, expected.length, what);
    else assertEquals(actual[0], expected, what);
  }
}

function inlineCase(random: Random): void {
  const words = [
    "GET",
    "a",
    '"b c"',
    "'d'",
    "\\",
    '"\\x41"',
    "*1",
    "$3",
    "\r\n",
    "\n",
    " ",
    "*-5\r\n",
  ];
  const texts = Array.from({ length: random.below(12) }, () => random.pick(words));
  let bytes: Uint8Array = new Uint8Array(Buffer.from(texts.join(random.pick(["", " "])) + "\r\n"));
  if (random.chance(0.3)) bytes = joined([bytes, wireBytes(random)]);
  const options = { bulk: random.pick(KINDS), frameBytesMax: 1 << 20, inline: true };
  const whole = decoded(random, options, [bytes]);
  const what = `${options.bulk} ${JSON.stringify(Buffer.from(bytes).toString("latin1"))}`;
  assertEquals(decoded(random, options, randomPieces(bytes, random)), whole, what);
  assertEquals(decoded(random, options, Array.from(bytes, (b) => Uint8Array.of(b))), whole, what);
}

// ---- values -------------------------------------------------------------------------------------

const NUMBERS = [0, -0, 1, -1, 1.5, 1e300, -1e-300, NaN, Infinity, -Infinity, 2 ** 53 - 1, 2 ** 53];

/** A value to write, and what is read of it, in version 3. */
function someValue(random: Random, depth: number): [RespInput, Plain] {
  const text = () => random.pick(["", "a", "å€🙂", "x".repeat(random.below(200)), "a\r\nb"]);
  const list = (count: number) => Array.from({ length: count }, () => someValue(random, depth - 1));
  switch (random.below(depth === 0 ? 9 : 13)) {
    case 0:
      return ((t) => [t, ["$", Buffer.from(t).toString("latin1")]] as [string, Plain])(text());
    case 1:
      return ((b) => [b, ["$", Buffer.from(b).toString("latin1")]] as [Uint8Array, Plain])(
        anyBytes(random, random.below(300)),
      );
    case 2:
      return ((n) => [n, ["number", String(n + 0)]] as [number, Plain])(random.pick(NUMBERS));
    case 3:
      return [random.pick([null, undefined, new RespNullArray()]), ["_", ""]];
    case 4:
      return random.chance(0.5) ? [true, ["#", "t"]] : [false, ["#", "f"]];
    case 5:
      return ((n) => [n, ["n", String(n)]] as [bigint, Plain])(
        random.pick([2n ** 53n, -(2n ** 63n), 2n ** 63n, -(10n ** 40n)]),
      );
    case 6:
      return [new RespSimple("simple å"), ["+", "simple å"]];
    case 7:
      return ((t) => [new RespError(t), ["-", t]] as [RespError, Plain])(text());
    case 8:
      return ((t) => [new RespVerbatim("txt", t), ["=", `txt:${t}`]] as [RespVerbatim, Plain])(
        text(),
      );
    case 9: {
      const all = list(2 * random.below(4));
      // Keys that are equal would be one.
      const entries = all.filter((_, i) => i % 2 === 0).map(([, p], i) =>
        [
          new RespSimple(`k${i}`),
          all[2 * i + 1]![0],
          ["+", `k${i}`] as Plain,
          all[2 * i + 1]![1],
          p,
        ] as const
      );
      return [
        new Map(entries.map(([k, v]) => [k as RespInput, v])),
        ["%", entries.flatMap(([, , k, v]) => [k, v])],
      ];
    }
    case 10:
      return ((all) =>
        [new RespPush(all.map(([v]) => v) as RespValue[]), [">", all.map(([, p]) => p)]] as [
          RespInput,
          Plain,
        ])(list(1 + random.below(4)));
    default:
      return ((all) => [all.map(([v]) => v), ["*", all.map(([, p]) => p)]] as [RespInput, Plain])(
        list(random.below(5)),
      );
  }
}

function encodeCase(random: Random): void {
  const codec = resp({ version: 3, bulk: "owned" });
  using buffer = new LinkBuffer();
  const expected: Plain[] = [];
  for (let n = 1 + random.below(4); n > 0; n--) {
    const [value, read] = someValue(random, 3);
    codec.encode(buffer, value);
    expected.push(read);
  }
  buffer.flush();
  const bytes = buffer.readBinary(buffer.length);
  for (const pieces of [[bytes], randomPieces(bytes, random)]) {
    const [values, end] = decoded(random, { bulk: "owned", frameBytesMax: 1 << 24 }, pieces);
    assertEquals([values, end], [expected, "pending"]);
  }
  // Version 2 knows fewer types, and loses none of the bytes.
  using second = new LinkBuffer();
  const [value] = someValue(random, 3);
  resp({ version: 2 }).encode(second, value);
  second.flush();
  const [all, rest] = parseAll(second.readBinary(second.length), 1 << 24);
  assertEquals([all.length, rest], [1, "pending"]);
}

/** A value of which a part cannot be written leaves nothing. */
function failingCase(random: Random): void {
  const codec = resp({ version: random.pick([2, 3]), frameBytesMax: 50 + random.below(500) });
  using buffer = new LinkBuffer();
  buffer.writeString("before");
  const [value] = someValue(random, 3);
  const wrong = random.pick<unknown>([Symbol("x"), () => 0, new Date(), new RespSimple("a\nb")]);
  const error = thrownBy(() => codec.encode(buffer, [value, wrong as RespInput, value]));
  assert(error instanceof TypeError || error instanceof RangeError, `${error}`);
  assertEquals(buffer.mallocLength, 6, "a part of it was left");
}

export const RESP_TARGETS: readonly Target[] = [
  {
    name: "resp-decode",
    what: "resp() finds the values that a parser of flat arrays finds, however the bytes are cut",
    run: balanced(decodeCase),
  },
  {
    name: "resp-inline",
    what: "resp({ inline: true }) finds the same words however the bytes are cut",
    run: balanced(inlineCase),
  },
  {
    name: "resp-encode",
    what: "resp() reads back each value that it has written",
    run: balanced(encodeCase),
  },
  {
    name: "resp-failing",
    what: "resp() leaves nothing of a value that it cannot write",
    run: balanced(failingCase),
  },
];
