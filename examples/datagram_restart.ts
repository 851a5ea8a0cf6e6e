// deno run --allow-ffi --allow-net --allow-read --allow-write examples/datagram_restart.ts or bun …

/**
 * A server of datagrams that is restarted, and loses none: whoever starts it a second time takes its
 * socket over, and the first one ends. At localhost:6388 or the address given.
 *
 * The socket itself passes on, with all that waits in it. For a moment both processes have it, and
 * the kernel gives each datagram to one of them. If the new one fails, the old one has gone on.
 *
 * It answers each datagram with the number of its process and the datagram.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import {
  type Connection,
  createDatagramSocket,
  createListener,
  type Datagram,
  dial,
  EofError,
  EventLoop,
  receiveDescriptors,
  sendDescriptors,
  SystemError,
} from "../mod.ts";
import { atOf, orFail, readArguments, stopAsked } from "./command_line.ts";

const USAGE = `Usage: datagram_restart.ts [HOST:PORT] [--meet PATH]

  --meet PATH   the Unix socket where old and new meet: datagram_restart.socket unless given`;

/** The time that the old process has to pass its socket on, and to end. */
const PATIENCE_MS = 10_000;
const { at, values } = readArguments(USAGE, 6388, { meet: { type: "string" } });
const meeting = values.meet ?? "datagram_restart.socket";
const stopped = stopAsked();

function onDatagram(datagram: Datagram): void {
  datagram.reply(Buffer.concat([Buffer.from(`${process.pid} `), datagram.bytes]));
}

/** The process before this one; null where nobody serves yet. */
async function dialOld(): Promise<Connection | null> {
  try {
    return await dial("unix", meeting, { readTimeoutMs: PATIENCE_MS });
  } catch (error) {
    const { code } = error as SystemError;
    if (error instanceof SystemError && (code === "ENOENT" || code === "ECONNREFUSED")) return null;
    throw error;
  }
}

const old = await dialOld();
const socket = old === null
  ? orFail(() => createDatagramSocket("udp", at, { onDatagram }))
  : createDatagramSocket({ fd: (await receiveDescriptors(old))[0]!, onDatagram });
if (old !== null) {
  old.writer.writeString("I serve");
  await old.writer.flush();
  await old.reader.wait(2).catch((error) => { // until it has ended
    if (!(error instanceof EofError)) throw error;
  });
  await old.close();
}

const { promise: replaced, resolve: replace } = Promise.withResolvers<void>();
// Only this user may connect: the file is his alone.
const listener = createListener("unix", meeting, { mode: 0o600 });
const loop = new EventLoop(({ reader }) => {
  reader.skip(reader.length);
  replace();
}, {
  onConnect: async (next) => await sendDescriptors(next, [socket.fd]),
});
const served = loop.serve(listener);
const { hostname, port } = socket.localAddress;
console.log(`Listening on ${atOf(hostname, port)} in process ${process.pid}; Ctrl-C stops it`);
console.log(`Try: echo hello | nc -u -w1 ${hostname} ${port}; start it again, and try once more`);

await Promise.race([replaced, stopped]);
await socket.close(); // its answers leave; what it has not received is the new one's
await loop.shutdown({ timeoutMs: 1000 }); // tells the new process, which waits for the end
await served;
