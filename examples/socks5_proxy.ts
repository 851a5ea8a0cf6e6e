// deno run --allow-ffi --allow-net examples/socks5_proxy.ts   or   bun examples/socks5_proxy.ts

/**
 * A SOCKS5 proxy, at localhost:1080 or the address given: clients say where they want to go, and
 * from there on the kernel moves the bytes.
 *
 * A proxy that everybody may use is a hazard: it lends its address to strangers, and its way into
 * networks that trust it. So it listens on this machine alone unless told otherwise; elsewhere it
 * asks for a password, and nobody comes through it to the services of this machine.
 *
 * @module
 */
import { type Connection, EventLoop, pipe, shutdownOnSignals } from "../mod.ts";
import { fail, listen, placeOf, readArguments } from "./command_line.ts";
import { allowance, connectTo } from "./socks5/destination.ts";
import { hear, Reply, SocksError, writeReply } from "./socks5/handshake.ts";

const USAGE = `Usage: socks5_proxy.ts [HOST:PORT] [--user NAME:PASSWORD] [--allow NETWORK]

  --user NAME:PASSWORD  what clients have to show; needed where others than this machine come
  --allow NETWORK       where they may go, and nowhere else: 10.0.0.0/8; may be repeated. Unless given:
                        everywhere, but others than this machine not to it, nor to its link`;

/** The time from the first byte to the answer. */
const HANDSHAKE_MS_MAX = 15_000;

const { at, values } = readArguments(USAGE, 1080, {
  user: { type: "string" },
  allow: { type: "string", multiple: true },
});
const [, name, password] = /^([^:]+):(.+)$/.exec(values.user ?? "") ?? [];
if (values.user !== undefined && password === undefined) {
  fail(`Cannot use --user ${values.user}: write NAME:PASSWORD`, 2);
}
const login = name === undefined || password === undefined ? null : { name, password };

const listener = listen(at);
const { host, at: place } = placeOf(listener);
const servesStrangers = !/^(127\.|::1$)/.test(host);
if (servesStrangers && login === null) {
  fail(`Cannot serve ${place} to everybody: add --user NAME:PASSWORD, or listen on localhost`, 2);
}
const allow = allowed();

function allowed() {
  try {
    return allowance(values.allow ?? [], servesStrangers);
  } catch (error) {
    return fail(error, 2);
  }
}

/** Tells the client that it is there, and moves the bytes of both: to the last, when one side has ended. */
async function join(client: Connection, server: Connection): Promise<void> {
  try {
    writeReply(client.writer, Reply.SUCCEEDED, server.localAddress);
    await client.writer.flush();
    await pipe(client, server);
  } finally {
    void server.close(); // the client may be gone
  }
}

async function serve(client: Connection): Promise<undefined> {
  const signal = AbortSignal.timeout(HANDSHAKE_MS_MAX);
  try {
    const target = await hear(client, login, signal);
    await join(client, await connectTo(target, allow, signal));
  } catch (error) {
    if (!(error instanceof SocksError)) throw error;
    if (error.reply !== null) writeReply(client.writer, error.reply, null);
    void client.writer.flush();
    await client.close();
  }
}

// In onConnect, not in a handler: a handler would be called again for the bytes that pipe moves.
const loop = new EventLoop(null, {
  onConnect: serve,
  connectionsMax: 1024,
  idleTimeoutMs: 10 * 60_000,
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

console.log(`Listening on ${place}; Ctrl-C stops it`);
const user = login === null ? "" : `--proxy-user ${login.name}:… `;
console.log(`Try: curl ${user}--socks5-hostname ${place} https://example.com/`);
await loop.serve(listener);
console.log("Stopped");
