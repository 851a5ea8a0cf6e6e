/**
 * The head of an HTTP/1.1 request (RFC 9112). Whatever two servers could read in two ways is
 * refused: that is how requests are smuggled past a proxy.
 */
import type { Body } from "./body.ts";
import { HttpError } from "./error.ts";

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** One field, and nothing else: no space before the colon, no folded line, no bare LF. */
const FIELD = `${TOKEN}:[\\t -~\\x80-\\xff]*\\r\\n`;
const HEAD = new RegExp(
  `^(?:\\r\\n)?(${TOKEN}) ([!-~]+) HTTP/(\\d\\.\\d)\\r\\n((?:${FIELD})*)\\r\\n$`,
);
/** The fields after the last chunk. */
export const TRAILER: RegExp = new RegExp(`^${FIELD}$`);

const LENGTH = /^\d{1,15}$/;
const NONE = -1;

const SPACE = 0x20;
const TAB = 0x09;

/** A part of a text without the spaces and tabs around it; `trim()` takes more than HTTP allows. */
function trimmed(text: string, from: number, to: number): string {
  const isBlank = (at: number) => text.charCodeAt(at) === SPACE || text.charCodeAt(at) === TAB;
  while (from < to && isBlank(from)) from++;
  while (from < to && isBlank(to - 1)) to--;
  return text.slice(from, to);
}

/** A request whose head has come. */
export class HttpRequest {
  /** "GET", or whatever else was sent. */
  readonly method: string;
  /** As it was sent. */
  readonly target: string;
  /** The target without its query, and without the host of a request to a proxy. */
  readonly path: string;
  /** Whether the client speaks HTTP/1.0: it is sent no chunks. */
  readonly isOld: boolean;
  /** What follows the head. */
  body!: Body;
  /** How many bytes follow the head; -1 when they come in chunks. */
  bodyBytes = 0;
  /** Whether the connection stays open afterwards, as far as the client is concerned. */
  keepsAlive: boolean;
  /** Whether the client waits for "100 Continue" before it sends the body. */
  isExpectant = false;
  readonly #lines: string;
  #fields: Map<string, string> | null = null;
  #hostCount = 0;
  #lengthBytes = NONE;
  #isChunked = false;

  /**
   * Parses a head, with the empty line that ends it.
   *
   * @throws {HttpError} It is none, or not to be trusted.
   */
  constructor(head: string) {
    const [, method, target, version, lines] = HEAD.exec(head) ?? [];
    if (lines === undefined) throw new HttpError(400, "This is no HTTP/1.1 request");
    if (version![0] !== "1") throw new HttpError(505, `This server does not speak HTTP/${version}`);
    this.method = method!;
    this.target = target!;
    this.isOld = version === "1.0";
    this.keepsAlive = !this.isOld;
    this.path = pathOf(target!);
    this.#lines = lines;
    this.#eachField((from, colon, end) => this.#note(from, colon, end));
    this.#frame();
  }

  /** A field's value; those of several with one name are joined with commas. Null for none. */
  field(name: string): string | null {
    if (this.#fields === null) {
      const all = this.#fields = new Map<string, string>();
      this.#eachField((from, colon, end) => {
        const key = this.#lines.slice(from, colon).toLowerCase();
        const before = all.get(key);
        const value = trimmed(this.#lines, colon + 1, end);
        all.set(key, before === undefined ? value : `${before}, ${value}`);
      });
    }
    return this.#fields.get(name.toLowerCase()) ?? null;
  }

  /** HEAD has shown that each line is a field: from its name, over the colon, to its CRLF. */
  #eachField(call: (from: number, colon: number, end: number) => void): void {
    const lines = this.#lines;
    for (let from = 0; from < lines.length;) {
      const colon = lines.indexOf(":", from);
      const end = lines.indexOf("\r\n", colon);
      call(from, colon, end);
      from = end + 2;
    }
  }

  /** Looks at a field if the connection depends on it; its length tells most others apart. */
  #note(from: number, colon: number, end: number): void {
    switch (colon - from) {
      case 4:
      case 6:
      case 10:
      case 14:
      case 17: {
        const name = this.#lines.slice(from, colon).toLowerCase();
        this.#noteField(name, trimmed(this.#lines, colon + 1, end));
      }
    }
  }

  #noteField(name: string, value: string): void {
    switch (name) {
      case "host":
        this.#hostCount += 1;
        break;
      case "expect":
        if (value.toLowerCase() !== "100-continue") {
          throw new HttpError(417, `This server cannot meet "${value}"`);
        }
        this.isExpectant = !this.isOld;
        break;
      case "connection":
        for (const option of value.toLowerCase().split(",")) {
          if (trimmed(option, 0, option.length) === "close") this.keepsAlive = false;
          else if (this.isOld && /^[ \t]*keep-alive[ \t]*$/.test(option)) this.keepsAlive = true;
        }
        break;
      case "content-length":
        if (this.#lengthBytes !== NONE || !LENGTH.test(value)) {
          throw new HttpError(400, "There is no telling how long the body is");
        }
        this.#lengthBytes = Number(value);
        break;
      case "transfer-encoding":
        if (this.#isChunked || this.isOld) throw new HttpError(400, "The coding is ambiguous");
        if (value.toLowerCase() !== "chunked") {
          throw new HttpError(501, `No coding "${value}" here`);
        }
        this.#isChunked = true;
    }
  }

  #frame(): void {
    if (this.#hostCount > 1 || (this.#hostCount === 0 && !this.isOld)) {
      throw new HttpError(400, "A request names one host");
    }
    if (this.#isChunked && this.#lengthBytes !== NONE) {
      throw new HttpError(400, "The body has a length and a coding: it cannot have both");
    }
    this.bodyBytes = this.#isChunked ? -1 : Math.max(0, this.#lengthBytes);
    if (this.bodyBytes === 0) this.isExpectant = false;
  }
}

/** The path of "/path?query", of "http://host/path", and of "*", which OPTIONS may ask for. */
function pathOf(target: string): string {
  let from = 0;
  if (target.charCodeAt(0) !== 0x2f) {
    if (target === "*") return target;
    const host = /^https?:\/\/[^/?]+/i.exec(target)?.[0];
    if (host === undefined) throw new HttpError(400, `"${target}" is no path`);
    from = host.length;
  }
  const query = target.indexOf("?", from);
  const path = query < 0 ? target.slice(from) : target.slice(from, query);
  return path === "" ? "/" : path;
}
