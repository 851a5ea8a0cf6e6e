import { assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { test } from "node:test";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { resp, type RespOptions } from "../../src/codec/resp.ts";
import {
  RespError,
  type RespInput,
  RespPush,
  RespSimple,
  type RespValue,
  RespVerbatim,
} from "../../src/codec/resp_value.ts";
import { configure } from "../../src/core/config.ts";
import { FrameError } from "../../src/core/errors.ts";
import {
  assertBytes,
  balanced,
  bufferOf,
  bytesOfText,
  sequence,
  textOf,
} from "../buffer/balanced.ts";
import { assertFrames, assertSurvives, decodeAll, someBytes } from "./cuts.ts";

/** A value that can be compared: maps, sets and classes say what they are. */
function plain(value: RespValue<Uint8Array | string>): unknown {
  if (value instanceof Uint8Array) return { bytes: textOf(value) };
  if (value instanceof RespError) return { error: value.message };
  if (value instanceof RespVerbatim) return { ...value };
  if (value instanceof RespPush) return { push: value.values.map(plain) };
  if (value instanceof Set) return { set: [...value].map(plain) };
  if (value instanceof Map) return { map: [...value].map(([k, v]) => [plain(k), plain(v)]) };
  if (typeof value === "bigint") return { bigint: String(value) };
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Texts on the wire and their values, from the specification at redis.io. */
const VALUES: readonly [string, unknown][] = [
  ["+OK\r\n", "OK"],
  ["+\r\n", ""],
  ["-ERR unknown command\r\n", { error: "ERR unknown command" }],
  [":0\r\n", 0],
  [":-1234\r\n", -1234],
  [":+7\r\n", 7],
  [":9007199254740991\r\n", 9007199254740991],
  [":9223372036854775807\r\n", { bigint: "9223372036854775807" }],
  [":-9223372036854775808\r\n", { bigint: "-9223372036854775808" }],
  ["$5\r\nhello\r\n", { bytes: "hello" }],
  ["$0\r\n\r\n", { bytes: "" }],
  ["$4\r\n\r\n\r\n\r\n", { bytes: "\r\n\r\n" }],
  ["$-1\r\n", null],
  ["*-1\r\n", null],
  ["_\r\n", null],
  ["*0\r\n", []],
  ["*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [{ bytes: "GET" }, { bytes: "k" }]],
  ["*3\r\n:1\r\n*2\r\n+a\r\n*0\r\n_\r\n", [1, ["a", []], null]],
  ["#t\r\n", true],
  ["#f\r\n", false],
  [",3.25\r\n", 3.25],
  [",-1.5e3\r\n", -1500],
  [",10\r\n", 10],
  [",inf\r\n", Infinity],
  [",-inf\r\n", -Infinity],
  [",nan\r\n", NaN],
  ["(3492890328409238509324850943850943825024385\r\n", {
    bigint: "3492890328409238509324850943850943825024385",
  }],
  ["!21\r\nSYNTAX invalid syntax\r\n", { error: "SYNTAX invalid syntax" }],
  ["=15\r\ntxt:Some string\r\n", { format: "txt", text: "Some string" }],
  ["%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n", { map: [["first", 1], ["second", 2]] }],
  ["%0\r\n", { map: [] }],
  ["~3\r\n+a\r\n:1\r\n#t\r\n", { set: ["a", 1, true] }],
  [">2\r\n+message\r\n$2\r\nhi\r\n", { push: ["message", { bytes: "hi" }] }],
  ["|1\r\n+key-popularity\r\n%1\r\n$1\r\na\r\n,0.1\r\n*1\r\n:9543892\r\n", [9543892]],
  ["*2\r\n:1\r\n|1\r\n+ttl\r\n:3600\r\n:2\r\n", [1, 2]],
  ["|0\r\n:1\r\n", 1],
];

balanced("decode() reads every type of RESP2 and RESP3", () => {
  const codec = resp();
  for (const [bytes, value] of VALUES) {
    using buffer = bufferOf(bytes);
    assertEquals(decodeAll(codec, buffer, plain), [value], bytes);
    assertEquals(buffer.length, 0, bytes);
  }
});

balanced("decode() reads the same however it is cut", () => {
  const all = VALUES.map(([bytes]) => bytes).join("");
  assertFrames(resp(), bytesOfText(all), VALUES.map(([, value]) => value), plain);
});

balanced("decode() makes of a string what was asked for", () => {
  const bytes = "*2\r\n$5\r\nhello\r\n$2\r\n\xc3\xa9\r\n";
  assertFrames(resp({ bulk: "text" }), bytesOfText(bytes), [["hello", "é"]], plain);
  assertFrames(
    resp({ bulk: "owned" }),
    bytesOfText(bytes),
    [[{ bytes: "hello" }, { bytes: "\xc3\xa9" }]],
    plain,
  );
  using buffer = bufferOf("$5\r\nhello\r\n$5\r\nhello\r\n");
  const { buffer: memory } = buffer.peek(1);
  assertStrictEquals((resp().decode(buffer) as Uint8Array).buffer, memory, "lent");
  const owned = resp({ bulk: "owned" }).decode(buffer) as Uint8Array;
  assertEquals(owned.buffer.byteLength, 5);
});

balanced("resp() keeps every byte of latin1 strings, both ways", () => {
  const codec = resp({ bulk: "latin1", inline: true });
  const every = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const long = every.repeat(40);
  const bytes = bytesOfText(
    `*3\r\n$256\r\n${every}\r\n$2\r\n\xc3\xa9\r\n$0\r\n\r\n\xff \xc3\xa9\r\n`,
  );
  assertFrames(codec, bytes, [[every, "\xc3\xa9", ""], ["\xff", "\xc3\xa9"]], plain);
  for (const text of ["", "\xe9", every, long]) {
    assertEquals(encoded(text, { bulk: "latin1" }), `$${text.length}\r\n${text}\r\n`);
    using buffer = new LinkBuffer();
    codec.encode(buffer, [text, new RespSimple("\xe9"), new RespError("ERR \xff")]);
    buffer.flush();
    const [blob, simple, error] = codec.decode(buffer) as [string, string, RespError];
    assertEquals([blob, simple, error.message], [text, "\xe9", "ERR \xff"]);
  }
});

balanced("decode() takes commands without RESP, where it was asked to", () => {
  const codec = resp({ inline: true, bulk: "text" });
  const bytes = bytesOfText("PING\r\n  SET  key value \n\r\n*1\r\n$4\r\nQUIT\r\n");
  assertFrames(codec, bytes, [["PING"], ["SET", "key", "value"], [], ["QUIT"]], plain);
  assertFrames(
    resp({ inline: true }),
    bytesOfText("GET k\r\n"),
    [[{ bytes: "GET" }, { bytes: "k" }]],
    plain,
  );
  using nested = bufferOf("*1\r\nPING\r\n");
  assertThrows(() => codec.decode(nested), FrameError, '"P" is no type');
});

balanced("decode() throws for what is no RESP, says where, and consumes nothing", () => {
  const wrong: [string, number][] = [
    ["PING\r\n", 0],
    ["x", 0],
    ["$x\r\n", 0],
    ["$-2\r\n", 0],
    ["$+5\r\nhello\r\n", 0],
    ["$\r\n", 0],
    ["*1\r\n$3\r\nabcde", 11],
    ["$3\r\nabc\rx", 8],
    ["%-1\r\n", 0],
    ["!-1\r\n", 0],
    ["*?\r\n", 0],
    [":12a\r\n", 0],
    [":\r\n", 0],
    [":-\r\n", 0],
    [":99999999999999999999999\r\n", 0],
    ["#x\r\n", 0],
    ["_x\r\n", 0],
    [",abc\r\n", 0],
    ["(1.5\r\n", 0],
    ["*2\r\n:1\r\n(x\r\n", 8],
    ["+OK\n", 3],
    ["+a\rb\r\n", 2],
    ["=3\r\nabc\r\n", 9],
    ["=4\r\nabcd\r\n", 10],
  ];
  for (const [text, offset] of wrong) {
    using buffer = bufferOf(text);
    const error = assertThrows(() => resp().decode(buffer), FrameError);
    assertEquals([error.fault, buffer.length], ["malformed", text.length], text);
    if (!text.startsWith("=")) assertEquals(error.offset, offset, text);
  }
});

balanced("decode() throws as soon as a value can only be above the maximum", () => {
  const codec = resp({ frameBytesMax: 50 });
  for (const text of ["$50\r\n", "*17\r\n", "%9\r\n", "*1\r\n$42\r\n", `+${"x".repeat(50)}`]) {
    using buffer = bufferOf(text);
    const error = assertThrows(() => codec.decode(buffer), FrameError, "frameBytesMax is 50");
    assertEquals([error.fault, buffer.length], ["too-long", text.length], text);
  }
  using fits = bufferOf(`$43\r\n${"x".repeat(43)}\r\n`);
  assertEquals((codec.decode(fits) as Uint8Array).length, 43);
});

balanced("decode() bounds how deep values lie in each other", () => {
  using fits = bufferOf("*1\r\n".repeat(32) + ":1\r\n");
  assertInstanceOf(resp().decode(fits), Array);
  using deep = bufferOf("*1\r\n".repeat(33) + ":1\r\n");
  const error = assertThrows(() => resp().decode(deep), FrameError, "32 levels");
  assertEquals(error.offset, 32 * 4);
});

balanced("decode() of hostile bytes throws FrameError or nothing", () => {
  const few = "*$:+-_#,(!=%~>|0123\r\n\r\n\r\nt";
  for (const inline of [false, true]) {
    const codec = resp({ frameBytesMax: 100, inline });
    assertSurvives(codec, (random) => someBytes(random, random.below(120), few));
    // Values that are right but for a byte.
    assertSurvives(codec, (random) => {
      const bytes = bytesOfText(VALUES.map(() => random.pick(VALUES)[0]).join(""));
      bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    });
  }
});

balanced("one codec serves many streams, each of which is somewhere else", () => {
  const codec = resp({ bulk: "text" });
  const streams = Array.from({ length: 4 }, () => new LinkBuffer());
  const seen: unknown[] = [];
  for (const character of "*2\r\n$1\r\na\r\n$2\r\nbc\r\n") {
    for (const stream of streams) {
      stream.writeString(character);
      stream.flush();
      seen.push(...decodeAll(codec, stream, plain));
    }
  }
  assertEquals(seen, Array.from({ length: 4 }, () => ["a", "bc"]));
  for (const stream of streams) stream.close();
});

balanced("in debug mode lent strings are taken away by release()", () => {
  configure({ debug: true });
  using buffer = bufferOf("*2\r\n$1\r\na\r\n%1\r\n$1\r\nk\r\n~1\r\n$1\r\nv\r\n>1\r\n$1\r\np\r\n");
  const [a, map] = resp().decode(buffer) as [Uint8Array, Map<Uint8Array, Set<Uint8Array>>];
  const { values } = resp().decode(buffer) as RespPush;
  const [[key, set]] = [...map] as [[Uint8Array, Set<Uint8Array>]];
  const views = [a, key, ...set, ...values as Uint8Array[]];
  assertEquals(views.map(textOf), ["a", "k", "v", "p"]);
  buffer.release();
  assertEquals(views.map((view) => view.length), [0, 0, 0, 0]);
});

function encoded(value: RespInput, options: RespOptions = {}): string {
  using buffer = new LinkBuffer();
  resp(options as RespOptions<"lent">).encode(buffer, value);
  buffer.flush();
  return textOf(buffer.peek(buffer.length));
}

balanced("encode() writes every type, in both versions", () => {
  const both: [RespInput, string][] = [
    ["é", "$2\r\n\xc3\xa9\r\n"],
    [bytesOfText("a\r\n"), "$3\r\na\r\n\r\n"],
    [7, ":7\r\n"],
    [2n ** 63n - 1n, ":9223372036854775807\r\n"],
    [["GET", "k"], "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"],
    [new RespSimple("OK"), "+OK\r\n"],
    [new RespError("ERR no"), "-ERR no\r\n"],
    [[], "*0\r\n"],
  ];
  for (const [value, wire] of both) {
    assertEquals([encoded(value), encoded(value, { version: 3 })], [wire, wire]);
  }
  const apart: [RespInput, string, string][] = [
    [null, "$-1\r\n", "_\r\n"],
    [undefined, "$-1\r\n", "_\r\n"],
    [true, ":1\r\n", "#t\r\n"],
    [false, ":0\r\n", "#f\r\n"],
    [1.5, "$3\r\n1.5\r\n", ",1.5\r\n"],
    [-Infinity, "$4\r\n-inf\r\n", ",-inf\r\n"],
    [Infinity, "$3\r\ninf\r\n", ",inf\r\n"],
    [NaN, "$3\r\nnan\r\n", ",nan\r\n"],
    [2n ** 63n, "$19\r\n9223372036854775808\r\n", "(9223372036854775808\r\n"],
    [new Map([["a", 1]]), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"],
    [new Set([1]), "*1\r\n:1\r\n", "~1\r\n:1\r\n"],
    [new RespPush<string>(["m"]), "*1\r\n$1\r\nm\r\n", ">1\r\n$1\r\nm\r\n"],
    [new RespVerbatim("txt", "hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"],
    [new RespError("ERR a\r\nb"), "-ERR a b\r\n", "!8\r\nERR a\r\nb\r\n"],
  ];
  for (const [value, two, three] of apart) {
    assertEquals([encoded(value), encoded(value, { version: 3 })], [two, three]);
  }
});

balanced("decode() reads what encode() wrote in version 3", () => {
  const value = [1, "a", null, true, 1.5, 2n ** 70n, new Map([["k", new Set(["v"])]])];
  using buffer = new LinkBuffer();
  const codec = resp({ version: 3, bulk: "text" });
  codec.encode(buffer, value);
  buffer.flush();
  assertEquals(plain(codec.decode(buffer)!), plain(value as RespValue<string>));
});

balanced("encode() links long strings, which are lent again without a copy", () => {
  const long = sequence(100_000);
  using buffer = new LinkBuffer();
  resp().encode(buffer, ["SET", "k", long]);
  buffer.flush();
  const [, , bytes] = resp().decode(buffer) as Uint8Array[];
  assertStrictEquals(bytes!.buffer, long.buffer);
  assertBytes(bytes!, long);
});

balanced("encode() leaves nothing of a value that it refuses", () => {
  using buffer = new LinkBuffer();
  buffer.writeByte(1);
  const cycle: RespInput[] = [];
  cycle.push(cycle);
  const wrong: unknown[] = [
    ["a", () => {}],
    ["a", new Date()],
    ["a", Symbol("a")],
    ["a", new RespSimple("a\nb")],
    ["a", new RespVerbatim("long", "")],
    cycle,
  ];
  for (const value of wrong) {
    let error: unknown;
    try {
      resp({ version: 3 }).encode(buffer, value as RespInput);
    } catch (thrown) {
      error = thrown;
    }
    assertEquals(error instanceof TypeError || error instanceof RangeError, true, String(error));
    assertEquals(buffer.mallocLength, 1);
  }
});

test("resp() refuses options that make no sense", () => {
  for (
    const options of [{ bulk: "view" }, { version: 4 }, { frameBytesMax: 0 }, { version: "3" }]
  ) {
    assertThrows(() => resp(options as unknown as RespOptions<"lent">), RangeError);
  }
});

// A parse that began anew with each piece would look at 2^39 bytes: hours.
for (const kind of ["$", "*"]) {
  test(`decode() looks at each byte once: a million pieces of one "${kind}"`, () => {
    const codec = resp({ frameBytesMax: 2 ** 21, bulk: "text" });
    using buffer = new LinkBuffer();
    const count = 2 ** 20;
    const text = kind === "$"
      ? `$${count}\r\n${"x".repeat(count)}\r\n`
      : `*${count / 4}\r\n${":1\r\n".repeat(count / 4)}`;
    let value: unknown;
    for (let i = 0; i < text.length; i++) {
      buffer.writeUint8(text.charCodeAt(i));
      buffer.flush();
      value = codec.decode(buffer);
      if (value !== undefined) assertEquals(i, text.length - 1);
    }
    assertEquals((value as string | unknown[]).length, kind === "*" ? count / 4 : count);
  });
}
