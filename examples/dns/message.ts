/**
 * Messages of DNS (RFC 1035): the question of a query, and the answers to it.
 */

/** Types of records that the example answers. */
export const Type = { A: 1, CNAME: 5, TXT: 16, AAAA: 28, ANY: 255 } as const;

/** Results of a query. */
export const Code = { OK: 0, FORMAT: 1, FAILURE: 2, NO_NAME: 3, NOT_IMPLEMENTED: 4 } as const;

/** A query, as far as it is looked at. */
export interface Query {
  readonly id: number;
  /** The name, in lower case, without a dot at its end. */
  readonly name: string;
  readonly type: number;
  /** The offset behind the question. */
  readonly end: number;
  /** True for a standard look-up in the class of the Internet. */
  readonly isUsual: boolean;
}

/** A record of a name. */
export interface Answer {
  readonly type: number;
  readonly seconds: number;
  readonly data: Uint8Array;
}

const HEADER_BYTES = 12;
const NAME_BYTES_MAX = 255;
const CLASS_INTERNET = 1;
const RESPONSE = 0x8000;
const OPERATION = 0x7800;
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
/** The most that an answer over UDP has where the client does not say that it takes more (RFC 1035 §2.3.4). */
const ANSWER_BYTES_MAX = 512;
/** A name that is the question's: it begins behind the header (RFC 1035 §4.1.4). */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;

const ascii = new TextDecoder("latin1");

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a name that is not compressed. Null where it is malformed. */
function readName(bytes: Uint8Array, start: number): { name: string; end: number } | null {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at++];
    if (length === undefined || length > 63 || at + length - start > NAME_BYTES_MAX) return null;
    if (length === 0) break;
    if (at + length > bytes.length) return null;
    labels.push(ascii.decode(bytes.subarray(at, at + length)).toLowerCase());
    at += length;
  }
  return { name: labels.join("."), end: at };
}

/** Reads a query with one question. Null for what is none: nobody is answered then. */
export function readQuery(bytes: Uint8Array): Query | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  if ((flags & RESPONSE) !== 0 || view.getUint16(4) !== 1) return null;
  const found = readName(bytes, HEADER_BYTES);
  if (found === null || found.end + 4 > bytes.length) return null;
  return {
    id: view.getUint16(0),
    name: found.name,
    type: view.getUint16(found.end),
    end: found.end + 4,
    isUsual: (flags & OPERATION) === 0 && view.getUint16(found.end + 2) === CLASS_INTERNET,
  };
}

/** Makes an answer to a query: its question, the code, and the records that fit. */
export function writeAnswer(
  query: Uint8Array,
  { end }: Query,
  code: number,
  answers: readonly Answer[] = [],
): Uint8Array {
  const out = new Uint8Array(ANSWER_BYTES_MAX);
  const view = viewOf(out);
  out.set(query.subarray(0, end));
  const kept = view.getUint16(2) & (OPERATION | RECURSION_DESIRED);
  let at = end;
  let count = 0;
  for (const { type, seconds, data } of answers) {
    if (at + HEADER_BYTES + data.length > out.length) break;
    view.setUint16(at, QUESTION_NAME);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_INTERNET);
    view.setUint32(at + 6, seconds);
    view.setUint16(at + 10, data.length);
    out.set(data, at + 12);
    at += 12 + data.length;
    count += 1;
  }
  const truncated = count < answers.length ? TRUNCATED : 0;
  view.setUint16(2, RESPONSE | AUTHORITATIVE | truncated | kept | code);
  view.setUint16(4, 1);
  view.setUint16(6, count);
  view.setUint32(8, 0);
  return out.subarray(0, at);
}

/** True when two messages have the same question, which ends at `end`. */
export function asksTheSame(one: Uint8Array, other: Uint8Array, end: number): boolean {
  if (other.length < end) return false;
  for (let at = HEADER_BYTES; at < end; at++) if (one[at] !== other[at]) return false;
  return true;
}
