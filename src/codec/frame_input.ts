/**
 * A frame to write: read once, and looked at before the first byte of it is written.
 */
import { Buffer } from "node:buffer";
import { countToWrite } from "../buffer/array_node.ts";
import { chainIfAny } from "../buffer/chained.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { wholly } from "../buffer/undo.ts";
import { chainToMove, isLinkBuffer, type Writer } from "../buffer/writer.ts";
import { bufferOf, byteCount, isFixed, plainView } from "../core/bytes.ts";
import type { Codec, FrameInput, Piece } from "./codec.ts";

/** Throws for what cannot be part of a frame. Runs code of the user's own, if anything here does. */
function checkKind(piece: Piece): Piece {
  if (typeof piece === "string" || isLinkBuffer(piece)) return piece;
  if (!((piece as unknown) instanceof Uint8Array)) {
    throw new TypeError("Cannot encode a frame: it is no Uint8Array, no string and no LinkBuffer");
  }
  byteCount(piece, "encode");
  return piece;
}

/**
 * The pieces of a frame, behind others. Each is asked for once: an array may have getters, or be a
 * proxy.
 */
export function piecesOf(frame: FrameInput, pieces: Piece[] = []): Piece[] {
  if (!Array.isArray(frame)) {
    pieces.push(checkKind(frame as Piece));
    return pieces;
  }
  const count = frame.length;
  for (let i = 0; i < count; i++) pieces.push(checkKind((frame as readonly Piece[])[i]!));
  return pieces;
}

/** A piece that can be written, and has the length that it has now. */
function settled(piece: Piece, chain: LinkChain | null): Piece {
  if (typeof piece === "string") return piece;
  if (piece instanceof Uint8Array) {
    countToWrite(piece);
    // Another thread may let shared memory grow between two looks at it.
    return isFixed(bufferOf(piece)) ? piece : plainView(piece);
  }
  chainToMove(piece, chain);
  return piece;
}

/**
 * Pieces that can be written to this writer without any of them failing: all of them are there, and
 * none is closed, moved, taken away, or twice the same buffer. The array is changed.
 *
 * @throws {TypeError} One of them is not so.
 * @throws {ClosedError} One is a closed buffer.
 */
export function settledPieces(writer: Writer, pieces: Piece[]): Piece[] {
  const chain = chainIfAny(writer);
  let moved: Set<Piece> | null = null;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i] = settled(pieces[i]!, chain);
    if (typeof piece === "string" || piece instanceof Uint8Array) continue;
    if (pieceBytes(piece) === 0) continue;
    moved ??= new Set();
    if (moved.has(piece)) throw new TypeError("Cannot encode the same buffer twice in one frame");
    moved.add(piece);
  }
  return pieces;
}

/** Reads a frame as users give it. */
export function settledInput(writer: Writer, frame: FrameInput): FrameInput {
  if (typeof frame === "string") return frame;
  if (Array.isArray(frame)) return settledPieces(writer, piecesOf(frame));
  return settled(checkKind(frame as Piece), chainIfAny(writer));
}

function pieceBytes(piece: Piece): number {
  if (typeof piece === "string") return Buffer.byteLength(piece);
  return piece instanceof Uint8Array ? byteCount(piece) : piece.length + piece.mallocLength;
}

/** The number of bytes of a frame to write. */
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
    if (typeof piece === "string") return Buffer.from(piece);
    return piece instanceof Uint8Array ? plainView(piece) : copyBuffer(piece);
  }));
}

/** All bytes of a buffer, flushed or not. */
function copyBuffer(buffer: Piece & object): Uint8Array {
  const parts: Uint8Array[] = [];
  let node = chainIfAny(buffer)!.front();
  for (; node !== null; node = node.next) parts.push(node.bytes.subarray(node.read, node.malloced));
  return Buffer.concat(parts);
}

/** A frame whose copy was written: its buffers are used up, as if they had been moved. */
export function spendInput(frame: FrameInput): void {
  const pieces = Array.isArray(frame) ? frame as readonly Piece[] : [frame as Piece];
  for (const piece of pieces) {
    if (isLinkBuffer(piece) && piece.length + piece.mallocLength > 0) piece.close();
  }
}

function encode<Input>(codec: Codec<unknown, Input>, writer: Writer, frame: Input): void {
  codec.encode(writer, frame);
}

/**
 * Encodes a frame wholly or not at all, whoever made the codec: one that fails leaves nothing, and
 * buffers that it has moved are their owner's again.
 *
 * @throws {TornFrameError} It failed after a part of it had been flushed.
 */
export function encodeWhole<Input>(
  codec: Codec<unknown, Input>,
  writer: Writer,
  frame: Input,
): void {
  wholly<Codec<unknown, Input>, Input>(encode, codec, writer, frame);
}
