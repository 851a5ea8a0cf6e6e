/**
 * Messages of DNS (RFC 1035, EDNS by RFC 6891): the question of a query, and the answers to it.
 */
import { Buffer } from "node:buffer";

/** Types of records that the example looks at. */
export const Type = { A: 1, TXT: 16, AAAA: 28, OPT: 41, IXFR: 251, MAILA: 254, ANY: 255 } as const;

/** Results of a query. */
export const Code = {
  OK: 0,
  FORMAT: 1,
  FAILURE: 2,
  NO_NAME: 3,
  NOT_IMPLEMENTED: 4,
  BAD_VERSION: 16,
} as const;

/** Bits of a message, the third and the fourth byte of it. */
export const Flag = {
  RESPONSE: 0x8000,
  OPERATION: 0x7800,
  AUTHORITATIVE: 0x0400,
  TRUNCATED: 0x0200,
  RECURSION_DESIRED: 0x0100,
  RECURSION_AVAILABLE: 0x0080,
  AUTHENTIC_DATA: 0x0020,
  CHECKING_DISABLED: 0x0010,
} as const;

/** A query, as far as it is looked at. */
export interface Query {
  /** `Code.OK`, or why there is nothing to look up. */
  readonly code: number;
  /** The name, in lower case, without a dot at its end; a dot inside a label is `\.`. */
  readonly name: string;
  readonly type: number;
  /** The offset behind the question; behind the header where there is no good one. */
  readonly end: number;
  /** The bytes that an answer may have. */
  readonly answerBytesMax: number;
  /** The client says this of itself by EDNS; null when it says nothing. */
  readonly edns: Edns | null;
}

interface Edns {
  readonly bytesMax: number;
  readonly version: number;
  /** True if it wants signatures, too (RFC 3225). */
  readonly isDnssec: boolean;
}

/** A record of a name. */
export interface Answer {
  readonly type: number;
  readonly seconds: number;
  readonly data: Uint8Array;
}

const HEADER_BYTES = 12;
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const RECORD_BYTES = 10; // behind its name: type, class, seconds, length
const CLASS_INTERNET = 1;
/** The most that an answer over UDP has where the client does not say that it takes more (RFC 1035 §2.3.4). */
const PLAIN_BYTES_MAX = 512;
/** And where it does: what comes through every network in one piece. */
const EDNS_BYTES_MAX = 1232;
const EDNS_BYTES = 11;
const DNSSEC = 0x8000;
/** A name that is the question's: it begins behind the header (RFC 1035 §4.1.4). */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads a name that is not compressed. Null where it is malformed. */
function readName(bytes: Uint8Array, start: number): { name: string; end: number } | null {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = bytes[at++];
    if (length === undefined || length > LABEL_BYTES_MAX) return null;
    if (at + length - start > NAME_BYTES_MAX || at + length > bytes.length) return null;
    if (length === 0) break;
    const label = Buffer.from(bytes.subarray(at, at + length)).toString("latin1");
    // Of letters those of ASCII alone are the same in both cases (RFC 4343).
    labels.push(
      label.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/[.\\]/g, "\\$&"),
    );
    at += length;
  }
  return { name: labels.join("."), end: at };
}

/** The offset behind a name that may be compressed: a pointer ends it, and is not followed. */
function skipName(bytes: Uint8Array, at: number): number {
  for (;;) {
    const length = bytes[at] ?? 0;
    if (length > LABEL_BYTES_MAX) return at + 2;
    at += 1 + length;
    if (length === 0) return at;
  }
}

/** Looks for EDNS behind the question. Null where there is none, undefined where a record is malformed. */
function readEdns(bytes: Uint8Array, start: number): Edns | null | undefined {
  const view = viewOf(bytes);
  let edns: Edns | null = null;
  let at = start;
  // Each record has some bytes, so that no count makes this long.
  for (let left = view.getUint16(6) + view.getUint16(8) + view.getUint16(10); left > 0; left--) {
    const end = skipName(bytes, at);
    if (end + RECORD_BYTES > bytes.length) return undefined;
    if (view.getUint16(end) === Type.OPT) {
      if (edns !== null || end !== at + 1) return undefined; // one, at the root
      const bytesMax = Math.max(PLAIN_BYTES_MAX, view.getUint16(end + 2));
      const isDnssec = (view.getUint16(end + 6) & DNSSEC) !== 0;
      edns = { bytesMax, version: view.getUint8(end + 5), isDnssec };
    }
    at = end + RECORD_BYTES + view.getUint16(end + 8);
    if (at > bytes.length) return undefined;
  }
  return edns;
}

/**
 * Reads a query. Null for an answer and for what is too short to be answered: nothing is said then,
 * else two servers could talk to each other for ever.
 */
