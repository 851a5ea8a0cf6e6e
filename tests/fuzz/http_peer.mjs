// A server of Node, whose parser is llhttp: what it reads in each payload (a line of base64), as a line of
// JSON: [method, target, body in base64] of every request that came in full.
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";

let found = [];
const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    found.push([request.method, request.url, Buffer.concat(pieces).toString("base64")]);
    response.end();
  });
  request.on("error", () => {});
});
// Requests before the one that it refuses have their turn first.
server.on("clientError", (_, socket) => setImmediate(() => setImmediate(() => socket.destroy())));

/** Hands a payload to the server, as a connection that ends behind it. */
function serve(payload) {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read() {},
      write: (_piece, _encoding, done) => done(),
      allowHalfOpen: true,
    });
    socket.setTimeout = () => socket;
    const patience = setTimeout(() => socket.destroy(), 300);
    socket.on("close", () => {
      clearTimeout(patience);
      resolve();
    });
    socket.on("error", () => {});
    server.emit("connection", socket);
    socket.push(payload);
    socket.push(null);
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  found = [];
  await serve(Buffer.from(line, "base64"));
  console.log(JSON.stringify(found));
}
