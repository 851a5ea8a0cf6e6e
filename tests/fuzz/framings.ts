/**
 * Framings, each as a codec and as a few lines on a flat array that say where frames end.
 */
import { Buffer } from "node:buffer";
import {
  type ByteCodec,
  delimited,
  fixedLength,
  lengthPrefixed,
  type LengthPrefixedOptions,
  lines,
  varintPrefixed,
} from "../../mod.ts";
import type { Random } from "../support/random.ts";
import { anyBytes } from "./target.ts";

/** The next frame in bytes: where it begins and ends, and what it takes away. */
export interface Found {
  readonly from: number;
  readonly to: number;
  readonly wireBytes: number;
}

/** The answer about bytes: a frame, none yet, or the fault that they have. */
export type Look = Found | "pending" | "too-long" | "malformed";

/** A framing. */
export interface Framing {
  readonly name: string;
  readonly codec: ByteCodec;
  /** What flat arrays say. */
  readonly look: (bytes: Uint8Array) => Look;
  /** A frame as it is on the wire; null for one that cannot be encoded. */
  readonly wire: (frame: Uint8Array) => Uint8Array | null;
  /** A frame of a length that may be written. */
  readonly frame: (random: Random) => Uint8Array;
}

const FRAME_BYTES_MAX = 300;

function lengthOf(bytes: Uint8Array, isLittle: boolean): number {
  const high = isLittle ? [...bytes].reverse() : [...bytes];
  return Number(high.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n));
}

function lengthBytesOf(length: number, count: number, isLittle: boolean): Uint8Array | null {
  if (length < 0 || length >= 256 ** count) return null;
  const bytes = new Uint8Array(count);
  for (let i = count - 1, rest = length; i >= 0; i--, rest = Math.floor(rest / 256)) {
    bytes[i] = rest % 256;
  }
  return isLittle ? bytes.reverse() : bytes;
}

function lengthFraming(random: Random): Framing {
  const lengthBytes = random.pick([1, 2, 3, 4, 8] as const);
  const byteOrder = random.pick(["big", "little"] as const);
  const offsetBytes = random.chance(0.6) ? 0 : random.below(6);
  const end = offsetBytes + lengthBytes;
  const adjustmentBytes = random.chance(0.5) ? 0 : random.below(12) - 6;
  const stripBytes = random.pick([undefined, 0, random.below(end + 4)]);
  const frameBytesMax = 20 + random.below(FRAME_BYTES_MAX);
  const options: LengthPrefixedOptions = {
    lengthBytes,
    byteOrder,
    offsetBytes,
    adjustmentBytes,
    frameBytesMax,
  };
  if (stripBytes !== undefined) options.stripBytes = stripBytes;
  const strip = stripBytes ?? end;
  const isLittle = byteOrder === "little";
  return {
    name: `lengthPrefixed(${JSON.stringify(options)})`,
    codec: lengthPrefixed(options),
    look(bytes) {
      if (bytes.length < end) return "pending";
      const wireBytes = end + lengthOf(bytes.subarray(offsetBytes, end), isLittle) +
        adjustmentBytes;
      if (wireBytes > frameBytesMax) return "too-long";
      if (wireBytes < end || wireBytes < strip) return "malformed";
      return bytes.length < wireBytes ? "pending" : { from: strip, to: wireBytes, wireBytes };
    },
    wire(frame) {
      const isWhole = strip === 0;
      if (!isWhole && (offsetBytes > 0 || strip !== end)) return null;
      if (isWhole && frame.length < end) return null;
      const body = isWhole ? frame.subarray(end) : frame;
      const length = lengthBytesOf(body.length - adjustmentBytes, lengthBytes, isLittle);
      if (length === null || end + body.length > frameBytesMax) return null;
      return new Uint8Array(Buffer.concat([frame.subarray(0, offsetBytes), length, body]));
    },
    frame: (from) => anyBytes(from, (strip === 0 ? end : 0) + from.below(40)),
  };
}

function varintFraming(random: Random): Framing {
  const frameBytesMax = 20 + random.below(FRAME_BYTES_MAX);
  return {
    name: `varintPrefixed({ frameBytesMax: ${frameBytesMax} })`,
    codec: varintPrefixed({ frameBytesMax }),
    look(bytes) {
      const last = bytes.subarray(0, 5).findIndex((byte) => byte < 0x80);
      if (last < 0) return bytes.length < 5 ? "pending" : "malformed";
      let length = 0;
      for (let i = last; i >= 0; i--) length = length * 128 + bytes[i]! % 128;
      const wireBytes = last + 1 + length;
      if (wireBytes > frameBytesMax) return "too-long";
      return bytes.length < wireBytes ? "pending" : { from: last + 1, to: wireBytes, wireBytes };
    },
    wire(frame) {
      const head = frame.length < 128
        ? [frame.length]
        : [frame.length % 128 + 128, Math.floor(frame.length / 128)];
      const bytes = new Uint8Array(Buffer.concat([Uint8Array.from(head), frame]));
      return bytes.length > frameBytesMax ? null : bytes;
    },
    frame: (from) => anyBytes(from, from.chance(0.8) ? from.below(20) : from.below(400)),
  };
}

function delimitedFraming(random: Random): Framing {
  const isLines = random.chance(0.4);
  const delimiter = isLines
    ? Uint8Array.of(10)
    : Uint8Array.from({ length: 1 + random.below(4) }, () => 97 + random.below(2));
  const strip = random.chance(0.7);
  const frameBytesMax = 5 + random.below(40);
  const options = { strip, frameBytesMax };
  const ending = random.pick(["\n", "\r\n"] as const);
  const tail = isLines ? Buffer.from(ending) : delimiter;
  return {
    name: isLines
      ? `lines(${JSON.stringify({ ...options, ending })})`
      : `delimited([${delimiter}], ${JSON.stringify(options)})`,
    codec: isLines ? lines({ ...options, ending }) : delimited(delimiter, options),
    look(bytes) {
      if (bytes.length === 0) return "pending";
      const at = Buffer.from(bytes).indexOf(delimiter);
      const wireBytes = at < 0 ? bytes.length + 1 : at + delimiter.length;
      if (wireBytes > frameBytesMax) return "too-long";
      if (at < 0) return "pending";
      const cut = isLines && at > 0 && bytes[at - 1] === 13 ? at - 1 : at;
      return { from: 0, to: strip ? cut : wireBytes, wireBytes };
    },
    wire(frame) {
      const bytes = Buffer.concat([frame, tail]);
      if (bytes.length > frameBytesMax) return null;
      if (isLines && ending === "\n" && frame.at(-1) === 13) return null;
      // The delimiter is found at its own place, and nowhere before.
      return bytes.indexOf(delimiter) + delimiter.length === bytes.length
        ? new Uint8Array(bytes)
        : null;
    },
    frame: (from) => {
      const few = isLines ? [13, 10, 97, 98, 98, 98, 98] : [97, 98, 99];
      return Uint8Array.from({ length: from.below(12) }, () => from.pick(few));
    },
  };
}

function fixedFraming(random: Random): Framing {
  const count = 1 + random.below(30);
  return {
    name: `fixedLength(${count})`,
    codec: fixedLength(count),
    look: (bytes) => bytes.length < count ? "pending" : { from: 0, to: count, wireBytes: count },
    wire: (frame) => frame.length === count ? frame : null,
    frame: (from) => anyBytes(from, from.chance(0.9) ? count : from.below(40)),
  };
}

/** A framing with random options. */
export function someFraming(random: Random): Framing {
  return random.pick([lengthFraming, varintFraming, delimitedFraming, fixedFraming])(random);
}
