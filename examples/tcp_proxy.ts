// deno run --allow-ffi --allow-net examples/tcp_proxy.ts   or   bun examples/tcp_proxy.ts

/**
 * Passes every connection at localhost:6380 on to localhost:6379, or from and to the addresses
 * given: a proxy for any protocol over TCP. The kernel moves the bytes. With `--proxy-protocol` behind
 * them it tells the server who the client is.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import {
  type Connection,
  createListener,
  dial,
  EventLoop,
  pipe,
  shutdownOnSignals,
} from "../mod.ts";

const listener = createListener("tcp", process.argv[2] ?? "localhost:6380");
const upstream = process.argv[3] ?? "localhost:6379";
const isVerbose = process.argv.includes("verbose");
const isTelling = process.argv.includes("--proxy-protocol");

/** From the first byte to the last of both directions; a client that ends its side still gets an answer. */
async function proxy(client: Connection): Promise<undefined> {
  const header = isTelling ? { proxyProtocol: client } : {};
  const server = await dial("tcp", upstream, { timeoutMs: 5000, ...header });
  const { aToB, bToA } = await pipe(client, server);
  if (isVerbose) console.log(`${aToB} bytes there, ${bToA} back`);
}

// In onConnect, not in a handler: in many protocols the server speaks first.
const loop = new EventLoop(null, {
  onConnect: proxy,
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}, for ${upstream}; Ctrl-C stops it`);
await loop.serve(listener);
console.log("Stopped");
