/**
 * An echo on node:net that answers later: `deferred_net.mjs WAY`. Prints "listening PORT".
 */
import net from "node:net";
import process from "node:process";
import { WAYS } from "../servers/deferrals.mjs";

const way = WAYS[process.argv[2]]();
const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("data", (bytes) => way(() => void socket.write(bytes)));
  socket.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
