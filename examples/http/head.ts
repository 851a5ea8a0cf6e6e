/**
 * The head of an answer: its status, the date, its fields.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { TOKEN, VALUE } from "./syntax.ts";

const FIELD_NAME = new RegExp(`^${TOKEN}$`);
const FIELD_VALUE = new RegExp(`^${VALUE}$`);
const LENGTH = Buffer.from("Content-Length: ");
const END = Buffer.from("\r\n\r\n");
const DIGIT_ZERO = 0x30;

/** The first lines of an answer by its status; the date in them holds for a second. */
const beginnings = new Map<number, Uint8Array>();
let beginningsSecond = 0;

/** The first lines of an answer: the same bytes, in the same array, for a second. */
export function beginningOf(status: number): Uint8Array {
  const second = Math.floor(Date.now() / 1000);
  if (second !== beginningsSecond) {
    beginningsSecond = second;
    beginnings.clear();
  }
  let bytes = beginnings.get(status);
  if (bytes === undefined) {
    const date = new Date(second * 1000).toUTCString();
    const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nDate: ${date}\r\n`;
    beginnings.set(status, bytes = Buffer.from(line, "latin1"));
  }
  return bytes;
}

/** Fields of an answer. Length, coding, date and connection are added to each. */
export class Fields {
  /** The fields themselves, each with its CRLF. */
  readonly bytes: Uint8Array;
  /** The last head with a length: most answers with these fields begin alike. */
  #head: Uint8Array = new Uint8Array(0);
  #beginning: Uint8Array | null = null;
  #count = -1;

  /**
   * Those that do not change are made once.
   *
   * @throws {TypeError} A name or a value is none: so nobody can smuggle in a line.
   */
  constructor(all: Readonly<Record<string, string>>) {
    const lines = Object.entries(all).map(([name, value]) => {
      if (FIELD_NAME.test(name) && FIELD_VALUE.test(value)) return `${name}: ${value}\r\n`;
      throw new TypeError(`Cannot send the field "${name}": a character is not allowed`);
    });
    this.bytes = Buffer.from(lines.join(""), "latin1");
  }

  /** A whole head before so many bytes. Its array is used again: copy it at once. */
  head(status: number, count: number): Uint8Array {
    const beginning = beginningOf(status);
    if (beginning !== this.#beginning || count !== this.#count) this.#compose(beginning, count);
    return this.#head;
  }

  #compose(beginning: Uint8Array, count: number): void {
    const digitCount = `${count}`.length;
    const digitsAt = beginning.length + this.bytes.length + LENGTH.length;
    const total = digitsAt + digitCount + END.length;
    if (this.#head.length !== total) this.#head = new Uint8Array(total);
    const head = this.#head;
    head.set(beginning);
    head.set(this.bytes, beginning.length);
    head.set(LENGTH, digitsAt - LENGTH.length);
    for (let at = digitsAt + digitCount - 1, rest = count; at >= digitsAt; at--) {
      head[at] = DIGIT_ZERO + rest % 10;
      rest = Math.floor(rest / 10);
    }
    head.set(END, total - END.length);
    this.#beginning = beginning;
    this.#count = count;
  }
}

/** No fields at all. */
export const NO_FIELDS: Fields = new Fields({});
