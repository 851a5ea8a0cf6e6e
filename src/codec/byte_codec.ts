/**
 * What all codecs have in common whose frames are bytes: only where a frame ends differs.
 */
import { Buffer } from "node:buffer";
import { LinkBuffer } from "../buffer/link_buffer.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { type BufferReader, readChain } from "../buffer/reader.ts";
import { track } from "../buffer/tracked.ts";
import type { Writer } from "../buffer/writer.ts";
import { byteCount, plainView } from "../core/bytes.ts";
import { FrameError } from "../core/errors.ts";
import { PIECE_BYTES_MAX } from "../core/limits.ts";
import type { ByteCodec, FrameInput, Piece } from "./codec.ts";

/** The option that every codec has. */
export interface FrameOptions {
  /** The longest frame, in bytes on the wire: with its header, or its delimiter. */
  frameBytesMax?: number;
}

/** An option that is a whole number within bounds. Anything else is a bug of the caller. */
export function checkOption(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`Cannot make a codec: ${name} is ${value}, not from ${min} to ${max}`);
}

/** {@linkcode ByteCodec}, but for where a frame ends and how one begins. */
export abstract class WindowCodec implements ByteCodec {
  readonly frameBytesMax: number;
  /** Of the frame just measured: bytes before it that are not its own. */
  protected headBytes = 0;
  /** The same, after it. */
  protected tailBytes = 0;

  /** A codec with a maximum. */
  constructor(frameBytesMax: number) {
    this.frameBytesMax = checkOption("frameBytesMax", frameBytesMax, 1, PIECE_BYTES_MAX);
  }

  /**
   * How many bytes the next frame has on the wire. While that is not known, or they are not there:
   * how many must be readable until it may be.
   */
  protected abstract measure(chain: LinkChain): number;

  abstract encode(writer: Writer, frame: FrameInput): void;

  needed(reader: BufferReader): number {
    return this.measure(readChain(reader));
  }

  frameBytes(reader: BufferReader): number {
    const chain = readChain(reader);
    const wireBytes = this.measure(chain);
    return wireBytes > chain.length ? -1 : wireBytes - this.headBytes - this.tailBytes;
  }

  decode(reader: BufferReader): Uint8Array | undefined {
    const chain = readChain(reader);
    const wireBytes = this.measure(chain);
    if (wireBytes > chain.length) return undefined;
    const frame = lend(chain, this.headBytes, wireBytes - this.tailBytes);
    chain.consume(wireBytes);
    return frame;
  }

  slice(reader: BufferReader): LinkBuffer | undefined {
    const chain = readChain(reader);
    const wireBytes = this.measure(chain);
    if (wireBytes > chain.length) return undefined;
    const { headBytes, tailBytes } = this;
    chain.consume(headBytes);
    const frameBytes = wireBytes - headBytes - tailBytes;
    const frame = frameBytes === 0 ? new LinkBuffer() : reader.slice(frameBytes);
    chain.consume(tailBytes);
    return frame;
  }

  /** The peer's frame is above the maximum. */
  protected tooLong(wireBytes: number, offset: number): FrameError {
    const { frameBytesMax } = this;
    return new FrameError(
      "too-long",
      offset,
      `Cannot decode a frame of ${wireBytes} bytes or more: frameBytesMax is ${frameBytesMax}`,
    );
  }

  /** Throws when a frame that is to be written is above the maximum. */
  protected checkLength(wireBytes: number): void {
    if (wireBytes <= this.frameBytesMax) return;
    throw new RangeError(
      `Cannot encode a frame of ${wireBytes} bytes: frameBytesMax is ${this.frameBytesMax}`,
    );
  }
}

/** Lends the unread bytes `from` to `to`, which are there: a view, or a copy if in several nodes. */
function lend(chain: LinkChain, from: number, to: number): Uint8Array {
  const count = to - from;
  if (count === 0) return new Uint8Array(0);
  let node = chain.front()!;
  let skip = from;
  for (; skip >= node.readable; node = node.next!) skip -= node.readable;
  if (node.readable - skip >= count) return track(chain, node.lend(node.read + skip, count));
  return chain.lend(to).subarray(from);
}

/** Throws for what cannot be part of a frame. */
function checkPiece(piece: Piece): void {
  if (typeof piece === "string" || piece instanceof Uint8Array || piece instanceof LinkBuffer) {
    return;
  }
  throw new TypeError("Cannot encode a frame: it is no Uint8Array, no string and no LinkBuffer");
}

function pieceBytes(piece: Piece): number {
  checkPiece(piece);
  if (typeof piece === "string") return Buffer.byteLength(piece);
  return piece instanceof Uint8Array ? byteCount(piece) : piece.length + piece.mallocLength;
}

/** How many bytes a frame has that is to be written. */
export function inputBytes(frame: FrameInput): number {
  if (!Array.isArray(frame)) return pieceBytes(frame as Piece);
  let sum = 0;
  for (const piece of frame as readonly Piece[]) sum += pieceBytes(piece);
  return sum;
}

function writePiece(writer: Writer, piece: Piece): void {
  if (typeof piece === "string") writer.writeString(piece);
  else if (piece instanceof Uint8Array) writer.writeBinary(piece);
  else writer.append(piece);
}

/** Writes all pieces of a frame. */
export function writeInput(writer: Writer, frame: FrameInput): void {
  if (!Array.isArray(frame)) return writePiece(writer, frame as Piece);
  for (const piece of frame as readonly Piece[]) writePiece(writer, piece);
}

/** A copy of all bytes of a frame, whose buffers stay as they are. */
export function copyInput(frame: FrameInput): Buffer {
  const pieces = Array.isArray(frame) ? frame as readonly Piece[] : [frame as Piece];
  return Buffer.concat(pieces.map((piece) => {
    checkPiece(piece);
    if (typeof piece === "string") return Buffer.from(piece);
    if (piece instanceof Uint8Array) return plainView(piece);
    if (piece.mallocLength > 0) piece.flush();
    return new Uint8Array(piece.peek(piece.length));
  }));
}
