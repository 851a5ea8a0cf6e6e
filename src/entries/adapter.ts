/**
 * Streams of the platform, as readers and writers, and the other way: `readerFrom` and `writerTo`
 * make ours of theirs, `readableOf`, `writableOf` and `bytesOf` theirs of ours.
 *
 * @example A web stream that is read like a connection
 * ```ts
 * import { readerFrom } from "@netpoll/netpoll/adapter";
 *
 * const reader = readerFrom(new Blob(["one\ntwo\n"]).stream());
 * const length = await reader.waitUntil(0x0a);
 * console.log(reader.readString(length)); // "one\n"
 * await reader.close();
 * ```
 *
 * @module
 */
export { bytesOf, readableOf } from "../adapter/readable.ts";
export { writableOf } from "../adapter/writable.ts";
export {
  type ByteReader,
  type ByteSource,
  readerFrom,
  type SourceReader,
} from "../adapter/source_reader.ts";
export { type ByteSink, type SinkWriter, writerTo } from "../adapter/sink_writer.ts";
