// deno run --allow-ffi --allow-net examples/redis_server.ts   or   bun examples/redis_server.ts

/**
 * Speaks the protocol of Redis, at localhost:6385 or the address given: strings, counters, lists,
 * hashes, sets, expiry, transactions, publish and subscribe, in RESP2 and RESP3. With the files of a
 * key and a certificate behind the address it speaks TLS; with those of authorities, too, clients
 * must show a certificate. What commands do stands in examples/redis/, by noun; here is how they
 * come and go.
 *
 * @module
 */
import "./one_line.ts";
import process from "node:process";
import {
  type Connection,
  createListener,
  EventLoop,
  FrameError,
  RespError,
  type RespValue,
  shutdownOnSignals,
} from "../mod.ts";
import { answer } from "./redis/answer.ts";
import { Client, clients, REQUEST_BYTES_MAX, unflushed } from "./redis/client.ts";
import { leaveAll } from "./redis/pubsub.ts";
import { unwatch } from "./redis/transactions.ts";
import { tlsOf } from "./tls_files.ts";

/** The bytes that may wait to be sent. More cuts a subscriber off, as Redis does. */
const UNSENT_BYTES_MAX = 32 << 20;
/** A request that needs more than this is waited for, so that it may be larger than the buffer. */
const LARGE_BYTES_MIN = 64 << 10;

/** The words of a request: a codec of RESP reads other values too, which are none. */
function wordsOf(request: RespValue<string>): string[] {
  if (!Array.isArray(request)) return []; // a negative count
  for (const word of request) if (typeof word !== "string") throw noWord(word);
  return request as string[];
}

function noWord(value: RespValue<string>): RespError {
  if (value === null) return new RespError("ERR Protocol error: invalid bulk length");
  const isNumber = typeof value === "number" || typeof value === "bigint";
  const type = isNumber ? ":" : Array.isArray(value) ? "*" : value instanceof RespError ? "-" : "?";
  return new RespError(`ERR Protocol error: expected '$', got '${type}'`);
}

/** A browser that was made to talk to this port begins so: what else it says is no command. */
function isHttp([word = ""]: string[]): boolean {
  return /^(post|host:)$/i.test(word);
}

/** The last words to a client that is cut off: nobody knows where its next request begins. */
function protocolError(error: unknown, first: string): RespError {
  if (error instanceof RespError) return error;
  if (!(error instanceof FrameError)) throw error;
  const [, other] = /"(.)" is no type/.exec(error.message) ?? [];
  if (other !== undefined) return new RespError(`ERR Protocol error: expected '$', got '${other}'`);
  const isCount = first === "*";
  const what = error.message.includes("quotes")
    ? "unbalanced quotes in request"
    : error.message.includes("a line has more")
    ? `too big ${
      isCount ? error.offset === 0 ? "mbulk count string" : "bulk count string" : "inline request"
    }`
    : `invalid ${error.offset === 0 && isCount ? "multibulk" : "bulk"} length`;
  return new RespError(`ERR Protocol error: ${what}`);
}

/**
 * Answers all requests that have come, and sends the answers at once. It only waits for what is
 * large.
 */
function onRequest(connection: Connection, client: Client): void | Promise<void> {
  const { reader, writer } = connection;
  try {
    // A client that does not read its answers gets none until it does.
    while (writer.isWritable && !client.isClosing) {
      const request = client.codec.decode(reader);
      if (request === undefined) break;
      const words = wordsOf(request);
      if (isHttp(words)) return connection.reset();
      answer(client, words);
    }
  } catch (error) {
    const first = reader.length === 0 ? "" : String.fromCharCode(reader.peek(1)[0]!);
    client.write(protocolError(error, first));
    client.isClosing = true;
  }
  void writer.flush();
  for (const other of unflushed) void other.connection.writer.flush();
  unflushed.clear();
  if (client.isClosing) return void connection.close();
  const needed = reader.length === 0 ? 0 : client.codec.needed(reader);
  reader.release();
  if (needed > LARGE_BYTES_MIN) return reader.wait(needed);
}

const loop = new EventLoop<Client>(onRequest, {
  onPrepare(connection) {
    const client = new Client(connection);
    clients.add(client);
    connection.addCloseCallback(() => {
      clients.delete(client);
      leaveAll(client);
      unwatch(client);
    });
    return client;
  },
  messageBytesMax: REQUEST_BYTES_MAX,
  writeBufferBytesMax: UNSENT_BYTES_MAX,
  onError: (error) => console.error("A client was cut off:", error),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const [where = "localhost:6385", ...files] = process.argv.slice(2);
const tls = tlsOf(files);
const listener = createListener("tcp", where, { tls });
const { address } = listener;
const at = address.transport === "tcp" ? `${address.hostname}:${address.port}` : address.path;
console.log(`Listening on ${at}; Ctrl-C stops it`);
if (address.transport === "tcp") {
  const how = tls === undefined ? "" : ` --tls --cacert ${files[1]}`;
  console.log(`Try: redis-cli -p ${address.port}${how} SET greeting hello`);
}
await loop.serve(listener);
console.log("Stopped");
