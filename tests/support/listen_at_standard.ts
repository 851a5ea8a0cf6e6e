/**
 * Serves the listener that is its standard input.
 */
import { existsSync } from "node:fs";
import { createListener, dial, EventLoop } from "../../mod.ts";
import { receive, send } from "./pair.ts";

const listener = createListener({ fd: 0 });
const loop = new EventLoop(({ reader, writer }) => {
  writer.writeString(reader.readString(reader.length).toUpperCase());
  void writer.flush();
});
void loop.serve(listener);
const client = await dial(listener.address);
await send(client, "hello");
const answer = await receive(client, 5);
await client.close();
await loop.shutdown();
console.log(`${answer}, 0 is ${existsSync("/proc/self/fd/0") ? "open" : "closed"}`);
