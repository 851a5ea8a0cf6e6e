/**
 * RESP, the protocol of Redis, versions 2 and 3.
 */
import { showAs } from "../core/inspect.ts";
import { Buffer } from "node:buffer";
import { countToWrite } from "../buffer/array_node.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { type BufferReader, readChain, type TextEncoding } from "../buffer/reader.ts";
import { track } from "../buffer/tracked.ts";
import { wholly } from "../buffer/undo.ts";
import type { Writer } from "../buffer/writer.ts";
import { bufferOf, byteCount, isFixed, plainView } from "../core/bytes.ts";
import { config } from "../core/config.ts";
import {
  FRAME_BYTES_MAX,
  PIECE_BYTES_MAX,
  RESP_DEPTH_MAX,
  RESP_DIGITS_MAX,
  RESP_LINE_BYTES_MAX,
} from "../core/limits.ts";
import { checkOptions, type Known, show } from "../core/options.ts";
import { checkOption, FRAME_OPTIONS, type FrameOptions } from "./byte_codec.ts";
import type { Codec } from "./codec.ts";
import { type ParseRules, PENDING, RespParse } from "./resp_parse.ts";
import { readRequest } from "./resp_request.ts";
import { hasLineEnd, writeBlob, writeLine } from "./resp_write.ts";
import {
  type BulkKind,
  RespError,
  type RespInput,
  RespNullArray,
  RespPush,
  RespSimple,
  type RespValue,
  RespVerbatim,
} from "./resp_value.ts";

const OPTIONS: Known<RespOptions> = { ...FRAME_OPTIONS, bulk: 1, version: 1, inline: "boolean" };

/** The options of {@linkcode resp}. */
export interface RespOptions<Kind extends BulkKind = BulkKind> extends FrameOptions {
  /**
   * The form of blob strings: "lent" views, valid until `release()`, unless given; "owned" copies;
   * "text", decoded as UTF-8; or "latin1", text with a character for each byte, whatever these are.
   * Strings that are written are UTF-8, but latin1 if the ones that are read are.
   */
  bulk?: Kind;
  /** The version to write; 2 unless given. Both are read. */
  version?: 2 | 3;
  /**
   * Whether it reads what a server is sent: arrays, and commands that somebody types. A line that
   * begins with anything but `*` is an array of its words; quotes hold a word together, as in
   * redis-cli. Any negative count of an array is a request without words.
   */
  inline?: boolean;
}

/** A codec whose frames are the values of RESP. */
export interface RespCodec<Bulk> extends Codec<RespValue<Bulk>, RespInput> {
  /** The longest value, in bytes on the wire. */
  readonly frameBytesMax: number;
  /** As {@linkcode Codec.needed}. */
  needed(reader: BufferReader): number;
}

/**
 * The values of RESP2 and RESP3. What has come of a value is parsed once, however it was cut. Blob
 * strings are **lent**, until `release()`, unless `bulk` says otherwise.
 *
 * Strings are written as blob strings, so that an array of strings is a command; `RespSimple` makes
 * a simple one. In version 2 a map is written as an array of keys and values, a set and a push as
 * arrays, true and false as 1 and 0, other numbers than integers as strings.
 *
 * Attributes are read and dropped. Streamed strings and aggregates (`$?`), which no server sends,
 * are malformed.
 *
 * @throws {RangeError} An option is out of range.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp } from "@netpoll/netpoll/resp";
 *
 * const codec = resp({ bulk: "text" });
 * const buffer = new LinkBuffer();
 * codec.encode(buffer, ["SET", "key", "value"]);
 * buffer.flush();
 * console.log(codec.decode(buffer)); // ["SET", "key", "value"]
 * buffer.close();
 * ```
 */
