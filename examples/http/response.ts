/**
 * The answer to a request: all at once, in chunks, or a file.
 */
import { Buffer } from "node:buffer";
import type { Connection, SendFileOptions, Writer } from "../../mod.ts";
import { beginningOf, Fields } from "./head.ts";
import type { HttpRequest } from "./request.ts";

const CLOSE = new Fields({ Connection: "close" });
const KEEP_ALIVE = new Fields({ Connection: "keep-alive" });
const CHUNKED = new Fields({ "Transfer-Encoding": "chunked" });

/** Answers what is no request, and says that the connection will be closed. */
export function writeRefusal(writer: Writer, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`); // a length counts octets (RFC 9110 §8.6)
  writer.writeBinary(beginningOf(status));
  writer.writeBinary(CLOSE.bytes);
  writer.writeString(`Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`);
  writer.writeBinary(body);
}

/** The stages of an answer. */
type State = "none" | "counted" | "chunks" | "until-close" | "ended";

/** The answer to one request. */
export class HttpResponse {
  /** True when the connection stays open behind it. */
  keepsAlive: boolean;
  /** True when another protocol is spoken behind it. */
  isSwitched = false;
  readonly #connection: Connection;
  readonly #request: HttpRequest;
  #state: State = "none";

  /** The answer to a request of a connection. */
  constructor(connection: Connection, request: HttpRequest) {
    this.#connection = connection;
    this.#request = request;
    this.keepsAlive = request.keepsAlive;
  }

  /** True when something of it was written. */
  get isBegun(): boolean {
    return this.#state !== "none";
  }

  /** True when all of it was written. */
  get isEnded(): boolean {
    return this.#state === "ended";
  }

  /** Sends a whole answer. */
  send(status: number, fields: Fields, body: string | Uint8Array = ""): void {
    const { writer } = this.#connection;
    const isText = typeof body === "string";
    this.#begin(status, fields, isText ? Buffer.byteLength(body) : body.length);
    if (this.#request.method !== "HEAD") {
      if (isText) writer.writeString(body);
      else writer.writeBinary(body);
    }
    this.#state = "ended";
  }

  /** Sends a part of a file, or all of it. @throws What `connection.sendFile` throws. */
  async sendFile(
    status: number,
    fields: Fields,
    path: string,
    options: SendFileOptions & { length: number },
  ): Promise<void> {
    this.#begin(status, fields, options.length);
    if (this.#request.method !== "HEAD") await this.#connection.sendFile(path, options);
    this.#state = "ended";
  }

  /** Begins an answer whose length nobody knows yet. */
  begin(status: number, fields: Fields): void {
    this.#request.body.invite(); // later, it would be a part of the answer
    this.#begin(status, fields, -1);
  }

  /** Writes a piece of what was begun. */
  write(piece: string | Uint8Array): void {
    const { writer } = this.#connection;
    const count = typeof piece === "string" ? Buffer.byteLength(piece) : piece.length;
    // A chunk of no bytes would be the end.
    if (count === 0 || this.#request.method === "HEAD") return;
    const isChunk = this.#state === "chunks";
    if (isChunk) writer.writeString(`${count.toString(16)}\r\n`);
    if (typeof piece === "string") writer.writeString(piece);
    else writer.writeBinary(piece);
    if (isChunk) writer.writeString("\r\n");
  }

  /**
   * Leaves HTTP (RFC 9110 §15.2.2): all that follows the request is the handler's that `begin` makes.
   */
  switchTo(fields: Fields, begin: (connection: Connection) => () => void | Promise<void>): void {
    if (this.#state !== "none") throw new Error("Cannot answer a request twice");
    const { writer } = this.#connection;
    writer.writeBinary(beginningOf(101));
    writer.writeBinary(fields.bytes);
    writer.writeString("\r\n");
    this.#state = "ended";
    this.isSwitched = true;
    this.keepsAlive = true;
    this.#connection.setOnRequest(begin(this.#connection));
  }

  /** Sends what was written; resolves when there is room for more. */
  flush(): Promise<void> {
    return this.#connection.writer.flush();
  }

  /** Ends what was begun. */
  end(): void {
    if (this.#state === "chunks" && this.#request.method !== "HEAD") {
      this.#connection.writer.writeString("0\r\n\r\n");
    }
    this.#state = "ended";
  }

  #begin(status: number, fields: Fields, count: number): void {
    if (this.#state !== "none") throw new Error("Cannot answer a request twice");
    const { writer } = this.#connection;
    const { isOld, body } = this.#request;
    // A client may still send a body that it held back, or not: the next request begins nobody knows where.
    if (body.isHeldBack || (count < 0 && isOld)) this.keepsAlive = false;
    this.#state = count >= 0 ? "counted" : isOld ? "until-close" : "chunks";
    const hasLength = count >= 0 && status !== 204; // RFC 9110 §8.6: No Content has none
    if (hasLength && this.keepsAlive && !isOld) {
      writer.writeBinary(fields.head(status, count), { copy: true });
      return;
    }
    writer.writeBinary(beginningOf(status));
    writer.writeBinary(fields.bytes);
    if (!this.keepsAlive) writer.writeBinary(CLOSE.bytes);
    else if (isOld) writer.writeBinary(KEEP_ALIVE.bytes);
    if (hasLength) writer.writeString(`Content-Length: ${count}\r\n`);
    else if (count < 0 && !isOld) writer.writeBinary(CHUNKED.bytes);
    writer.writeString("\r\n");
  }
}
