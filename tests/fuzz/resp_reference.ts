/**
 * RESP on a flat array, by the specification and nothing else: what the codec is held against.
 */
import { Buffer } from "node:buffer";

/** A value in a form that can be compared: `["$", "text"]`, `[":", "12"]`, `["*", [...]]`. */
export type Plain = readonly [type: string, value: string | readonly Plain[]];

/** A value and where it ends, or why there is none. */
export type Parsed = { readonly value: Plain; readonly end: number } | "pending" | Fault;
/** Why bytes are no value. */
export type Fault = "malformed" | "too-long";

const AGGREGATES = "*%~>|";
const BLOBS = "$!=";
const SCALARS = "+-:_#,(";
/** The shortest value has a type and the end of its line. */
const VALUE_BYTES_MIN = 3;

class Stop extends Error {
  constructor(readonly why: "pending" | Fault) {
    super(why);
  }
}

/** A parse of one value. */
class Parse {
  at = 0;

  constructor(readonly bytes: Buffer, readonly bytesMax: number) {}

  line(): string {
    const lf = this.bytes.indexOf(10, this.at);
    const end = lf < 0 ? this.bytes.length : lf + 1;
    if (end > this.bytesMax) throw new Stop("too-long");
    if (lf < 0) throw new Stop("pending");
    const text = this.bytes.toString("latin1", this.at, lf);
    if (!text.endsWith("\r") || text.length < 2) throw new Stop("malformed");
    this.at = end;
    return text.slice(1, -1);
  }

  count(text: string): number {
    if (!/^(\d{1,15}|-1)$/.test(text)) throw new Stop("malformed");
    return Number(text);
  }

  value(): Plain {
    for (;;) {
      if (this.at === this.bytes.length) throw new Stop("pending");
      const type = String.fromCharCode(this.bytes[this.at]!);
      if (!(AGGREGATES + BLOBS + SCALARS).includes(type)) throw new Stop("malformed");
      const text = this.line();
      if (SCALARS.includes(type)) return scalar(type, text);
      const count = this.count(text);
      if (count < 0 && type !== "$" && type !== "*") throw new Stop("malformed");
      if (count < 0) return ["_", ""];
      if (BLOBS.includes(type)) return this.blob(type, count);
      const values = this.values("%|".includes(type) ? 2 * count : count);
      // What is said about a value is no value.
      if (type !== "|") return [type, values];
    }
  }

  blob(type: string, count: number): Plain {
    const end = this.at + count;
    if (end + 2 > this.bytesMax) throw new Stop("too-long");
    if (end + 2 > this.bytes.length) throw new Stop("pending");
    const text = this.bytes.toString("latin1", this.at, end);
    if (this.bytes.toString("latin1", end, end + 2) !== "\r\n") throw new Stop("malformed");
    this.at = end + 2;
    if (type === "=" && text[3] !== ":") throw new Stop("malformed");
    return [type === "!" ? "-" : type, text];
  }

  values(count: number): Plain[] {
    if (this.at + count * VALUE_BYTES_MIN > this.bytesMax) throw new Stop("too-long");
    return Array.from({ length: count }, () => this.value());
  }
}

function scalar(type: string, text: string): Plain {
  const isValue: Readonly<Record<string, RegExp>> = {
    "+": /^[^\r]*$/,
    "-": /^[^\r]*$/,
    ":": /^[+-]?\d{1,20}$/,
    "_": /^$/,
    "#": /^[tf]$/,
    ",": /^([+-]?\d+(\.\d*)?([eE][+-]?\d+)?|-?inf|nan)$/,
    "(": /^[+-]?\d+$/,
  };
  if (!isValue[type]!.test(text) || (type === ":" && text.length > 20)) throw new Stop("malformed");
  if (type === ":" || type === "(") return [type === "(" ? "n" : ":", whole(text)];
  if (type === ",") return [type, String(Number(text.replace("inf", "Infinity")))];
  return [type, text];
}

function whole(text: string): string {
  return String(BigInt(text.replace("+", "")));
}

/** The first value in bytes. */
export function parse(bytes: Uint8Array, bytesMax: number): Parsed {
  const parse = new Parse(Buffer.from(bytes), bytesMax);
  try {
    const value = parse.value();
    return { value, end: parse.at };
  } catch (error) {
    if (error instanceof Stop) return error.why;
    throw error;
  }
}

/** All values in bytes, and how they end. */
export function parseAll(bytes: Uint8Array, bytesMax: number): [Plain[], "pending" | Fault] {
  const values: Plain[] = [];
  for (let at = 0;;) {
    const parsed = parse(bytes.subarray(at), bytesMax);
    if (typeof parsed === "string") return [values, parsed];
    values.push(parsed.value);
    at += parsed.end;
  }
}
