import { assertEquals, assertThrows } from "@std/assert";
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import { lengthPrefixed, type LengthPrefixedOptions } from "../../src/codec/length_prefixed.ts";
import { FrameError } from "../../src/core/errors.ts";
import { balanced, bufferOf, sequence, textOf } from "../buffer/balanced.ts";
import { assertFrames, assertSurvives, decodeAll, someBytes } from "./cuts.ts";

/** Bytes of hexadecimal text, in which spaces mean nothing and letters in quotes are themselves. */
function wire(hex: string): Uint8Array {
  const bytes: number[] = [];
  for (const [, text, pair] of hex.matchAll(/"([^"]*)"|([0-9a-f]{2})/g)) {
    if (pair !== undefined) bytes.push(parseInt(pair, 16));
    else for (const character of text!) bytes.push(character.charCodeAt(0));
  }
  return Uint8Array.from(bytes);
}

/** The shapes of messages that Netty's documentation of LengthFieldBasedFrameDecoder lists. */
const SHAPES: readonly [string, LengthPrefixedOptions, string, string][] = [
  ["keeps the header", { lengthBytes: 2, stripBytes: 0 }, '000c"HELLO, WORLD"', "\0\fHELLO, WORLD"],
  ["strips the length", { lengthBytes: 2 }, '000c"HELLO, WORLD"', "HELLO, WORLD"],
  [
    "takes a length that counts itself",
    { lengthBytes: 2, adjustmentBytes: -2, stripBytes: 0 },
    '000e"HELLO, WORLD"',
    "\0\x0eHELLO, WORLD",
  ],
  [
    "finds the length behind a header",
    { lengthBytes: 3, offsetBytes: 2, stripBytes: 0 },
    'cafe00000c"HELLO, WORLD"',
    "\xca\xfe\0\0\fHELLO, WORLD",
  ],
  [
    "counts a header behind the length",
    { lengthBytes: 3, adjustmentBytes: 2, stripBytes: 0 },
    '00000ccafe"HELLO, WORLD"',
    "\0\0\f\xca\xfeHELLO, WORLD",
  ],
  [
    "strips one header and the length, and keeps the other",
    { lengthBytes: 2, offsetBytes: 1, adjustmentBytes: 1, stripBytes: 3 },
    'ca000cfe"HELLO, WORLD"',
    "\xfeHELLO, WORLD",
  ],
  [
    "does so with a length that counts everything",
    { lengthBytes: 2, offsetBytes: 1, adjustmentBytes: -3, stripBytes: 3 },
    'ca0010fe"HELLO, WORLD"',
    "\xfeHELLO, WORLD",
  ],
];

for (const [what, options, hex, frame] of SHAPES) {
  balanced(`lengthPrefixed() ${what}, however it is cut`, () => {
    const bytes = wire(hex + hex);
    assertFrames(lengthPrefixed(options), bytes, [frame, frame], textOf);
  });
}

for (const lengthBytes of [1, 2, 3, 4, 8] as const) {
  for (const byteOrder of ["big", "little"] as const) {
    balanced(`lengthPrefixed() reads what it wrote: ${lengthBytes} bytes, ${byteOrder}`, () => {
      const codec = lengthPrefixed({ lengthBytes, byteOrder });
      using buffer = new LinkBuffer();
      for (const text of ["", "a", "x".repeat(200)]) codec.encode(buffer, text);
      buffer.flush();
      const bytes = new Uint8Array(buffer.peek(buffer.length));
      const first = wire("01 00 00 00 00 00 00 00").subarray(0, lengthBytes);
      if (byteOrder === "big") first.reverse();
      assertEquals([...bytes.subarray(lengthBytes, 2 * lengthBytes)], [...first]);
      assertFrames(codec, bytes, ["", "a", "x".repeat(200)], textOf);
    });
  }
}

balanced("lengthPrefixed() reads 3 and 8 bytes of length in full", () => {
  const big = { lengthBytes: 3, frameBytesMax: 2 ** 24 } as const;
  using buffer = bufferOf(wire("010203"));
  assertEquals(lengthPrefixed(big).needed(buffer), 3 + 0x010203);
  assertEquals(lengthPrefixed({ ...big, byteOrder: "little" }).needed(buffer), 3 + 0x030201);
  const long = { lengthBytes: 8, frameBytesMax: 2 ** 30 } as const;
  using eight = bufferOf(wire("00 00 00 00 01 02 03 04"));
  assertEquals(lengthPrefixed(long).needed(eight), 8 + 0x01020304);
  using little = bufferOf(wire("04 03 02 01 00 00 00 00"));
  assertEquals(lengthPrefixed({ ...long, byteOrder: "little" }).needed(little), 8 + 0x01020304);
});

