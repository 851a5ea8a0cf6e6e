/**
 * Codecs of bytes: any options, any frames, cut anywhere, cut off, and mutated.
 */
import { assert, assertEquals } from "@std/assert";
import {
  type ByteCodec,
  FrameError,
  type FrameInput,
  LinkBuffer,
  ordered,
  type Piece,
  tagged,
} from "../../mod.ts";
import { bufferOf } from "../buffer/balanced.ts";
import { feed, MEMORIES, randomPieces } from "../codec/cuts.ts";
import type { Random } from "../support/random.ts";
import { type Framing, type Look, someFraming } from "./framings.ts";
import {
  anyBytes,
  assertBytes,
  balanced,
  checkRefused,
  joined,
  mutated,
  type Target,
  thrownBy,
} from "./target.ts";

/** The frames in bytes, and how they end, as flat arrays say. */
function expectedOf({ look }: Framing, bytes: Uint8Array): [Uint8Array[], Look] {
  const frames: Uint8Array[] = [];
  for (let at = 0;;) {
    const found = look(bytes.subarray(at));
    if (typeof found === "string") return [frames, found];
    frames.push(bytes.slice(at + found.from, at + found.to));
    at += found.wireBytes;
  }
}

/** The next frame, by one of the ways to ask for it. */
function take(random: Random, codec: ByteCodec, buffer: LinkBuffer): Uint8Array | undefined {
  const way = random.below(3);
  const told = way === 0 ? undefined : codec.frameBytes(buffer);
  if (way === 2) {
    const slice = codec.slice(buffer);
    assertEquals(told, slice === undefined ? -1 : slice.length, "frameBytes() against slice()");
    const bytes = slice?.readBinary(slice.length);
    slice?.close();
    return bytes;
  }
  const frame = codec.decode(buffer)?.slice();
  if (told !== undefined) assertEquals(told, frame === undefined ? -1 : frame.length);
  buffer.release();
  return frame;
}

/** The frames that a codec finds in pieces, and how they end. */
function decoded(
  random: Random,
  framing: Framing,
  pieces: readonly Uint8Array[],
): [Uint8Array[], Look] {
  const { codec } = framing;
  using buffer = new LinkBuffer();
  const memory = random.pick(MEMORIES);
  const frames: Uint8Array[] = [];
  const all = joined(pieces);
  let fedBytes = 0;
  for (const piece of pieces) {
    feed(buffer, piece, memory);
    fedBytes += piece.length;
    try {
      for (let frame; (frame = take(random, codec, buffer)) !== undefined;) frames.push(frame);
      checkNeeded(framing, buffer, all.subarray(fedBytes - buffer.length));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      checkRefused(codec, buffer, error);
      return [frames, error.fault as Look];
    }
  }
  return [frames, "pending"];
}

/** What is needed is more than is there, and no more than there will be when the frame is. */
function checkNeeded({ codec, look }: Framing, buffer: LinkBuffer, unread: Uint8Array): void {
  const needed = codec.needed(buffer);
  assert(needed > buffer.length, `${needed} are needed, ${buffer.length} are there`);
  const found = look(unread);
  if (typeof found !== "string") assert(needed <= found.wireBytes, `${needed} are too many`);
}

function decodeCase(random: Random): void {
  const framing = someFraming(random);
  const frames = Array.from({ length: random.below(6) }, () => framing.frame(random));
  let bytes = joined(frames.map((frame) => framing.wire(frame) ?? frame));
  if (random.chance(0.5)) bytes = mutated(random, bytes);
  if (random.chance(0.1)) bytes = anyBytes(random, random.below(40));
  const expected = expectedOf(framing, bytes);
  const ways = [[bytes], randomPieces(bytes, random), Array.from(bytes, (b) => Uint8Array.of(b))];
  for (const pieces of ways) {
    const what = `${framing.name} of [${bytes}] in ${pieces.map(({ length }) => length)}`;
    const actual = decoded(random, framing, pieces);
    assertEquals(actual[1], expected[1], what);
    assertEquals(actual[0].map((f) => [...f]), expected[0].map((f) => [...f]), what);
  }
}

/** A frame in one of the forms that are taken. */
function inputOf(random: Random, frame: Uint8Array): FrameInput {
  const piece = (bytes: Uint8Array): Piece => {
    const isText = bytes.every((byte) => byte < 0x80);
    if (isText && random.chance(0.3)) return String.fromCharCode(...bytes);
    return random.chance(0.4) ? bufferOf(bytes) : bytes.slice();
  };
  return random.chance(0.5) ? piece(frame) : randomPieces(frame, random).map(piece);
}

function closeInput(input: FrameInput): void {
  for (const piece of Array.isArray(input) ? input : [input]) {
    if (typeof piece === "object" && "close" in piece) piece.close();
  }
}

