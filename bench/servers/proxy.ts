/**
 * netpoll's TCP proxy, as the benches run it: `proxy.ts UPSTREAM_PORT`.
 */
import process from "node:process";
import { createListener, dial, EventLoop, pipe } from "../../mod.ts";

const upstream = `127.0.0.1:${process.argv[2]}`;
const listener = createListener("tcp", "127.0.0.1:0");
const loop = new EventLoop(null, {
  onConnect: async (client) => {
    await pipe(client, await dial("tcp", upstream));
    return undefined;
  },
});
void loop.serve(listener);
if (listener.address.transport === "tcp") console.log(`listening ${listener.address.port}`);
