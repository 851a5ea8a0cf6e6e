/**
 * RESP2 and RESP3, the protocol of Redis and Valkey, as a codec for clients and for servers.
 *
 * @example A reply, as a client reads it
 * ```ts
 * import { LinkBuffer } from "@netpoll/netpoll";
 * import { resp } from "@netpoll/netpoll/resp";
 *
 * const codec = resp({ bulk: "text" });
 * using buffer = new LinkBuffer();
 * buffer.writeString("$5\r\nhello\r\n");
 * void buffer.flush();
 * console.log(codec.decode(buffer)); // "hello"
 * ```
 *
 * @module
 */
export { resp, type RespCodec, type RespOptions } from "../codec/resp.ts";
export {
  type BulkKind,
  RespError,
  type RespInput,
  RespNullArray,
  RespPush,
  RespSimple,
  type RespValue,
  RespVerbatim,
} from "../codec/resp_value.ts";
