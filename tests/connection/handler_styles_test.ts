import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import {
  type Connection,
  createListener,
  EventLoop,
  frames,
  lengthPrefixed,
  type RequestHandler,
} from "../../mod.ts";
import { leaks } from "../support/leaks.ts";
import { pattern } from "../support/pair.ts";
import { type Random, seededRandom } from "../support/random.ts";
import { delay, tick } from "../support/until.ts";

const CLIENTS = 4;
const PATIENCE_MS = 30_000;
const codec = lengthPrefixed({ lengthBytes: 4 });

/** The length of a frame that has come in full, with its header; -1 for none. */
function wholeFrame({ reader }: Connection): number {
  if (reader.length < 4) return -1;
  const header = reader.peek(4);
  const length = 4 + new DataView(header.buffer, header.byteOffset).getUint32(0);
  return reader.length < length ? -1 : length;
}

function respond({ writer }: Connection, payload: Uint8Array): void {
  writer.writeUint32BE(payload.length);
  writer.writeBinary(payload);
}

/** Echoes of frames, each as somebody would write it. */
const STYLES: Readonly<Record<string, RequestHandler<undefined>>> = {
  "answers all frames and flushes once": (connection) => {
    const { reader, writer } = connection;
    for (let length; (length = wholeFrame(connection)) > 0;) {
      writer.writeBinary(reader.next(length));
    }
    void writer.flush();
    reader.release();
  },
  "flushes and releases after each frame": (connection) => {
    const { reader, writer } = connection;
    for (let length; (length = wholeFrame(connection)) > 0;) {
      writer.writeBinary(reader.next(length));
      void writer.flush();
      reader.release();
    }
  },
  "answers one frame a call": (connection) => {
    const { reader, writer } = connection;
    const length = wholeFrame(connection);
    if (length < 0) return;
    writer.writeBinary(reader.next(length));
    void writer.flush();
    reader.release();
  },
  "decodes with a codec": (connection) => {
    for (let payload; (payload = codec.decode(connection.reader)) !== undefined;) {
      respond(connection, payload);
    }
    void connection.writer.flush();
    connection.reader.release();
  },
  "appends slices": (connection) => {
    const { reader, writer } = connection;
    for (let length; (length = wholeFrame(connection)) > 0;) writer.append(reader.slice(length));
    void writer.flush();
    reader.release();
  },
  "waits for each frame and for each flush": async (connection) => {
    const { reader, writer } = connection;
    await reader.wait(4);
    const length = reader.readUint32BE();
    await reader.wait(length);
    respond(connection, reader.next(length));
    await writer.flush();
    reader.release();
  },
  "waits for frames and not for flushes": async (connection) => {
    const { reader, writer } = connection;
    await reader.wait(4);
    const length = reader.readUint32BE();
    await reader.wait(length);
    respond(connection, reader.next(length));
    void writer.flush();
    reader.release();
  },
  "never returns, and does other things between a slice and its answer": async (connection) => {
    const { reader, writer } = connection;
    for (;;) {
      await reader.wait(4);
      const length = reader.readUint32BE();
      await reader.wait(length);
      const payload = reader.slice(length);
      reader.release();
      await tick();
      writer.writeUint32BE(length);
      writer.append(payload);
      await writer.flush();
    }
  },
  "iterates over frames": async (connection) => {
    for await (const payload of frames(connection, codec)) {
      respond(connection, payload);
      await connection.writer.flush();
    }
  },
  "copies, and waits for the runtime's timers": async (connection) => {
    const { reader, writer } = connection;
    await reader.wait(4);
    const length = reader.readUint32BE();
    await reader.wait(length);
    const payload = reader.readBinary(length);
    reader.release();
    if (length % 16 === 0) await delay(1);
    respond(connection, payload);
    await writer.flush();
  },
};

/** Frames of one kind, one behind the other: many small ones, or few large ones. */
function randomFrames(random: Random): Buffer {
  const isSmall = random.chance(0.5);
  const pieces: Buffer[] = [];
  for (let count = isSmall ? 2000 : 30; count > 0; count--) {
    const length = isSmall
      ? random.below(200)
      : random.below(random.chance(0.1) ? 900_000 : 60_000);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(length);
    pieces.push(header, Buffer.from(pattern(length, count)));
  }
  return Buffer.concat(pieces);
}

/** Writes in pieces of random lengths, as fast as the socket takes them or with breaks. */
async function write(socket: Socket, bytes: Buffer, random: Random): Promise<void> {
  const pieceMax = random.chance(0.5) ? 400_000 : 2000;
  for (let sent = 0; sent < bytes.length;) {
    const end = Math.min(bytes.length, sent + 1 + random.below(pieceMax));
    if (!socket.write(bytes.subarray(sent, end))) await once(socket, "drain");
    else if (random.chance(0.1)) await tick();
    sent = end;
  }
}

/** Sends frames and reads them back, at a pace of its own. */
async function exchange(port: number, random: Random): Promise<void> {
  const bytes = randomFrames(random);
  const isSlow = random.chance(0.4);
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  const timer = setTimeout(() => socket.destroy(new Error("no answer")), PATIENCE_MS);
  try {
    await once(socket, "connect");
    const written = write(socket, bytes, random);
    let seen = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      const expected = bytes.subarray(seen, seen + chunk.length);
      assertEquals(Buffer.compare(chunk, expected), 0, `bytes ${seen} to ${seen + chunk.length}`);
      seen += chunk.length;
      if (seen === bytes.length) break;
      if (isSlow && random.chance(0.05)) await delay(random.below(10));
    }
    assertEquals(seen, bytes.length);
    await written;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

for (const [style, handler] of Object.entries(STYLES)) {
  test(`EventLoop gives every byte back to slow and fast clients, with a handler that ${style}`, () =>
    leaks(async () => {
      const random = seededRandom(process.env.NETPOLL_SEED);
      const errors: unknown[] = [];
      const listener = createListener("tcp", "127.0.0.1:0");
      const port = listener.address.transport === "tcp" ? listener.address.port : 0;
      const loop = new EventLoop(handler, { onError: (error) => void errors.push(error) });
      const served = loop.serve(listener);
      try {
        const clients = Array.from({ length: CLIENTS }, () => exchange(port, random));
        await Promise.all(clients);
      } catch (error) {
        throw new Error(`NETPOLL_SEED=${random.seed}`, { cause: error });
      } finally {
        await loop.shutdown();
        await served;
      }
      assertEquals(errors, []);
    }));
}