export function readQuery(bytes: Uint8Array): Query | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  if ((flags & Flag.RESPONSE) !== 0) return null;
  const refused = (code: number) => ({
    ...{ code, name: "", type: 0, end: HEADER_BYTES, answerBytesMax: PLAIN_BYTES_MAX, edns: null },
  });
  if ((flags & Flag.OPERATION) !== 0) return refused(Code.NOT_IMPLEMENTED);
  const found = view.getUint16(4) === 1 ? readName(bytes, HEADER_BYTES) : null;
  if (found === null || found.end + 4 > bytes.length) return refused(Code.FORMAT);
  const end = found.end + 4;
  const edns = readEdns(bytes, end);
  if (edns === undefined) return refused(Code.FORMAT);
  const type = view.getUint16(found.end);
  const isUsual = view.getUint16(found.end + 2) === CLASS_INTERNET &&
    !(type >= Type.IXFR && type <= Type.MAILA); // whole zones are no answer of one datagram
  const code = edns !== null && edns.version > 0
    ? Code.BAD_VERSION
    : isUsual
    ? Code.OK
    : Code.NOT_IMPLEMENTED;
  const answerBytesMax = Math.min(edns?.bytesMax ?? PLAIN_BYTES_MAX, EDNS_BYTES_MAX);
  return { code, name: found.name, type, end, answerBytesMax, edns };
}

/** Writes a record of EDNS: the bytes that we take, and the part of a code that has no place before. */
function writeEdns(view: DataView, at: number, bytesMax: number, code: number, edns: Edns): void {
  view.setUint16(10, 1);
  view.setUint16(at + 1, Type.OPT);
  view.setUint16(at + 3, bytesMax);
  view.setUint8(at + 5, code >> 4);
  view.setUint16(at + 7, edns.isDnssec ? DNSSEC : 0);
}

/** Begins a message with the question of another one. */
function begin(out: Uint8Array, query: Uint8Array, end: number, flags: number): DataView {
  const view = viewOf(out);
  out.set(query.subarray(0, end));
  view.setUint16(2, flags);
  view.setUint16(4, end > HEADER_BYTES ? 1 : 0);
  view.setUint32(6, 0);
  view.setUint16(10, 0);
  return view;
}

/** Makes an answer to a query: its question, the code, and the records that fit. */
export function writeAnswer(
  bytes: Uint8Array,
  { end, edns, answerBytesMax }: Query,
  code: number,
  { flags = 0, answers = [] as readonly Answer[] } = {},
): Uint8Array {
  const out = new Uint8Array(answerBytesMax);
  const kept = viewOf(bytes).getUint16(2) & (Flag.OPERATION | Flag.RECURSION_DESIRED);
  const view = begin(out, bytes, end, Flag.RESPONSE | kept | flags | code & 15);
  const room = out.length - (edns === null ? 0 : EDNS_BYTES);
  let at = end;
  let count = 0;
  for (const { type, seconds, data } of answers) {
    if (at + 2 + RECORD_BYTES + data.length > room) break;
    view.setUint16(at, QUESTION_NAME);
    view.setUint16(at + 2, type);
    view.setUint16(at + 4, CLASS_INTERNET);
    view.setUint32(at + 6, seconds);
    view.setUint16(at + 10, data.length);
    out.set(data, at + 12);
    at += 12 + data.length;
    count += 1;
  }
  if (count < answers.length) view.setUint16(2, view.getUint16(2) | Flag.TRUNCATED);
  view.setUint16(6, count);
  if (edns === null) return out.subarray(0, at);
  writeEdns(view, at, EDNS_BYTES_MAX, code, edns);
  return out.subarray(0, at + EDNS_BYTES);
}

/** Makes a query without a number that has a client's question, and nothing else that it has sent. */
export function writeQuery(bytes: Uint8Array, { end, edns, answerBytesMax }: Query): Uint8Array {
  const out = new Uint8Array(end + (edns === null ? 0 : EDNS_BYTES));
  const { RECURSION_DESIRED, AUTHENTIC_DATA, CHECKING_DISABLED } = Flag;
  const kept = RECURSION_DESIRED | AUTHENTIC_DATA | CHECKING_DISABLED;
  const view = begin(out, bytes, end, viewOf(bytes).getUint16(2) & kept);
  view.setUint16(0, 0);
  if (edns !== null) writeEdns(view, end, answerBytesMax, Code.OK, edns);
  return out;
}

/** True if a message answers a query that we have sent: it has its question, bit by bit. */
export function isAnswerTo(message: Uint8Array, query: Uint8Array, end: number): boolean {
  if (message.length < end) return false;
  const view = viewOf(message);
  if ((view.getUint16(2) & (Flag.RESPONSE | Flag.OPERATION)) !== Flag.RESPONSE) return false;
  if (view.getUint16(4) !== 1) return false;
  for (let at = HEADER_BYTES; at < end; at++) if (message[at] !== query[at]) return false;
  return true;
}
