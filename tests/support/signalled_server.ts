/**
 * A program: a server that a signal ends. "slow" waits for a second message before it answers the
 * first. Its argument is JSON: the options of shutdownOnSignals, and what else to do.
 */
import process from "node:process";
import { createListener, EventLoop, shutdownOnSignals } from "../../mod.ts";

const { forget, alone, ...options } = JSON.parse(process.argv[2] ?? "{}");
const loop = new EventLoop(async ({ reader, writer }) => {
  await reader.wait(4);
  const text = reader.readString(4);
  reader.release();
  if (text === "slow") {
    console.log("busy");
    await reader.wait(4);
  }
  writer.writeString(`answer to ${text}`);
  await writer.flush();
  if (reader.length > 0) reader.skip(reader.length);
});
const takeBack = shutdownOnSignals(loop, options);
if (forget) takeBack();
const listener = createListener("tcp", "127.0.0.1:0");
const served = loop.serve(listener);
const { address } = listener;
console.log(`port ${address.transport === "tcp" ? address.port : -1}`);
if (alone) void loop.shutdown();
await served;
console.log("served");
