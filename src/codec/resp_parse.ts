/**
 * Parsing RESP where it lies: from one node to the next, and on from there when more has come.
 */
import type { LinkChain, Unfinished } from "../buffer/link_chain.ts";
import type { LinkNode } from "../buffer/link_node.ts";
import { FrameError } from "../core/errors.ts";
import { RESP_DEPTH_MAX, RESP_DIGITS_MAX, RESP_LINE_BYTES_MAX } from "../core/limits.ts";
import { inlineWords } from "./resp_inline.ts";
import { blobOf, latin1Of, textOf } from "./resp_text.ts";
import { type BulkKind, RespError, RespPush, type RespValue, RespVerbatim } from "./resp_value.ts";

/** The rules of its codec that a parse obeys. */
export interface ParseRules {
  /** The form of blob strings. */
  readonly bulk: BulkKind;
  /** The longest value, in bytes on the wire. */
  readonly frameBytesMax: number;
  /** Whether a line that begins with no type is a command. */
  readonly inline: boolean;
}

type Bulk = Uint8Array | string;
type Value = RespValue<Bulk>;

/** An array, map, set, push or attribute whose values are being read. */
interface Level {
  readonly type: number;
  readonly values: Value[];
  left: number;
}

/** The types, by their first byte (the RESP protocol specification, redis.io). */
export const Type = {
  SIMPLE: 0x2b, // +
  ERROR: 0x2d, // -
  INTEGER: 0x3a, // :
  BULK: 0x24, // $
  ARRAY: 0x2a, // *
  NULL: 0x5f, // _
  BOOLEAN: 0x23, // #
  DOUBLE: 0x2c, // ,
  BIG: 0x28, // (
  BULK_ERROR: 0x21, // !
  VERBATIM: 0x3d, // =
  MAP: 0x25, // %
  SET: 0x7e, // ~
  PUSH: 0x3e, // >
  ATTRIBUTE: 0x7c, // |
} as const;

/** Carriage return: the first byte of a line's end. */
export const CR = 13;
/** Line feed: the last byte of a line's end. */
export const LF = 10;
/** The digit 0. */
export const ZERO = 0x30;
/** So many digits are a number whatever they are: 10^15 < 2^53. */
const DIGITS_MAX = 15;
/** The shortest value: `_\r\n`. */
const VALUE_BYTES_MIN = 3;
const NONE = -1;
/** "txt:" before the text. */
const FORMAT_BYTES = 4;

/** The sign and 19 digits of a 64-bit integer. */
const INTEGER_CHARACTERS_MAX = 20;
const LINE_END_BYTES = 2;
const MINUS = 0x2d;
const IS_TYPE = new Uint8Array(256);
for (const type of Object.values(Type)) IS_TYPE[type] = 1;
const SPECIAL: ReadonlyMap<string, number> = new Map([
  ["inf", Infinity],
  ["-inf", -Infinity],
  ["nan", NaN],
]);

const INTEGER = /^[+-]?\d+$/;
const DOUBLE = /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/;

/** The value is not there in full, or what was read is none yet. */
export const PENDING: unique symbol = Symbol("pending");
const STOPPED: unique symbol = Symbol("stopped");

/** One value, from its first byte on. It goes on for as long as nothing of the chain is read. */
export class RespParse implements Unfinished {
  readonly knower: unknown;
  begins = 0;
  /** The number of bytes that it needs to go on. */
  needed = 1;
  /** The number of bytes that were parsed. */
  offset = 0;
  readonly #rules: ParseRules;
  readonly #levels: Level[] = [];
  #chain!: LinkChain;
  /** The place of the next byte. */
  #node!: LinkNode;
  #at = 0;
  /** The begin of the line that is being read, and its first byte's offset. */
  #lineNode!: LinkNode;
  #lineAt = 0;
  #lineOffset = 0;
  /** The line that was read, without its end. */
  #bytes!: Uint8Array;
  #from = 0;
  #to = 0;
  /** The blob whose bytes are to come, and how many there are; NONE while a line is read. */
  #bulkType = NONE;
  #bulkBytes = 0;

  /** A parse for a codec. */
  constructor(knower: unknown, rules: ParseRules) {
    this.knower = knower;
    this.#rules = rules;
  }

  /** Begins anew, with the next unread byte, which is there. */
  begin(chain: LinkChain): void {
    this.begins = chain.total;
    this.offset = 0;
    this.#levels.length = 0;
    this.#bulkType = NONE;
    this.#chain = chain;
    this.#node = chain.front()!;
    this.#at = this.#node.read;
    this.#beginLine();
  }

