/**
 * A program: an echo server that prints its port and goes on until its standard output is closed or
 * it is killed.
 */
import { configure, createListener, EventLoop, shutdownOnSignals } from "../../mod.ts";

configure({ log: (line) => console.log(`log ${line}`) });
const listener = createListener("tcp", "127.0.0.1:0");
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeString(reader.readString(reader.length));
  void writer.flush();
  reader.release();
});
// Deno opens what it needs for signals when it needs it, and panics when it cannot.
shutdownOnSignals(loop);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : -1}`);
await loop.serve(listener);
