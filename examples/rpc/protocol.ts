/**
 * The protocol of client and server: frames as netpoll-benchmark has them, 4 bytes of length and as
 * many of payload, which begins with the number of the request (4 bytes, the answer has the same).
 * The byte behind it is the method, and in the answer 0, or 1 before the reason of a failure.
 */
import { type Codec, type FrameInput, lengthPrefixed, type Tagged, tagged } from "../../mod.ts";

/** The codec of requests and answers. */
export const codec: Codec<Tagged<Uint8Array>, Tagged<FrameInput>> = tagged(
  lengthPrefixed({ frameBytesMax: 16 * 1024 * 1024 }),
);

/** The requests that can be made. */
export const Method = {
  /** Sends everything back. */
  ECHO: 0,
  /** Answers after as many milliseconds as the next 4 bytes say, high byte first. */
  SLEEP: 1,
  /** Answers the SHA-256 of the rest. */
  DIGEST: 2,
} as const;

/** The first byte of an answer. */
export const Status = { FINE: 0, FAILED: 1 } as const;
