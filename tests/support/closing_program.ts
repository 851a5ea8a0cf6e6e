/**
 * A program: it answers one request with so many bytes, and closes everything; or leaves the
 * connection open, and waits for whatever ends it.
 */
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import { NARROW } from "./slow_peer.ts";
import { write } from "./zero_copy_ends.ts";

const [bytes, how] = process.argv.slice(2);
const listener = createListener("tcp", "127.0.0.1:0", NARROW);
const loop = new EventLoop((connection) => {
  connection.reader.skip(connection.reader.length);
  write(connection, 0, Number(bytes));
  void connection.writer.flush();
  console.log("flushed");
  if (how === "exit") setTimeout(() => process.exit(), 1);
  if (how !== "close") return;
  void connection.close().then(({ unsentBytes }) => {
    console.log(unsentBytes === 0 ? "delivered" : unsentBytes);
  });
  void loop.shutdown();
});
void loop.serve(listener);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : -1}`);
