/**
 * Codecs: where frames begin and end in a stream of bytes, and what they are.
 */
import type { LinkBuffer } from "../buffer/link_buffer.ts";
import type { BufferReader } from "../buffer/reader.ts";
import type { Writer } from "../buffer/writer.ts";
import { show } from "../core/options.ts";

/**
 * The frames of a protocol in a stream. One codec serves any number of connections: what it
 * knows of a frame that has not come in full, it keeps with the bytes.
 *
 * Ten lines make one of your own; `decode` must consume a whole frame or nothing.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { type Codec, lines } from "@netpoll/netpoll/codec";
 *
 * const line = lines();
 * const jsonLines: Codec<unknown> = {
 *   decode(reader) {
 *     const frame = line.decode(reader);
 *     return frame && JSON.parse(new TextDecoder().decode(frame));
 *   },
 *   encode: (writer, value) => line.encode(writer, JSON.stringify(value)),
 *   needed: (reader) => line.needed(reader),
 * };
 * const buffer = new LinkBuffer();
 * jsonLines.encode(buffer, { hello: "world" });
 * buffer.flush();
 * console.log(jsonLines.decode(buffer)); // { hello: "world" }
 * buffer.close();
 * ```
 */
export interface Codec<Frame, Input = Frame> {
  /**
   * Reads the next frame, without waiting; `undefined` when it is not there in full. Views in it
   * are **lent**, until `reader.release()`.
   *
   * @throws {FrameError} There is no frame, or it is too long. Nothing was consumed.
   */
  decode(reader: BufferReader): Frame | undefined;
  /**
   * Writes a frame; `writer.flush()` sends it. One that cannot be written leaves nothing: what an
   * `encode` of your own wrote before it threw is taken back by `Multiplexer`, `responder`, `tagged`
   * and `ordered`, unless it has flushed it.
   */
  encode(writer: Writer, frame: Input): void;
  /**
   * The least number of bytes that `decode` needs for a frame: `wait` for it.
   * Without it, one more than there are.
   *
   * @throws {FrameError} As `decode`.
   */
  needed?(reader: BufferReader): number;
}

/** One piece of what is written as a frame. */
export type Piece = Uint8Array | string | LinkBuffer;

/**
 * A frame to write: bytes, text (as UTF-8), or several pieces that make one frame.
 *
 * Bytes are **borrowed** or linked as by `writer.writeBinary`; a `LinkBuffer` is moved, as by
 * `writer.append`, and cannot be used afterwards. When `encode` throws, nothing was moved, and all
 * pieces are their owner's.
 */
export type FrameInput = Piece | readonly Piece[];

/** A codec whose frames are bytes. */
export interface ByteCodec extends Codec<Uint8Array, FrameInput> {
  /** The longest frame, in bytes on the wire: with its header, or its delimiter. */
  readonly frameBytesMax: number;
  /** As {@linkcode Codec.needed}. */
  needed(reader: BufferReader): number;
  /**
   * The number of bytes of the next frame, as `decode` would return it; -1 when it is not there in
   * full.
   *
   * @throws {FrameError} As `decode`.
   */
  frameBytes(reader: BufferReader): number;
  /**
   * The next frame as a buffer of its own that shares the memory: no copy. **Owned**: it outlives
   * `reader.release()`, and is given back by its own `close()`.
   *
   * @throws {FrameError} As `decode`.
   */
  slice(reader: BufferReader): LinkBuffer | undefined;
}

/** Throws for what is no codec of bytes. */
export function checkByteCodec(of: string, codec: unknown): void {
  checkCodec(of, codec);
  const { frameBytes, slice, needed } = codec as Partial<ByteCodec>;
  if ([frameBytes, slice, needed].every((each) => typeof each === "function")) return;
  throw new TypeError(`Cannot use ${show(codec)} as the codec of ${of}: its frames are no bytes`);
}

/** Throws for what is no codec. */
export function checkCodec(of: string, codec: unknown): void {
  const given = codec as { decode?: unknown; encode?: unknown } | null | undefined;
  if (typeof given?.decode === "function" && typeof given.encode === "function") return;
  throw new TypeError(
    `Cannot use ${show(codec)} as the codec of ${of}: it cannot decode and encode`,
  );
}
