/**
 * Requests of memcached's text protocol: a line of words, and for some a block of bytes behind it.
 */
import { type BufferReader, lines } from "../../mod.ts";

/** The longest line: a `get` of some hundred keys. */
const LINE_BYTES_MAX = 64 * 1024;
/** The longest key. */
const KEY_BYTES_MAX = 250;
/** The longest value. */
export const VALUE_BYTES_MAX = 1 << 20;
/** A block is followed by "\r\n". */
const END_BYTES = 2;
const CR = 13;
const LF = 10;

/** The number of words of a command that has a block, without `noreply`. */
const STORING: Readonly<Record<string, number>> = {
  set: 5,
  add: 5,
  replace: 5,
  append: 5,
  prepend: 5,
  cas: 6,
};
const LENGTH_WORD = 4;
/** The commands behind which `noreply` has its meaning, beside those. */
const QUIETABLE = new Set(["incr", "decr", "delete", "touch", "flush_all", "verbosity"]);

/** The fault of a request. It is the answer; the next request begins behind it all the same. */
export const BAD_LINE = "CLIENT_ERROR bad command line format";
const BAD_BLOCK = "CLIENT_ERROR bad data chunk";
const TOO_LARGE = "SERVER_ERROR object too large for cache";

/** A request that has come in full. */
export interface TextRequest {
  /** The words of its line, without `noreply`. */
  readonly words: readonly string[];
  /** True when the client wants no answer. */
  readonly isQuiet: boolean;
  /** Its block, **owned**; null for a command that has none. */
  readonly value: Uint8Array | null;
  /** The answer to a request that cannot be understood; null for others. */
  readonly error: string | null;
}

const line = lines({ frameBytesMax: LINE_BYTES_MAX, strip: false });

/** The requests of one connection. It remembers a line until its block has come. */
export class TextRequests {
  /** The request whose block is awaited. */
  #begun: TextRequest | null = null;
  /** The bytes of that block with its end; too long a block is skipped as it comes. */
  #blockBytes = 0;

  /**
   * The next request; undefined when it is not there in full.
   *
   * @throws {FrameError} A line is too long: nobody knows where the next request begins.
   */
  next(reader: BufferReader): TextRequest | undefined {
    if (this.#begun === null) {
      const count = line.frameBytes(reader);
      if (count < 0) return undefined;
      this.#begin(reader.readString(count, "latin1"));
    }
    const begun = this.#begun!;
    if (begun.error !== null) {
      const count = Math.min(reader.length, this.#blockBytes);
      reader.skip(count);
      this.#blockBytes -= count;
    }
    if (reader.length < this.#blockBytes) return undefined;
    this.#begun = null;
    return begun.value === null || begun.error !== null ? begun : this.#withBlock(begun, reader);
  }

  /** The number of bytes to wait for; 0 between two requests. */
  needed(reader: BufferReader): number {
    if (this.#begun === null) return reader.length === 0 ? 0 : reader.length + 1;
    return this.#begun.error === null ? this.#blockBytes : 1;
  }

  #begin(text: string): void {
    const words = text.trim().split(/ +/);
    const wordCount = Object.hasOwn(STORING, words[0]!) ? STORING[words[0]!] : undefined;
    const isQuiet = words.at(-1) === "noreply" &&
      (wordCount !== undefined || QUIETABLE.has(words[0]!));
    if (isQuiet) words.pop();
    this.#blockBytes = 0;
    this.#begun = { words, isQuiet, value: null, error: null };
    if (wordCount === undefined) return;
    const length = words[LENGTH_WORD] ?? "";
    const isFine = words.length === wordCount && areFine(words) && /^\d{1,9}$/.test(length);
    if (!isFine) return void (this.#begun = { ...this.#begun, error: errorOf(words, wordCount) });
    const count = Number(length);
    this.#blockBytes = count + END_BYTES;
    const error = count > VALUE_BYTES_MAX ? TOO_LARGE : null;
    this.#begun = { words, isQuiet, value: new Uint8Array(0), error };
  }

  #withBlock(begun: TextRequest, reader: BufferReader): TextRequest {
    const value = reader.readBinary(this.#blockBytes - END_BYTES);
    const isEnded = reader.readByte() === CR;
    return reader.readByte() === LF && isEnded
      ? { ...begun, value }
      : { ...begun, error: BAD_BLOCK };
  }
}

/** True when the key, the flags, the time and the number of a cas are what they should be. */
function areFine([, key = "", flags = "", time = "", , unique = "0"]: readonly string[]): boolean {
  return isKey(key) && isUint32(flags) && /^-?\d{1,10}$/.test(time) && /^\d{1,15}$/.test(unique);
}

/** A command with a word too few is none. */
function errorOf(words: readonly string[], wordCount: number): string {
  return words.length < wordCount ? "ERROR" : BAD_LINE;
}

/** True when a word can be a key. */
export function isKey(word: string): boolean {
  return word.length > 0 && word.length <= KEY_BYTES_MAX;
}

function isUint32(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff;
}
