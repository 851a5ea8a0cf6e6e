/**
 * A program: serves one echo on a free port of 127.0.0.1, asks for it, prints what came back, and
 * ends.
 */
import { connect } from "node:net";
import { createListener, EventLoop } from "../../mod.ts";

const listener = createListener("tcp", "127.0.0.1:0");
const loop = new EventLoop(async ({ reader, writer }) => {
  await reader.wait(5);
  writer.writeBinary(reader.next(5));
  await writer.flush();
  reader.release();
});
const served = loop.serve(listener);

const { address } = listener;
if (address.transport !== "tcp") throw new Error("A TCP listener has another address");
const client = connect(address.port, "127.0.0.1", () => client.write("hello"));
const echo = await new Promise<string>((resolve, reject) => {
  client.once("data", (bytes) => resolve(String(bytes))).once("error", reject);
});
client.destroy();
await loop.shutdown({ timeoutMs: 1000 });
await served;
console.log(`echoed ${echo}`);
