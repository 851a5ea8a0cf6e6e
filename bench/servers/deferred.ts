/**
 * netpoll's echo that answers later: `deferred.ts WAY`. Prints "listening PORT".
 */
import process from "node:process";
import { createListener, EventLoop } from "../../mod.ts";
import { WAYS } from "./deferrals.mjs";

const way = WAYS[process.argv[2] as keyof typeof WAYS]();
const loop = new EventLoop(({ reader, writer }) => {
  const bytes = reader.readBinary(reader.length);
  reader.release();
  way(() => {
    writer.writeBinary(bytes);
    void writer.flush();
  });
});
const listener = createListener("tcp", "127.0.0.1:0");
void loop.serve(listener);
const { address } = listener;
if (address.transport === "tcp") console.log(`listening ${address.port}`);
