/**
 * Messages over a bad network: frames, requests and answers, and many short connections.
 */
import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import {
  type Codec,
  type FrameInput,
  frames,
  lengthPrefixed,
  Multiplexer,
  responder,
  type Tagged,
  tagged,
} from "../../mod.ts";
import { seededRandom } from "../support/random.ts";
import { call, echo, type Figures, type Scenario, serveWith, type Work } from "./scenario.ts";
import { digestOf, receive, send, Sink, Source } from "./source.ts";

const codec = lengthPrefixed();
const FRAME_BYTES_MAX = 100_000;
const REQUESTS_AT_ONCE = 32;
const DIALS_AT_ONCE = 64;
const DIAL_BYTES = 4096;
const DIALS_MIN = 64;
const DIALS_MAX = 1000;

const framed: Scenario = {
  title: "frames of up to 100 kB",
  serve: () =>
    serveWith(async (connection) => {
      for await (const frame of frames(connection, codec)) {
        codec.encode(connection.writer, frame);
        await connection.writer.flush();
      }
    }),
  async call({ bytes, seed }): Promise<Figures> {
    await using connection = await call();
    const source = new Source(seed);
    const random = seededRandom(seed);
    const lengths: number[] = [];
    const ask = async () => {
      while (source.count < bytes) {
        const most = random.chance(0.8) ? 1000 : FRAME_BYTES_MAX;
        const length = Math.min(random.below(most), bytes - source.count);
        lengths.push(length);
        codec.encode(connection.writer, source.take(length));
        await connection.writer.flush();
      }
      await connection.closeWrite();
    };
    const answers = async () => {
      const sink = new Sink(seed);
      let count = 0;
      for await (const frame of frames(connection, codec)) {
        assertEquals(frame.length, lengths[count++]);
        sink.add(frame);
      }
      assertEquals([count, sink.digest()], [lengths.length, digestOf(seed, bytes)]);
    };
    await Promise.all([ask(), answers()]);
    return { frames: lengths.length };
  },
};

const requests: Codec<Tagged<Uint8Array>, Tagged<FrameInput>> = tagged(lengthPrefixed());

function hash(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

const multiplexed: Scenario = {
  title: "requests of a Multiplexer",
  serve: () => serveWith(responder<Uint8Array, FrameInput>(requests, (body) => [hash(body), body])),
  async call({ bytes, seed }): Promise<Figures> {
    await using client = new Multiplexer(await call(), requests);
    const source = new Source(seed);
    const random = seededRandom(seed);
    let count = 0;
    const ask = async () => {
      while (source.count < bytes) {
        const most = random.chance(0.8) ? 1000 : FRAME_BYTES_MAX;
        const body = source.take(Math.min(random.below(most), bytes - source.count));
        const answer = await client.request([body]);
        assertEquals(answer.subarray(0, 32), new Uint8Array(hash(body)));
        assertEquals(hash(answer.subarray(32)), hash(body));
        count++;
      }
    };
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, ask));
    return { requests: count };
  },
};

const dialled: Scenario = {
  title: "many short connections",
  needsRoute: true,
  bytesMin: DIALS_MIN * DIAL_BYTES,
  bytesMax: DIALS_MAX * DIAL_BYTES,
  serve: () => serveWith(echo),
  async call({ bytes, seed }: Work): Promise<Figures> {
    const total = Math.floor(bytes / DIAL_BYTES);
    let begun = 0;
    const one = async () => {
      for (let n = begun++; n < total; n = begun++) {
        await using connection = await call();
        const [digest] = await Promise.all([
          receive(connection, seed + n, DIAL_BYTES),
          send(connection, seed + n, DIAL_BYTES),
        ]);
        assertEquals(digest, digestOf(seed + n, DIAL_BYTES));
      }
    };
    await Promise.all(Array.from({ length: DIALS_AT_ONCE }, one));
    return { connections: total };
  },
};

/** By name. */
export const MESSAGES: Readonly<Record<string, Scenario>> = {
  "frames": framed,
  "mux": multiplexed,
  "dial": dialled,
};
