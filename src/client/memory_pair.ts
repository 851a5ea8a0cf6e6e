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
import { type LineFaults, linePlan } from "../transport/line.ts";
import { MemoryEnd } from "../transport/memory_end.ts";

export type { LineDelay, LineFaults } from "../transport/line.ts";

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
  /** The faults on the way from the second connection to the first. None unless given. */
  toFirst?: LineFaults;
  /** The faults on the way from the first connection to the second. None unless given. */
  toSecond?: LineFaults;
}

const PAIR_OPTIONS: Known<MemoryPairOptions> = {
  first: 1,
  second: 1,
  windowBytes: 1,
  toFirst: 1,
  toSecond: 1,
};
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
 * With `toFirst` and `toSecond` the way is as bad as a test wants it: bytes come in pieces, late,
 * changed or not at all, and the connection ends or breaks, each at the offset that is given.
 * {@linkcode everySplit} and {@linkcode everyLoss} try every offset.
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
 *
 * @example A peer that dies in the middle of its answer
 * ```ts
 * import { EofError } from "@netpoll/netpoll";
 * import { memoryPair } from "@netpoll/netpoll/testing";
 *
 * const [client, server] = memoryPair({ toFirst: { splitAt: [2], resetAt: 3 } });
 * server.writer.writeString("answer");
 * await server.writer.flush();
 *
 * const error = await client.reader.wait(6).catch((error) => error);
 * console.log(error instanceof EofError, error.cause.code); // true "ECONNRESET"
 * console.log(client.reader.readString(client.reader.length)); // "ans"
 * await client.close();
 * await server.close();
 * ```
 */
export function memoryPair<A = undefined, B = undefined>(
  options: MemoryPairOptions<A, B> = {},
): [Connection, Connection] {
  const { first, second } = pairOf(options);
  return [first, second];
}

/** A pair, and what only a test of every case needs of it. */
export interface MemoryPair {
  readonly first: Connection;
  readonly second: Connection;
  /** The bytes that were sent so far, to the first connection and to the second. */
  readonly sentBytes: { toFirst: number; toSecond: number };
  /** Those of them that a line holds back now. */
  readonly heldBytes: { toFirst: number; toSecond: number };
}

/** {@linkcode memoryPair}. */
export function pairOf<A, B>(options: MemoryPairOptions<A, B>): MemoryPair {
  const read = readOptions("memoryPair", options, PAIR_OPTIONS);
  const [first, second] = [readEnd("first", read.first), readEnd("second", read.second)];
  const windowBytes = checkNumber(
    "windowBytes",
    read.windowBytes ?? MEMORY_WINDOW_BYTES,
    1,
    Infinity,
  );
  const toFirst = linePlan("memoryPair's toFirst", read.toFirst);
  const toSecond = linePlan("memoryPair's toSecond", read.toSecond);
  const [a, b] = MemoryEnd.pair(windowBytes, toFirst, toSecond);
  return {
    first: connect(a, first),
    second: connect(b, second),
    get sentBytes() {
      return { toFirst: a.sentHereBytes, toSecond: b.sentHereBytes };
    },
    get heldBytes() {
      return { toFirst: a.heldBytes, toSecond: b.heldBytes };
    },
  };
}
