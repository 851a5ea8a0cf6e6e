/**
 * A program: it answers one request with more than the kernel takes, and closes everything.
 */
import { createListener, EventLoop } from "../../mod.ts";
import { MUCH, NARROW } from "./slow_peer.ts";
import { write } from "./zero_copy_ends.ts";

const listener = createListener("tcp", "127.0.0.1:0", NARROW);
const loop = new EventLoop((connection) => {
  connection.reader.skip(connection.reader.length);
  write(connection, 0, MUCH);
  void connection.writer.flush();
  void connection.close().then(({ unsentBytes }) => {
    console.log(unsentBytes === 0 ? "delivered" : unsentBytes);
  });
  void loop.shutdown();
  console.log("closing");
});
void loop.serve(listener);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : -1}`);
