/**
 * Descriptors that processes give one another over a Unix socket.
 */
import { native } from "../../ffi/load.ts";
import { byteCount } from "../core/bytes.ts";
import { check } from "../core/check.ts";
import { ERRNO } from "../core/errno.ts";
import { ClosedError, NetpollError, SystemError } from "../core/errors.ts";
import { DESCRIPTORS_PER_MESSAGE_MAX } from "../core/limits.ts";
import { checkOptions, checkSignal, show } from "../core/options.ts";
import type { Connection } from "../connection/connection.ts";
import { insideOf, type SocketConnection } from "../connection/socket_connection.ts";
import { closeOriginal, isDescriptor } from "../net/descriptor.ts";
import { INT_MAX, Option } from "../net/socket.ts";
import { sendWith, takeArrived, unixTransport } from "../transport/unix_transport.ts";

/** The process at the other end of a Unix socket. */
export interface PeerCredentials {
  /** The number of the process; 0 for one that this container does not see. */
  pid: number;
  /** The user that it ran as. */
  uid: number;
  /** Its group. */
  gid: number;
}

/** Throws unless descriptors can pass through a connection that is open. */
function unixSocket(connection: Connection, action: string): SocketConnection<unknown> {
  const inside = insideOf(connection, action);
  if (inside.io !== unixTransport) {
    throw new TypeError(`Cannot ${action} a connection that is no plain Unix socket`);
  }
  if (!inside.isOpen) throw new ClosedError(`Cannot ${action} a connection that is closed`);
  return inside;
}

function checkDescriptor(fd: unknown, action: string): void {
  if (isDescriptor(fd)) return;
  throw new TypeError(
    `Cannot ${action} ${show(fd)}: a descriptor is a whole number from 0 to ${INT_MAX}`,
  );
}

/** Duplicates: whatever the user does with his, these are what is sent. */
function duplicates(fds: readonly number[]): Int32Array {
  const own = new Int32Array(fds.length).fill(-1);
  try {
    fds.forEach((fd, i) => own[i] = check("send descriptor", native.dup(fd), `${fd}`));
  } catch (error) {
    for (const fd of own) if (fd >= 0) native.close(fd);
    throw error;
  }
  return own;
}

/**
 * Sends descriptors, and bytes with them, over a Unix socket: the peer gets others of the same open
 * files (SCM_RIGHTS). They come with the first of these bytes, behind all that was written before,
 * which is flushed. Yours stay open: close them as soon as you like.
 *
 * `bytes` are a zero unless given, for a descriptor does not travel without a byte; they are borrowed
 * until the promise has resolved, as by `writer.writeBinary`. The promise is that of a `flush()`.
 *
 * @throws {TypeError} It is no plain Unix socket, or one of them is no number of a descriptor.
 * @throws {RangeError} There are none or more than 253, or `bytes` is empty.
 * @throws {SystemError} One is not open, or no other is left; nothing was sent. Or the kernel refuses:
 * `code` is `"ETOOMANYREFS"` when too many are under way; the connection is over then.
 * @throws {ClosedError} The connection is closed.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import {
 *   closeDescriptor,
 *   receiveDescriptors,
 *   sendDescriptors,
 * } from "@netpoll/netpoll/operations";
 *
 * const [a, b] = socketPair();
 * const [left, right] = socketPair();
 * const fd = left.detach();
 * await sendDescriptors(a, [fd], new TextEncoder().encode("yours"));
 * closeDescriptor(fd);
 * const [received] = await receiveDescriptors(b);
 * console.log(b.reader.readString(5), received! >= 0); // "yours" true
 * closeDescriptor(received!);
 * for (const connection of [a, b, right]) await connection.close();
 * ```
 */
export async function sendDescriptors(
  connection: Connection,
  fds: readonly number[],
  bytes: Uint8Array = new Uint8Array(1),
): Promise<void> {
  const inside = unixSocket(connection, "send descriptors over");
  if (!Array.isArray(fds)) throw new TypeError(`Cannot send ${show(fds)}: it is no array`);
  for (const fd of fds) checkDescriptor(fd, "send");
  if (fds.length < 1 || fds.length > DESCRIPTORS_PER_MESSAGE_MAX) {
    throw new RangeError(
      `Cannot send ${fds.length} descriptors: a message has from 1 to ${DESCRIPTORS_PER_MESSAGE_MAX}`,
    );
  }
  if (byteCount(bytes, "send") === 0) {
    throw new RangeError("Cannot send descriptors without a byte: leave bytes away for a zero");
  }
  const { output } = inside;
  output.checkWritable();
  const own = duplicates(fds);
  const at = output.total + output.length + output.pending;
  // The first byte lies in a block of ours, whatever becomes of the array.
  connection.writer.writeByte(bytes[0]!);
  connection.writer.writeBinary(bytes.subarray(1));
  sendWith(inside.fd, at, own);
  await connection.writer.flush();
}

