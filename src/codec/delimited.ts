/**
 * Frames that end with a delimiter, lines among them.
 */
import { Buffer } from "node:buffer";
import { findIn } from "../buffer/delimiter.ts";
import type { LinkChain } from "../buffer/link_chain.ts";
import { type Delimiter, delimiterBytes } from "../buffer/reader.ts";
import { searchOf } from "../buffer/search.ts";
import type { Writer } from "../buffer/writer.ts";
import { bufferOf, byteCount, offsetOf } from "../core/bytes.ts";
import { LINE_BYTES_MAX } from "../core/limits.ts";
import { checkOptions, type Known } from "../core/options.ts";
import {
  FRAME_OPTIONS,
  type FrameOptions,
  FrameWindow,
  longest,
  WindowCodec,
} from "./byte_codec.ts";
import type { ByteCodec, FrameInput, Piece } from "./codec.ts";
import { copyInput, inputBytes, writeInput } from "./frame_input.ts";

const DELIMITED_OPTIONS: Known<DelimitedOptions> = { ...FRAME_OPTIONS, strip: "boolean" };
const LINES_OPTIONS: Known<LinesOptions> = { ...DELIMITED_OPTIONS, ending: 1 };

/** The fate of a delimiter. */
export interface DelimitedOptions extends FrameOptions {
  /** Whether frames come without it; true unless given. `encode` adds it in any case. */
  strip?: boolean;
}

/** The options of {@linkcode lines}. */
export interface LinesOptions extends DelimitedOptions {
  /** The end of a line for `encode`; "\n" unless given. `decode` takes both. */
  ending?: "\n" | "\r\n";
}

/**
 * Frames up to a delimiter: a byte, or several in a row.
 *
 * @throws {RangeError} The delimiter is empty, or an option is out of range.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { delimited } from "@netpoll/netpoll/codec";
 *
 * const codec = delimited(0);
 * const buffer = new LinkBuffer();
 * codec.encode(buffer, "one");
 * codec.encode(buffer, "two");
 * buffer.flush();
 * for (let frame; (frame = codec.decode(buffer)) !== undefined;) console.log(frame.length); // 3
 * buffer.close();
 * ```
 */
export function delimited(delimiter: Delimiter, options: DelimitedOptions = {}): ByteCodec {
  checkOptions("delimited", options, DELIMITED_OPTIONS);
  return new WindowCodec(new DelimitedWindow(new Uint8Array(delimiterBytes(delimiter)), options));
}

/**
 * Lines: frames that end with "\n" or "\r\n", without it unless `strip` is false. A line whose own
 * last byte is "\r" can be written with `ending: "\r\n"` only.
 *
 * @throws {RangeError} An option is out of range.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { lines } from "@netpoll/netpoll/codec";
 *
 * const buffer = new LinkBuffer();
 * buffer.writeString("HELO\r\nQUIT\n");
 * buffer.flush();
 * const codec = lines();
 * for (let line; (line = codec.decode(buffer)) !== undefined;) {
 *   console.log(new TextDecoder().decode(line)); // HELO, QUIT
 * }
 * buffer.close();
 * ```
 */
export function lines(options: LinesOptions = {}): ByteCodec {
  checkOptions("lines", options, LINES_OPTIONS);
  return new WindowCodec(new LinesWindow(options));
}

const LF = 10;
const CR = 13;
const ASCII_MAX = 0x7f;
const scratch = new Uint8Array(1);

class DelimitedWindow extends FrameWindow {
  readonly #delimiter: Uint8Array;
  readonly #ending: Uint8Array;
  readonly #isStripped: boolean;

  constructor(delimiter: Uint8Array, options: DelimitedOptions, ending = delimiter) {
    super(longest(options, LINE_BYTES_MAX));
    this.#delimiter = delimiter;
    this.#ending = ending;
    this.#isStripped = options.strip ?? true;
  }

  measure(chain: LinkChain): number {
    if (chain.length === 0) return 1;
    const at = this.#find(chain);
    const end = at < 0 ? chain.length + 1 : at + this.#delimiter.length;
    if (end > this.frameBytesMax) throw this.tooLong(end, this.frameBytesMax);
    if (at >= 0) this.tailBytes = this.#isStripped ? this.endingBytes(chain, at) : 0;
    return end;
  }

