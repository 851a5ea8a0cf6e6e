/**
 * Delimiters, and finding them in a chain.
 */
import { Buffer } from "node:buffer";
import { native } from "../../ffi/load.ts";
import { byteCount, presentCount } from "../core/bytes.ts";
import { show } from "../core/options.ts";
import type { LinkChain } from "./link_chain.ts";
import type { LinkNode } from "./link_node.ts";

/** The end of a piece of input: one byte, several in a row, or those of a text in UTF-8. */
export type Delimiter = number | string | Uint8Array;

const needle = new Uint8Array(1);
// A protocol looks for the same text again and again.
let lastText = "";
let lastBytes = new Uint8Array(0);

/** The bytes of a delimiter, to be read only. A single one is only valid until the next call. */
export function delimiterBytes(delimiter: Delimiter): Uint8Array {
  if (delimiter instanceof Uint8Array) {
    if (presentCount(delimiter, "look for") > 0) return delimiter;
    throw new RangeError("Cannot look for a delimiter of no bytes");
  }
  if (typeof delimiter === "string") return textBytes(delimiter);
  if (typeof delimiter !== "number") {
    throw new TypeError(
      `Cannot look for ${show(delimiter)}: a delimiter is a byte, a text or a Uint8Array`,
    );
  }
  if (!Number.isInteger(delimiter) || delimiter < 0 || delimiter > 255) {
    throw new RangeError(
      `Cannot look for byte ${delimiter}: a byte is a whole number from 0 to 255`,
    );
  }
  needle[0] = delimiter;
  return needle;
}

function textBytes(text: string): Uint8Array {
  if (text === "") throw new RangeError("Cannot look for a delimiter of no bytes");
  if (text !== lastText) {
    lastBytes = new Uint8Array(Buffer.from(text));
    lastText = text;
  }
  return lastBytes;
}

/** The first place of the bytes among the readable ones, at `from` or after; -1 without one. */
export function find(chain: LinkChain, bytes: Uint8Array, from: number): number {
  let before = 0; // bytes in the nodes already passed
  for (let node = chain.front(); node !== null; node = node.next) {
    const at = beginIn(chain, node, Math.max(0, from - before), bytes);
    if (at >= 0) return before + at;
    before += node.readable;
    if (node === chain.flushing) break;
  }
  return -1;
}

/**
 * The first place where the bytes begin in a node, among its readable ones at `from` or after; they
 * may end in a later node. -1 when they begin nowhere there.
 */
export function beginIn(chain: LinkChain, node: LinkNode, from: number, bytes: Uint8Array): number {
  const { read, flushed } = node;
  const start = read + from;
  if (start >= flushed) return -1;
  const inside = findIn(node, start, flushed, bytes);
  if (inside >= 0) return inside - read;
  if (node === chain.flushing) return -1;
  for (let at = Math.max(start, flushed - byteCount(bytes) + 1); at < flushed; at++) {
    if (matches(node, at, bytes)) return at - read;
  }
  return -1;
}

/** The first place of the bytes in `from` to `to` of one node, or -1. */
export function findIn(node: LinkNode, from: number, to: number, bytes: Uint8Array): number {
  const count = byteCount(bytes); // C reads so many
  if (to - from < count) return -1;
  const { block } = node;
  if (block !== null) {
    const at = native.find(block.slab.id, from, to - from, bytes, count);
    return at < 0 ? -1 : from + at;
  }
  const { buffer, byteOffset } = node.bytes;
  const array = Buffer.from(buffer, byteOffset, to);
  return array.indexOf(bytes, from);
}

/** Returns whether the bytes from `at` in a node, and on in the next ones, are those of `bytes`. */
function matches(node: LinkNode, at: number, bytes: Uint8Array): boolean {
  const count = byteCount(bytes);
  let here: LinkNode | null = node;
  for (let i = 0; i < count; i++, at++) {
    while (here !== null && at >= here.flushed) {
      here = here.next;
      at = here?.read ?? 0;
    }
    if (here === null || here.bytes[at] !== bytes[i]) return false;
  }
  return true;
}
