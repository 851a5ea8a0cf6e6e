/**
 * A client of the cache, as both protocols see it.
 */
import process from "node:process";
import type { BufferReader, Writer } from "../../mod.ts";
import type { Store } from "./store.ts";

/** The version that clients are told: some ask for features by it. */
export const VERSION = "1.6.0-netpoll";

/** A client, as far as an answer is concerned. */
export interface Session {
  readonly store: Store;
  readonly writer: Writer;
  /** It has said `quit`, or what nobody can answer: it is closed when it has its answers. */
  isClosing: boolean;
}

/** The way in which a client asks. */
export interface Protocol {
  /**
   * Answers the next request, and says whether there was one in full. A promise where the client has
   * to read before there is room for the rest of the answer.
   */
  answerNext(reader: BufferReader): boolean | Promise<void>;
  /** The number of bytes that the next request needs to go on; 0 between two requests. */
  needed(reader: BufferReader): number;
}

/** The statistics that `stats` tells, in both protocols. */
export function statsOf({ store }: Session): [name: string, value: string][] {
  const { gets, hits, sets, evictions } = store.counts;
  return Object.entries({
    pid: process.pid,
    uptime: Math.floor(process.uptime()),
    time: Math.floor(Date.now() / 1000),
    version: VERSION,
    pointer_size: 64,
    cmd_get: gets,
    cmd_set: sets,
    get_hits: hits,
    get_misses: gets - hits,
    curr_items: store.count,
    bytes: store.bytes,
    limit_maxbytes: store.bytesMax,
    evictions,
  }).map(([name, value]) => [name, `${value}`]);
}
