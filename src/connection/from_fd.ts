/**
 * Connections over descriptors that come from elsewhere.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { getOption, Option } from "../net/socket.ts";
import { threadPoller } from "../poll/poller_pool.ts";
import type { Callbacks } from "./callbacks.ts";
import { type Connection as ConnectionInterface, SocketConnection } from "./connection.ts";
import { type ConnectionOptions, settings } from "./settings.ts";

/** What a connection over a descriptor is told. */
export interface FromFdOptions<C = undefined>
  extends ConnectionOptions, Omit<Callbacks<C>, "onPrepare"> {}

const SOCK_STREAM = 1;

/** Throws unless bytes in order come and go through a descriptor. Whether it is a socket. */
function checkStream(fd: number): boolean {
  if (!Number.isInteger(fd) || fd < 0) {
    throw new TypeError(`Cannot make a connection of ${fd}: it is no descriptor`);
  }
  let type: number;
  try {
    type = getOption(fd, Option.TYPE);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOTSOCK") return false;
    throw error;
  }
  if (type !== SOCK_STREAM) {
    throw new TypeError(`Cannot make a connection of descriptor ${fd}: it is no stream socket`);
  }
  return true;
}

function fromFd<C = undefined>(fd: number, options: FromFdOptions<C> = {}): ConnectionInterface {
  const bounds = settings(options);
  const isSocket = checkStream(fd);
  check("take over a descriptor", native.adopt(fd));
  const connection = new SocketConnection<C>({
    poller: threadPoller(),
    fd,
    remote: null,
    callbacks: options,
    settings: bounds,
    owner: null,
    isSocket,
  });
  connection.begin();
  return connection;
}

/** Connections over descriptors that come from elsewhere: {@linkcode ConnectionFactory.fromFd}. */
export interface ConnectionFactory {
  /**
   * Makes a connection of an open descriptor of a byte stream: a socket of another library, one that systemd or
   * a parent passed on, or what can be polled besides (a pipe's end, a terminal). The connection owns it from now
   * on; it is made non-blocking and close-on-exec.
   *
   * @throws {TypeError} It is no descriptor, or a socket without a stream.
   * @throws {SystemError} It is not open, or cannot be polled (`code` is `"EPERM"` for a file).
   *
   * @example
   * ```ts
   * import { Connection, socketPair } from "@netpoll/netpoll";
   *
   * const [a, b] = socketPair();
   * const again = Connection.fromFd(a.detach());
   * again.writer.writeString("hello");
   * await again.writer.flush();
   * await b.reader.wait(5);
   * console.log(b.reader.readString(5)); // "hello"
   * await again.close();
   * await b.close();
   * ```
   */
  fromFd<C = undefined>(fd: number, options?: FromFdOptions<C>): ConnectionInterface;
}

/** Makes connections of descriptors. */
export const Connection: ConnectionFactory = { fromFd };

/** One end of a byte stream. */
export type Connection = ConnectionInterface;

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
  check("open a pair of sockets", native.socketpair(pair));
  return [fromFd(pair[0]!), fromFd(pair[1]!)];
}