export function resp(options?: RespOptions<"lent" | "owned">): RespCodec<Uint8Array>;
/** The codec with blob strings as text. */
export function resp(options: RespOptions<"text" | "latin1">): RespCodec<string>;
export function resp(options: RespOptions = {}): RespCodec<Uint8Array> | RespCodec<string> {
  checkOptions("resp", options, OPTIONS);
  return new Resp(options) as RespCodec<Uint8Array> | RespCodec<string>;
}

type Bulk = Uint8Array | string;

/** The type of a line, and its end. */
const LINE_AROUND_BYTES = 3;

/** Between two looks at how long a value has become, so many small ones are written. */
const VALUES_PER_CHECK = 16;

/** The largest number that is read back. */
const BIG_MAX = 10n ** BigInt(RESP_DIGITS_MAX) - 1n;

const BULK_KINDS: readonly BulkKind[] = ["lent", "owned", "text", "latin1"];

/** Writes a value, as long as it may be. */
let write: (codec: Resp, writer: Writer, value: RespInput) => void;

class Resp implements RespCodec<Bulk> {
  static {
    write = (codec, writer, value) => codec.#writeWhole(writer, value);
  }

  readonly frameBytesMax: number;
  readonly #rules: ParseRules;
  readonly #isThree: boolean;
  /** Of the strings that are written. */
  readonly #encoding: TextEncoding;
  /** A parse that is over, to be used again. */
  #spare: RespParse | null = null;

  constructor(options: RespOptions) {
    const { frameBytesMax = FRAME_BYTES_MAX, bulk = "lent", version = 2 } = options;
    this.frameBytesMax = checkOption("frameBytesMax", frameBytesMax, 1, PIECE_BYTES_MAX);
    if (!BULK_KINDS.includes(bulk)) {
      throw new RangeError(
        `Cannot make a codec: bulk is one of ${BULK_KINDS.join(", ")}, not ${bulk}`,
      );
    }
    this.#encoding = bulk === "latin1" ? "latin1" : "utf-8";
    this.#rules = { bulk, frameBytesMax, inline: options.inline ?? false };
    this.#isThree = checkOption("version", version, 2, 3) === 3;
  }

  decode(reader: BufferReader): RespValue<Bulk> | undefined {
    const chain = readChain(reader);
    if (chain.length === 0) return undefined;
    const { unfinished } = chain;
    const request = unfinished === null ? readRequest(chain, this.#rules) : null;
    if (request !== null) return this.#lend(chain, request);
    const isKnown = unfinished instanceof RespParse && unfinished.knower === this &&
      unfinished.begins === chain.total;
    if (isKnown && chain.length < unfinished.needed) return undefined;
    const parse = isKnown ? unfinished : this.#begin(chain);
    const value = this.#run(chain, parse);
    if (value === PENDING) {
      chain.unfinished = parse;
      return undefined;
    }
    chain.unfinished = null;
    this.#spare = parse;
    chain.consume(parse.offset);
    return this.#lend(chain, value);
  }

  #lend(chain: LinkChain, value: RespValue<Bulk>): RespValue<Bulk> {
    return config.debug && this.#rules.bulk === "lent" ? tracked(chain, value) : value;
  }

