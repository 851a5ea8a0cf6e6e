/**
 * Many requests over one connection: {@linkcode Multiplexer} sends them and finds their answers,
 * {@linkcode responder} answers them, and {@linkcode ShardQueue} writes for many who write at once.
 *
 * @example Two requests in flight
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { lengthPrefixed } from "@netpoll/netpoll/codec";
 * import { Multiplexer, responder, tagged } from "@netpoll/netpoll/mux";
 *
 * const codec = tagged(lengthPrefixed());
 * const [near, far] = socketPair();
 * far.setOnRequest(responder(codec, (body) => body));
 *
 * const client = new Multiplexer(near, codec);
 * const answers = await Promise.all(["one", "two"].map((text) => client.request(text)));
 * console.log(answers.map((body) => new TextDecoder().decode(body))); // ["one", "two"]
 * await client.close();
 * await far.close();
 * ```
 *
 * @module
 */
export { ordered } from "../codec/ordered.ts";
export { type Tagged, tagged } from "../codec/tagged.ts";
export {
  Multiplexer,
  type MultiplexerDrainOptions,
  type MultiplexerDrainResult,
  type MultiplexerOptions,
  type RequestOptions,
} from "../mux/multiplexer.ts";
export {
  type RequestContext,
  type Respond,
  responder,
  type ResponderOptions,
} from "../mux/responder.ts";
export { ShardQueue, type WriterGetter } from "../mux/shard_queue.ts";
