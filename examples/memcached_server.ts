// deno run --allow-ffi --allow-net examples/memcached_server.ts   or   bun examples/memcached_server.ts

/**
 * A cache that speaks the protocol of memcached, at localhost:11211 or the address given. Requests,
 * answers and values are in examples/memcached/; here is how clients come and go.
 *
 * @module
 */
import { type Connection, EventLoop, shutdownOnSignals } from "../mod.ts";
import { listen, numberOf, placeOf, readArguments } from "./command_line.ts";
import { BinaryProtocol, MAGIC } from "./memcached/binary.ts";
import { VALUE_BYTES_MAX } from "./memcached/request.ts";
import type { Protocol, Session } from "./memcached/session.ts";
import { Store } from "./memcached/store.ts";
import { TextProtocol } from "./memcached/text.ts";

const USAGE = `Usage: memcached_server.ts [HOST:PORT] [--memory MIB]

  --memory MIB  for keys and values; the longest unused go first when it is full: 64`;

const { at, values } = readArguments(USAGE, 11211, {
  memory: { type: "string", default: "64" },
});
const memoryBytes = numberOf("memory", values.memory, 2, 1 << 20) * (1 << 20);
const store = new Store(memoryBytes, VALUE_BYTES_MAX);

/** A connection of a client. Its first byte tells which protocol it speaks. */
interface Client extends Session {
  protocol: Protocol | null;
}

function protocolOf(session: Session, { reader }: Connection): Protocol {
  const isBinary = reader.peek(1)[0] === MAGIC;
  return isBinary ? new BinaryProtocol(session) : new TextProtocol(session);
}

/** Answers all that has come, and sends the answers at once. */
function onRequest(connection: Connection, client: Client): void | Promise<void> {
  const { reader, writer } = connection;
  const protocol = client.protocol ??= protocolOf(client, connection);
  let answered: boolean | Promise<void> = true;
  // A client that does not read its answers gets none until it does.
  while (answered === true && writer.isWritable && !client.isClosing) {
    answered = protocol.answerNext(reader);
  }
  void writer.flush();
  if (client.isClosing) return void connection.close();
  reader.release();
  if (answered instanceof Promise) return answered;
  // Between two requests a client may be silent for ever, within one it may not.
  const needed = answered ? 0 : protocol.needed(reader);
  return needed > reader.length ? reader.wait(needed) : undefined;
}

const loop = new EventLoop<Client>(onRequest, {
  onPrepare: ({ writer }) => ({ store, writer, protocol: null, isClosing: false }),
  connectionsMax: 1024,
  readTimeoutMs: 30_000,
  writeTimeoutMs: 30_000,
  limits: { memoryBytesMax: 256 << 20 }, // what clients have sent in part, and answers that they have not read
  onError: (error) => console.error(`A client was cut off: ${(error as Error).message}`),
});
shutdownOnSignals(loop, { timeoutMs: 5000, exit: false });

const listener = listen(at);
const { host, port, at: place } = placeOf(listener);
console.log(`Listening on ${place}; Ctrl-C stops it`);
console.log(`Try: memccapable -h ${host} -p ${port}   memcstat --servers=${place}`);
await loop.serve(listener);
console.log("Stopped");
