// deno-lint-ignore-file explicit-module-boundary-types -- types are in the comments here
/**
 * The protocol of the framed modes, for the peers: four bytes of length, high byte
 * first, and so many bytes of payload. Not TypeScript, for older Nodes.
 */
import { Buffer } from "node:buffer";

export const HEADER_BYTES = 4;
/** The largest payload; a client that announces a larger one is disconnected. */
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;
/** One request in so many of a server in mode tail is answered so much later. */
const LATE_ONE_IN = 100;
export const LATE_MS = 10;

let requests = 0;

/**
 * True when the n-th request is a late one. Their numbers are scattered, and the same for every server:
 * with each 100th, the rate of the load would decide whether those that pile up behind a late answer
 * hold the next late one.
 *
 * @param {number} n
 * @returns {boolean}
 */
export function isLateNumber(n) {
  let x = Math.imul(n, 0x9e3779b1);
  x = Math.imul(x ^ (x >>> 15), 0x85ebca77);
  return ((x ^ (x >>> 13)) >>> 0) % LATE_ONE_IN === 0;
}

/** Counts a request of mode tail. */
export function isLate() {
  requests += 1;
  return isLateNumber(requests);
}

/**
 * The length in the header at a position.
 *
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {number}
 */
export function payloadBytes(bytes, at) {
  const high = bytes[at] << 24 | bytes[at + 1] << 16;
  const count = (high | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
  if (count > PAYLOAD_BYTES_MAX) throw new RangeError(`A payload of ${count} bytes is too long`);
  return count;
}

/**
 * Builds a frame in an array. The position after it.
 *
 * @param {Uint8Array} target
 * @param {number} at
 * @param {Uint8Array} payload
 * @returns {number}
 */
export function writeFrame(target, at, payload) {
  const count = payload.length;
  target[at] = count >>> 24;
  target[at + 1] = count >>> 16;
  target[at + 2] = count >>> 8;
  target[at + 3] = count;
  target.set(payload, at + HEADER_BYTES);
  return at + HEADER_BYTES + count;
}

/**
 * The size of the frames of some payloads together.
 *
 * @param {readonly Uint8Array[]} payloads
 * @returns {number}
 */
export function framesBytes(payloads) {
  let count = 0;
  for (const payload of payloads) count += HEADER_BYTES + payload.length;
  return count;
}

/**
 * The frames of some payloads, in one array of their own.
 *
 * @param {readonly Uint8Array[]} payloads
 */
export function encodeFrames(payloads) {
  const frames = Buffer.allocUnsafe(framesBytes(payloads));
  let at = 0;
  for (const payload of payloads) at = writeFrame(frames, at, payload);
  return frames;
}

/** Finds the frames in what one connection receives, chunk by chunk. */
export class FrameSplitter {
  /** The part of the next frame that has come. */
  #pieces = [];
  #bytes = 0;
  /** Another look is worth it when so many bytes have come. */
  #bytesMin = HEADER_BYTES;

  /**
   * The payloads that a chunk completes: views of it where they lie in it. The chunk must not
   * change later.
   *
   * @param {Uint8Array} chunk
   * @returns {Uint8Array[]}
   */
  split(chunk) {
    if (this.#bytes > 0) {
      this.#pieces.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes < this.#bytesMin) return [];
      chunk = Buffer.concat(this.#pieces, this.#bytes);
    }
    const payloads = [];
    let from = 0;
    let frameBytes = HEADER_BYTES;
    while (chunk.length - from >= HEADER_BYTES) {
      frameBytes = HEADER_BYTES + payloadBytes(chunk, from);
      if (chunk.length - from < frameBytes) break;
      payloads.push(chunk.subarray(from + HEADER_BYTES, from + frameBytes));
      from += frameBytes;
      frameBytes = HEADER_BYTES;
    }
    this.#bytes = chunk.length - from;
    this.#bytesMin = frameBytes;
    this.#pieces = this.#bytes > 0 ? [chunk.subarray(from)] : [];
    return payloads;
  }
}

/**
 * Answers one request in 100 late, and what came after it on the same connection after it, for
 * sockets that cannot be awaited. They are paused meanwhile.
 */
export class LateAnswers {
  #socket;
  #send;
  /** The request that is answered late, and all behind it; null when there is none. */
  #waiting = null;

  /**
   * @param {{ pause(): unknown, resume(): unknown }} socket
   * @param {(payloads: readonly Uint8Array[]) => void} send
   */
  constructor(socket, send) {
    this.#socket = socket;
    this.#send = send;
  }

  /**
   * Answers, now or later.
   *
   * @param {Uint8Array[]} payloads
   */
  answer(payloads) {
    if (this.#waiting !== null) {
      this.#waiting = this.#waiting.concat(payloads);
      return;
    }
    const late = payloads.findIndex(isLate);
    if (late < 0) return this.#send(payloads);
    if (late > 0) this.#send(payloads.slice(0, late));
    this.#waiting = payloads.slice(late);
    this.#socket.pause();
    setTimeout(() => this.#answerLate(), LATE_MS);
  }

  #answerLate() {
    const [late, ...behind] = this.#waiting;
    this.#waiting = null;
    this.#socket.resume();
    this.#send([late]);
    if (behind.length > 0) this.answer(behind);
  }
}
