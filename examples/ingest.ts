// deno run --allow-ffi --allow-net --allow-write examples/ingest.ts   or   bun examples/ingest.ts

/**
 * Takes in what programs report over TCP, at localhost:6514 or the address given: syslog (RFC 5424,
 * RFC 3164), behind its length or line by line (RFC 6587), and NDJSON. Each record is parsed, counted,
 * and becomes a line of JSON in a file; who sends faster than the file can be written waits. Once a
 * second, and at the end, it says how fast that was. See it with
 * `yes '{"level":"info","text":"hello"}' | head -n 2000000 | nc -N localhost 6514`.
 *
 * @module
 */
import { open } from "node:fs/promises";
import process from "node:process";
import { setInterval } from "node:timers";
import { type Connection, EofError, EventLoop, shutdownOnSignals } from "../mod.ts";
import { fail, listen, placeOf, readArguments } from "./command_line.ts";
import { Batches } from "./ingest/batches.ts";
import { records, toLine } from "./ingest/record.ts";

const USAGE = `Usage: ingest.ts [HOST:PORT] [--out FILE]

  --out FILE    the records go to its end; unless given, they are only counted`;

/** Others have their turn after so many records of one client. */
const RECORDS_PER_TURN_MAX = 4096;

const { at, values } = readArguments(USAGE, 6514, { out: { type: "string" } });
const file = values.out === undefined ? null : await open(values.out, "a").catch(fail);
const batches = file === null ? null : new Batches(file, (error) => {
  console.error(`Cannot write to ${values.out}: ${(error as Error).message}`);
  process.exitCode = 1;
  void loop.shutdown({ timeoutMs: 0 });
});

const counts = { json: 0, syslog: 0, other: 0 };
let bytes = 0;

function take(text: string): void {
  if (text === "") return;
  const [kind, line] = toLine(text);
  counts[kind] += 1;
  batches?.add(line);
}

function onRequest(connection: Connection): void | Promise<void> {
  const { reader } = connection;
  const before = reader.length;
  let isDrained = false;
  for (let count = 0; count < RECORDS_PER_TURN_MAX && !batches?.isFull && !isDrained; count++) {
    const text = records.decode(reader);
    if (text === undefined) isDrained = true;
    else take(text);
  }
  bytes += before - reader.length;
  reader.release();
  if (batches?.isFull) return batches.room();
  if (isDrained && reader.length > 0) return waitForRest(connection);
}

/** A record that has begun must end in time. The last line of all needs no end. */
async function waitForRest({ reader }: Connection): Promise<void> {
  try {
    await reader.wait(records.needed!(reader));
  } catch (error) {
    if (!(error instanceof EofError) || error.cause !== undefined) throw error;
    bytes += reader.length;
    take(reader.readString(reader.length).trimEnd());
  }
}

/** Says how much came since the last time, unless nothing did. */
class Rate {
  #count = 0;
  #bytes = 0;
  #atMs = performance.now();

  tell(): void {
    const count = counts.json + counts.syslog + counts.other;
    const seconds = (performance.now() - this.#atMs) / 1000;
    const perSecond = Math.round((count - this.#count) / seconds);
    const megabytes = ((bytes - this.#bytes) / seconds / 1e6).toFixed(1);
    if (perSecond > 0) console.log(`${perSecond} records/s, ${megabytes} MB/s`);
    this.#count = count;
    this.#bytes = bytes;
    this.#atMs = performance.now();
  }
}

const loop = new EventLoop(onRequest, {
  connectionsMax: 1000,
  readTimeoutMs: 30_000,
  idleTimeoutMs: 60 * 60_000,
  limits: { memoryBytesMax: 256 << 20 }, // of all connections together
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const listener = listen(at);
const { host, port, at: place } = placeOf(listener);
console.log(`Listening on ${place}; Ctrl-C stops it`);
console.log(`Try: logger -T --octet-count -n ${host} -P ${port} hello`);
const rate = new Rate();
setInterval(() => rate.tell(), 1000).unref();
await loop.serve(listener);
await batches?.close();
rate.tell();
const { json, syslog, other } = counts;
const writes = batches === null ? "" : `, in ${batches.writeCount} writes`;
console.log(`${json} of JSON, ${syslog} of syslog, ${other} of neither: ${bytes} bytes${writes}`);
console.log("Stopped");
