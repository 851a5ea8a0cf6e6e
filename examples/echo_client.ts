// deno run --allow-ffi --allow-net examples/echo_client.ts   or   bun examples/echo_client.ts

/**
 * Sends messages of 512 bytes to examples/echo_server.ts, at localhost:6382 or the address given: a
 * large file, of which every byte that comes back is compared, and a burst, which is timed.
 *
 * @module
 */
import "./one_line.ts";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { dial } from "../mod.ts";

const MESSAGE_BYTES = 512;
const FILE_BYTES = 16 << 20;
const BURST_COUNT = 20_000;

const address = process.argv[2] ?? "localhost:6382";
const connection = await dial("tcp", address, { timeoutMs: 5000 });
const { reader, writer } = connection;

/**
 * Sends everything; `flush` waits while the socket is full, so no more than a piece is ever queued.
 */
async function send(bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 64 << 10) {
    writer.writeBinary(bytes.subarray(at, at + (64 << 10)));
    await writer.flush();
  }
}

/** Compares what comes back with what was sent, a message at a time. */
async function compare(bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += MESSAGE_BYTES) {
    await reader.wait(MESSAGE_BYTES);
    const message = reader.next(MESSAGE_BYTES);
    if (bytes.compare(message, 0, MESSAGE_BYTES, at, at + MESSAGE_BYTES) !== 0) {
      throw new Error(`Another byte came back, after ${at} of ${bytes.length}`);
    }
    reader.release();
  }
}

/** Both at once, as on any stream: neither end has room for all of it. The seconds that it took. */
async function echo(bytes: Buffer): Promise<number> {
  const from = performance.now();
  await Promise.all([send(bytes), compare(bytes)]);
  return (performance.now() - from) / 1000;
}

const fileSeconds = await echo(randomBytes(FILE_BYTES));
console.log(
  `a file: ${FILE_BYTES >> 20} MiB there and back in ${fileSeconds.toFixed(2)} s, every byte equal`,
);

const burstSeconds = await echo(Buffer.alloc(BURST_COUNT * MESSAGE_BYTES, "netpoll "));
const rate = Math.round(BURST_COUNT / burstSeconds).toLocaleString("en");
console.log(`a burst: ${BURST_COUNT} messages in ${burstSeconds.toFixed(2)} s, ${rate} a second`);

await connection.close();