/** The bytes that a buffer holds unflushed and flushed, read out. */
function drain(buffer: LinkBuffer): Uint8Array {
  buffer.flush();
  return buffer.readBinary(buffer.length);
}

function encodeCase(random: Random): void {
  const framing = someFraming(random);
  using buffer = new LinkBuffer();
  const wires: Uint8Array[] = [];
  for (let n = random.below(6); n >= 0; n--) {
    const frame = framing.frame(random);
    const wire = framing.wire(frame);
    const input = inputOf(random, frame);
    const what = `${framing.name} of [${frame}]`;
    const before = buffer.mallocLength;
    const error = thrownBy(() => framing.codec.encode(buffer, input));
    assertEquals(error === null, wire !== null, `${what}: ${error}`);
    if (wire !== null) wires.push(wire);
    else assertEquals(buffer.mallocLength, before, `${what}: a part of it was left`);
    if (wire === null) assertUnmoved(input, what);
    closeInput(input);
  }
  assertBytes(drain(buffer), joined(wires), framing.name);
}

/** A frame that was refused is its owner's, as it was. */
function assertUnmoved(input: FrameInput, what: string): void {
  for (const piece of Array.isArray(input) ? input : [input]) {
    if (typeof piece !== "object" || !("close" in piece)) continue;
    assertEquals(thrownBy(() => piece.peek(piece.length)), null, what);
  }
}

function taggedCase(random: Random): void {
  const framing = someFraming(random);
  const isSliced = random.chance(0.5);
  const codec = isSliced
    ? tagged(framing.codec, { body: "sliced" })
    : tagged(framing.codec, { body: "copied" });
  using buffer = new LinkBuffer();
  const sent: { id: number; body: number[] }[] = [];
  for (let n = 1 + random.below(5); n > 0; n--) {
    const id = Math.floor(random.next() * 2 ** 32);
    const body = framing.frame(random);
    const head = Uint8Array.of(id >>> 24, id >>> 16, id >>> 8, id);
    const wire = framing.wire(joined([head, body]));
    const error = thrownBy(() => codec.encode(buffer, { id, body }));
    assertEquals(error === null, wire !== null, `${framing.name}: ${error}`);
    // A header that the length is filled in is no number any more.
    const found = wire === null ? "pending" : framing.look(wire);
    if (wire === null || typeof found === "string") continue;
    const frame = wire.slice(found.from, found.to);
    sent.push({ id: new DataView(frame.buffer).getUint32(0), body: [...frame.slice(4)] });
  }
  buffer.flush();
  for (const { id, body } of sent) {
    const message = codec.decode(buffer)!;
    const bytes = message.body instanceof Uint8Array
      ? message.body
      : message.body.readBinary(message.body.length);
    assertEquals([message.id, [...bytes]], [id, body], framing.name);
    if (!(message.body instanceof Uint8Array)) message.body.close();
    buffer.release();
  }
  assertEquals(buffer.length, 0, framing.name);
}

function orderedCase(random: Random): void {
  const framing = someFraming(random);
  const codec = ordered(framing.codec);
  using requests = new LinkBuffer();
  using answers = new LinkBuffer();
  const asked: number[] = [];
  const expected: [number, number[]][] = [];
  for (let n = random.below(40); n > 0; n--) {
    const frame = framing.frame(random);
    if (random.chance(0.6)) {
      const error = thrownBy(() => codec.encode(requests, { id: n, body: frame }));
      assertEquals(error === null, framing.wire(frame) !== null, `${framing.name}: ${error}`);
      if (error === null) asked.push(n);
    } else if (asked.length > 0) {
      const wire = framing.wire(frame);
      const found = wire === null ? "pending" : framing.look(wire);
      if (wire === null || typeof found === "string") continue;
      feed(answers, wire, random.pick(MEMORIES));
      expected.push([asked.shift()!, [...wire.slice(found.from, found.to)]]);
    }
    for (let m; expected.length > 0 && (m = codec.decode(answers)) !== undefined;) {
      assertEquals([m.id, [...m.body]], expected.shift(), framing.name);
      answers.release();
    }
  }
  assertEquals(expected, [], framing.name);
  drain(requests);
}

export const CODEC_TARGETS: readonly Target[] = [
  {
    name: "decode",
    what: "codecs find the frames that flat arrays have, however the bytes are cut",
    run: balanced(decodeCase),
  },
  {
    name: "encode",
    what: "codecs write what flat arrays do, or nothing",
    run: balanced(encodeCase),
  },
  {
    name: "tagged",
    what: "tagged() brings every message back with its number",
    run: balanced(taggedCase),
  },
  {
    name: "ordered",
    what: "ordered() gives each answer the number of its request",
    run: balanced(orderedCase),
  },
];
