/**
 * The services of the soak: the first byte of a connection says which it wants. A loop serves them,
 * and the Workers of a cluster.
 */
import process from "node:process";
import { setTimeout } from "node:timers";
import {
  type Connection,
  type Datagram,
  dial,
  type EventLoopOptions,
  frames,
  lengthPrefixed,
  pipe,
  resp,
  responder,
  tagged,
} from "../../mod.ts";
import { collect } from "../runtime/collect.ts";
import { STREAM_PIECE_BYTES, streamAt } from "../support/streams.ts";

/** The variables that name the file that is sent, and the echo to which a pipe leads. */
export const STREAM_FILE = "NETPOLL_SOAK_STREAM";
export const UPSTREAM = "NETPOLL_SOAK_UPSTREAM";

/** A request of a file or of a large answer: where in the stream, and how many bytes. */
export const REQUEST_BYTES = 8;

/** Deadlines that are set again and again, and that pass only where something hangs. */
export const options: EventLoopOptions = {
  idleTimeoutMs: 60_000,
  readTimeoutMs: 50_000,
  writeTimeoutMs: 50_000,
};

/** The failures that nobody foresaw, by what they say. */
export const failures: string[] = [];

/** Called for the failure of a handler. */
export function onError(error: unknown): void {
  failures.push(String(error));
}

function echo({ reader, writer }: Connection): void {
  writer.writeBinary(reader.next(reader.length));
  void writer.flush();
  reader.release();
}

async function echoFrames(connection: Connection): Promise<void> {
  const codec = lengthPrefixed();
  for await (const frame of frames(connection, codec)) {
    codec.encode(connection.writer, frame);
    await connection.writer.flush();
  }
}

async function echoValues(connection: Connection): Promise<void> {
  const codec = resp();
  for await (const value of frames(connection, codec)) {
    codec.encode(connection.writer, value as Parameters<typeof codec.encode>[1]);
    await connection.writer.flush();
  }
}

async function passOn(connection: Connection): Promise<void> {
  const upstream = await dial("tcp", process.env[UPSTREAM]!, { timeoutMs: 20_000 });
  upstream.writer.writeString("e");
  await upstream.writer.flush();
  await pipe(connection, upstream).catch(() => {}); // a client that resets, resets both
}

/** The next request: where in the stream, and how many bytes. */
async function nextRequest({ reader }: Connection): Promise<[offset: number, bytes: number]> {
  await reader.wait(REQUEST_BYTES);
  const request = reader.next(REQUEST_BYTES);
  const view = new DataView(request.buffer, request.byteOffset);
  const wanted: [number, number] = [view.getUint32(0, true), view.getUint32(4, true)];
  reader.release();
  return wanted;
}

async function sendFiles(connection: Connection): Promise<void> {
  for (;;) {
    const [offset, length] = await nextRequest(connection);
    await connection.sendFile(process.env[STREAM_FILE]!, { offset, length });
  }
}

async function sendLarge(connection: Connection): Promise<void> {
  connection.zeroCopy = "always";
  for (;;) {
    const [offset, bytes] = await nextRequest(connection);
    for (let at = 0; at < bytes; at += STREAM_PIECE_BYTES) {
      const part = Math.min(STREAM_PIECE_BYTES, bytes - at);
      connection.writer.malloc(part).set(streamAt(0, offset + at, part));
    }
    await connection.writer.flush();
  }
}

function collectHere({ reader, writer }: Connection): void {
  reader.skip(reader.length);
  reader.release();
  collect();
  writer.writeString("g");
  void writer.flush();
}

/** Slices of datagrams are kept for so long. */
const KEEP_MS = 5;

/** Sends a datagram back, and keeps its bytes for a moment now and then. */
export function onDatagram(datagram: Datagram): void {
  datagram.reply(datagram.bytes);
  if (datagram.length % 8 > 0) return;
  const slice = datagram.slice();
  setTimeout(() => slice.close(), KEEP_MS);
}

const SERVICES: Readonly<Record<string, (connection: Connection) => void | Promise<void>>> = {
  e: echo,
  f: echoFrames,
  r: echoValues,
  p: passOn,
  s: sendFiles,
  z: sendLarge,
  g: collectHere,
};

/** Gives a connection to the service that it asks for. */
export function onRequest(connection: Connection): void {
  const name = String.fromCharCode(connection.reader.readByte());
  connection.reader.release();
  const service = name === "m"
    ? responder(tagged(lengthPrefixed()), (body) => body)
    : SERVICES[name];
  if (service === undefined) throw new Error(`no service is called ${name}`);
  connection.setOnRequest(service);
}
