/**
 * Frames that say how long they are.
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import type { Writer } from "../buffer/writer.ts";
import { plainView } from "../core/bytes.ts";
import { FrameError } from "../core/errors.ts";
import { FRAME_BYTES_MAX } from "../core/limits.ts";
import { checkOptions, type Known } from "../core/options.ts";
import {
  checkOption,
  FRAME_OPTIONS,
  type FrameOptions,
  FrameWindow,
  longest,
  WindowCodec,
} from "./byte_codec.ts";
import type { ByteCodec, FrameInput } from "./codec.ts";
import { copyInput, inputBytes, spendInput, writeInput } from "./frame_input.ts";

const OPTIONS: Known<LengthPrefixedOptions> = {
  ...FRAME_OPTIONS,
  lengthBytes: 1,
  byteOrder: 1,
  offsetBytes: 1,
  adjustmentBytes: 1,
  stripBytes: 1,
};

/** The place of the length, and the bytes that it counts. */
export interface LengthPrefixedOptions extends FrameOptions {
  /** The number of bytes of the length itself; 4 unless given. */
  lengthBytes?: 1 | 2 | 3 | 4 | 8;
  /** The order of them: "big" is the high one first. "big" unless given. */
  byteOrder?: "big" | "little";
  /** The number of bytes before the length; 0 unless given. */
  offsetBytes?: number;
  /**
   * The number of bytes behind the length beyond those that it counts; 0 unless given. Negative when it
   * counts more: `-lengthBytes` for one that counts itself.
   */
  adjustmentBytes?: number;
  /**
   * The number of bytes to take from the front of each frame: all up to the end of the length unless
   * given; 0 keeps the header.
   */
  stripBytes?: number;
}

const LENGTH_SIZES: readonly unknown[] = [1, 2, 3, 4, 8];
const HEADER_BYTES_MAX = 64 * 1024;
const HIGH = 2 ** 32;

// A length that lies across two nodes is put together here.
const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

/**
 * Frames that begin with their length, as most binary protocols have them. The options are those of
 * Netty's LengthFieldBasedFrameDecoder, under other names.
 *
 * Lengths above 2^53 - 1 are too long whatever the maximum is. What `encode` is given is a frame as
 * `decode` returns it: with `stripBytes: 0` it has its header, in which the length is filled in.
 *
 * @throws {RangeError} An option is out of range.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 *
 * const codec = lengthPrefixed({ lengthBytes: 2, byteOrder: "little" });
 * const buffer = new LinkBuffer();
 * codec.encode(buffer, "hello");
 * buffer.flush();
 * console.log(codec.decode(buffer)?.length, codec.decode(buffer)); // 5 undefined
 * buffer.close();
 * ```
 */
export function lengthPrefixed(options: LengthPrefixedOptions = {}): ByteCodec {
  checkOptions("lengthPrefixed", options, OPTIONS);
  return new WindowCodec(new LengthWindow(options));
}

class LengthWindow extends FrameWindow {
  readonly #lengthBytes: number;
  readonly #isLittle: boolean;
  readonly #offsetBytes: number;
  /** The end of the length. */
  readonly #endBytes: number;
  readonly #adjustmentBytes: number;
  readonly #stripBytes: number;

