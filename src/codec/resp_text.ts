/**
 * Strings of bytes: of short ones there are many in RESP.
 */
import { Buffer } from "node:buffer";
import type { LinkNode } from "../buffer/link_node.ts";
import type { BulkKind } from "./resp_value.ts";

/** Text up to this length is put together faster than decoded by a call. */
const LOOP_BYTES_MAX = 12;
/** Longer ones would be ropes in JavaScriptCore, to be put together again by whoever looks them up. */
const LATIN1_LOOP_BYTES_MAX = 4;

/** The call behind `toString("latin1")`, in half of its time (Deno: 57 ns against 100). */
interface Slicing extends Buffer {
  latin1Slice(from: number, to: number): string;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text of bytes `from` to `to`, as UTF-8. */
export function textOf(bytes: Uint8Array, from: number, to: number): string {
  if (to - from <= LOOP_BYTES_MAX) {
    let text = "";
    let at = from;
    for (; at < to && bytes[at]! < 0x80; at++) text += String.fromCharCode(bytes[at]!);
    if (at === to) return text;
  }
  return decoder.decode(bytes.subarray(from, to));
}

/** The text of bytes with a character a byte: any bytes, none of them lost. */
export function latin1Of(bytes: Uint8Array, from: number, to: number): string {
  if (to - from <= LATIN1_LOOP_BYTES_MAX) {
    let text = "";
    for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!);
    return text;
  }
  if (bytes instanceof Buffer) return (bytes as Slicing).latin1Slice(from, to);
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}

/** The value of a string that lies in one node. */
export function blobOf(
  node: LinkNode,
  from: number,
  count: number,
  bulk: BulkKind,
): Uint8Array | string {
  if (bulk === "lent") return node.lend(from, count);
  const { bytes } = node;
  if (bulk === "latin1") return latin1Of(bytes, from, from + count);
  if (bulk === "text") return textOf(bytes, from, from + count);
  return new Uint8Array(bytes.subarray(from, from + count));
}
