/**
 * Pairs of connections that need no kernel.
 */
import { currentScope } from "../../ffi/context.ts";
import { reclaimFrom } from "../buffer/dropped.ts";
import { CALLBACKS, checkCallbacks } from "../connection/callbacks.ts";
import type { Connection, FromFdOptions } from "../connection/connection.ts";
import { DEFAULTS, settings, type Unread } from "../connection/settings.ts";
import { connectionOf } from "../connection/limited_connection.ts";
import { MEMORY_WINDOW_BYTES } from "../core/limits.ts";
import { checkNumber, type Known, readOptions } from "../core/options.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { MemoryEnd } from "../transport/memory_end.ts";

/** Options of {@linkcode memoryPair}: each end has its own, as one of `Connection.fromFd` has. */
export interface MemoryPairOptions<A = undefined, B = undefined> {
  /** Deadlines, bounds and callbacks of the first connection. */
  first?: FromFdOptions<A>;
  /** Deadlines, bounds and callbacks of the second connection. */
  second?: FromFdOptions<B>;
  /**
   * The bytes that are on their way at most, each way: sent by one end, and not received by the
   * other. 64 KiB unless given.
   */
  windowBytes?: number;
}

const PAIR_OPTIONS: Known<MemoryPairOptions> = { first: 1, second: 1, windowBytes: 1 };
const { onPrepare: _, ...LATER_CALLBACKS } = CALLBACKS;
const END_OPTIONS: Known<Omit<FromFdOptions, keyof Unread>> = { ...DEFAULTS, ...LATER_CALLBACKS };

/** The options of one end, checked. */
function readEnd<C>(name: "first" | "second", options: FromFdOptions<C> = {}) {
  const callbacks = readOptions(`memoryPair's ${name}`, options, END_OPTIONS);
  checkCallbacks(callbacks);
  return { callbacks, settings: settings(callbacks) };
}

function connect<C>(io: MemoryEnd, end: ReturnType<typeof readEnd<C>>): Connection {
  const service = {
    ...end,
    poller: threadPoller(),
    scope: currentScope(),
    owner: null,
    io,
    isDialled: false,
  };
  const connection = connectionOf<C>(service, io.fd, { local: null, remote: null });
  // No poller holds it: a user may drop both ends, and their memory with them.
  reclaimFrom(connection, connection.input);
  reclaimFrom(connection, connection.output);
  connection.start();
  return connection.face;
}

/**
 * Two connections, each the peer of the other, in memory: no descriptor, no system call. They do all
 * that a connection does, but for what needs a descriptor: `fd` is -1, `detach` and `startTls` fail,
 * and files are sent by reading them. What one end flushes the other receives with the next turn of
 * its thread, always in the same order, so a test of a protocol runs the same way each time; with a
 * {@linkcode FakeClock} its deadlines do so, too.
 *
 * Bytes wait for the other end in a window of 64 KiB: when it is full `flush()` waits, and so on as
 * over a socket. A pair keeps the process alive while bytes are under way or somebody waits with a
 * deadline, and not for its own sake: nobody else could send anything.
 *
 * @throws {TypeError} An option is none, or its value is none that it may have.
 * @throws {RangeError} A number is none that means anything.
 *
 * @example A server's handler without a server
 * ```ts
 * import { memoryPair } from "@netpoll/netpoll/testing";
 *
 * const [client, server] = memoryPair();
 * server.setOnRequest(({ reader, writer }) => {
 *   writer.writeString(reader.readString(reader.length).toUpperCase());
 *   void writer.flush();
 * });
 *
 * client.writer.writeString("ping");
 * await client.writer.flush();
 * await client.reader.wait(4);
 * console.log(client.reader.readString(4)); // "PING"
 * await client.close();
 * await server.closed;
 * ```
 */
export function memoryPair<A = undefined, B = undefined>(
  options: MemoryPairOptions<A, B> = {},
): [Connection, Connection] {
  const read = readOptions("memoryPair", options, PAIR_OPTIONS);
  const [first, second] = [readEnd("first", read.first), readEnd("second", read.second)];
  const windowBytes = checkNumber(
    "windowBytes",
    read.windowBytes ?? MEMORY_WINDOW_BYTES,
    1,
    Infinity,
  );
  const [a, b] = MemoryEnd.pair(windowBytes);
  return [connect(a, first), connect(b, second)];
}
