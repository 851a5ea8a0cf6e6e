/**
 * A server that receives files, as the benches run it: `receive_file.ts MODE PATH`. A connection sends 8
 * bytes of length and the file; the answer is the CPU time of this process meanwhile, in µs, as 8 bytes.
 *
 * receive: by receiveFile(). seen: by receiveFile() with a function that looks at the bytes. write: by
 * node:fs's writeSync of views.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { type Connection, createListener, EventLoop, type Reader } from "../../mod.ts";

type Receive = (connection: Connection, path: string, bytes: number) => Promise<unknown>;

/** Gives the bytes to a function as views, as many at a time as are there. */
async function eachView(
  reader: Reader,
  bytes: number,
  call: (view: Uint8Array) => unknown,
): Promise<void> {
  for (let left = bytes; left > 0;) {
    await reader.wait(1);
    const view = reader.next(Math.min(reader.length, left));
    left -= view.length;
    await call(view);
    reader.release();
  }
}

const MODES: Readonly<Record<string, Receive>> = {
  receive: (connection, path, bytes) => connection.receiveFile(path, bytes),
  async seen(connection, path, bytes) {
    let count = 0;
    await connection.receiveFile(path, bytes, { onBytes: (view) => void (count += view.length) });
    if (count !== bytes) throw new Error(`${count} of ${bytes} bytes were seen`);
  },
  async write({ reader }, path, bytes) {
    const fd = openSync(path, "w");
    const writeAll = (view: Uint8Array) => {
      for (let at = 0; at < view.length;) at += writeSync(fd, view, at);
    };
    await eachView(reader, bytes, writeAll);
    closeSync(fd);
  },
};

const [mode, path] = process.argv.slice(2);
const receive = MODES[mode!]!;

const loop = new EventLoop(async (connection: Connection) => {
  const { reader, writer } = connection;
  await reader.wait(8);
  const bytes = Number(reader.readBigUint64BE());
  reader.release();
  const before = process.cpuUsage();
  await receive(connection, path!, bytes);
  const { user, system } = process.cpuUsage(before);
  writer.writeBigUint64BE(BigInt(user + system));
  await writer.flush();
});
const listener = createListener("tcp", "127.0.0.1:0");
const served = loop.serve(listener);
console.log(`listening ${(listener.address as { port: number }).port}`);
await served;
