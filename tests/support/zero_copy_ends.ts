/**
 * Two ends of a TCP connection for tests of zero copy: ours, which sends, and a plain descriptor
 * that receives when the test says so, and compares every byte.
 */
import { assertEquals, assertGreater } from "@std/assert";
import process from "node:process";
import { native } from "../../ffi/load.ts";
import {
  configure,
  type Connection,
  createListener,
  dial,
  type DialOptions,
  type Listener,
} from "../../mod.ts";
import { blocks } from "../../src/buffer/block.ts";
import { check } from "../../src/core/check.ts";
import { NOT_READY } from "../../src/core/errno.ts";
import { rawAddress } from "../../src/net/address.ts";
import { listenerSocket } from "../../src/net/listener.ts";
import { assertBytes, pattern } from "./pair.ts";
import { RawSocket } from "./raw_socket.ts";
import { soon, tick, until } from "./until.ts";

/** After so many bytes `pattern` begins again. */
const PERIOD_BYTES = 2048;
const KIB = 1024;
const PIECE_BYTES = 1024 * 1024;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
/** Connections come and go so long in the long soak. */
export const SOAK_SECONDS: number = Number(process.env["NETPOLL_SOAK_SECONDS"] ?? 20);
const expected = pattern(PIECE_BYTES + PERIOD_BYTES);

/** The byte at a position of the stream. */
function streamAt(position: number, count: number): Uint8Array {
  const from = position % PERIOD_BYTES;
  return expected.subarray(from, from + count);
}

/** Writes the next `count` bytes of the stream into memory of ours. */
export function write(connection: Connection, position: number, count: number): void {
  const room = connection.writer.malloc(count);
  for (let at = 0; at < count; at += PIECE_BYTES) {
    const part = Math.min(PIECE_BYTES, count - at);
    room.set(streamAt(position + at, part), at);
  }
}

/** The end that receives. */
export class Receiver extends RawSocket {
  /** The number of bytes that came, each of them the right one. */
  count = 0;
  isEnded = false;
  wasReset = false;

  /** Receives once, at most so many bytes. True when there was anything. */
  take(bytesMax = PIECE_BYTES): boolean {
    const block = blocks.take(PIECE_BYTES);
    try {
      const count = native.recv(this.fd, block.slab.id, block.offset, bytesMax);
      if (count === NOT_READY) return false;
      if (count === 0) this.isEnded = true;
      if (count < 0) this.wasReset = true;
      if (count <= 0) return false;
      const bytes = block.slab.bytes.subarray(block.offset, block.offset + count);
      assertBytes(bytes, streamAt(this.count, count), `after ${this.count} bytes`);
      this.count += count;
      return true;
    } finally {
      block.release();
    }
  }

  /** Waits for so many bytes in all. */
  async takeAll(count: number): Promise<void> {
    for (;;) {
      while (this.count < count && this.take());
      if (this.count >= count || this.isEnded || this.wasReset) break;
      await tick();
    }
    assertEquals(this.count, count);
  }

  /** Waits for the end of the stream, after so many bytes. */
  async takeEnd(count: number): Promise<void> {
    await until(() => {
      while (this.take());
      return this.isEnded || this.wasReset;
    }, "the end of the stream");
    assertEquals([this.count, this.isEnded], [count, true]);
  }
}

/** The place of the ends, and the size of the receiver's buffer. */
export interface EndsOptions {
  host?: string;
  /** Little room makes completions wait until the receiver reads. */
  receiveBufferBytes?: number;
}

/** A listener for `endsAt`. */
export function listenFor({ host = "127.0.0.1", receiveBufferBytes }: EndsOptions = {}): Listener {
  const at = host.includes(":") ? `[${host}]` : host;
  return createListener("tcp", `${at}:0`, { receiveBufferBytes });
}

/** A connection with `zeroCopy: "always"` unless said otherwise, and its receiver. */
export async function endsAt(
  listener: Listener,
  options: DialOptions = {},
): Promise<[Connection, Receiver]> {
  const { address } = listener;
  if (address.transport !== "tcp") throw new Error("zero copy is for TCP");
  const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
  const connection = await dial("tcp", `${host}:${address.port}`, {
    zeroCopy: "always",
    ...options,
  });
  let fd = -1;
  await until(() => (fd = listenerSocket(listener).accept(rawAddress())) >= 0, "the connection");
  return [connection, new Receiver(fd)];
}

/** Makes two ends with a listener of their own. */
export async function ends(
  options: DialOptions = {},
  at: EndsOptions = {},
): Promise<[Connection, Receiver]> {
  using listener = listenFor(at);
  return await endsAt(listener, options);
}

/** A receiver's buffer in which a large send does not fit. */
export const TIGHT: EndsOptions = { receiveBufferBytes: 16 * 1024 };

/** Waits until all that was sent is completed, and nothing is pinned. */
export async function assertFree(...connections: Connection[]): Promise<void> {
  for (const connection of connections) {
    await until(() => connection.zeroCopyCounts.outstandingCalls === 0, "the last completion");
    const { calls, completions, outstandingBytes } = connection.zeroCopyCounts;
    assertEquals([completions, outstandingBytes], [calls, 0]);
  }
  await until(() => blocks.pinnedBytes === 0, "nothing is pinned");
}

/** Receives everything, closes both ends, and sees to it that nothing is left. */
export async function finish(
  connection: Connection,
  receiver: Receiver,
  count: number,
): Promise<void> {
  await receiver.takeAll(count);
  await connection.close();
  await receiver.takeEnd(count);
  receiver.close();
  await assertFree(connection);
}

/** Words of the kernel's account of a connection (linux/tcp.h, struct tcp_info). */
export function tcpInfo(fd: number): { notSentBytes: number; dataSegments: number } {
  const words = new Int32Array(64);
  check("get TCP_INFO", native.getsockopt(fd, IPPROTO_TCP, TCP_INFO, words, words.byteLength));
  return { notSentBytes: words[36]!, dataSegments: words[39]! };
}

/** Sends without pacing, which would leave bytes unsent for a while. */
export function useCubic(fd: number): void {
  const name = new Int32Array(2);
  new Uint8Array(name.buffer).set([..."cubic"].map((letter) => letter.charCodeAt(0)));
  check("set the congestion control", native.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, 5));
}

/** Writes and flushes so many pieces; where the stream is then. */
export async function sendMany(
  connection: Connection,
  count: number,
  bytes: number,
  from = 0,
): Promise<number> {
  for (let i = 0; i < count; i++) {
    write(connection, from + i * bytes, bytes);
    await connection.writer.flush();
  }
  return from + count * bytes;
}

/** Sends while the receiver takes what comes. */
export async function stream(
  connection: Connection,
  receiver: Receiver,
  count: number,
  bytes: number,
  from = 0,
): Promise<number> {
  const sent = sendMany(connection, count, bytes, from);
  await receiver.takeAll(from + count * bytes);
  return await sent;
}

/** One large send that is under way for as long as the receiver does not read. */
export async function pinned(
  bytes = 512 * KIB,
  how: EndsOptions = TIGHT,
): Promise<[Connection, Receiver]> {
  const [connection, receiver] = await ends({}, how);
  write(connection, 0, bytes);
  await soon(connection.writer.flush());
  assertGreater(connection.zeroCopyCounts.outstandingCalls, 0);
  return [connection, receiver];
}

/** Memory that is given back is overwritten at once, while `run` runs. */
export async function scribbling(run: () => Promise<void>): Promise<void> {
  configure({ debug: true });
  try {
    await run();
  } finally {
    configure({ debug: false });
  }
}