balanced("needed() is the header, and then the frame, when they are not there", () => {
  const codec = lengthPrefixed({ offsetBytes: 2, stripBytes: 0 });
  using buffer = bufferOf(wire("cafe0000"));
  assertEquals(codec.needed(buffer), 6);
  buffer.writeBinary(wire("0009"));
  buffer.flush();
  assertEquals(codec.needed(buffer), 15);
});

balanced("decode() throws for a frame above the maximum, and consumes nothing", () => {
  const codec = lengthPrefixed({ frameBytesMax: 20 });
  using fits = bufferOf(wire('00000010"0123456789abcdef"'));
  assertEquals(textOf(codec.decode(fits)!), "0123456789abcdef");
  for (const hex of ["00000011", "ffffffff"]) {
    using buffer = bufferOf(wire(hex));
    for (const attempt of [() => codec.decode(buffer), () => codec.needed(buffer)]) {
      const error = assertThrows(attempt, FrameError, "frameBytesMax is 20");
      assertEquals([error.fault, error.offset, buffer.length], ["too-long", 0, 4]);
    }
  }
  using huge = bufferOf(wire("ffffffffffffffff"));
  assertThrows(() => lengthPrefixed({ lengthBytes: 8 }).decode(huge), FrameError);
});

balanced("decode() throws for a length that is less than the header", () => {
  const codec = lengthPrefixed({ lengthBytes: 2, offsetBytes: 1, adjustmentBytes: -3 });
  using buffer = bufferOf(wire("ca0002"));
  const error = assertThrows(() => codec.decode(buffer), FrameError, "it is 3 at least");
  assertEquals([error.fault, error.offset, buffer.length], ["malformed", 1, 3]);
  const strips = lengthPrefixed({ lengthBytes: 1, stripBytes: 4 });
  using short = bufferOf(wire("0201"));
  assertThrows(() => strips.decode(short), FrameError, "it is 3 at least");
});

balanced("decode() of hostile bytes throws FrameError or nothing", () => {
  const codec = lengthPrefixed({ lengthBytes: 2, adjustmentBytes: -2, frameBytesMax: 300 });
  assertSurvives(codec, (random) => someBytes(random, random.below(200), "\0\0\0\x02\x03\x05"));
});

balanced("encode() with a kept header fills in the length", () => {
  const codec = lengthPrefixed({ lengthBytes: 2, offsetBytes: 2, stripBytes: 0 });
  for (const frame of [wire('cafe0000"hey"'), bufferOf(wire('cafe0000"hey"'))]) {
    using buffer = new LinkBuffer();
    codec.encode(buffer, frame);
    buffer.flush();
    assertEquals(decodeAll(codec, buffer, textOf), ["\xca\xfe\0\x03hey"]);
    if (!(frame instanceof Uint8Array)) frame.close();
  }
  using buffer = new LinkBuffer();
  assertThrows(() => codec.encode(buffer, "abc"), RangeError, "its header has 4");
});

balanced("encode() leaves nothing of a frame that it refuses", () => {
  using buffer = new LinkBuffer();
  buffer.writeByte(1);
  const short = lengthPrefixed({ lengthBytes: 1 });
  assertThrows(() => short.encode(buffer, sequence(256)), RangeError, "no length of 1 bytes");
  const kept = lengthPrefixed({ offsetBytes: 1, stripBytes: 0, frameBytesMax: 10 });
  assertThrows(() => kept.encode(buffer, sequence(11)), RangeError, "frameBytesMax is 10");
  const lossy = lengthPrefixed({ offsetBytes: 1, stripBytes: 3 });
  assertThrows(() => lossy.encode(buffer, "abc"), TypeError, "use stripBytes: 0");
  assertEquals(buffer.mallocLength, 1);
});

balanced("lengthPrefixed() refuses options that make no sense", () => {
  const wrong: LengthPrefixedOptions[] = [
    { lengthBytes: 5 as 4 },
    { byteOrder: "middle" as "big" },
    { offsetBytes: -1 },
    { stripBytes: 0.5 },
    { adjustmentBytes: NaN },
    { frameBytesMax: 0 },
    { frameBytesMax: 2 ** 31 },
  ];
  for (const options of wrong) assertThrows(() => lengthPrefixed(options), RangeError);
});