  #beginLine(): void {
    this.#lineNode = this.#node;
    this.#lineAt = this.#at;
    this.#lineOffset = this.offset;
  }

  /** Goes on with what is there. The value, or `PENDING`. */
  run(): Value | typeof PENDING {
    for (;;) {
      const value = this.#next();
      if (value === STOPPED) return PENDING;
      this.#beginLine();
      if (value === PENDING) continue;
      const whole = this.#settle(value);
      if (whole !== PENDING) return whole;
    }
  }

  /** The next value, or `PENDING` when what was read is none yet; `STOPPED` for want of bytes. */
  #next(): Value | typeof PENDING | typeof STOPPED {
    if (this.#bulkType !== NONE) return this.#hasBulk() ? this.#bulk() : STOPPED;
    if (this.offset === this.#lineOffset && !this.#mayBeCommand) {
      const blob = this.#wholeBlob();
      if (blob !== PENDING) return blob;
    }
    return this.#readLine() ? this.#value() : STOPPED;
  }

  /**
   * A string that lies in one node with its length, as nearly all do, read at a stretch: twice as
   * fast. Whatever is not as it should be is left to those who take it line by line.
   */
  #wholeBlob(): Value | typeof PENDING {
    const node = this.#node;
    const { bytes, flushed } = node;
    let at = this.#at;
    if (at === flushed || bytes[at] !== Type.BULK) return PENDING;
    at += 1;
    let count = 0;
    const digitsEnd = Math.min(flushed, at + DIGITS_MAX);
    for (; at < digitsEnd && isDigit(bytes[at]!); at++) count = count * 10 + bytes[at]! - ZERO;
    const from = at + LINE_END_BYTES;
    const to = from + count;
    const end = to + LINE_END_BYTES;
    const offset = this.offset + end - this.#at;
    if (end > flushed || at === this.#at + 1 || offset > this.#rules.frameBytesMax) return PENDING;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return PENDING;
    if (bytes[to] !== CR || bytes[to + 1] !== LF) return PENDING;
    this.#at = end;
    this.offset = offset;
    return blobOf(node, from, count, this.#rules.bulk);
  }

  /** Puts a value where it belongs. The whole value once that was its last. */
  #settle(value: Value): Value | typeof PENDING {
    const levels = this.#levels;
    for (let depth = levels.length; depth > 0; depth--) {
      const level = levels[depth - 1]!;
      level.values.push(value);
      level.left -= 1;
      if (level.left > 0) return PENDING;
      levels.pop();
      // Attributes say something about the value that follows, which nobody here wants to know.
      if (level.type === Type.ATTRIBUTE) return PENDING;
      value = close(level.type, level.values);
    }
    return value;
  }

  // ---- lines ------------------------------------------------------------------------------------

  /** Steps to the node of the next byte. Whether there is one. */
  #advance(): boolean {
    while (this.#at === this.#node.flushed) {
      if (this.#node === this.#chain.flushing) return false;
      this.#node = this.#node.next!;
      this.#at = this.#node.read;
    }
    return true;
  }

  /** Reads on in a line. Whether it is there in full. */
  #readLine(): boolean {
    while (this.#advance()) {
      const { bytes, flushed } = this.#node;
      const from = this.#at;
      if (this.offset === this.#lineOffset) this.#checkType(bytes[from]!);
      let at = from;
      while (at < flushed && bytes[at] !== LF) at += 1;
      const isEnd = at < flushed;
      if (isEnd) at += 1;
      this.offset += at - from;
      this.#at = at;
      if (this.offset > this.#rules.frameBytesMax) throw this.#tooLong(this.offset);
      if (this.offset - this.#lineOffset > RESP_LINE_BYTES_MAX) {
        throw this.#malformed(`a line has more than ${RESP_LINE_BYTES_MAX} bytes`);
      }
      if (isEnd) return this.#takeLine();
    }
    this.needed = this.offset + 1;
    return false;
  }

  #takeLine(): true {
    const count = this.offset - this.#lineOffset;
    const isHere = this.#lineNode === this.#node;
    this.#bytes = isHere ? this.#node.bytes : copyFrom(this.#lineNode, this.#lineAt, count);
    this.#from = isHere ? this.#lineAt : 0;
    this.#to = this.#from + count - 1;
    return true;
  }

  #checkType(byte: number): void {
    if (IS_TYPE[byte] === 1 || this.#mayBeCommand) return;
    throw this.#malformed(`${JSON.stringify(String.fromCharCode(byte))} is no type of RESP`);
  }

  /** Whether a line that begins here need not be RESP. */
  get #mayBeCommand(): boolean {
    return this.#rules.inline && this.#levels.length === 0;
  }

  /** The value of the line that was read; `PENDING` when its values or bytes are still to come. */
  #value(): Value | typeof PENDING {
    const bytes = this.#bytes;
    const hasCr = this.#to > this.#from && bytes[this.#to - 1] === CR;
    if (hasCr) this.#to -= 1;
    const type = bytes[this.#from]!;
    if (type !== Type.ARRAY && this.#mayBeCommand) return this.#command();
    if (!hasCr) throw this.#malformed("a line ends without \\r", this.offset - 1);
    this.#from += 1;
    switch (type) {
      case Type.BULK:
      case Type.BULK_ERROR:
      case Type.VERBATIM:
        return this.#beginBulk(type);
      case Type.ARRAY:
      case Type.MAP:
      case Type.SET:
      case Type.PUSH:
      case Type.ATTRIBUTE:
        return this.#beginLevel(type);
      case Type.INTEGER:
        return this.#integer();
      case Type.SIMPLE:
        return this.#lineText();
      case Type.ERROR:
        return new RespError(this.#lineText());
      case Type.DOUBLE:
      case Type.BIG:
        this.#checkDigits();
        return this.#scalar(type, this.#lineText());
      default:
        return this.#scalar(type, this.#lineText());
    }
  }

  #lineText(): string {
    const at = this.#bytes.subarray(this.#from, this.#to).indexOf(CR);
    if (at >= 0) throw this.#malformed("a line has \\r within", this.#lineOffset + 1 + at);
    return this.#decode(this.#bytes, this.#from, this.#to);
  }

  /** Text of a line, or of a blob that is always text. */
  #decode(bytes: Uint8Array, from: number, to: number): string {
    return this.#rules.bulk === "latin1" ? latin1Of(bytes, from, to) : textOf(bytes, from, to);
  }

  /** The sign aside, so many characters are a number; see RESP_DIGITS_MAX. */
  #checkDigits(): void {
    if (this.#to - this.#from <= RESP_DIGITS_MAX + 1) return;
    throw this.#malformed(`a number has more than ${RESP_DIGITS_MAX} digits`);
  }

  #scalar(type: number, text: string): Value {
    if (type === Type.NULL && text === "") return null;
    if (type === Type.BOOLEAN && (text === "t" || text === "f")) return text === "t";
    if (type === Type.BIG && INTEGER.test(text)) return bigintOf(text);
    if (type === Type.DOUBLE) {
      if (DOUBLE.test(text)) return Number(text);
      const special = SPECIAL.get(text);
      if (special !== undefined) return special;
    }
    throw this.#malformed(`${JSON.stringify(text.slice(0, 32))} is no value of its type`);
  }

  #integer(): Value {
    const bytes = this.#bytes;
    const isNegative = bytes[this.#from] === MINUS;
    const first = this.#from + (isNegative ? 1 : 0);
    let sum = 0;
    let at = first;
    for (; at < this.#to && isDigit(bytes[at]!); at++) sum = sum * 10 + bytes[at]! - ZERO;
    if (at === this.#to && at > first && at - first <= DIGITS_MAX) {
      return isNegative ? 0 - sum : sum;
    }
    const text = this.#lineText();
    if (text.length > INTEGER_CHARACTERS_MAX || !INTEGER.test(text)) {
      throw this.#malformed(`${JSON.stringify(text.slice(0, 32))} is no integer`);
    }
    const value = Number(text);
    return Number.isSafeInteger(value) ? value : bigintOf(text);
  }

  /** The count that a line announces; NONE for `-1`, which is RESP2's null. */
  #count(): number {
    const bytes = this.#bytes;
    const from = this.#from;
    const to = this.#to;
    if (to - from === 2 && bytes[from] === MINUS && bytes[from + 1] === ZERO + 1) return NONE;
    // To a server any negative number of words is a request without words, as to Redis.
    const isNegative = bytes[from] === MINUS && this.#rules.inline && this.#levels.length === 0;
    if (isNegative && bytes[from - 1] === Type.ARRAY) return this.#negative();
    let sum = 0;
    let at = from;
    for (; at < to && isDigit(bytes[at]!); at++) sum = sum * 10 + bytes[at]! - ZERO;
    if (at === to && at > from && at - from <= DIGITS_MAX) return sum;
    throw this.#malformed("what follows the type is no count");
  }

  #negative(): number {
    const text = this.#lineText();
    if (text.length <= INTEGER_CHARACTERS_MAX && INTEGER.test(text)) return NONE;
    throw this.#malformed("what follows the type is no count");
  }

  /** A command without RESP, as one types it. */
  #command(): Value {
    const words = inlineWords(this.#bytes, this.#from, this.#to);
    if (words === null) throw this.#malformed("the quotes of a command are unbalanced");
    const { bulk } = this.#rules;
    if (bulk === "latin1") return words.map((word) => latin1Of(word, 0, word.length));
    return bulk === "text" ? words.map((word) => textOf(word, 0, word.length)) : words;
  }

  // ---- blobs and aggregates ---------------------------------------------------------------------

  #beginBulk(type: number): null | typeof PENDING {
    const count = this.#count();
    if (count === NONE && type === Type.BULK) return null;
    if (count === NONE) throw this.#malformed("only a string can be null");
    const sum = this.offset + count + LINE_END_BYTES;
    if (sum > this.#rules.frameBytesMax) throw this.#tooLong(sum);
    this.#bulkType = type;
    this.#bulkBytes = count;
    return PENDING;
  }

  #beginLevel(type: number): Value | typeof PENDING {
    const count = this.#count();
    if (count === NONE && type === Type.ARRAY) return null;
    if (count === NONE) throw this.#malformed("only an array can be null");
    const left = type === Type.MAP || type === Type.ATTRIBUTE ? 2 * count : count;
    // However short its values are: a count alone makes nobody keep what is to come.
    const sum = this.offset + left * VALUE_BYTES_MIN;
    if (sum > this.#rules.frameBytesMax) throw this.#tooLong(sum);
    if (left === 0) return type === Type.ATTRIBUTE ? PENDING : close(type, []);
    if (this.#levels.length === RESP_DEPTH_MAX) {
      throw this.#malformed(`more than ${RESP_DEPTH_MAX} levels lie in each other`);
    }
    this.#levels.push({ type, values: [], left });
    return PENDING;
  }

  #hasBulk(): boolean {
    this.needed = this.offset + this.#bulkBytes + LINE_END_BYTES;
    return this.needed <= this.#chain.length;
  }

  #bulk(): Value {
    const count = this.#bulkBytes;
    this.#advance();
    const node = this.#node;
    const at = this.#at;
    const isHere = node.flushed - at >= count;
    const bytes = isHere ? node.bytes : copyFrom(node, at, count);
    const from = isHere ? at : 0;
    this.#skip(count);
    this.#expect(CR);
    this.#expect(LF);
    const type = this.#bulkType;
    this.#bulkType = NONE;
    if (type !== Type.BULK) return this.#text(type, this.#decode(bytes, from, from + count));
    if (isHere) return blobOf(node, at, count, this.#rules.bulk);
    const { bulk } = this.#rules;
    if (bulk === "latin1") return latin1Of(bytes, 0, count);
    return bulk === "text" ? textOf(bytes, 0, count) : bytes;
  }

  /** Goes past a byte that is there, and must be this one. */
  #expect(expected: number): void {
    this.#advance();
    if (this.#node.bytes[this.#at] !== expected) {
      throw this.#malformed("a string does not end where it should", this.offset);
    }
    this.#at += 1;
    this.offset += 1;
  }

  #text(type: number, text: string): Value {
    if (type === Type.BULK_ERROR) return new RespError(text);
    if (text[FORMAT_BYTES - 1] !== ":") throw this.#malformed("a verbatim string has no format");
    return new RespVerbatim(text.slice(0, FORMAT_BYTES - 1), text.slice(FORMAT_BYTES));
  }

  /** Goes past bytes that are there. */
  #skip(count: number): void {
    this.offset += count;
    while (this.#node.flushed - this.#at < count) {
      count -= this.#node.flushed - this.#at;
      this.#node = this.#node.next!;
      this.#at = this.#node.read;
    }
    this.#at += count;
  }

  // ---- errors -----------------------------------------------------------------------------------

  #malformed(what: string, offset = this.#lineOffset): FrameError {
    return new FrameError("malformed", offset, `Cannot decode RESP: ${what}`);
  }

  #tooLong(wireBytes: number): FrameError {
    const { frameBytesMax } = this.#rules;
    return new FrameError(
      "too-long",
      this.#lineOffset,
      `Cannot decode a value of ${wireBytes} bytes or more: frameBytesMax is ${frameBytesMax}`,
    );
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}

/** BigInt() takes no plus. */
function bigintOf(text: string): bigint {
  return BigInt(text.startsWith("+") ? text.slice(1) : text);
}

/** The value of an aggregate. */
function close(type: number, values: Value[]): Value {
  if (type === Type.ARRAY) return values;
  if (type === Type.SET) return new Set(values);
  if (type === Type.PUSH) return new RespPush(values);
  const map = new Map<Value, Value>();
  for (let i = 0; i < values.length; i += 2) map.set(values[i]!, values[i + 1]!);
  return map;
}

/** A copy of bytes that begin in a node and may end in a later one. */
function copyFrom(node: LinkNode, at: number, count: number): Uint8Array {
  const copy = new Uint8Array(count);
  for (let done = 0; done < count;) {
    const part = Math.min(count - done, node.flushed - at);
    copy.set(node.bytes.subarray(at, at + part), done);
    done += part;
    if (done === count) break;
    node = node.next!;
    at = node.read;
  }
  return copy;
}
