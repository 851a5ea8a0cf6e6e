/**
 * Messages without a number, whose answers come in the order of their requests.
 */
import type { Undo } from "../buffer/link_chain.ts";
import { onTakenBack } from "../buffer/undo.ts";
import { FrameError } from "../core/errors.ts";
import { checkCodec, type Codec } from "./codec.ts";
import { encodeWhole } from "./frame_input.ts";
import { RespPush } from "./resp_value.ts";
import type { Tagged } from "./tagged.ts";

/** So many numbers may be used up before the list is shortened: not at each one. */
const USED_COUNT_MAX = 1024;

/** A push of RESP3 begins with it. */
const PUSH = 0x3e;

function unasked(): FrameError {
  return new FrameError("malformed", 0, "Cannot decode an answer that nobody asked for");
}

/**
 * Numbers requests in their order, and answers likewise: so a `Multiplexer` speaks a protocol that
 * answers in turn, like Redis or memcached, with all requests under way at once. A request that is
 * given up keeps its place: its answer is read and dropped.
 *
 * For one connection, the client's, since it remembers who has asked. What the codec decodes must
 * outlive `release()`: bytes that it lends as frames are copied, but those within other frames are
 * for the codec to own, as `resp({ bulk: "owned" })` does. An answer that nobody asked for is a
 * `FrameError`; a push of RESP3 (`RespPush`) is no answer, and is passed over.
 *
 * @example
 * ```ts
 * import { createListener, dial, EventLoop } from "@netpoll/netpoll";
 * import { lines } from "@netpoll/netpoll/codec";
 * import { Multiplexer, ordered } from "@netpoll/netpoll/mux";
 *
 * const line = lines();
 * const listener = createListener("unix", "@ordered-example");
 * const loop = new EventLoop(({ reader, writer }) => {
 *   for (let word; (word = line.decode(reader)) !== undefined;) line.encode(writer, ["a ", word]);
 *   void writer.flush();
 *   reader.release();
 * });
 * const served = loop.serve(listener);
 *
 * const connection = await dial("unix", "@ordered-example");
 * const client = new Multiplexer(connection, ordered(lines()), { timeoutMs: 1000 });
 * const answers = await Promise.all(["dog", "cat"].map((word) => client.request(word)));
 * console.log(answers.map((bytes) => new TextDecoder().decode(bytes))); // ["a dog", "a cat"]
 * await client.close();
 * await loop.shutdown();
 * await served;
 * ```
 */
export function ordered<In, Out>(codec: Codec<In, Out>): Codec<Tagged<In>, Tagged<Out>> {
  checkCodec("ordered", codec);
  let asked: number[] = [];
  /** The number of them that have their answers. */
  let usedCount = 0;

  function take(): number {
    const id = asked[usedCount]!;
    usedCount += 1;
    if (usedCount === asked.length || usedCount >= USED_COUNT_MAX) {
      asked = asked.slice(usedCount);
      usedCount = 0;
    }
    return id;
  }

  /** A codec around this one has failed, and its frame was taken back. */
  const forgetLast: Undo = { undo: () => void asked.pop(), disturb() {} };

  return {
    decode(reader) {
      for (;;) {
        const isAsked = usedCount < asked.length;
        if (!isAsked && reader.length > 0 && reader.peek(1)[0] !== PUSH) throw unasked();
        const frame = codec.decode(reader);
        if (frame === undefined) return undefined;
        // A message that a server of RESP3 sends by itself is nobody's answer.
        if (frame instanceof RespPush) continue;
        if (!isAsked) throw unasked();
        const body = frame instanceof Uint8Array ? new Uint8Array(frame) as In : frame;
        return { id: take(), body };
      }
    },
    encode(writer, { id, body }) {
      encodeWhole(codec, writer, body);
      asked.push(id);
      onTakenBack(writer, forgetLast);
    },
    needed: (reader) => codec.needed?.(reader) ?? 0,
  };
}
