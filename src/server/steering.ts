/**
 * Steering: the poller that a range of bytes in a datagram leads to. The kernel decides by the
 * program of np_steer (libnetpoll.c); this is the same for servers that choose ids.
 */
import { DATAGRAM_BYTES_MAX, STEER_BYTES_MAX } from "../core/limits.ts";
import { checkNumber, show } from "../core/options.ts";
import { checkPollerCount } from "./cluster_options.ts";

/** A range of bytes that steers. */
export interface SteerRange {
  readonly offset: number;
  readonly lengthBytes: number;
}

/**
 * The range that the options name; null for none.
 *
 * @throws {TypeError} It has a length and no offset.
 * @throws {RangeError} No datagram has such bytes.
 */
export function steerRange(
  steerOffset: number | undefined,
  steerLengthBytes: number | undefined,
): SteerRange | null {
  if (steerOffset === undefined) {
    if (steerLengthBytes === undefined) return null;
    throw new TypeError(
      "Cannot steer by steerLengthBytes alone: steerOffset says where they begin",
    );
  }
  const lengthBytes = steerLengthBytes === undefined ? 1 : steerLengthBytes;
  checkNumber("steerLengthBytes", lengthBytes, 1, STEER_BYTES_MAX);
  checkNumber("steerOffset", steerOffset, 0, DATAGRAM_BYTES_MAX[4] - lengthBytes);
  return { offset: steerOffset, lengthBytes };
}

/** FNV-1a, then the last step of MurmurHash3: without that, low bits would depend on low bits alone. */
function hash(range: Uint8Array): number {
  let value = 0x811c9dc5;
  for (const byte of range) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/**
 * The index of the poller that a range of bytes leads to, as `steerOffset` and `steerLengthBytes`
 * choose it: one byte modulo `pollerCount`, and of more the 32-bit FNV-1a hash, mixed by the last
 * step of MurmurHash3 (fmix32), modulo `pollerCount`. It stays so: ids may outlive a process.
 *
 * A server makes ids until one leads to itself, after `pollerCount` of them on average. `range` is
 * borrowed: it is read during the call.
 *
 * @throws {TypeError} `range` is no Uint8Array.
 * @throws {RangeError} It has no byte, or more than 20; or `pollerCount` is no number of pollers.
 *
 * @example An id of 8 bytes that comes back to this poller
 * ```ts
 * import { randomBytes } from "node:crypto";
 * import { steeredIndex } from "@netpoll/netpoll/udp";
 *
 * function newId(index: number, pollerCount: number): Uint8Array {
 *   for (;;) {
 *     const id = new Uint8Array(randomBytes(8));
 *     if (steeredIndex(id, pollerCount) === index) return id;
 *   }
 * }
 * console.log(steeredIndex(newId(2, 4), 4)); // 2
 * ```
 */
export function steeredIndex(range: Uint8Array, pollerCount: number): number {
  if (!(range instanceof Uint8Array)) {
    throw new TypeError(`Cannot steer by ${show(range)}: the bytes of a range are a Uint8Array`);
  }
  checkNumber("the length of the range", range.length, 1, STEER_BYTES_MAX);
  checkPollerCount(pollerCount);
  return (range.length === 1 ? range[0]! : hash(range)) % pollerCount;
}
