// bun examples/deploy/many_clients.ts 127.0.0.1:6382 19000 PID   (of examples/echo_server.ts, with ulimit -n 262144)

/**
 * Opens so many connections to an echo on this machine, each with one request and its answer, and
 * keeps them: what they cost the process with that number, and what they cost the kernel.
 *
 * @module
 */
import "../one_line.ts";
import { readFileSync } from "node:fs";
import process from "node:process";
import { type Connection, dial } from "../../mod.ts";

const [address = "localhost:6382", count = "1000", pid = "self"] = process.argv.slice(2);
const MESSAGE = new Uint8Array(512); // of examples/echo_server.ts
const AT_ONCE = 200;
/** Each address of ours has this many ports at the least. */
const PER_ADDRESS = 20_000;

/** Resident bytes of the server; pages of the kernel's TCP (4 KiB); the kernel's own memory. */
function look(): { resident: number; tcp: number; slab: number } {
  const number = (path: string, pattern: RegExp) =>
    Number(pattern.exec(readFileSync(path, "utf8"))![1]);
  return {
    resident: number(`/proc/${pid}/status`, /VmRSS:\s+(\d+)/) * 1024,
    tcp: number("/proc/net/sockstat", /TCP:.* mem (\d+)/) * 4096,
    slab: number("/proc/meminfo", /Slab:\s+(\d+)/) * 1024,
  };
}

async function open(n: number): Promise<Connection> {
  const localAddress = `127.0.0.${2 + Math.floor(n / PER_ADDRESS)}:0`;
  const connection = await dial("tcp", address, { localAddress });
  connection.writer.writeBinary(MESSAGE);
  await connection.writer.flush();
  await connection.reader.wait(MESSAGE.length);
  connection.reader.skip(MESSAGE.length);
  connection.reader.release();
  return connection;
}

const before = look();
const opened: Connection[] = [];
while (opened.length < Number(count)) {
  const some = Math.min(AT_ONCE, Number(count) - opened.length);
  opened.push(
    ...await Promise.all(Array.from({ length: some }, (_, i) => open(opened.length + i))),
  );
}
const after = look();
const each = (name: keyof typeof after) => Math.round((after[name] - before[name]) / opened.length);
console.log(`${opened.length} connections, bytes for each: ${each("resident")} resident,`);
console.log(`${each("slab")} of the kernel for both ends, ${each("tcp")} in buffers`);
for (const connection of opened) connection.reset();
