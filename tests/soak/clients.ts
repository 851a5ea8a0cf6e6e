/**
 * The clients of the soak: rounds of requests whose answers are compared byte by byte.
 */
import { AssertionError } from "@std/assert";
import {
  type Connection,
  dial,
  frames,
  lengthPrefixed,
  Multiplexer,
  resp,
  tagged,
} from "../../mod.ts";
import type { Random } from "../support/random.ts";
import { isStream, PERIOD_BYTES, streamAt } from "../support/streams.ts";
import { REQUEST_BYTES } from "./services.ts";

/** One client, for as long as its connection lives. */
export interface Session {
  /** Some requests, and their answers. How many bytes were compared. */
  round(random: Random): Promise<number>;
  close(): Promise<unknown>;
  /** Goes at once. */
  reset(): void;
}

const ECHO_BYTES_MAX = 200_000;
const FRAME_BYTES_MAX = 40_000;
const FILE_BYTES_MAX = 60_000;
const LARGE_BYTES_MAX = 700_000;
const FRAMES = 16;

function verify(bytes: Uint8Array, id: number, position: number, what: string): void {
  if (isStream(bytes, id, position)) return;
  throw new AssertionError(`${what}: a wrong byte after ${position} of stream ${id}`);
}

/** Receives so many bytes of a stream. */
async function receive(
  { reader }: Connection,
  id: number,
  position: number,
  count: number,
  what: string,
): Promise<number> {
  for (let got = 0; got < count;) {
    await reader.wait(1);
    const bytes = reader.next(Math.min(count - got, reader.length));
    verify(bytes, id, position + got, what);
    got += bytes.length;
    reader.release();
  }
  return count;
}

/** Bytes that come back as they were sent. */
function echoes(connection: Connection, id: number, what: string): Session {
  let position = 0;
  return {
    async round(random) {
      const count = 1 + random.below(ECHO_BYTES_MAX);
      connection.writer.malloc(count).set(streamAt(id, position, count));
      const sent = connection.writer.flush();
      await receive(connection, id, position, count, what);
      await sent;
      position += count;
      return count;
    },
    close: () => connection.close(),
    reset: () => connection.reset(),
  };
}

/** Frames that come back, a number of them under way. */
function framed(connection: Connection, id: number): Session {
  const codec = lengthPrefixed();
  const answers = frames(connection, codec);
  return {
    async round(random) {
      const sizes = Array.from({ length: FRAMES }, () => 1 + random.below(FRAME_BYTES_MAX));
      for (const size of sizes) codec.encode(connection.writer, streamAt(id, size, size));
      const sent = connection.writer.flush();
      for (const size of sizes) {
        const { value } = await answers.next();
        if (value?.length !== size) throw new AssertionError(`a frame of ${value?.length} bytes`);
        verify(value, id, size, "frames");
      }
      await sent;
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    close: () => connection.close(),
    reset: () => connection.reset(),
  };
}

/** Values of RESP that come back. */
function values(connection: Connection, id: number): Session {
  const codec = resp();
  const answers = frames(connection, codec);
  return {
    async round(random) {
      const sizes = Array.from({ length: FRAMES }, () => random.below(FRAME_BYTES_MAX));
      for (const size of sizes) {
        codec.encode(connection.writer, ["SET", String(size), streamAt(id, size, size)]);
      }
      const sent = connection.writer.flush();
      for (const size of sizes) {
        const { value } = await answers.next();
        const [, key, bytes] = value as Uint8Array[];
        if (new TextDecoder().decode(key) !== String(size) || bytes!.length !== size) {
          throw new AssertionError(`a value of ${bytes!.length} bytes for ${size}`);
        }
        verify(bytes!, id, size, "RESP");
      }
      await sent;
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    close: () => connection.close(),
    reset: () => connection.reset(),
  };
}

/** Requests that are answered in any order, some of which are given up. */
function multiplexed(connection: Connection, id: number): Session {
  const client = new Multiplexer(connection, tagged(lengthPrefixed()));
  return {
    async round(random) {
      const sizes = Array.from({ length: 2 * FRAMES }, () => random.below(FRAME_BYTES_MAX / 8));
      const giveUp = new AbortController();
      const given = client.request(streamAt(id, 0, 100), { signal: giveUp.signal });
      given.catch(() => {});
      const answers = sizes.map((size) =>
        client.request(streamAt(id, size, size), { timeoutMs: 50_000 })
      );
      giveUp.abort();
      for (const [i, answer] of (await Promise.all(answers)).entries()) {
        if (answer.length !== sizes[i]) throw new AssertionError(`an answer of ${answer.length}`);
        verify(answer, id, sizes[i]!, "mux");
      }
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    close: () => client.close(),
    reset: () => connection.reset(),
  };
}

/** Pieces that are asked for: of a file, or sent without a copy. */
function asked(connection: Connection, bytesMax: number, what: string): Session {
  const request = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(request.buffer);
  return {
    async round(random) {
      const offset = random.below(PERIOD_BYTES);
      const count = 1 + random.below(bytesMax);
      view.setUint32(0, offset, true);
      view.setUint32(4, count, true);
      connection.writer.writeBinary(request, { copy: true });
      await connection.writer.flush();
      return await receive(connection, 0, offset, count, what);
    },
    close: () => connection.close(),
    reset: () => connection.reset(),
  };
}

/** What there is, by the byte that asks for it. */
const SESSIONS: Readonly<Record<string, (connection: Connection, id: number) => Session>> = {
  e: (connection, id) => echoes(connection, id, "echo"),
  p: (connection, id) => echoes(connection, id, "pipe"),
  f: framed,
  r: values,
  m: multiplexed,
  s: (connection) => asked(connection, FILE_BYTES_MAX, "file"),
  z: (connection) => asked(connection, LARGE_BYTES_MAX, "zero copy"),
};

/** Connects, and asks for a service. */
export async function connectTo(at: string, service: string): Promise<Connection> {
  const connection = await dial("tcp", at, { timeoutMs: 20_000, readTimeoutMs: 50_000 });
  connection.writer.writeString(service);
  await connection.writer.flush();
  return connection;
}

function openWith(service: string): Open {
  return async (at, id) => SESSIONS[service]!(await connectTo(at, service), id);
}

/** Begins a session with the server at an address. */
export type Open = (at: string, id: number) => Promise<Session>;

/** The sessions that there are over connections. */
export const OPENS: readonly Open[] = Object.keys(SESSIONS).map(openWith);
