/**
 * A writer as what the web platform writes to.
 */
import type { Writer } from "../buffer/writer.ts";
import { show } from "../core/options.ts";

/**
 * A writer as a `WritableStream`, for `pipeTo` and the like. Each piece is written and flushed
 * before the next is taken, so the peer's pace is the source's. A piece is **borrowed**, as by
 * `writeBinary`. Closing or aborting the stream leaves the writer usable; a piece that was being
 * flushed when it was aborted still goes out.
 *
 * @example
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { writableOf } from "@netpoll/netpoll/adapter";
 *
 * const buffer = new LinkBuffer();
 * await new Blob(["hello"]).stream().pipeTo(writableOf(buffer));
 * console.log(buffer.readString(5)); // "hello"
 * buffer.close();
 * ```
 */
export function writableOf(writer: Writer): WritableStream<Uint8Array> {
  if (typeof writer?.writeBinary !== "function") {
    throw new TypeError(
      `Cannot write to ${show(writer)}: it is no writer, as connection.writer is`,
    );
  }
  return new WritableStream<Uint8Array>({
    write(bytes, { signal }) {
      writer.writeBinary(bytes);
      return writer.flush({ signal });
    },
  });
}
