/**
 * An echo on node:net, in Node, Bun and Deno: `node_net.mjs PORT`. Not TypeScript, for older Nodes.
 */
import net from "node:net";
import process from "node:process";

const server = net.createServer({ noDelay: true }, (socket) => {
  const resume = () => socket.resume();
  socket.on("data", (bytes) => {
    if (socket.write(bytes)) return;
    socket.pause();
    socket.once("drain", resume);
  });
  socket.on("error", () => socket.destroy());
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 }, () => {
  console.log(`listening ${server.address().port}`);
});
