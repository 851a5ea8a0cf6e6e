/**
 * RESP values in JavaScript, where JavaScript has nothing of its own for them.
 */
import { NetpollError } from "../core/errors.ts";

/** The form that blob strings take in JavaScript. */
export type BulkKind = "lent" | "owned" | "text" | "latin1";

/**
 * A value of RESP2 or RESP3. `Bulk` is what blob strings are: bytes, or text.
 *
 * Simple strings are strings, integers beyond 2^53 - 1 and big numbers are bigints, nulls of all
 * kinds are `null`. Maps keep the order of their entries; with bytes as keys they cannot be looked
 * up, which `bulk: "text"` cures.
 */
export type RespValue<Bulk = Uint8Array> =
  | Bulk
  | string
  | number
  | bigint
  | boolean
  | null
  | RespError
  | RespVerbatim
  | RespPush<Bulk>
  | RespValue<Bulk>[]
  | Map<RespValue<Bulk>, RespValue<Bulk>>
  | Set<RespValue<Bulk>>;

/** A value that can be written: every value, with bytes or text as blob strings, and simple strings. */
export type RespInput =
  | Uint8Array
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | RespError
  | RespNullArray
  | RespSimple
  | RespVerbatim
  | RespPush<Uint8Array | string>
  | readonly RespInput[]
  | ReadonlyMap<RespInput, RespInput>
  | ReadonlySet<RespInput>;

/**
 * An error that the peer answered: a value as any other, to be thrown or not.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp, RespError } from "@netpoll/netpoll/resp";
 *
 * const codec = resp();
 * using buffer = new LinkBuffer();
 * codec.encode(buffer, new RespError("WRONGTYPE not a list"));
 * buffer.flush();
 * const value = codec.decode(buffer);
 * if (value instanceof RespError) console.log(value.code); // "WRONGTYPE"
 * ```
 */
export class RespError extends NetpollError {
  /** The name of the class. */
  override name = "RespError";

  /** The first word, which says what kind of error it is: `"WRONGTYPE"`. */
  get code(): string {
    return this.message.split(" ", 1)[0]!;
  }
}

/**
 * A string to be written as a simple one: `+OK`.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp, RespSimple } from "@netpoll/netpoll/resp";
 *
 * using buffer = new LinkBuffer();
 * resp().encode(buffer, new RespSimple("OK"));
 * buffer.flush();
 * console.log(JSON.stringify(buffer.readString(5))); // "+OK\r\n"
 * ```
 */
export class RespSimple {
  /** The text, without line breaks. */
  readonly text: string;

  /** A simple string. */
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * The null of RESP2 that stands for an array, `*-1`: what Redis answers to `EXEC` when a watched key
 * has changed. In version 3 it is written as every other null. Read, it is `null`.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp, RespNullArray } from "@netpoll/netpoll/resp";
 *
 * const codec = resp();
 * using buffer = new LinkBuffer();
 * codec.encode(buffer, new RespNullArray());
 * buffer.flush();
 * console.log(codec.decode(buffer)); // null
 * ```
 */
export class RespNullArray {}

/**
 * Text with its format, of RESP3: `"txt"` or `"mkd"`.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp, RespVerbatim } from "@netpoll/netpoll/resp";
 *
 * const codec = resp({ version: 3 });
 * using buffer = new LinkBuffer();
 * codec.encode(buffer, new RespVerbatim("mkd", "# Title"));
 * buffer.flush();
 * const value = codec.decode(buffer);
 * if (value instanceof RespVerbatim) console.log(value.format, value.text); // "mkd" "# Title"
 * ```
 */
export class RespVerbatim {
  /** Three characters. */
  readonly format: string;
  /** The text itself. */
  readonly text: string;

  /** Text in a format. */
  constructor(format: string, text: string) {
    this.format = format;
    this.text = text;
  }
}

/**
 * A message that a server sends unasked, in RESP3: of pub/sub, an invalidation.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp, RespPush } from "@netpoll/netpoll/resp";
 *
 * const codec = resp({ version: 3, bulk: "text" });
 * using buffer = new LinkBuffer();
 * codec.encode(buffer, new RespPush(["message", "news", "it ships"]));
 * buffer.flush();
 * const value = codec.decode(buffer);
 * if (value instanceof RespPush) console.log(value.values); // ["message", "news", "it ships"]
 * ```
 */
export class RespPush<Bulk = Uint8Array> {
  /** Its kind first. */
  readonly values: RespValue<Bulk>[];

  /** A message of these values. */
  constructor(values: RespValue<Bulk>[]) {
    this.values = values;
  }
}
