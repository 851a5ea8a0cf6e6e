/**
 * The frames of a connection, one after the other.
 */
import type { LinkBuffer } from "../buffer/link_buffer.ts";
import type { Reader } from "../buffer/reader.ts";
import { endFrame, endMessage } from "../connection/connection_reader.ts";
import { EofError, FrameError } from "../core/errors.ts";
import { checkOptions, checkSignal, type Known, show } from "../core/options.ts";
import { turn } from "../poll/turn.ts";
import { type ByteCodec, checkCodec, type Codec } from "./codec.ts";

const FRAMES_OPTIONS: Known<FramesOptions> = { memory: 1, signal: 1 };

/** The options of {@linkcode frames}. */
export interface FramesOptions {
  /**
   * "lent" unless given: a frame is valid until the next step of the loop. "sliced": each is a
   * `LinkBuffer` of its own, **owned**, to be closed by you. Only codecs of bytes have those.
   */
  memory?: "lent" | "sliced";
  /** Ends a wait for the next frame, with the signal's reason. Nothing is lost. */
  signal?: AbortSignal;
}

/**
 * Every frame that a connection receives, until the peer ends its side.
 *
 * A frame is **lent** until the next step of the loop, which calls `release()`; the last one, of a
 * loop that was left early, until you do. Leaving early loses nothing: the frames that follow are
 * still to be read.
 *
 * Throws `FrameError` for what is no frame, one that is too long, or one that the peer's end cut
 * off; what was there of it stays readable. Throws what `wait` rejects with besides, but for the
 * ordinary `EofError`: a `ClosedError` when the connection has reached its lifetime, or its server
 * shuts down, and no frame has begun.
 *
 * A synchronous handler with `codec.decode` makes no promise a frame, and is faster.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { frames, lengthPrefixed } from "@netpoll/netpoll/codec";
 *
 * const [a, b] = socketPair();
 * const codec = lengthPrefixed();
 * codec.encode(a.writer, "hello");
 * codec.encode(a.writer, "you");
 * await a.writer.flush();
 * await a.closeWrite();
 * for await (const frame of frames(b, codec)) console.log(frame.length); // 5, 3
 * await Promise.all([a.close(), b.close()]);
 * ```
 */
export function frames(
  connection: { readonly reader: Reader },
  codec: ByteCodec,
  options: FramesOptions & { memory: "sliced" },
): AsyncGenerator<LinkBuffer, void, void>;
/** Lent frames, of any codec: the default of {@linkcode frames}. */
export function frames<Frame, Input>(
  connection: { readonly reader: Reader },
  codec: Codec<Frame, Input>,
  options?: FramesOptions & { memory?: "lent" },
): AsyncGenerator<Frame, void, void>;
export function frames<Frame, Input>(
  connection: { readonly reader: Reader },
  codec: Codec<Frame, Input>,
  options: FramesOptions = {},
): AsyncGenerator<Frame | LinkBuffer, void, void> {
  checkOptions("frames", options, FRAMES_OPTIONS);
  checkSignal("frames", options.signal);
  checkCodec("frames", codec);
  const { memory = "lent", signal } = options;
  if (memory !== "lent" && memory !== "sliced") {
    throw new TypeError(`Cannot use frames: memory is "lent" or "sliced", not ${show(memory)}`);
  }
  if (typeof connection?.reader?.wait !== "function") {
    throw new TypeError(`Cannot read frames of ${show(connection)}: it has no reader`);
  }
  return read(connection.reader, codec, memory, signal);
}

async function* read<Frame, Input>(
  reader: Reader,
  codec: Codec<Frame, Input>,
  memory: "lent" | "sliced",
  signal: AbortSignal | undefined,
): AsyncGenerator<Frame | LinkBuffer, void, void> {
  for (;;) {
    const frame = memory === "lent" ? codec.decode(reader) : slice(codec, reader);
    if (frame !== undefined) {
      yield frame;
      reader.release();
      // However many frames are there, others have their turn in between.
      if ((endFrame(reader) || turn.step()) && reader.length > 0) await reader.wait(0);
    } else if (!await hasMore(reader, codec, signal)) {
      return;
    }
  }
}

function slice(codec: unknown, reader: Reader): LinkBuffer | undefined {
  if (typeof (codec as ByteCodec).slice === "function") return (codec as ByteCodec).slice(reader);
  throw new TypeError("Cannot slice frames: this codec's are no bytes");
}

/** Waits for what the next frame needs. Whether it came; a reset is an error, not an end. */
async function hasMore(
  reader: Reader,
  codec: Codec<unknown, never>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    if (reader.length === 0) endMessage(reader);
    const count = Math.max(codec.needed?.(reader) ?? 0, reader.length + 1);
    await reader.wait(count, signal === undefined ? undefined : { signal });
    return true;
  } catch (error) {
    if (!(error instanceof EofError) || error.cause !== undefined) throw error;
    if (reader.length === 0) return false;
    const message = "Cannot decode: the peer ended its side within a frame";
    throw new FrameError("truncated", reader.length, message, { cause: error });
  }
}
