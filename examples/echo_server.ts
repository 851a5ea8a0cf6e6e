// deno run --allow-ffi --allow-net examples/echo_server.ts   or   bun examples/echo_server.ts

/**
 * Echoes messages of 512 bytes, at localhost:6382 or the address given.
 *
 * @module
 */
import process from "node:process";
import { createListener, EventLoop } from "../mod.ts";

const listener = createListener("tcp", process.argv[2] ?? "localhost:6382");
const loop = new EventLoop(async ({ reader, writer }) => {
  await reader.wait(512); // the only verb that waits on the read side
  const message = reader.next(512); // a view of the socket's memory, not a copy
  writer.writeBinary(message);
  await writer.flush(); // the only verb that waits on the write side
  reader.release(); // gives the memory back
});

// The second Ctrl-C ends the process, as it would without us.
process.once("SIGINT", async () => {
  const { cut } = await loop.shutdown({ timeoutMs: 5000 });
  console.log(`Stopped; ${cut} connections were cut`);
});

const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
console.log(`Try: head -c 512 /dev/urandom | nc ${at.replace(":", " ")} -q 1 | wc -c`);
await loop.serve(listener);
