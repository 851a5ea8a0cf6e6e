/**
 * The server of examples/hot_restart.ts on two cores. With "reuseport" as the last argument its Workers
 * share the port, and each process has another number of them.
 */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { isMainThread } from "node:worker_threads";
import {
  Cluster,
  type Connection,
  createListener,
  offerListeners,
  type PollerContext,
  takeListeners,
} from "../../mod.ts";
import { describeAddress } from "../../src/net/address.ts";

const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
let leaving: Int32Array;

export function setup({ data }: PollerContext): void {
  leaving = data as Int32Array;
}

export async function onRequest(connection: Connection): Promise<void> {
  const { reader, writer } = connection;
  await reader.waitUntil(BLANK_LINE);
  reader.until(BLANK_LINE);
  reader.release();
  const body = `${process.pid}\n`;
  const last = Atomics.load(leaving, 0) === 1 ? "Connection: close\r\n" : "";
  writer.writeString(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${last}\r\n${body}`);
  await writer.flush();
  if (last !== "") void connection.close();
}

if (isMainThread) {
  const [address, , path, mode] = process.argv.slice(2);
  const reusePort = mode === "reuseport";
  const acceptMode = reusePort ? "reuseport" : "handover";
  const pollerCount = reusePort ? 1 + process.pid % 3 : 2;
  const data = new Int32Array(new SharedArrayBuffer(4));
  const cluster = new Cluster(new URL(import.meta.url), { pollerCount, acceptMode, data });
  const before = await takeListeners(path!);
  const listener = before?.listeners[0] ?? createListener("tcp", address!, { reusePort });
  const served = cluster.serve(listener);
  while (cluster.pollers.length < pollerCount) await delay(5);
  await before?.ready();
  console.log("Listening on", describeAddress(listener.address));
  using offer = offerListeners(path!, [listener]);
  await offer.taken;
  Atomics.store(data, 0, 1);
  while (cluster.connectionCount > 0) await delay(20);
  await cluster.shutdown({ timeoutMs: 10_000 });
  await served;
}
