/**
 * The cost of framing without sockets: frames a second, and bytes, of a synchronous decode.
 */
import { Buffer } from "node:buffer";
import { type Codec, fixedLength, lengthPrefixed, lines, LinkBuffer, resp } from "../../mod.ts";
import { table } from "../harness/markdown.ts";
import { number, parse } from "../harness/options.ts";
import { describeMachine, tell } from "../harness/report.ts";
import { median } from "../harness/statistics.ts";

const options = parse({
  rounds: "9",
  ms: { help: "milliseconds of decoding in each round", value: "100" },
});
const rounds = number("rounds", options.rounds);
const roundMs = number("ms", options.ms);

const MIB = 1 << 20;

/** What is decoded. */
interface Case {
  readonly name: string;
  readonly codec: Codec<unknown, never>;
  /** Adds frames to a buffer. */
  readonly fill: (buffer: LinkBuffer) => void;
  /** How many those are. */
  readonly count: number;
  /** Bytes of one, without its header. */
  readonly bytes: number;
  /** Whether a frame is what was written. */
  readonly isRight: (frame: unknown) => boolean;
}

/** Frames that are encoded one after the other, as a connection receives them: in one block. */
function packed<T>(codec: Codec<unknown, T>, frame: T, count: number): Case["fill"] {
  const source = new LinkBuffer();
  for (let i = 0; i < count; i++) codec.encode(source, frame);
  source.flush();
  const bytes = source.readBinary(source.length);
  source.close();
  return (buffer) => {
    buffer.writeBinary(bytes, { copy: true });
    buffer.flush();
  };
}

function same(bytes: Uint8Array): Case["isRight"] {
  return (frame) => Buffer.compare(frame as Uint8Array, bytes) === 0;
}

function makeCases(): Case[] {
  const small = new Uint8Array(64).map((_, i) => 32 + i);
  const large = new Uint8Array(MIB).map((_, i) => i * 7);
  const four = lengthPrefixed();
  const line = lines();
  const value = resp();
  const command = ["SET", "key:000000000001", small];
  return [
    {
      name: "length-prefixed, 64 B",
      codec: four,
      fill: packed(four, small, 8192),
      count: 8192,
      bytes: 64,
      isRight: same(small),
    },
    {
      name: "length-prefixed, 1 MiB",
      codec: four,
      fill: (buffer) => {
        for (let i = 0; i < 64; i++) four.encode(buffer, large);
        buffer.flush();
      },
      count: 64,
      bytes: MIB,
      isRight: same(large),
    },
    {
      name: "the same, over two nodes each",
      codec: four,
      fill: packed(four, large, 64),
      count: 64,
      bytes: MIB,
      isRight: same(large),
    },
    {
      name: "fixed, 64 B",
      codec: fixedLength(64),
      fill: packed(fixedLength(64), small, 8192),
      count: 8192,
      bytes: 64,
      isRight: same(small),
    },
    {
      name: "lines, 64 B",
      codec: line,
      fill: packed(line, small, 8192),
      count: 8192,
      bytes: 64,
      isRight: same(small),
    },
    {
      name: "RESP, SET of 64 B",
      codec: value,
      fill: packed(value, command, 8192),
      count: 8192,
      bytes: 64,
      isRight: (frame) => same(small)((frame as Uint8Array[])[2]!),
    },
  ];
}

/** Frames a second: only decoding is timed, not what fills the buffer. */
function measure({ codec, fill, count, bytes, isRight }: Case): number {
  const buffer = new LinkBuffer();
  let [spentMs, frames] = [0, 0];
  while (spentMs < roundMs) {
    fill(buffer);
    let decoded = 0;
    const begin = performance.now();
    for (let frame; (frame = codec.decode(buffer)) !== undefined;) {
      decoded += 1;
      if (decoded === count && !isRight(frame)) throw new Error(`${bytes} bytes, and other ones`);
    }
    spentMs += performance.now() - begin;
    buffer.release();
    if (decoded !== count) throw new Error(`${decoded} frames for ${count}`);
    frames += decoded;
  }
  buffer.close();
  return frames / spentMs * 1000;
}

/** Milliseconds for a line of so many MiB that comes byte by byte: twice the bytes, twice the time. */
function dribble(mib: number): number {
  const codec = lines({ frameBytesMax: 2 * mib * MIB });
  const buffer = new LinkBuffer();
  const begin = performance.now();
  for (let i = 0; i < mib * MIB; i++) {
    buffer.writeUint8(97);
    buffer.flush();
    if (codec.decode(buffer) !== undefined) throw new Error("a line without an end");
  }
  buffer.writeUint8(10);
  buffer.flush();
  if (codec.slice(buffer)?.length !== mib * MIB) throw new Error("not the line that was written");
  const spentMs = performance.now() - begin;
  buffer.close();
  return spentMs;
}

const cases = makeCases();
const results = cases.map(() => [] as number[]);
for (const each of cases) measure(each); // compiles what is measured
for (let round = 0; round < rounds; round++) {
  for (const [i, each] of cases.entries()) results[i]!.push(measure(each));
}
const rows = cases.map(({ name, bytes }, i) => {
  const rate = median(results[i]!);
  return [name, (rate / 1e6).toFixed(2), (rate * bytes / 1e9).toFixed(2), (1e9 / rate).toFixed(0)];
});
const dribbles = [16, 64].map((mib) => [`${mib} MiB`, (dribble(mib) / mib).toFixed(1)]);
const runtime = navigator.userAgent;
const text = `# Framing, without sockets

${runtime}; ${describeMachine()}. Median of ${rounds} rounds.

${table(["codec", "million frames/s", "GB/s", "ns a frame"], rows)}

A line that comes in pieces of one byte each:

${table(["length", "ms a MiB"], dribbles)}`;
tell(`framing-${runtime.split("/")[0]!.toLowerCase()}`, text, { results, dribbles });
