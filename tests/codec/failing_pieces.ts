/**
 * Frames that cannot be written: one of their pieces fails, in each way that a piece can.
 */
import { LinkBuffer } from "../../src/buffer/link_buffer.ts";
import type { FrameInput, Piece } from "../../src/codec/codec.ts";
import { bufferOf, bytesOfText } from "../buffer/balanced.ts";
import type { Random } from "../support/random.ts";

/** A frame that fails, and what its user has of it. */
export interface FailingFrame {
  readonly input: FrameInput;
  /** The fault of the piece. */
  readonly fault: string;
  /** The buffers among its pieces that were in order, and their texts. */
  readonly owned: readonly (readonly [LinkBuffer, string])[];
  /** Gives back what the frame holds. */
  close(): void;
}

/** Bytes that were transferred to another thread. */
export function takenBytes(count = 8): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return bytes;
}

/** A buffer that was closed. */
export function closedBuffer(): LinkBuffer {
  const buffer = bufferOf("closed");
  buffer.close();
  return buffer;
}

/** A buffer that was moved to another. */
export function movedBuffer(): LinkBuffer {
  const buffer = bufferOf("moved");
  using other = new LinkBuffer();
  other.append(buffer);
  return buffer;
}

/** A buffer whose bytes are a borrowed array that was transferred since. */
export function hollowBuffer(): LinkBuffer {
  const buffer = new LinkBuffer();
  const bytes = new Uint8Array(8);
  buffer.writeDirect(bytes);
  buffer.flush();
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  return buffer;
}

/** A buffer whose bytes are flushed, not flushed, both, or partly read. */
function anyBuffer(random: Random, text: string): LinkBuffer {
  const buffer = new LinkBuffer();
  const half = random.below(text.length + 1);
  const before = random.pick(["", "read before"]);
  buffer.writeString(before + text.slice(0, half));
  if (before !== "" || random.chance(0.5)) buffer.flush();
  buffer.skip(before.length);
  if (random.chance(0.5)) buffer.append(bufferOf(text.slice(half)));
  else buffer.writeString(text.slice(half));
  if (random.chance(0.5)) buffer.flush();
  return buffer;
}

const FAULTS = ["taken", "closed", "moved", "hollow", "kind", "throws", "twice", "itself"] as const;

function failingPiece(fault: typeof FAULTS[number], random: Random, writer: unknown): unknown {
  if (fault === "taken") return takenBytes(random.pick([1, 8, 10_000]));
  if (fault === "closed") return closedBuffer();
  if (fault === "moved") return movedBuffer();
  if (fault === "hollow") return hollowBuffer();
  if (fault === "itself") return writer;
  return random.pick([null, undefined, 5, {}, ["nested"], new Proxy(new Uint8Array(4), {})]);
}

/** A frame of up to five good pieces and one that fails, at any place. */
export function failingFrame(random: Random, writer: unknown): FailingFrame {
  const pieces: Piece[] = [];
  const owned: [LinkBuffer, string][] = [];
  for (let i = random.below(6); i > 0; i--) {
    const text = "x".repeat(random.pick([0, 1, 20, 5000]));
    const kind = random.below(3);
    if (kind === 0) pieces.push(text);
    else if (kind === 1) pieces.push(bytesOfText(text));
    else {
      const buffer = anyBuffer(random, text);
      owned.push([buffer, text]);
      pieces.push(buffer);
    }
  }
  const fault = random.pick(FAULTS);
  const at = random.below(pieces.length + 1);
  if (fault === "twice") {
    const buffer = bufferOf("twice");
    owned.push([buffer, "twice"]);
    pieces.splice(at, 0, buffer);
    pieces.splice(random.below(pieces.length + 1), 0, buffer);
  } else {
    pieces.splice(at, 0, failingPiece(fault, random, writer) as Piece);
  }
  if (fault === "throws") Object.defineProperty(pieces, at, { get: failOnPurpose });
  const close = () => {
    for (const piece of fault === "throws" ? [] : pieces) {
      if (piece !== writer && piece instanceof LinkBuffer) piece.close();
    }
    for (const [buffer] of owned) buffer.close();
  };
  return { input: pieces, fault: `${fault} at ${at}`, owned, close };
}

function failOnPurpose(): never {
  throw new TypeError("on purpose");
}
