// deno run --allow-ffi --allow-net examples/echo_server.ts   or   bun examples/echo_server.ts

/**
 * Echoes messages of 512 bytes, at localhost:6382 or the address given.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import { createListener, EventLoop, shutdownOnSignals } from "../mod.ts";

const listener = createListener("tcp", process.argv[2] ?? "localhost:6382");
const loop = new EventLoop(async ({ reader, writer }) => {
  await reader.wait(512); // the only verb that waits on the read side
  const message = reader.next(512); // a view of the socket's memory, not a copy
  writer.writeBinary(message);
  await writer.flush(); // the only verb that waits on the write side
  reader.release(); // gives the memory back
});

// Ctrl-C: what runs may finish, within the time given; a second one ends the process at once.
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
console.log(`Try: bun examples/echo_client.ts ${at}`);
await loop.serve(listener);
console.log("Stopped");
