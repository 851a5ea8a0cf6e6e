/**
 * Frames that are all of one length.
 */
import type { Writer } from "../buffer/writer.ts";
import { FrameWindow, WindowCodec } from "./byte_codec.ts";
import type { ByteCodec, FrameInput } from "./codec.ts";
import { inputBytes, writeInput } from "./frame_input.ts";

/**
 * Frames of `frameBytes` bytes each, with nothing in between.
 *
 * @throws {RangeError} `frameBytes` is no whole number from 1 to 1 GiB.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { fixedLength } from "@netpoll/netpoll/codec";
 *
 * const buffer = new LinkBuffer();
 * buffer.writeString("onetwothr");
 * buffer.flush();
 * const codec = fixedLength(3);
 * for (let frame; (frame = codec.decode(buffer)) !== undefined;) console.log(frame.length); // 3
 * buffer.close();
 * ```
 */
export function fixedLength(frameBytes: number): ByteCodec {
  return new WindowCodec(new FixedWindow(frameBytes));
}

class FixedWindow extends FrameWindow {
  measure(): number {
    return this.frameBytesMax;
  }

  write(writer: Writer, frame: FrameInput): void {
    const count = inputBytes(frame);
    if (count !== this.frameBytesMax) {
      throw new RangeError(
        `Cannot encode a frame of ${count} bytes: all have ${this.frameBytesMax}`,
      );
    }
    writeInput(writer, frame);
  }
}
