/**
 * Connections over descriptors that come from elsewhere, and pairs of them.
 */
import { currentScope } from "../../ffi/context.ts";
import { native } from "../../ffi/load.ts";
import { byteCount } from "../core/bytes.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { type Known, readOptions } from "../core/options.ts";
import { Family } from "../net/address.ts";
import { closeOriginal, FileType, isDescriptor, statOf } from "../net/descriptor.ts";
import { getOption, INT_MAX, Option } from "../net/socket.ts";
import { threadPoller } from "../poll/thread_poller.ts";
import { CALLBACKS, checkCallbacks } from "../connection/callbacks.ts";
import { type Connection, type FromFdOptions, setMakers } from "../connection/connection.ts";
import { type ConnectionSettings, DEFAULTS, settings } from "../connection/settings.ts";
import { connectionOf } from "../connection/limited_connection.ts";
import { fromDuplex } from "./from_duplex.ts";
import { fileTransport, onlyWay, socketTransport } from "../transport/descriptor.ts";
import type { Transport } from "../transport/transport.ts";
import { unixTransport } from "../transport/unix_transport.ts";

const { onPrepare: _, ...LATER_CALLBACKS } = CALLBACKS;
const FROM_FD_OPTIONS: Known<FromFdOptions> = { ...DEFAULTS, ...LATER_CALLBACKS, unread: 1 };

const SOCK_STREAM = 1;

/** The transport of a descriptor. Throws unless bytes in order come and go through it. */
function transportOf(fd: number): Transport {
  let type: number;
  try {
    type = getOption(fd, Option.TYPE);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOTSOCK") throw error;
    // An epoll set, an eventfd, a timer: the runtime and this library have some, too.
    if (statOf(fd, "look at a descriptor").type !== FileType.NONE) return fileTransport;
    throw new TypeError(
      `Cannot make a connection of descriptor ${fd}: it is no socket, pipe or device`,
    );
  }
  if (type !== SOCK_STREAM || getOption(fd, Option.ACCEPTS) !== 0) {
    throw new TypeError(`Cannot make a connection of descriptor ${fd}: it is no stream socket`);
  }
  return getOption(fd, Option.DOMAIN) === Family.UNIX ? unixTransport : socketTransport;
}

/** Throws unless a descriptor can be watched, and is not yet. */
function checkFree(fd: number): void {
  const code = threadPoller().probe(fd);
  if (code === -ERRNO.EEXIST) {
    throw new TypeError(
      `Cannot make a connection of descriptor ${fd}: a connection of this thread has it`,
    );
  }
  check("watch a descriptor", code);
}

/** A connection over a descriptor of ours, which is ours to close when this throws. */
function connect<C>(
  fd: number,
  io: Transport,
  bounds: ConnectionSettings,
  callbacks: FromFdOptions<C>,
): Connection {
  const service = {
    poller: threadPoller(),
    callbacks,
    scope: currentScope(),
    settings: bounds,
    owner: null,
    io,
    isDialled: false,
  };
  const connection = connectionOf<C>(service, fd, { local: null, remote: null });
  const only = io === fileTransport ? onlyWay(fd) : null;
  if (only !== null) connection.limitTo(only);
  if (callbacks.unread !== undefined) {
    connection.input.copyIn(callbacks.unread);
    connection.input.publish();
  }
  connection.start();
  return connection.face;
}

setMakers({ fromFd, fromDuplex });

function fromFd<C = undefined>(fd: number, options: FromFdOptions<C> = {}): Connection {
  const read = readOptions("Connection.fromFd", options, FROM_FD_OPTIONS);
  checkCallbacks(read);
  const bounds = settings(read);
  if (read.unread !== undefined) byteCount(read.unread, "begin with");
  if (!isDescriptor(fd)) {
    throw new TypeError(
      `Cannot make a connection of ${fd}: a descriptor is a whole number from 0 to ${INT_MAX}`,
    );
  }
  const io = transportOf(fd);
  checkFree(fd);
  // The original is as it was until nothing can fail any more: whoever opened it may have noted its
  // number, and what is set for the open file holds for all its descriptors.
  const ours = check("duplicate a descriptor", native.dup(fd));
  let connection: Connection | null = null;
  try {
    connection = connect(ours, io, bounds, read);
    check("make a descriptor non-blocking", native.adopt(ours));
  } catch (error) {
    connection?.detach();
    native.close(ours);
    throw error;
  }
  closeOriginal(fd);
  return connection;
}

/**
 * Two connections, each the peer of the other, without a network in between (socketpair(2)).
 *
 * @throws {SystemError} No descriptor is left.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 *
 * const [a, b] = socketPair();
 * a.writer.writeString("ping");
 * await a.writer.flush();
 * await b.reader.wait(4);
 * console.log(b.reader.readString(4)); // "ping"
 * await a.close();
 * await b.close();
 * ```
 */
export function socketPair(): [Connection, Connection] {
  const pair = new Int32Array(2);
  const bounds = settings({});
  check("open a pair of sockets", native.socketpair(pair));
  let a: Connection | null = null;
  try {
    a = connect(pair[0]!, unixTransport, bounds, {});
    return [a, connect(pair[1]!, unixTransport, bounds, {})];
  } catch (error) {
    if (a === null) native.close(pair[0]!);
    else void a.close();
    native.close(pair[1]!);
    throw error;
  }
}
