/**
 * The body of a request: as many bytes as its head says, or chunks.
 */
import { type Connection, LinkBuffer, type Reader } from "../../mod.ts";
import { HttpError } from "./error.ts";
import type { HttpRequest } from "./request.ts";
import { CHUNK_EXTENSIONS, FIELD } from "./syntax.ts";

const PIECE_BYTES_MAX = 64 * 1024;
const LINE_BYTES_MAX = 1024;
const TRAILER_LINES_MAX = 32;
const LF = 10;
const END = "\r\n";
const CHUNK = new RegExp(`^([0-9A-Fa-f]{1,12})${CHUNK_EXTENSIONS}\r\n$`);
const TRAILER = new RegExp(`^${FIELD}$`);

/** A line with its ending: one that ends in a bare LF is for the caller to refuse. */
async function takeLine(reader: Reader): Promise<string> {
  const count = await reader.waitUntil(LF, { maxBytes: LINE_BYTES_MAX }).catch((error) => {
    throw error instanceof RangeError ? new HttpError(400, "A line has no end") : error;
  });
  return reader.readString(count, "latin1");
}

/** Read it once: as it comes, or all together. What is not read is dropped after the answer. */
export class Body {
  /** True when nothing of it is left to be read. */
  isEnded: boolean;
  readonly #connection: Connection | null;
  readonly #bytesMax: number;
  readonly #isChunked: boolean;
  readonly #isExpected: boolean;
  /** The bytes that are left of it, or of the chunk. */
  #restBytes: number;
  #totalBytes = 0;
  #isFirst = true;
  #isInvited = false;

  /** The body that follows a head. */
  constructor(
    connection: Connection | null,
    request: Pick<HttpRequest, "bodyBytes" | "isExpectant">,
    bytesMax: number,
  ) {
    this.#connection = connection;
    this.#bytesMax = bytesMax;
    this.#isChunked = request.bodyBytes < 0;
    this.#restBytes = Math.max(0, request.bodyBytes);
    this.#isExpected = request.isExpectant;
    this.isEnded = request.bodyBytes === 0;
  }

  /** The client waits for a word before it sends the body, and may never send it without. */
  get isHeldBack(): boolean {
    return this.#isExpected && !this.#isInvited;
  }

  /**
   * The pieces, as they come, each **lent** until the next step.
   *
   * @throws {HttpError} It is too large, or its chunks are none.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    if (this.#connection === null) return;
    const { reader, writer } = this.#connection;
    if (this.isHeldBack) {
      this.invite();
      await writer.flush();
    }
    while (!this.isEnded) {
      if (this.#restBytes === 0) {
        await this.#beginChunk(reader);
        continue;
      }
      if (reader.length === 0) await reader.wait(1);
      const piece = reader.next(Math.min(reader.length, this.#restBytes, PIECE_BYTES_MAX));
      this.#restBytes -= piece.length;
      this.isEnded = this.#restBytes === 0 && !this.#isChunked;
      yield piece;
      reader.release();
    }
  }

  /** All of it, **owned**. @throws {HttpError} It is too large, or its chunks are none. */
  async bytes(): Promise<Uint8Array> {
    const all = new LinkBuffer();
    try {
      for await (const piece of this) all.writeBinary(piece); // links what is large
      await all.flush();
      return all.readBinary(all.length);
    } finally {
      all.close();
    }
  }

  /** Reads what nobody wants. */
  async drop(): Promise<void> {
    for await (const _ of this);
  }

  /** Tells a client that waits for it to send the body: before the answer, or never. */
  invite(): void {
    if (this.isHeldBack) this.#connection!.writer.writeString("HTTP/1.1 100 Continue\r\n\r\n");
    this.#isInvited = true;
  }

  async #beginChunk(reader: Reader): Promise<void> {
    if (!this.#isFirst) {
      await reader.wait(END.length);
      if (reader.readString(END.length) !== END) {
        throw new HttpError(400, "A chunk is longer than it says");
      }
    }
    this.#isFirst = false;
    const [, size] = CHUNK.exec(await takeLine(reader)) ?? [];
    if (size === undefined) throw new HttpError(400, "A chunk has no length");
    this.#restBytes = parseInt(size, 16);
    this.#totalBytes += this.#restBytes;
    if (this.#totalBytes > this.#bytesMax) throw new HttpError(413, "The body is too large");
    if (this.#restBytes > 0) return;
    await this.#dropTrailer(reader);
    reader.release();
    this.isEnded = true;
  }

  async #dropTrailer(reader: Reader): Promise<void> {
    for (let count = 0; count <= TRAILER_LINES_MAX; count++) {
      const line = await takeLine(reader);
      if (line === "\r\n") return;
      if (!TRAILER.test(line)) throw new HttpError(400, "A trailer is no field");
    }
    throw new HttpError(431, "There are too many trailers");
  }
}

/** The body of a head without one. */
export const NO_BODY: Body = new Body(null, { bodyBytes: 0, isExpectant: false }, 0);
