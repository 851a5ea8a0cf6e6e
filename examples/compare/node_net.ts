// deno run --allow-net examples/compare/node_net.ts   or   bun examples/compare/node_net.ts

/**
 * The server of examples/echo_server.ts with node:net.
 *
 * Chunks are what the network made of the messages: they are put together by hand, with a copy.
 * Reading stops while the peer does not read, or the queue of writes would grow without end.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createServer } from "node:net";
import process from "node:process";

const [hostname, port] = (process.argv[2] ?? "localhost:6382").split(":");
const server = createServer((socket) => {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let isWritable = true;
    while (rest.length >= 512) {
      isWritable = socket.write(rest.subarray(0, 512)) && isWritable;
      rest = rest.subarray(512);
    }
    if (!isWritable) socket.pause();
  });
  socket.on("drain", () => socket.resume());
  socket.on("error", () => socket.destroy());
});
server.listen(Number(port), hostname, () => console.log("Listening on", server.address()));
