import { assert, assertEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { resp } from "../../src/codec/resp.ts";
import {
  RespError,
  type RespInput,
  RespPush,
  RespSimple,
  RespVerbatim,
} from "../../src/codec/resp_value.ts";
import { FrameError } from "../../src/core/errors.ts";
import { RESP_DIGITS_MAX } from "../../src/core/limits.ts";
import { balanced, bufferOf } from "../buffer/balanced.ts";
import { seededRandom } from "../support/random.ts";
import { takenBytes } from "./failing_pieces.ts";

const WRONG: readonly unknown[] = [
  takenBytes(),
  Symbol("none"),
  {},
  () => 0,
  new RespSimple("two\nlines"),
  new RespVerbatim("long format", "text"),
  new RespSimple(5 as unknown as string),
  new RespVerbatim("txt", {} as string),
  new Proxy(new Uint8Array(4), {}),
  10n ** BigInt(RESP_DIGITS_MAX),
];

balanced("encode() leaves nothing, wherever the value is that fails", () => {
  const random = seededRandom(process.env["SEED"]);
  const codec = resp({ version: 3 });
  for (let run = 0; run < 500; run++) {
    let value = random.pick(WRONG) as RespInput;
    for (let depth = random.below(5); depth > 0; depth--) {
      const values: RespInput[] = ["text", 1.5, new Uint8Array(5000), null, ["a"]];
      values.splice(random.below(values.length + 1), 0, value);
      const as = random.below(4);
      if (as === 0) value = new Map(values.map((each, i) => [i, each]));
      else if (as === 1) value = new Set(values);
      else value = as === 2 ? new RespPush(values as string[]) : values;
    }
    using writer = new LinkBuffer();
    writer.writeString("before");
    assertThrows(() => codec.encode(writer, value), Error, "", `SEED=${random.seed}, ${run}`);
    assertEquals(writer.mallocLength, 6, `SEED=${random.seed}, run ${run}`);
  }
});

balanced("encode() leaves nothing when a getter throws", () => {
  using writer = new LinkBuffer();
  const values = ["a", "b"];
  Object.defineProperty(values, 1, {
    get() {
      throw new TypeError("on purpose");
    },
  });
  assertThrows(() => resp().encode(writer, values), TypeError, "on purpose");
  assertEquals(writer.mallocLength, 0);
});

balanced("encode() refuses what its own decode would find too long", () => {
  for (const frameBytesMax of [10, 100, 5000]) {
    const codec = resp({ frameBytesMax, bulk: "text", version: 3 });
    const long = "x".repeat(frameBytesMax / 2);
    const tooLong: RespInput[] = [
      "x".repeat(frameBytesMax),
      new Uint8Array(frameBytesMax),
      new RespSimple("x".repeat(frameBytesMax - 2)),
      Array(frameBytesMax).fill(null),
      new Set(Array.from({ length: frameBytesMax }, (_, i) => i)),
      [[long], [long]],
    ];
    for (const value of tooLong) {
      using buffer = new LinkBuffer();
      assertThrows(() => codec.encode(buffer, value), RangeError, `is ${frameBytesMax}`);
      assertEquals(buffer.mallocLength, 0);
    }
    using buffer = new LinkBuffer();
    codec.encode(buffer, new RespSimple("x".repeat(frameBytesMax - 3)));
    buffer.flush();
    assertEquals(buffer.length, frameBytesMax);
    assertEquals(codec.decode(buffer), "x".repeat(frameBytesMax - 3));
  }
});

balanced("encode() looks at no more values than its maximum has room for", () => {
  let lookCount = 0;
  const endless = (length: number, value: RespInput) =>
    new Proxy([] as RespInput[], {
      get: (_, name) => name === "length" ? length : (lookCount += 1, value),
    });
  // Few objects, and 2^60 values: each holds the one below it a thousand times.
  let nested: RespInput = ["x"];
  for (let level = 0; level < 6; level++) nested = endless(1024, nested);
  const codec = resp({ frameBytesMax: 1000, version: 3 });
  const pushed = new RespPush(nested as never[]);
  for (const value of [endless(1e6, null), endless(1e6, "x".repeat(500)), nested, pushed]) {
    lookCount = 0;
    using writer = new LinkBuffer();
    assertThrows(() => codec.encode(writer, value), RangeError, "frameBytesMax is 1000");
    assertEquals(writer.mallocLength, 0);
    assert(lookCount <= 1000, `${lookCount} values were looked at`);
  }
});

balanced("encode() refuses an array whose length is none", () => {
  for (const length of [NaN, 1.5, "2", undefined]) {
    using writer = new LinkBuffer();
    const values = new Proxy([], { get: () => length }) as RespInput[];
    assertThrows(() => resp().encode(writer, values), TypeError, "is no array");
    assertThrows(
      () => resp().encode(writer, new RespPush("ab" as never)),
      TypeError,
      "is no array",
    );
    assertEquals(writer.mallocLength, 0);
  }
});

balanced("encode() refuses a line whose bytes, once cut to latin1, are several", () => {
  const cut = "OK\u010d\u010a:666";
  for (const text of [cut, cut.repeat(100), "a\u0d0a", "\u200d"]) {
    using buffer = new LinkBuffer();
    const codec = resp({ bulk: "latin1" });
    assertThrows(() => codec.encode(buffer, new RespSimple(text)), RangeError, "several lines");
    assertThrows(() => codec.encode(buffer, new RespError(text)), RangeError, "several lines");
    assertEquals(buffer.mallocLength, 0);
  }
});

balanced("encode() writes one value, whatever text is cut to latin1 in it", () => {
  const cut = "OK\u010d\u010a:666";
  const values: RespInput[] = [
    cut,
    [cut, cut.repeat(100)],
    new Map([[cut, cut]]),
    new RespVerbatim("txt", cut),
    new RespError(cut),
    new RespPush([cut]),
  ];
  const codec = resp({ bulk: "latin1", version: 3 });
  for (const value of values) {
    using buffer = new LinkBuffer();
    codec.encode(buffer, value);
    buffer.flush();
    codec.decode(buffer);
    assertEquals(buffer.length, 0);
  }
});

balanced(
  "encode() writes as many values as it has announced, whatever an array makes of it",
  () => {
    const odd = ["x", "y"];
    Object.defineProperty(odd, Symbol.iterator, { value: () => ["a", "b", "c"].values() });
    const growing: string[] = ["a", "b"];
    Object.defineProperty(growing, 0, { get: () => growing.push("more") });
    for (const value of [odd, growing]) {
      using buffer = new LinkBuffer();
      const codec = resp();
      codec.encode(buffer, value);
      buffer.flush();
      assertEquals((codec.decode(buffer) as unknown[]).length, 2);
      assertEquals(buffer.length, 0);
    }
  },
);

balanced("numbers have at most RESP_DIGITS_MAX digits, both ways", () => {
  const codec = resp({ version: 3 });
  for (const sign of ["", "-"]) {
    const largest = BigInt(sign + "9".repeat(RESP_DIGITS_MAX));
    using buffer = new LinkBuffer();
    codec.encode(buffer, largest);
    buffer.flush();
    assertEquals(codec.decode(buffer), largest);
    assertThrows(() => codec.encode(buffer, largest * 10n), RangeError, "4096 digits");
    for (const type of ["(", ",", ":"]) {
      using long = bufferOf(`${type}${sign}${"9".repeat(RESP_DIGITS_MAX + 2)}\r\n`);
      const { length } = long;
      assertEquals(assertThrows(() => codec.decode(long), FrameError).fault, "malformed");
      assertEquals(long.length, length);
    }
  }
});