  #find(chain: LinkChain): number {
    // Mostly it is there, in the first node: then there is nothing to remember.
    if (chain.unfinished === null) {
      const front = chain.front()!;
      const at = findIn(front, front.read, front.flushed, this.#delimiter);
      if (at >= 0) return at - front.read;
    }
    const at = searchOf(this, chain).find(chain, this.#delimiter);
    if (at >= 0) chain.unfinished = null;
    return at;
  }

  /** The number of bytes to take from the end of a frame whose delimiter begins there. */
  protected endingBytes(_chain: LinkChain, _at: number): number {
    return this.#delimiter.length;
  }

  write(writer: Writer, frame: FrameInput): void {
    this.checkLength(inputBytes(frame) + this.#ending.length);
    this.#checkContent(frame);
    writeInput(writer, frame);
    writer.writeBinary(this.#ending);
  }

  /** A frame that holds a delimiter would be read as two: nobody may smuggle one in. */
  #checkContent(frame: FrameInput): void {
    const delimiter = this.#delimiter;
    if (delimiter.length === 1) return this.#checkPieces(frame, delimiter[0]!);
    const bytes = frame instanceof Uint8Array
      ? Buffer.from(bufferOf(frame) as ArrayBuffer, offsetOf(frame), byteCount(frame))
      : copyInput(frame);
    // The end of a frame and the beginning of its delimiter may make one as well: "xa" before "aa".
    const tail = Buffer.concat([bytes.subarray(-delimiter.length), delimiter]);
    const isClean = tail.indexOf(delimiter) === tail.length - delimiter.length;
    if (!isClean || bytes.indexOf(delimiter) >= 0) throw smuggled();
  }

  /** One byte cannot lie across two pieces. */
  #checkPieces(frame: FrameInput, byte: number): void {
    const pieces = Array.isArray(frame) ? frame as readonly Piece[] : [frame as Piece];
    for (const piece of pieces) if (holds(piece, byte)) throw smuggled();
  }
}

function holds(piece: Piece, byte: number): boolean {
  if (piece instanceof Uint8Array) return Uint8Array.prototype.includes.call(piece, byte);
  if (typeof piece !== "string" || byte > ASCII_MAX) return copyInput(piece).includes(byte);
  return piece.includes(String.fromCharCode(byte));
}

function smuggled(): RangeError {
  return new RangeError("Cannot encode a frame that contains the delimiter");
}

/** Whether the last byte of a frame is a carriage return. */
function endsInCr(frame: FrameInput): boolean {
  if (typeof frame === "string") return frame.endsWith("\r");
  const pieces = Array.isArray(frame) ? frame as readonly Piece[] : [frame as Piece];
  const last = pieces.findLast((piece) => inputBytes(piece) > 0);
  if (last === undefined) return false;
  if (typeof last === "string") return last.endsWith("\r");
  return (last instanceof Uint8Array ? last[byteCount(last) - 1] : copyInput(last).at(-1)) === CR;
}

class LinesWindow extends DelimitedWindow {
  readonly #endsInLf: boolean;

  constructor(options: LinesOptions) {
    const { ending = "\n" } = options;
    if (ending !== "\n" && ending !== "\r\n") {
      throw new RangeError('Cannot make a codec: ending is "\\n" or "\\r\\n"');
    }
    super(Uint8Array.of(LF), options, new Uint8Array(Buffer.from(ending)));
    this.#endsInLf = ending === "\n";
  }

  override write(writer: Writer, frame: FrameInput): void {
    if (this.#endsInLf && endsInCr(frame)) {
      throw new RangeError(
        'Cannot encode a line that ends with "\\r": it would be read as a part of the ending; use ending: "\\r\\n"',
      );
    }
    super.write(writer, frame);
  }

  protected override endingBytes(chain: LinkChain, at: number): number {
    if (at === 0) return 1;
    const node = chain.front()!;
    if (at <= node.readable) return node.bytes[node.read + at - 1] === CR ? 2 : 1;
    chain.copyOut(scratch, 0, 1, at - 1);
    return scratch[0] === CR ? 2 : 1;
  }
}
