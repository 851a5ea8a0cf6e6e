/**
 * Sends one message after the other to native/drain.c, from memory that is not touched in between,
 * and prints the cost: `sender.ts HOST PORT MODE BYTES SECONDS`.
 */
import process from "node:process";
import { setTimeout } from "node:timers/promises";
import { native } from "../../ffi/load.ts";
import { Connection, LinkBuffer, type ZeroCopyMode } from "../../mod.ts";
import { Family, rawAddress, rawFromNumeric } from "../../src/net/address.ts";
import { Option, setOption } from "../../src/net/socket.ts";

/** More than the processor's caches hold: what was not touched lately is sent. */
const POOL_BYTES = 16 * 1024 * 1024;

/** The compilers need that long; they are not in the figures. */
const WARM_UP_MS = 1500;

// It lives as long as the process: bytes that a buffer has lent go with the buffer.
const buffer = new LinkBuffer();

/** Messages in memory of ours, each in one piece. */
function makePool(bytes: number): Uint8Array[] {
  const count = Math.max(4, Math.ceil(POOL_BYTES / bytes));
  for (let i = 0; i < count; i++) {
    buffer.malloc(bytes).fill(i);
    void buffer.flush();
  }
  // Never released: a view of ours that is written again is linked, not copied.
  return Array.from({ length: count }, () => buffer.next(bytes));
}

/**
 * Opens a connection that sends as fast as its window allows: cubic does not pace, as bbr does. A
 * socket that has begun to pace goes on with it, so cubic is set before it connects.
 */
async function connect(host: string, port: number, zeroCopy: ZeroCopyMode): Promise<Connection> {
  const [IPPROTO_TCP, TCP_CONGESTION] = [6, 13];
  const fd = native.socket(Family.IPV4);
  const name = new Int32Array(2);
  new Uint8Array(name.buffer).set([..."cubic"].map((letter) => letter.charCodeAt(0)));
  native.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, 5);
  setOption(fd, Option.NO_DELAY, 1);
  native.connect(fd, rawFromNumeric(host, port));
  // Zero copy asks where the peer is, and before the connection is made there is none.
  while (native.name(fd, 1, rawAddress()) < 0) await setTimeout(1);
  return Connection.fromFd(fd, { zeroCopy });
}

const [host, port, mode, size, seconds] = process.argv.slice(2);
const pool = makePool(Number(size));
const connection = await connect(host!, Number(port), mode as ZeroCopyMode);
connection.writer.writeByte("d".charCodeAt(0)); // "drop the rest"
await connection.writer.flush();
let sent = 0;

async function send(milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds;
  for (let i = 0; performance.now() < end; i++) {
    connection.writer.writeBinary(pool[i % pool.length]!);
    await connection.writer.flush();
    sent += Number(size);
  }
  await connection.writer.released();
}

await send(WARM_UP_MS);
sent = 0;
const before = process.cpuUsage();
const began = performance.now();
await send(Number(seconds) * 1000);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({
  bytes: sent,
  seconds: (performance.now() - began) / 1000,
  cpuMicros: user + system,
  counts: connection.zeroCopyCounts,
}));
await connection.close();
buffer.close();
process.exit(0);
