/**
 * Short strings, as most answers are: written in one go, where a call for each part of them costs more
 * than their bytes.
 */
import { type TextEncoding, writeChain } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import { CR, LF, ZERO } from "./resp_parse.ts";

/** Longer text is encoded faster by a call. */
const CHARACTERS_MAX = 100;
const COUNT_DIGITS_MAX = 3;
/** The bytes around the text: a type, a count, the ends of two lines. */
const AROUND_BYTES_MAX = 1 + COUNT_DIGITS_MAX + 2 + 2;

/** The largest character that is one byte. */
function mostOf(encoding: TextEncoding): number {
  return encoding === "latin1" ? 0xff : 0x7f;
}

/** Whether text has the end of a line, as the bytes that it becomes: latin1 keeps only low bytes. */
export function hasLineEnd(text: string, encoding: TextEncoding): boolean {
  if (encoding !== "latin1") return /[\r\n]/.test(text);
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i) & 0xff;
    if (byte === CR || byte === LF) return true;
  }
  return false;
}

/** Writes a short blob string with its count. Whether it did: not what needs more than a byte a character. */
export function writeBlob(
  writer: Writer,
  type: string,
  text: string,
  encoding: TextEncoding,
): boolean {
  return writeShort(writer, type, text, encoding, true);
}

/** Writes a line: no count, and no end of a line within. */
export function writeLine(
  writer: Writer,
  type: string,
  text: string,
  encoding: TextEncoding,
): boolean {
  return writeShort(writer, type, text, encoding, false);
}

function writeShort(
  writer: Writer,
  type: string,
  text: string,
  encoding: TextEncoding,
  isBlob: boolean,
): boolean {
  const count = text.length;
  const chain = count <= CHARACTERS_MAX ? writeChain(writer) : null;
  if (chain === null) return false;
  const node = chain.room(count + AROUND_BYTES_MAX);
  const { bytes } = node;
  let at = node.malloced;
  bytes[at++] = type.charCodeAt(0);
  if (isBlob) {
    if (count >= 100) bytes[at++] = ZERO + Math.floor(count / 100);
    if (count >= 10) bytes[at++] = ZERO + Math.floor(count / 10) % 10;
    bytes[at++] = ZERO + count % 10;
    bytes[at++] = CR;
    bytes[at++] = LF;
  }
  const most = mostOf(encoding);
  for (let i = 0; i < count; i++) {
    const code = text.charCodeAt(i);
    if (code > most || (!isBlob && (code === CR || code === LF))) return false;
    bytes[at++] = code;
  }
  bytes[at++] = CR;
  bytes[at++] = LF;
  chain.written(at - node.malloced);
  return true;
}
