// deno run --allow-ffi --allow-net examples/echo_client.ts   or   bun examples/echo_client.ts

/**
 * Sends messages of 512 bytes to examples/echo_server.ts, at localhost:6382 or the address given: a large file, of
 * which every byte that comes back is compared, and a burst, which is timed.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import process from "node:process";

const MESSAGE_BYTES = 512;
const FILE_BYTES = 16 << 20;
const BURST_BYTES = 20_000 * MESSAGE_BYTES;

const [hostname, port] = (process.argv[2] ?? "localhost:6382").split(":");
const socket = connect(Number(port), hostname);

/** Sends bytes while it compares what comes back, in one stream each way. The seconds that it took. */
async function echo(bytes: Buffer): Promise<number> {
  const from = performance.now();
  socket.write(bytes);
  let length = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    if (!chunk.equals(bytes.subarray(length, length + chunk.length))) {
      throw new Error(`Another byte came back, after ${length} of ${bytes.length}`);
    }
    length += chunk.length;
    if (length === bytes.length) break;
  }
  return (performance.now() - from) / 1000;
}

const file = randomBytes(FILE_BYTES);
const fileSeconds = await echo(file);
console.log(
  `a file: ${FILE_BYTES >> 20} MiB there and back in ${fileSeconds.toFixed(2)} s, every byte equal`,
);

const burst = Buffer.alloc(BURST_BYTES, "netpoll ");
const burstSeconds = await echo(burst);
const perSecond = Math.round(BURST_BYTES / MESSAGE_BYTES / burstSeconds);
console.log(
  `a burst: ${BURST_BYTES / MESSAGE_BYTES} messages in ${burstSeconds.toFixed(2)} s, ` +
    `${perSecond.toLocaleString("en")} a second`,
);
socket.end();
