// deno run -A examples/counter.ts   or   bun examples/counter.ts

/**
 * One counter for all pollers, in a SharedArrayBuffer: each line that comes is answered with how
 * many have come so far, to whichever core. At localhost:6384 or the address given.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { isMainThread } from "node:worker_threads";
import { type Connection, createListener, type PollerContext, serve } from "../mod.ts";

let counter = new Int32Array(1);

/** Each Worker gets what `serve` was given as `data`: the memory is the same. */
export function setup({ data }: PollerContext): void {
  counter = new Int32Array(data as ArrayBuffer);
}

/** Counts a line. */
export async function onRequest({ reader, writer }: Connection): Promise<void> {
  reader.skip(await reader.waitUntil(10));
  reader.release();
  writer.writeString(`${Atomics.add(counter, 0, 1) + 1}\n`);
  await writer.flush();
}

if (isMainThread) {
  const data = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const listener = createListener("tcp", process.argv[2] ?? "localhost:6384");
  const { address } = listener;
  const [at, nc] = address.transport === "tcp"
    ? [`${address.hostname}:${address.port}`, `nc ${address.hostname} ${address.port}`]
    : [address.path, `nc -U ${address.path}`];
  console.log(`Listening on ${at}; Ctrl-C stops it`);
  console.log(`Try it, a line at a time: ${nc}`);
  await serve(listener, new URL(import.meta.url), { pollerCount: 4, data });
  console.log(`Stopped; counted ${new Int32Array(data)[0]}`);
}
