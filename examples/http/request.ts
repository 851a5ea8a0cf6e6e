/**
 * The head of an HTTP/1.1 request (RFC 9112). Whatever two servers could read in two ways is
 * refused: that is how requests are smuggled past a proxy.
 */
import { type Body, NO_BODY } from "./body.ts";
import { HttpError } from "./error.ts";
import { FIELD, HOST, TOKEN } from "./syntax.ts";

// A fragment is the client's own, and never sent (RFC 9110 §7.1): # stands in no target.
const HEAD = new RegExp(
  `^(?:\\r\\n)?${TOKEN} [!"$-~]+ HTTP/\\d\\.\\d\\r\\n(?:${FIELD})*\\r\\n$`,
);
const IS_HOST = new RegExp(`^${HOST}$`);
/** The target of a request to a proxy, up to its path: there is a host, and no user in it. */
const ORIGIN = new RegExp(`^https?://(?![:/?])${HOST}(?=[/?]|$)`, "i");
const LENGTH = /^\d{1,15}$/;
const NONE = -1;
const CR = 0x0d;
/** The place where the fields begin, counted from the version. */
const FIRST_FIELD = "HTTP/1.1\r\n".length;
const END_BYTES = "\r\n".length;

/** The fields that the connection depends on, each at its length: that tells most other fields apart. */
const FRAMING: readonly (string | undefined)[] = Array.from({ length: 18 }, (_, length) => {
  const names = ["host", "expect", "connection", "content-length", "transfer-encoding"];
  return names.find((name) => name.length === length);
});

/** True when a name stands there, in whatever case. */
function isNamed(text: string, from: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if ((text.charCodeAt(from + i) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A part of a text without the spaces and tabs around it; `trim()` takes more than HTTP allows. */
function trimmed(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (from < to && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

/** A request whose head has come. */
export class HttpRequest {
  /** "GET", or whatever else was sent. */
  readonly method: string;
  /** The target, as it was sent. */
  readonly target: string;
  /** The target without its query, and without the host of a request to a proxy. */
  readonly path: string;
  /** True when the client speaks HTTP/1.0: it is sent no chunks. */
  readonly isOld: boolean;
  /** The body, which follows the head. */
  body: Body = NO_BODY;
  /** The number of bytes that follow the head; -1 when they come in chunks. */
  bodyBytes = 0;
  /** True when the connection stays open afterwards, as far as the client is concerned. */
  keepsAlive = false;
  /** True when the client waits for "100 Continue" before it sends the body. */
  isExpectant = false;
  readonly #head: string;
  readonly #fieldsAt: number;
  #fields: Map<string, string> | null = null;
  #hostCount = 0;
  /** The options of the connection that it has: "close" goes first, wherever it stands. */
  #closes = false;
  #asksToKeep = false;
  #lengthBytes = NONE;
  #isChunked = false;

  /**
   * Parses a head, with the empty line that ends it.
   *
   * @throws {HttpError} It is none, or not to be trusted.
   */
  constructor(head: string) {
    if (!HEAD.test(head)) throw new HttpError(400, "This is no HTTP/1.1 request");
    const methodAt = head.charCodeAt(0) === CR ? 2 : 0;
    const targetAt = head.indexOf(" ", methodAt) + 1;
    const versionAt = head.indexOf(" ", targetAt) + 1;
    if (head[versionAt + 5] !== "1") throw new HttpError(505, "This server speaks HTTP/1.1");
    this.method = head.slice(methodAt, targetAt - 1);
    this.target = head.slice(targetAt, versionAt - 1);
    this.path = pathOf(this.method, this.target);
    this.isOld = head[versionAt + 7] === "0";
    this.#head = head;
    this.#fieldsAt = versionAt + FIRST_FIELD;
    this.#noteAll();
    this.#frame();
  }

  /** A field's value; those of several with one name are joined with commas. Null for none. */
  field(name: string): string | null {
    this.#fields ??= this.#parseFields();
    return this.#fields.get(name.toLowerCase()) ?? null;
  }

  #parseFields(): Map<string, string> {
    const all = new Map<string, string>();
    for (const line of this.#head.slice(this.#fieldsAt).split("\r\n").slice(0, -2)) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon).toLowerCase();
      const value = trimmed(line, colon + 1, line.length);
      const before = all.get(name);
      all.set(name, before === undefined ? value : `${before}, ${value}`);
    }
    return all;
  }

  /** HEAD has shown that each line is a field. */
  #noteAll(): void {
    const head = this.#head;
    for (let from = this.#fieldsAt; from < head.length - END_BYTES;) {
      const colon = head.indexOf(":", from);
      const end = head.indexOf("\r\n", colon);
      const name = FRAMING[colon - from];
      if (name !== undefined && isNamed(head, from, name)) {
        this.#note(name, trimmed(head, colon + 1, end));
      }
      from = end + END_BYTES;
    }
  }

  #note(name: string, value: string): void {
    switch (name) {
      case "host":
        if (!IS_HOST.test(value)) throw new HttpError(400, "The host is none");
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
          const word = trimmed(option, 0, option.length);
          this.#closes ||= word === "close";
          this.#asksToKeep ||= word === "keep-alive";
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
    this.keepsAlive = !this.#closes && (!this.isOld || this.#asksToKeep);
    this.bodyBytes = this.#isChunked ? -1 : Math.max(0, this.#lengthBytes);
    if (this.bodyBytes === 0) this.isExpectant = false;
  }
}

/** The path of "/path?query", of "http://host/path", and of "*", which only OPTIONS may ask for. */
function pathOf(method: string, target: string): string {
  // Whoever took it for a tunnel sends the tunnel's bytes behind it (RFC 9110 §9.3.6): no requests.
  if (method === "CONNECT") throw new HttpError(501, "This server opens no tunnels");
  let from = 0;
  if (target.charCodeAt(0) !== 0x2f) {
    if (target === "*" && method === "OPTIONS") return target;
    const host = ORIGIN.exec(target)?.[0];
    if (host === undefined) throw new HttpError(400, `"${target}" is no path`);
    from = host.length;
  }
  const query = target.indexOf("?", from);
  const path = query < 0 ? target.slice(from) : target.slice(from, query);
  return path === "" ? "/" : path;
}