  constructor(options: LengthPrefixedOptions) {
    super(longest(options, FRAME_BYTES_MAX));
    const { lengthBytes = 4, byteOrder = "big", offsetBytes = 0, adjustmentBytes = 0 } = options;
    if (!LENGTH_SIZES.includes(lengthBytes)) {
      throw new RangeError(`Cannot make a codec: lengthBytes is ${lengthBytes}, not 1, 2, 3, 4, 8`);
    }
    if (byteOrder !== "big" && byteOrder !== "little") {
      throw new RangeError(`Cannot make a codec: byteOrder is "big" or "little", not ${byteOrder}`);
    }
    this.#lengthBytes = lengthBytes;
    this.#isLittle = byteOrder === "little";
    this.#offsetBytes = checkOption("offsetBytes", offsetBytes, 0, HEADER_BYTES_MAX);
    this.#endBytes = offsetBytes + lengthBytes;
    const max = this.frameBytesMax;
    this.#adjustmentBytes = checkOption("adjustmentBytes", adjustmentBytes, -max, max);
    const { stripBytes = this.#endBytes } = options;
    this.#stripBytes = checkOption("stripBytes", stripBytes, 0, max);
  }

  measure(chain: LinkChain): number {
    const end = this.#endBytes;
    if (chain.length < end) return end;
    const length = this.#readLength(chain);
    const wireBytes = end + length + this.#adjustmentBytes;
    if (wireBytes > this.frameBytesMax) throw this.tooLong(wireBytes, this.#offsetBytes);
    if (wireBytes < end || wireBytes < this.#stripBytes) throw this.#tooShort(length);
    this.headBytes = this.#stripBytes;
    return wireBytes;
  }

  #tooShort(length: number): FrameError {
    const end = Math.max(this.#endBytes, this.#stripBytes) - this.#endBytes - this.#adjustmentBytes;
    return new FrameError(
      "malformed",
      this.#offsetBytes,
      `Cannot decode a frame whose length is ${length}: it is ${end} at least`,
    );
  }

  #readLength(chain: LinkChain): number {
    const node = chain.front()!;
    if (node.block !== null && node.readable >= this.#endBytes) {
      return this.#number(node.block.slab.view, node.read + this.#offsetBytes);
    }
    chain.copyOut(scratch, 0, this.#lengthBytes, this.#offsetBytes);
    return this.#number(scratchView, 0);
  }

  #number(view: DataView, at: number): number {
    const isLittle = this.#isLittle;
    switch (this.#lengthBytes) {
      case 1:
        return view.getUint8(at);
      case 2:
        return view.getUint16(at, isLittle);
      case 3:
        return view.getUint16(isLittle ? at : at + 1, isLittle) +
          view.getUint8(isLittle ? at + 2 : at) * 0x10000;
      case 4:
        return view.getUint32(at, isLittle);
      default:
        return view.getUint32(isLittle ? at + 4 : at, isLittle) * HIGH +
          view.getUint32(isLittle ? at : at + 4, isLittle);
    }
  }

  write(writer: Writer, frame: FrameInput): void {
    if (this.#stripBytes === 0) return this.#encodeWhole(writer, frame);
    if (this.#offsetBytes > 0 || this.#stripBytes !== this.#endBytes) {
      throw new TypeError(
        "Cannot encode: decoding takes away bytes that are not the length; use stripBytes: 0",
      );
    }
    this.#writeLength(writer, this.#endBytes + inputBytes(frame));
    writeInput(writer, frame);
  }

  /** Writes a frame that has its header, and fills in the length. */
  #encodeWhole(writer: Writer, frame: FrameInput): void {
    const isBytes = frame instanceof Uint8Array;
    const bytes = isBytes ? plainView(frame) : copyInput(frame);
    if (bytes.length < this.#endBytes) {
      throw new RangeError(
        `Cannot encode a frame of ${bytes.length} bytes: its header has ${this.#endBytes}`,
      );
    }
    writer.writeBinary(bytes.subarray(0, this.#offsetBytes), { copy: true });
    this.#writeLength(writer, bytes.length);
    writer.writeBinary(bytes.subarray(this.#endBytes));
    spendInput(frame);
  }

  #writeLength(writer: Writer, wireBytes: number): void {
    this.checkLength(wireBytes);
    const length = wireBytes - this.#endBytes - this.#adjustmentBytes;
    const isLittle = this.#isLittle;
    if (length < 0 || length >= 2 ** (8 * this.#lengthBytes)) {
      throw new RangeError(
        `Cannot encode a frame of ${wireBytes} bytes: ${length} is no length of ${this.#lengthBytes} bytes`,
      );
    }
    switch (this.#lengthBytes) {
      case 1:
        return writer.writeUint8(length);
      case 2:
        return isLittle ? writer.writeUint16LE(length) : writer.writeUint16BE(length);
      case 3:
        writer.writeUint8(isLittle ? length & 0xff : length >> 16);
        writer.writeUint8(length >> 8 & 0xff);
        return writer.writeUint8(isLittle ? length >> 16 : length & 0xff);
      case 4:
        return isLittle ? writer.writeUint32LE(length) : writer.writeUint32BE(length);
      default:
        // No frame needs more than the low half: PIECE_BYTES_MAX is 2^30.
        if (isLittle) writer.writeUint32LE(length);
        writer.writeUint32BE(0);
        if (!isLittle) writer.writeUint32BE(length);
    }
  }
}
