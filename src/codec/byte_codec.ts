/**
 * The base of all codecs whose frames are bytes. They differ in where a frame ends.
 */
import { showAs } from "../core/inspect.ts";
import { LinkBuffer } from "../buffer/link_buffer.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { type BufferReader, readChain } from "../buffer/reader.ts";
import { track } from "../buffer/tracked.ts";
import { wholly } from "../buffer/undo.ts";
import type { Writer } from "../buffer/writer.ts";
import { FrameError } from "../core/errors.ts";
import { PIECE_BYTES_MAX } from "../core/limits.ts";
import { type Known, show } from "../core/options.ts";
import type { ByteCodec, FrameInput, Piece } from "./codec.ts";
import { settledInput, settledPieces } from "./frame_input.ts";

/** The option that every codec has. */
export interface FrameOptions {
  /** The longest frame, in bytes on the wire: with its header, or its delimiter. */
  frameBytesMax?: number;
}

/** An option that is a whole number within bounds. Anything else is a bug of the caller. */
export function checkOption(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`Cannot make a codec: ${name} is ${show(value)}, not from ${min} to ${max}`);
}

/** The begin and the end of a frame: all that differs between codecs of bytes. */
export abstract class FrameWindow {
  readonly frameBytesMax: number;
  /** Of the frame just measured: bytes before it that are not its own. */
  headBytes = 0;
  /** Of the frame just measured: bytes behind it that are not its own. */
  tailBytes = 0;

  /** A window with a maximum. */
  constructor(frameBytesMax: number) {
    this.frameBytesMax = checkOption("frameBytesMax", frameBytesMax, 1, PIECE_BYTES_MAX);
  }

  /**
   * The number of bytes that the next frame has on the wire. While that is not known, or they are not
   * there: the number that must be readable until it may be.
   */
  abstract measure(chain: LinkChain): number;

  /** Writes a frame whose pieces were looked at: each of them can be written. */
  abstract write(writer: Writer, frame: FrameInput): void;

  /** The peer's frame is above the maximum. */
  protected tooLong(wireBytes: number, offset: number): FrameError {
    const { frameBytesMax } = this;
    return new FrameError(
      "too-long",
      offset,
      `Cannot decode a frame of ${wireBytes} bytes or more: frameBytesMax is ${frameBytesMax}`,
    );
  }

  /** Throws when a frame that is to be written is above the maximum. */
  protected checkLength(wireBytes: number): void {
    if (wireBytes <= this.frameBytesMax) return;
    throw new RangeError(
      `Cannot encode a frame of ${wireBytes} bytes: frameBytesMax is ${this.frameBytesMax}`,
    );
  }
}

/** Encodes pieces in an array that is nobody else's; see `piecesOf`. The array is changed. */
export let encodePieces: (codec: WindowCodec, writer: Writer, pieces: Piece[]) => void;

/** The codec that users get: its window is out of their reach. */
export class WindowCodec implements ByteCodec {
  static {
    encodePieces = (codec, writer, pieces) => wholly(writePieces, codec.#window, writer, pieces);
  }

  readonly frameBytesMax: number;
  readonly #window: FrameWindow;

  /** A codec whose frames end where the window says. */
  constructor(window: FrameWindow) {
    this.frameBytesMax = window.frameBytesMax;
    this.#window = window;
  }

  encode(writer: Writer, frame: FrameInput): void {
    wholly(write, this.#window, writer, frame);
  }

  needed(reader: BufferReader): number {
    return this.#window.measure(readChain(reader));
  }

  frameBytes(reader: BufferReader): number {
    const chain = readChain(reader);
    const window = this.#window;
    const wireBytes = window.measure(chain);
    return wireBytes > chain.length ? -1 : wireBytes - window.headBytes - window.tailBytes;
  }

  decode(reader: BufferReader): Uint8Array | undefined {
    const chain = readChain(reader);
    const window = this.#window;
    const wireBytes = window.measure(chain);
    if (wireBytes > chain.length) return undefined;
    const frame = lend(chain, window.headBytes, wireBytes - window.tailBytes);
    chain.consume(wireBytes);
    return frame;
  }

  slice(reader: BufferReader): LinkBuffer | undefined {
    const chain = readChain(reader);
    const window = this.#window;
    const wireBytes = window.measure(chain);
    if (wireBytes > chain.length) return undefined;
    const { headBytes, tailBytes } = window;
    chain.consume(headBytes);
    const frameBytes = wireBytes - headBytes - tailBytes;
    const frame = frameBytes === 0 ? new LinkBuffer() : reader.slice(frameBytes);
    chain.consume(tailBytes);
    return frame;
  }
}

showAs(WindowCodec.prototype, "ByteCodec", ["frameBytesMax"]);

function write(window: FrameWindow, writer: Writer, frame: FrameInput): void {
  window.write(writer, settledInput(writer, frame));
}

function writePieces(window: FrameWindow, writer: Writer, pieces: Piece[]): void {
  window.write(writer, settledPieces(writer, pieces));
}

/** Lends the unread bytes `from` to `to`, which are there: a view, or a copy if in several nodes. */
function lend(chain: LinkChain, from: number, to: number): Uint8Array {
  const count = to - from;
  if (count === 0) return new Uint8Array(0);
  let node = chain.front()!;
  let skip = from;
  for (; skip >= node.readable; node = node.next!) skip -= node.readable;
  if (node.readable - skip >= count) return track(chain, node.lend(node.read + skip, count));
  return chain.lend(to).subarray(from);
}

/** The longest frame: as the options say, or else as the codec does. */
export function longest({ frameBytesMax }: FrameOptions, otherwise: number): number {
  return frameBytesMax === undefined ? otherwise : frameBytesMax;
}

/** The names of {@linkcode FrameOptions}. */
export const FRAME_OPTIONS: Known<FrameOptions> = { frameBytesMax: 1 };
