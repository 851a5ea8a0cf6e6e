/**
 * Frames whose length is a varint, as protocol buffers are streamed.
 */
import type { LinkChain } from "../buffer/link_chain.ts";
import type { Writer } from "../buffer/writer.ts";
import { FrameError } from "../core/errors.ts";
import { FRAME_BYTES_MAX } from "../core/limits.ts";
import { checkOptions } from "../core/options.ts";
import {
  FRAME_OPTIONS,
  type FrameOptions,
  FrameWindow,
  longest,
  WindowCodec,
} from "./byte_codec.ts";
import type { ByteCodec, FrameInput } from "./codec.ts";
import { inputBytes, writeInput } from "./frame_input.ts";

/** Lengths have 32 bits, 7 a byte: what protobuf's `writeDelimitedTo` writes. */
const VARINT_BYTES_MAX = 5;

const scratch = new Uint8Array(VARINT_BYTES_MAX);

/**
 * Frames that begin with their length as an unsigned LEB128 number of at most 5 bytes: protocol
 * buffers' delimited streams.
 *
 * @throws {RangeError} An option is out of range.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { varintPrefixed } from "@netpoll/netpoll/codec";
 *
 * const codec = varintPrefixed();
 * const buffer = new LinkBuffer();
 * codec.encode(buffer, new Uint8Array(300)); // two bytes of length before it
 * buffer.flush();
 * console.log(buffer.length, codec.decode(buffer)?.length); // 302 300
 * buffer.close();
 * ```
 */
export function varintPrefixed(options: FrameOptions = {}): ByteCodec {
  checkOptions("varintPrefixed", options, FRAME_OPTIONS);
  return new WindowCodec(new VarintWindow(longest(options, FRAME_BYTES_MAX)));
}

class VarintWindow extends FrameWindow {
  measure(chain: LinkChain): number {
    const node = chain.front();
    if (node === null || chain.length === 0) return 1;
    const there = Math.min(chain.length, VARINT_BYTES_MAX);
    let { bytes, read: at } = node;
    if (node.readable < there) {
      chain.copyOut(scratch, 0, there);
      bytes = scratch;
      at = 0;
    }
    let length = 0;
    for (let i = 0; i < there; i++) {
      const byte = bytes[at + i]!;
      length += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return this.#sum(i + 1, length);
    }
    if (there < VARINT_BYTES_MAX) return there + 1;
    throw new FrameError(
      "malformed",
      VARINT_BYTES_MAX - 1,
      `Cannot decode a frame whose length has more than ${VARINT_BYTES_MAX} bytes`,
    );
  }

  #sum(headBytes: number, length: number): number {
    const wireBytes = headBytes + length;
    if (wireBytes > this.frameBytesMax) throw this.tooLong(wireBytes, 0);
    this.headBytes = headBytes;
    return wireBytes;
  }

  write(writer: Writer, frame: FrameInput): void {
    const length = inputBytes(frame);
    let headBytes = 1;
    for (let rest = length; rest >= 0x80; rest = Math.floor(rest / 0x80)) headBytes += 1;
    this.checkLength(headBytes + length);
    writer.writeVarint(length);
    writeInput(writer, frame);
  }
}
