/**
 * Commands as one types them, without RESP: words, with spaces in between. Quotes hold words together, as
 * in redis-cli: in "double" ones \n, \r, \t, \b, \a, \xHH and \" mean what they do in C, in 'single' ones
 * only \' does.
 */

const SPACE = 0x20;
const DOUBLE = 0x22;
const SINGLE = 0x27;
const BACKSLASH = 0x5c;
const HEX = 0x78; // x
const ESCAPES: ReadonlyMap<number, number> = new Map(
  [["n", "\n"], ["r", "\r"], ["t", "\t"], ["b", "\b"], ["a", "\x07"]].map(([name, byte]) => [
    name!.charCodeAt(0),
    byte!.charCodeAt(0),
  ]),
);

function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= 0x09 && byte <= 0x0d);
}

/** Whether a word ends there that has begun: fewer bytes do that than stand before one. */
function isEnd(byte: number): boolean {
  return byte === SPACE || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** The byte of two hexadecimal digits; -1 where they are none. */
function hexAt(bytes: Uint8Array, at: number, to: number): number {
  if (at + 2 > to) return -1;
  const text = String.fromCharCode(bytes[at]!, bytes[at + 1]!);
  return /^[0-9a-fA-F]{2}$/.test(text) ? parseInt(text, 16) : -1;
}

/** The words of one line. */
class Words {
  readonly #bytes: Uint8Array;
  readonly #to: number;
  #at: number;
  #word: number[] = [];

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
  }

  /** All of them; null where a quote does not end, or something stands behind its end. */
  all(): Uint8Array[] | null {
    const words: Uint8Array[] = [];
    for (;;) {
      while (this.#at < this.#to && isSpace(this.#bytes[this.#at]!)) this.#at += 1;
      if (this.#at === this.#to) return words;
      this.#word = [];
      if (!this.#takeWord()) return null;
      words.push(Uint8Array.from(this.#word));
    }
  }

  /** Takes bytes up to a space. False: its quotes are not in order. */
  #takeWord(): boolean {
    while (this.#at < this.#to && !isEnd(this.#bytes[this.#at]!)) {
      const byte = this.#bytes[this.#at++]!;
      if (byte !== DOUBLE && byte !== SINGLE) {
        this.#word.push(byte);
      } else if (!this.#takeQuoted(byte)) {
        return false;
      } else if (this.#at < this.#to && !isSpace(this.#bytes[this.#at]!)) {
        return false;
      }
    }
    return true;
  }

  /** Takes bytes up to the end of a quote, and that. False: there is none. */
  #takeQuoted(quote: number): boolean {
    while (this.#at < this.#to) {
      const byte = this.#bytes[this.#at++]!;
      if (byte === quote) return true;
      this.#word.push(byte === BACKSLASH ? this.#escaped(quote) : byte);
    }
    return false;
  }

  /** The byte that a backslash within a quote stands for. */
  #escaped(quote: number): number {
    const byte = this.#at < this.#to ? this.#bytes[this.#at]! : BACKSLASH;
    if (quote === SINGLE && byte !== SINGLE) return BACKSLASH;
    const hex = byte === HEX ? hexAt(this.#bytes, this.#at + 1, this.#to) : -1;
    this.#at += hex < 0 ? 1 : 3;
    return hex < 0 ? ESCAPES.get(byte) ?? byte : hex;
  }
}

/**
 * The words of a line, **owned**. Null where a quote does not end, or where something other than a
 * space follows its end.
 */
export function inlineWords(bytes: Uint8Array, from: number, to: number): Uint8Array[] | null {
  return new Words(bytes, from, to).all();
}
