/**
 * A server of Redis on node:net, in Node, Bun and Deno.
 */
import net from "node:net";
import { Session } from "./store.mjs";

const server = net.createServer({ noDelay: true }, (socket) => {
  const session = new Session();
  socket.on("data", (bytes) => {
    if (socket.write(session.answer(bytes), "latin1")) return;
    socket.pause();
    socket.once("drain", () => socket.resume());
  });
  socket.on("error", () => socket.destroy());
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
