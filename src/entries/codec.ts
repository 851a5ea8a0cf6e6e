/**
 * Codecs: they say where a message begins and ends in a stream of bytes. A codec reads what is
 * there and never waits; {@linkcode frames} waits for one message after another.
 *
 * @example Lines, as they come and as they go
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { frames, lines } from "@netpoll/netpoll/codec";
 *
 * const codec = lines();
 * const [a, b] = socketPair();
 * codec.encode(a.writer, "hello");
 * await a.writer.flush();
 * await a.closeWrite();
 * for await (const line of frames(b, codec)) {
 *   console.log(new TextDecoder().decode(line)); // "hello"
 * }
 * await a.close();
 * await b.close();
 * ```
 *
 * @module
 */
export type { ByteCodec, Codec, FrameInput, Piece } from "../codec/codec.ts";
export type { FrameOptions } from "../codec/byte_codec.ts";
export { delimited, type DelimitedOptions, lines, type LinesOptions } from "../codec/delimited.ts";
export { fixedLength } from "../codec/fixed_length.ts";
export { frames, type FramesOptions } from "../codec/frames.ts";
export { lengthPrefixed, type LengthPrefixedOptions } from "../codec/length_prefixed.ts";
export { varintPrefixed } from "../codec/varint_prefixed.ts";
