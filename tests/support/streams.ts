/**
 * Long streams whose every byte is known: each connection has a stream of its own, by its number.
 */
import { Buffer } from "node:buffer";

/** After so many bytes a stream begins again: a prime, which no block and no read divides. */
export const PERIOD_BYTES = 65_521;
/** The most that is looked at in one piece. */
export const STREAM_PIECE_BYTES = 1 << 20;
/** The distance between the streams of neighbours. */
const STEP_BYTES = 7919;

function makeTable(): Uint8Array {
  const table = new Uint8Array(PERIOD_BYTES + STREAM_PIECE_BYTES);
  for (let i = 0; i < table.length; i++) {
    table[i] = Math.imul(i % PERIOD_BYTES + 1, 2654435761) >>> 24;
  }
  return table;
}

const table = makeTable();

/** The offset in the file of `streamFile` of a position of a stream. */
export function offsetInFile(id: number, position: number): number {
  return (id * STEP_BYTES + position) % PERIOD_BYTES;
}

/** All streams, as a file from which `sendFile` may send. */
export function streamFile(): Uint8Array {
  return table;
}

/** So many bytes of a stream. The array is shared: it is for reading. */
export function streamAt(id: number, position: number, count: number): Uint8Array {
  const from = offsetInFile(id, position);
  return table.subarray(from, from + count);
}

/** True when these are the bytes of a stream from a position on. */
export function isStream(bytes: Uint8Array, id: number, position: number): boolean {
  for (let at = 0; at < bytes.length; at += STREAM_PIECE_BYTES) {
    const piece = bytes.subarray(at, at + STREAM_PIECE_BYTES);
    if (Buffer.compare(piece, streamAt(id, position + at, piece.length)) !== 0) return false;
  }
  return true;
}
