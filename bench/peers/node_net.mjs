/**
 * An echo on node:net, in Node, Bun and Deno: `node_net.mjs PORT MESSAGE_BYTES MODE`; on node:tls with
 * `KEY CERTIFICATE` behind these. Not TypeScript, for older Nodes.
 *
 * The option `onread`, one array for all reads, is for sockets that connect: a server cannot give
 * it to those it accepts.
 */
import net from "node:net";
import process from "node:process";
import tls from "node:tls";
import { encodeFrames, FrameSplitter, LateAnswers } from "./frames.mjs";
import { identity } from "./identity.mjs";
import { Room } from "./room.mjs";

const mode = process.argv[4] ?? "echo";

/** Writes, and reads no more until the client has taken it. */
function send(socket, resume, bytes) {
  if (socket.write(bytes)) return;
  socket.pause();
  socket.once("drain", resume);
}

function echo(socket) {
  const resume = () => socket.resume();
  socket.on("data", (bytes) => send(socket, resume, bytes));
}

/** Calls back with the payloads of every chunk. */
function onFrames(socket, answer) {
  const splitter = new FrameSplitter();
  socket.on("data", (bytes) => {
    let payloads;
    try {
      payloads = splitter.split(bytes);
    } catch {
      return socket.destroy(); // it announced too long a payload
    }
    if (payloads.length > 0) answer(payloads);
  });
}

function framed(socket) {
  const resume = () => socket.resume();
  onFrames(socket, (payloads) => send(socket, resume, encodeFrames(payloads)));
}

function tail(socket) {
  const resume = () => socket.resume();
  const answers = new LateAnswers(
    socket,
    (payloads) => send(socket, resume, encodeFrames(payloads)),
  );
  onFrames(socket, (payloads) => answers.answer(payloads));
}

const room = new Room();
const relay = (socket, bytes) => socket.write(bytes);

function broadcast(socket) {
  room.join(socket);
  socket.on("drain", () => room.drained(socket));
  socket.on("close", () => room.leave(socket));
  onFrames(socket, (payloads) => room.broadcast(socket, encodeFrames(payloads), relay));
}

const serve = { echo, framed, tail, broadcast }[mode];

const createServer = identity === null ? net.createServer : tls.createServer;
const server = createServer({ noDelay: true, ...identity }, (socket) => {
  serve(socket);
  socket.on("error", () => socket.destroy());
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
