/**
 * Messages with a number, which says whose answer one is.
 */
import type { LinkBuffer } from "../buffer/link_buffer.ts";
import type { BufferReader } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import { FrameError } from "../core/errors.ts";
import { checkOptions, show } from "../core/options.ts";
import { encodePieces, WindowCodec } from "./byte_codec.ts";
import { type ByteCodec, checkByteCodec, type Codec, type FrameInput } from "./codec.ts";
import { encodeWhole, piecesOf } from "./frame_input.ts";

const OPTIONS = { body: 1 };

/** A message, and the number that its answer has too. */
export interface Tagged<Body> {
  /** A whole number from 0 to 2^32 - 1. */
  readonly id: number;
  /** The body. */
  readonly body: Body;
}

const ID_BYTES = 4;
const ID_MAX = 2 ** 32 - 1;

const scratch = new Uint8Array(ID_BYTES);

/**
 * Frames that begin with a number of 4 bytes, high byte first: what a `Multiplexer` speaks unless
 * you have a codec of your own. Bodies are **owned**: copies; or, with `{ body: "sliced" }`, slices
 * of the received memory, to be closed.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { tagged } from "@netpoll/netpoll/mux";
 *
 * const codec = tagged(lengthPrefixed());
 * const buffer = new LinkBuffer();
 * codec.encode(buffer, { id: 7, body: "hello" });
 * buffer.flush();
 * console.log(codec.decode(buffer)); // { id: 7, body: Uint8Array(5) }
 * buffer.close();
 * ```
 */
export function tagged(
  frames: ByteCodec,
  options?: { body?: "copied" },
): Codec<Tagged<Uint8Array>, Tagged<FrameInput>>;
/** A tagged codec whose bodies are slices. */
export function tagged(
  frames: ByteCodec,
  options: { body: "sliced" },
): Codec<Tagged<LinkBuffer>, Tagged<FrameInput>>;
export function tagged(
  frames: ByteCodec,
  options: { body?: "copied" | "sliced" } = {},
): Codec<Tagged<Uint8Array | LinkBuffer>, Tagged<FrameInput>> {
  checkOptions("tagged", options, OPTIONS);
  checkByteCodec("tagged", frames);
  const { body = "copied" } = options;
  if (body !== "copied" && body !== "sliced") {
    throw new TypeError(`Cannot make a codec: body is "copied" or "sliced", not ${show(body)}`);
  }
  const decode = body === "sliced" ? decodeSlice : decodeCopy;
  return {
    decode: (reader) => decode(frames, reader),
    encode: (writer, message) => encode(frames, writer, message),
    needed: (reader) => frames.needed(reader),
  };
}

/** Whether a message is there. One that has no room for its number is none. */
function isThere(frames: ByteCodec, reader: BufferReader): boolean {
  const count = frames.frameBytes(reader);
  if (count < 0 || count >= ID_BYTES) return count > 0;
  throw new FrameError("malformed", 0, `Cannot decode a message of ${count} bytes: it has no id`);
}

function decodeCopy(frames: ByteCodec, reader: BufferReader): Tagged<Uint8Array> | undefined {
  if (!isThere(frames, reader)) return undefined;
  const frame = frames.decode(reader)!;
  const id = (frame[0]! << 24 | frame[1]! << 16 | frame[2]! << 8 | frame[3]!) >>> 0;
  return { id, body: new Uint8Array(frame.subarray(ID_BYTES)) };
}

function decodeSlice(frames: ByteCodec, reader: BufferReader): Tagged<LinkBuffer> | undefined {
  if (!isThere(frames, reader)) return undefined;
  const body = frames.slice(reader)!;
  return { id: body.readUint32BE(), body };
}

function encode(frames: ByteCodec, writer: Writer, { id, body }: Tagged<FrameInput>): void {
  if (!Number.isInteger(id) || id < 0 || id > ID_MAX) {
    throw new RangeError(`Cannot encode a message: its id is ${id}, not from 0 to ${ID_MAX}`);
  }
  const isOurs = frames instanceof WindowCodec;
  // Ours copy it. Another's codec may borrow it, until the flush.
  const head = isOurs ? scratch : new Uint8Array(ID_BYTES);
  const pieces = piecesOf(body, [head]);
  head[0] = id >>> 24;
  head[1] = id >>> 16;
  head[2] = id >>> 8;
  head[3] = id;
  if (isOurs) encodePieces(frames, writer, pieces);
  else encodeWhole(frames, writer, pieces);
}