/**
 * Waits until descriptors come over a Unix socket. They are yours from now on, in the order in which
 * they were sent, close-on-exec. The bytes that came with them are in `connection.reader`, the first
 * of them at least, and are read like all others, those before them first.
 *
 * Make of them what they are, with {@linkcode Connection.fromFd} or {@linkcode createListener}, or
 * close them, with {@linkcode closeDescriptor}. Those that nobody has taken when the connection ends
 * are closed; so are those that come while 1012 of this thread have not been taken. The kernel closes
 * those that come among bytes that it moves itself, for {@linkcode pipe} or `receiveFile`.
 *
 * @throws {TypeError} It is no plain Unix socket.
 * @throws {SystemError} This process may open no more (`code` is `"EMFILE"`); all that came together
 * were closed. The connection goes on.
 * @throws {NetpollError} Nobody took them in time, and they were closed. The connection goes on.
 * @throws {EofError} The peer ended first.
 * @throws {TimeoutError} None came within `readTimeoutMs`.
 * @throws {BusyError} Somebody waits for bytes of it.
 *
 * @example Go on with a connection that came
 * ```ts
 * import { Connection, socketPair } from "@netpoll/netpoll";
 * import {
 *   closeDescriptor,
 *   receiveDescriptors,
 *   sendDescriptors,
 * } from "@netpoll/netpoll/operations";
 *
 * const [here, there] = socketPair();
 * const [end, peer] = socketPair();
 * const fd = end.detach();
 * await sendDescriptors(here, [fd]); // there may be another process
 * closeDescriptor(fd);
 * const [received] = await receiveDescriptors(there);
 * const connection = Connection.fromFd(received!);
 * connection.writer.writeString("hello");
 * await connection.writer.flush();
 * await peer.reader.wait(5);
 * console.log(peer.reader.readString(5)); // "hello"
 * for (const each of [here, there, peer, connection]) await each.close();
 * ```
 */
export async function receiveDescriptors(
  connection: Connection,
  options: { signal?: AbortSignal } = {},
): Promise<number[]> {
  const inside = unixSocket(connection, "receive descriptors from");
  checkOptions("receiveDescriptors", options, { signal: 1 });
  checkSignal("receiveDescriptors", options.signal);
  options.signal?.throwIfAborted();
  const { reader } = connection;
  let arrival = takeArrived(inside.fd);
  while (arrival === null) {
    await reader.wait(reader.length + 1, options);
    arrival = takeArrived(inside.fd);
  }
  if (arrival.loss === "no room") throw new SystemError("receive descriptors", ERRNO.EMFILE);
  if (arrival.loss === "unclaimed") {
    throw new NetpollError("Cannot receive descriptors: too many had come that nobody took");
  }
  return arrival.fds.map((fd) => native.disown(fd));
}

/**
 * Closes a descriptor that is yours: one that was received, or detached. It ends nothing that another
 * process goes on with. Deno's own `closeSync` closes only what Deno has opened.
 *
 * @throws {TypeError} It is no whole number from 0 to 2^31 - 1.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { closeDescriptor } from "@netpoll/netpoll/operations";
 *
 * const [a, b] = socketPair();
 * closeDescriptor(a.detach());
 * await b.close();
 * ```
 */
export function closeDescriptor(fd: number): void {
  checkDescriptor(fd, "close");
  closeOriginal(fd);
}

const credentials = new Int32Array(3);

/**
 * The process at the other end of a Unix socket, as the kernel noted it when the two were connected
 * (SO_PEERCRED): nobody can pretend to be another.
 *
 * @throws {TypeError} It is no plain Unix socket: nobody vouches for the other end of TCP.
 * @throws {ClosedError} The connection is closed.
 *
 * @example
 * ```ts
 * import { socketPair } from "@netpoll/netpoll";
 * import { peerCredentials } from "@netpoll/netpoll/operations";
 * import process from "node:process";
 *
 * const [a, b] = socketPair();
 * console.log(peerCredentials(a).pid === process.pid); // true
 * await a.close();
 * await b.close();
 * ```
 */
export function peerCredentials(connection: Connection): PeerCredentials {
  const { fd } = unixSocket(connection, "ask for the peer's credentials on");
  const [level, name] = Option.PEER_CREDENTIALS;
  check("learn the peer's credentials", native.getsockopt(fd, level, name, credentials, 12));
  const [pid, uid, gid] = credentials;
  return { pid: pid!, uid: uid! >>> 0, gid: gid! >>> 0 };
}