  #begin(chain: LinkChain): RespParse {
    const parse = this.#spare ?? new RespParse(this, this.#rules);
    this.#spare = null;
    parse.begin(chain);
    return parse;
  }

  #run(chain: LinkChain, parse: RespParse): RespValue<Bulk> | typeof PENDING {
    try {
      return parse.run();
    } catch (error) {
      chain.unfinished = null; // where it stopped is nowhere to go on from
      throw error;
    }
  }

  needed(reader: BufferReader): number {
    const chain = readChain(reader);
    const { unfinished } = chain;
    const isKnown = unfinished instanceof RespParse && unfinished.knower === this &&
      unfinished.begins === chain.total;
    return isKnown ? unfinished.needed : chain.length + 1;
  }

  encode(writer: Writer, value: RespInput): void {
    wholly(write, this, writer, value);
  }

  #writeWhole(writer: Writer, value: RespInput): void {
    const before = writer.mallocLength;
    this.#write(writer, value, before, 0);
    this.#checkLength(writer.mallocLength - before);
  }

  #checkLength(wireBytes: number): void {
    const { frameBytesMax } = this;
    if (wireBytes <= frameBytesMax) return;
    throw new RangeError(
      `Cannot encode a value of ${wireBytes} bytes or more: frameBytesMax is ${frameBytesMax}`,
    );
  }

  #write(writer: Writer, value: RespInput, before: number, depth: number): void {
    if (typeof value === "string") return this.#writeText(writer, "$", value, before);
    if (value instanceof Uint8Array) return this.#writeBytes(writer, value, before);
    if (typeof value === "number") return this.#writeNumber(writer, value);
    if (value === null || value === undefined) {
      return void writer.writeString(this.#isThree ? "_\r\n" : "$-1\r\n");
    }
    if (typeof value === "object") return this.#writeObject(writer, value, before, depth);
    if (typeof value === "bigint") return this.#writeBigint(writer, value);
    if (typeof value !== "boolean") throw new TypeError(`Cannot encode a ${typeof value} as RESP`);
    if (this.#isThree) writer.writeString(value ? "#t\r\n" : "#f\r\n");
    else writer.writeString(value ? ":1\r\n" : ":0\r\n");
  }

  #writeNumber(writer: Writer, value: number): void {
    if (Number.isSafeInteger(value)) return void writer.writeString(`:${value}\r\n`);
    const text = Number.isFinite(value)
      ? String(value)
      : Number.isNaN(value)
      ? "nan"
      : value > 0
      ? "inf"
      : "-inf";
    if (this.#isThree) writer.writeString(`,${text}\r\n`);
    else this.#writeText(writer, "$", text);
  }

  #writeBigint(writer: Writer, value: bigint): void {
    if (BigInt.asIntN(64, value) === value) writer.writeString(`:${value}\r\n`);
    else if (this.#isThree) this.#writeBig(writer, value);
    else this.#writeText(writer, "$", String(value));
  }

  #writeBig(writer: Writer, value: bigint): void {
    // Asked before the text is made, which takes a time of its own for each digit.
    if (value > BIG_MAX || value < -BIG_MAX) {
      throw new RangeError(
        `Cannot encode a big number of more than ${RESP_DIGITS_MAX} digits: use a string`,
      );
    }
    writer.writeString(`(${value}\r\n`);
  }

  #writeObject(writer: Writer, value: object, before: number, depth: number): void {
    if (depth === RESP_DEPTH_MAX) {
      throw new RangeError(
        `Cannot encode RESP: more than ${RESP_DEPTH_MAX} levels lie in each other`,
      );
    }
    if (Array.isArray(value)) return this.#writeAll(writer, "*", value, before, depth);
    if (value instanceof RespNullArray) {
      return void writer.writeString(this.#isThree ? "_\r\n" : "*-1\r\n");
    }
    if (value instanceof RespSimple) return this.#writeLine(writer, "+", checkText(value.text));
    if (value instanceof RespError) {
      return this.#writeError(writer, checkText(value.message), before);
    }
    if (value instanceof Map) {
      const flat: RespInput[] = [];
      for (const [key, each] of value) flat.push(key, each);
      return this.#writeAll(writer, "%", flat, before, depth);
    }
    if (value instanceof Set) return this.#writeAll(writer, "~", [...value], before, depth);
    if (value instanceof RespPush) return this.#writeAll(writer, ">", value.values, before, depth);
    if (!(value instanceof RespVerbatim)) throw new TypeError("Cannot encode this object as RESP");
    const text = checkText(value.text);
    if (!this.#isThree) return this.#writeText(writer, "$", text, before);
    const format = checkText(value.format);
    if (!/^[\x21-\x7e]{3}$/.test(format)) {
      throw new RangeError(`Cannot encode RESP: "${format}" is no format of 3 characters`);
    }
    this.#writeText(writer, "=", `${format}:${text}`, before);
  }

  /**
   * As many values as the count says, whatever an array's own iterator or getters make of it. Their
   * length is asked for as it grows: a few arrays that hold each other several times, or an empty one
   * of any length, come to more than there is memory.
   */
  #writeAll(
    writer: Writer,
    type: string,
    values: readonly RespInput[],
    before: number,
    depth: number,
  ): void {
    const length = Array.isArray(values) ? values.length : NaN;
    if (!Number.isSafeInteger(length)) {
      throw new TypeError("Cannot encode RESP: what holds the values is no array");
    }
    const count = this.#isThree && type === "%" ? length / 2 : length;
    writer.writeString(`${this.#isThree ? type : "*"}${count}\r\n`);
    for (let i = 0; i < length; i++) {
      if (i % VALUES_PER_CHECK === 0 && depth + i > 0) {
        this.#checkLength(writer.mallocLength - before);
      }
      this.#write(writer, values[i], before, depth + 1);
    }
  }

  #writeError(writer: Writer, message: string, before: number): void {
    if (!hasLineEnd(message, this.#encoding)) this.#writeLine(writer, "-", message);
    else if (this.#isThree) this.#writeText(writer, "!", message, before);
    else this.#writeLine(writer, "-", message.replace(/[\r\n]+/g, " "));
  }

  #writeBytes(writer: Writer, bytes: Uint8Array, before: number): void {
    // Shared memory may grow between two looks at it.
    const count = countToWrite(bytes);
    const plain = isFixed(bufferOf(bytes)) ? bytes : plainView(bytes);
    this.#checkLength(writer.mallocLength - before + count);
    writer.writeString(`$${byteCount(plain)}\r\n`);
    writer.writeBinary(plain);
    writer.writeString("\r\n");
  }

  #writeText(writer: Writer, type: string, text: string, before = writer.mallocLength): void {
    if (writeBlob(writer, type, text, this.#encoding)) return;
    const count = this.#encoding === "latin1" ? text.length : Buffer.byteLength(text);
    this.#checkLength(writer.mallocLength - before + count);
    writer.writeString(`${type}${count}\r\n`);
    writer.writeString(text, this.#encoding);
    writer.writeString("\r\n");
  }

  #writeLine(writer: Writer, type: string, text: string): void {
    if (writeLine(writer, type, text, this.#encoding)) return;
    if (hasLineEnd(text, this.#encoding)) {
      throw new RangeError("Cannot encode a simple string of several lines");
    }
    const bytes = this.#encoding === "latin1" ? text.length : Buffer.byteLength(text);
    if (bytes + LINE_AROUND_BYTES > RESP_LINE_BYTES_MAX) {
      throw new RangeError(`Cannot encode a line of ${bytes} bytes: use a string`);
    }
    writer.writeString(type + text, this.#encoding);
    writer.writeString("\r\n");
  }
}

showAs(Resp.prototype, "RespCodec", ["frameBytesMax"]);

function checkText(text: string): string {
  if (typeof text === "string") return text;
  throw new TypeError(`Cannot encode RESP: ${show(text)} is no text`);
}

/** In debug mode, a value whose views are taken away by `release()`. */
function tracked(chain: LinkChain, value: RespValue<Bulk>): RespValue<Bulk> {
  const all = (values: Iterable<RespValue<Bulk>>) => [...values].map((v) => tracked(chain, v));
  if (value instanceof Uint8Array) return track(chain, value);
  if (Array.isArray(value)) return all(value);
  if (value instanceof Set) return new Set(all(value));
  if (value instanceof RespPush) return new RespPush(all(value.values));
  if (!(value instanceof Map)) return value;
  const keys = all(value.keys());
  const values = all(value.values());
  return new Map(keys.map((key, i) => [key, values[i]!]));
}
