// deno run --allow-ffi --allow-net --allow-read --allow-write examples/hot_restart.ts   or   bun …

/**
 * A server that is restarted without a refused connection: start it again, and the new process takes
 * over from the one that serves. It listens at localhost:8080 or the address given, and the two meet at
 * the abstract Unix socket @netpoll-hot-restart, or at the path behind the address.
 *
 * It answers each HTTP request with the number of its process. The old process goes on with the
 * connections that it has: each is told with its next answer that it was the last, and closed; those
 * that ask nothing for 10 s are closed then.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Connection,
  createListener,
  EventLoop,
  offerListeners,
  shutdownOnSignals,
  takeListeners,
} from "../mod.ts";

const [address = "localhost:8080", path = "@netpoll-hot-restart"] = process.argv.slice(2);
const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
const PATIENCE_MS = 10_000;
let isLeaving = false;

async function answer(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  await reader.waitUntil(BLANK_LINE);
  reader.until(BLANK_LINE);
  reader.release();
  const body = `${process.pid}\n`;
  const last = isLeaving ? "Connection: close\r\n" : "";
  writer.writeString(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${last}\r\n${body}`);
  await writer.flush();
  if (last !== "") void connection.close();
}

const before = await takeListeners(path); // null: nobody serves yet
const listener = before?.listeners[0] ?? createListener("tcp", address);
const loop = new EventLoop(answer);
const served = loop.serve(listener);
await before?.ready(); // from here on the old process accepts nothing
shutdownOnSignals(loop);
console.log("Listening on", listener.address, `in process ${process.pid}`);

using offer = offerListeners(path, [listener]);
await Promise.race([offer.taken, served]);
isLeaving = true;
const end = performance.now() + PATIENCE_MS;
while (loop.connectionCount > 0 && performance.now() < end) await delay(50);
await loop.shutdown({ timeoutMs: PATIENCE_MS });
await served;
