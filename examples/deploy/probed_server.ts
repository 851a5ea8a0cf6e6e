// deno run --allow-ffi --allow-net examples/deploy/probed_server.ts   or   bun examples/deploy/probed_server.ts

/**
 * A server that is stopped without a lost request: an echo of lines at localhost:7001, or the address
 * given, and probes over HTTP at localhost:7002, or the second one.
 *
 * At SIGTERM the answer to `/ready` turns to 503, and nothing else changes: whoever sends clients here
 * needs a moment to hear of it. After a delay, 5000 ms or the third argument, it takes no connection
 * any more, answers what has come, and ends.
 *
 * @module
 */
import "../one_line.ts";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type Connection, createListener, EventLoop } from "../../mod.ts";

const [address = "localhost:7001", probeAddress = "localhost:7002", delayMs = "5000"] = process
  .argv.slice(2);
const NEWLINE = 10;
const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
let isReady = false;

async function echoLine({ reader, writer }: Connection): Promise<void> {
  writer.writeBinary(reader.next(await reader.waitUntil(NEWLINE)));
  await writer.flush();
  reader.release();
}

/** `/live` is answered for as long as the thread runs: a process that hangs is started again. */
async function probe(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  const head = reader.readString(await reader.waitUntil(BLANK_LINE));
  const isFine = head.startsWith("GET /live ") || (isReady && head.startsWith("GET /ready "));
  const status = isFine ? "200 OK" : "503 Service Unavailable";
  writer.writeString(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  await writer.flush();
  void connection.close();
}

const loop = new EventLoop(echoLine);
const probes = new EventLoop(probe, { readTimeoutMs: 1000, connectionsMax: 100 });
const listener = createListener("tcp", address);
const probeListener = createListener("tcp", probeAddress);
const served = [loop.serve(listener), probes.serve(probeListener)];
isReady = true;
console.log("Listening on", listener.address, "; probes at", probeListener.address);

const signals = ["SIGTERM", "SIGINT"] as const;
await new Promise((resolve) => signals.forEach((signal) => process.once(signal, resolve)));
isReady = false;
await delay(Number(delayMs));
const { cut } = await loop.shutdown({ timeoutMs: 20_000 });
await probes.shutdown({ timeoutMs: 0 });
await Promise.all(served);
console.log(`Stopped; ${cut} connections were cut`);
