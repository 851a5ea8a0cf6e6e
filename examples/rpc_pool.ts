// deno run --allow-ffi --allow-net examples/rpc_pool.ts   or   bun examples/rpc_pool.ts

/**
 * Three servers, a pool of their addresses, and clients that ask all the time. One server is killed in
 * the middle and comes back: every request is answered.
 *
 * @module
 */
import "./one_line.ts";
import {
  ConnectionPool,
  createListener,
  EventLoop,
  type Listener,
  reconnecting,
  responder,
} from "../mod.ts";
import { codec } from "./rpc/protocol.ts";

const CLIENT_COUNT = 6;
const REQUEST_COUNT = 3000;

/** Serves at an address: an echo. Returns what kills it, with all its connections. */
function serve(listener: Listener): () => Promise<unknown> {
  const loop = new EventLoop(responder(codec, (body: Uint8Array) => body));
  void loop.serve(listener);
  return () => loop.shutdown({ timeoutMs: 0 });
}

const listeners = [1, 2, 3].map(() => createListener("tcp", "127.0.0.1:0"));
const addresses = listeners.map(({ address }) => address);
const kills = listeners.map(serve);

await using pool = new ConnectionPool(addresses, { max: CLIENT_COUNT, ejectMs: 50 });
const clients = Array.from(
  { length: CLIENT_COUNT },
  () => reconnecting(pool, codec, { timeoutMs: 5000, backoffMs: 10 }),
);

let answerCount = 0;

async function ask(n: number): Promise<void> {
  // An echo may be done twice: it is repeated when its connection ends.
  const text = `message ${n}`;
  const answer = await clients[n % CLIENT_COUNT]!.request(text, { idempotent: true });
  if (new TextDecoder().decode(answer) !== text) throw new Error(`Another answer came to ${text}`);
  answerCount += 1;
}

/** Asks a third of all, so many at once. */
async function askMany(): Promise<void> {
  await Promise.all(Array.from({ length: REQUEST_COUNT / 3 }, (_, n) => ask(n)));
}

await askMany();
const asking = askMany();
await kills[0]!(); // its answers are on their way, or not
await asking;
console.log(`Killed a server: ${answerCount} of ${REQUEST_COUNT * 2 / 3} requests are answered`);

kills[0] = serve(createListener(addresses[0]!));
await askMany();
const { created, closed, addresses: each } = pool.metrics();
console.log(`It is back: ${answerCount} of ${REQUEST_COUNT} requests are answered`);
console.log(`${created} connections were made, ${closed.ended + closed.failed} were lost`);
console.log(`Connections: ${each.map(({ address, size }) => `${address} ${size}`).join(", ")}`);

for (const client of clients) await client.close();
await pool.close();
for (const kill of kills) await kill();
