/** Clients on node:net, in any runtime: `client_net.mjs PORT CONNECTIONS SECONDS`. */
import net from "node:net";
import process from "node:process";
import { checkAnswer, done, measure, REQUEST } from "../servers/requests.mjs";

const [port, connections, seconds] = process.argv.slice(2).map(Number);
for (let i = 0; i < connections; i++) {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("data", (bytes) => {
    checkAnswer(bytes);
    done.count += 1;
    socket.write(REQUEST);
  });
  socket.on("connect", () => socket.write(REQUEST));
}
measure(seconds);
