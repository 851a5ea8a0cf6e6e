/**
 * LinkBuffer: random operations against flat arrays, and writes that are taken back.
 */
import { assert, assertEquals } from "@std/assert";
import { LinkBuffer } from "../../mod.ts";
import { wholly } from "../../src/buffer/undo.ts";
import type { Writer } from "../../src/buffer/writer.ts";
import { configure } from "../../src/core/config.ts";
import { Model } from "../buffer/model.ts";
import type { Random } from "../support/random.ts";
import { anyBytes, assertBytes, balanced, joined, someCount, type Target } from "./target.ts";

const OPERATIONS = 300;

function modelCase(random: Random): void {
  configure({ verify: true, debug: random.chance(0.2) });
  try {
    const model = new Model(random.below(2 ** 32));
    for (let n = 0; n < OPERATIONS; n++) model.step();
    model.close();
  } finally {
    configure({ verify: false, debug: false });
  }
}

/** A buffer and what it holds: published bytes, and pending ones. */
interface Held {
  readonly buffer: LinkBuffer;
  readonly published: Uint8Array;
  readonly pending: Uint8Array;
}

function someHeld(random: Random): Held {
  const buffer = new LinkBuffer(random.chance(0.5) ? 0 : someCount(random, 5000));
  const published = anyBytes(random, someCount(random, 9000));
  buffer.writeBinary(published, { copy: random.chance(0.5) });
  buffer.flush();
  const read = random.below(published.length + 1);
  buffer.skip(read);
  if (random.chance(0.5)) buffer.release();
  const pending = anyBytes(random, someCount(random, 5000));
  buffer.writeBinary(pending, { copy: random.chance(0.5) });
  return { buffer, published: published.slice(read), pending };
}

/** The failure of a write that is meant to fail. */
class OnPurpose extends Error {}

/**
 * Writes at random, in attempts that lie in each other and may fail. The bytes that are to be there
 * afterwards; `moved` has the buffers that are not their owner's any more.
 */
function writeSome(
  random: Random,
  writer: LinkBuffer,
  parts: Held[],
  moved: Set<Held>,
  depth: number,
): Uint8Array {
  const written: Uint8Array[] = [];
  for (let n = random.below(6); n > 0; n--) {
    const bytes = anyBytes(random, someCount(random, 6000));
    const part = parts.find((each) => !moved.has(each));
    switch (random.below(6)) {
      case 0:
        writer.writeBinary(bytes, { copy: random.chance(0.5) });
        written.push(bytes);
        break;
      case 1:
        writer.writeDirect(bytes);
        written.push(bytes);
        break;
      case 2:
        writer.malloc(bytes.length).set(bytes);
        written.push(bytes);
        break;
      case 3:
        if (part === undefined || part.published.length + part.pending.length === 0) break;
        writer.append(part.buffer);
        moved.add(part);
        written.push(part.published, part.pending);
        break;
      case 4:
        if (depth > 0) written.push(attempt(random, writer, parts, moved, depth - 1));
        break;
      default:
        if (depth < 3 && random.chance(0.4)) throw new OnPurpose();
    }
  }
  return joined(written);
}

/** An attempt: all of it or nothing. */
function attempt(
  random: Random,
  writer: LinkBuffer,
  parts: Held[],
  moved: Set<Held>,
  depth: number,
): Uint8Array {
  const before = new Set(moved);
  let bytes: Uint8Array = new Uint8Array(0);
  try {
    const write = (_by: null, to: Writer) => {
      bytes = writeSome(random, to as LinkBuffer, parts, moved, depth);
      if (random.chance(0.3)) throw new OnPurpose();
    };
    wholly<null, null>(write, null, writer, null);
    return bytes;
  } catch (error) {
    if (!(error instanceof OnPurpose)) throw error;
    for (const each of moved) if (!before.has(each)) moved.delete(each);
    return new Uint8Array(0);
  }
}

function undoCase(random: Random): void {
  configure({ verify: true });
  const writer = someHeld(random);
  const parts = Array.from({ length: random.below(5) }, () => someHeld(random));
  const moved = new Set<Held>();
  try {
    const written = attempt(random, writer.buffer, parts, moved, 3);
    const again = attempt(random, writer.buffer, parts, moved, 3);
    const expected = joined([writer.published, writer.pending, written, again]);
    assertEquals(writer.buffer.length, writer.published.length);
    assertEquals(writer.buffer.mallocLength, expected.length - writer.published.length);
    writer.buffer.flush();
    assertBytes(writer.buffer.readBinary(writer.buffer.length), expected, "written");
    for (const part of parts) {
      if (moved.has(part)) continue;
      assertEquals(part.buffer.length, part.published.length, "published");
      assertEquals(part.buffer.mallocLength, part.pending.length, "pending");
      part.buffer.writeByte(7);
      part.buffer.flush();
      const bytes = part.buffer.readBinary(part.buffer.length);
      assertBytes(bytes, joined([part.published, part.pending, Uint8Array.of(7)]), "given back");
    }
  } finally {
    for (const { buffer } of [writer, ...parts]) buffer.close();
    configure({ verify: false });
  }
}

const VARINTS = [0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 49 - 1, 2 ** 49, 2 ** 53 - 1];

function varintCase(random: Random): void {
  using buffer = new LinkBuffer();
  const values = Array.from(
    { length: 1 + random.below(8) },
    () =>
      random.chance(0.5) ? random.pick(VARINTS) : Math.floor(2 ** random.below(53) * random.next()),
  );
  for (const value of values) buffer.writeVarint(value);
  buffer.flush();
  const wire = buffer.readBinary(buffer.length);
  for (const byte of wire) {
    buffer.writeDirect(Uint8Array.of(byte));
    buffer.flush();
  }
  assertEquals(values.map(() => buffer.readVarint()), values);
  assert(buffer.length === 0, "nothing is left");
}

export const BUFFER_TARGETS: readonly Target[] = [
  {
    name: "buffer",
    what: "LinkBuffer does what flat arrays do, in random operations",
    run: balanced(modelCase),
  },
  {
    name: "undo",
    what: "writes that fail leave nothing, and what they moved is their owner's again",
    run: balanced(undoCase),
  },
  {
    name: "varint",
    what: "readVarint() reads what writeVarint() wrote, cut at each byte",
    run: balanced(varintCase),
  },
];
