/**
 * Listeners: sockets that connections arrive at.
 */
import { native } from "../../ffi/load.ts";
import { check } from "../core/check.ts";
import { showAs } from "../core/inspect.ts";
import { ClosedError } from "../core/errors.ts";
import { checkNumber, type Known, readOptions, show } from "../core/options.ts";
import {
  describeAddress,
  Family,
  formatAddress,
  type Network,
  parsePath,
  type StreamAddress,
} from "./address.ts";
import { bindFirst } from "./binding.ts";
import { Credentials } from "../tls/credentials.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import { isDescriptor, kindOf, refuseSecond, STANDARD_MAX } from "./descriptor.ts";
import { applyListenerOptions, listen, listenUnix, open } from "./listening.ts";
import { HeaderPolicy } from "./header_policy.ts";
import type { Listener, ListenerFromFdOptions, ListenerOptions } from "./listener_contract.ts";
import { isTaken, listenerOver, ListenerSocket } from "./listener_socket.ts";
import { type AddressLike, givenStream } from "./written.ts";
import { applyOptions, getOption, INT_MAX, Option, SOCKET_OPTIONS } from "./socket.ts";

/** The permissions that a file can have, set-id and sticky bits included. */
const MODE_MAX = 0o7777;

/** The socket of what `createListener` gave; null for anything else. */
let socketOf: (listener: object) => ListenerSocket | null;

/** A listener as its user sees it: nothing of what accepts is shown. */
class UserListener implements Listener {
  static {
    socketOf = (listener) => #socket in listener ? listener.#socket : null;
    showAs(this.prototype, "Listener", ["address", "fd"]);
  }

  readonly #socket: ListenerSocket;

  constructor(socket: ListenerSocket) {
    this.#socket = socket;
  }

  get address(): StreamAddress {
    return this.#socket.address;
  }

  get fd(): number {
    return this.#socket.fd;
  }

  reloadTls(options: TlsServerOptions): void {
    this.#socket.reloadTls(options);
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/**
 * Opens a socket that connections arrive at, before it returns.
 *
 * `address` is `"host:port"` (port 0: the kernel chooses; an empty host: every address of this
 * machine), or `"[::1]:port"`, or for "unix" a path or `"@name"`, or any {@linkcode AddressLike}.
 * Numeric addresses, the empty host
 * and `localhost` (127.0.0.1, else ::1) need no resolver; any other name asks the system's and
 * blocks the thread until it has answered. The file of a Unix socket whose server died is replaced;
 * one that is served is not.
 *
 * Under Deno the program needs `--allow-net` for the address, which for a Unix socket is
 * `unix:PATH`, and then `--allow-read` and `--allow-write` for the path, too. `":port"` listens at
 * `[::]`, or at `0.0.0.0` where that alone is granted.
 *
 * @throws {TypeError} The network or the address is malformed.
 * @throws {Error} Deno's `NotCapable`: `Deno.listen` would not be permitted that address either.
 * @throws {SystemError} The kernel refuses: `code` is `"EADDRINUSE"`, `"EACCES"`, `"ENOENT"`, …
 * @throws {ResolveError} The host name is unknown.
 *
 * @example
 * ```ts
 * import { createListener } from "@netpoll/netpoll";
 *
 * using listener = createListener("tcp", "127.0.0.1:0");
 * console.log(listener.address); // { transport: "tcp", hostname: "127.0.0.1", port: … }
 * ```
 */
export function createListener(
  network: Network,
  address: AddressLike,
  options?: ListenerOptions,
): Listener;
/** Listens at an address that says its network itself, such as another listener's. */
export function createListener(address: AddressLike, options?: ListenerOptions): Listener;
/**
 * Takes over a descriptor that listens already: of systemd ({@linkcode listenersFromSystemd}), of a
 * parent, of another process ({@linkcode receiveDescriptors}).
 *
 * The listener owns the descriptor from now on, and closes it; 0, 1 and 2 stay open, and a duplicate
 * is used. Others may have the same socket: whoever accepts first gets the connection, and it listens
 * until the last of them has closed it. So the file of a Unix socket stays. The socket is made
 * non-blocking, which the others see as well. After an error the descriptor is the caller's.
 *
 * No permission is asked for: who has a descriptor may use it (docs/SECURITY.md).
 *
 * @throws {TypeError} It is no whole number from 0 to 2^31 - 1, or no socket of TCP or Unix streams
 * that listens: the message says what it is. Or a listener of this thread has it.
 * @throws {SystemError} It is not open (`code` is `"EBADF"`), or the kernel refuses an option.
 *
 * @example
 * ```ts
 * import { createListener, socketPair } from "@netpoll/netpoll";
 * import { receiveDescriptors, sendDescriptors } from "@netpoll/netpoll/operations";
 *
 * const [a, b] = socketPair();
 * using first = createListener("tcp", "127.0.0.1:0");
 * await sendDescriptors(a, [first.fd]);
 * const [fd] = await receiveDescriptors(b);
 * using second = createListener({ fd: fd! }); // of the same socket
 * await a.close();
 * await b.close();
 * ```
 */
export function createListener(from: ListenerFromFdOptions): Listener;
export function createListener(
  first: Network | AddressLike | ListenerFromFdOptions,
  second?: AddressLike | ListenerOptions,
  third?: ListenerOptions,
): Listener {
  if (typeof first === "object" && first !== null && "fd" in first) {
    refuseSecond("createListener", second);
    return new UserListener(inherit(first));
  }
  const { network, text, options } = givenStream(first, second, third);
  return new UserListener(listenAt(network, text, options));
}

function listenAt(network: Network, address: string, options: ListenerOptions): ListenerSocket {
  const read = readOptions("createListener", options, LISTENER_OPTIONS);
  const { backlog, mode } = read;
  if (backlog !== undefined) checkNumber("backlog", backlog, 1, INT_MAX);
  if (mode !== undefined) checkNumber("mode", mode, 0, MODE_MAX);
  if (network !== "tcp" && network !== "tcp4" && network !== "tcp6" && network !== "unix") {
    throw new TypeError(
      `Cannot listen on the network ${show(network)}: it is "tcp", "tcp4", "tcp6" or "unix"`,
    );
  }
  if (read.proxyProtocol !== undefined) {
    read.proxyProtocol = new HeaderPolicy(read.proxyProtocol).options; // before anything is open
  }
  const credentials = read.tls === undefined ? null : new Credentials(read.tls);
  try {
    const path = network === "unix" ? describeAddress(formatAddress(parsePath(address))) : "@";
    const fd = network === "unix"
      ? listenUnix(address, read)
      : bindFirst(network, address, read.v6Only, (raw, binding) => open(raw, read, binding));
    return listenerOver(fd, () => new ListenerSocket(fd, read, credentials), path);
  } catch (error) {
    credentials?.close();
    throw error;
  }
}

/** The descriptor, which must be a listener's of nobody in this thread. */
function checkListening(fd: unknown): asserts fd is number {
  const action = `Cannot listen at ${isDescriptor(fd) ? `descriptor ${fd}` : show(fd)}`;
  if (!isDescriptor(fd)) {
    throw new TypeError(`${action}: a descriptor is a whole number from 0 to ${INT_MAX}`);
  }
  const kind = kindOf(fd);
  if (kind !== "listener") throw new TypeError(`${action}: it is ${kind}`);
  if (isTaken(fd)) throw new TypeError(`${action}: a listener of this thread has it`);
}

/** A listener over somebody else's descriptor, which is ours as soon as nothing can fail any more. */
function inherit(options: ListenerFromFdOptions): ListenerSocket {
  const read = readOptions("createListener", options, FROM_FD_OPTIONS);
  const { fd: given, backlog } = read;
  if (backlog !== undefined) checkNumber("backlog", backlog, 1, INT_MAX);
  checkListening(given);
  if (read.proxyProtocol !== undefined) {
    read.proxyProtocol = new HeaderPolicy(read.proxyProtocol).options;
  }
  const credentials = read.tls === undefined ? null : new Credentials(read.tls);
  let fd = given;
  try {
    const family = getOption(given, Option.DOMAIN);
    applyOptions(given, family, read);
    if (family !== Family.UNIX) applyListenerOptions(given, read);
    if (backlog !== undefined) listen(given, `descriptor ${given}`, read);
    const reusePort = family !== Family.UNIX && getOption(given, Option.REUSE_PORT) !== 0;
    if (given <= STANDARD_MAX) fd = check("duplicate a descriptor", native.dup(given));
    check("make a descriptor non-blocking", native.adopt(fd));
    return new ListenerSocket(fd, { ...read, reusePort }, credentials, undefined, false);
  } catch (error) {
    if (fd !== given) native.close(fd);
    else native.disown(given);
    credentials?.close();
    throw error;
  }
}

const LISTENER_OPTIONS: Known<ListenerOptions> = {
  ...SOCKET_OPTIONS,
  backlog: 1,
  reusePort: "boolean",
  v6Only: "boolean",
  deferAcceptMs: 1,
  fastOpen: 1,
  mode: 1,
  tls: 1,
  proxyProtocol: 1,
};

const FROM_FD_OPTIONS: Known<ListenerFromFdOptions> = {
  ...SOCKET_OPTIONS,
  fd: 1,
  backlog: 1,
  deferAcceptMs: 1,
  fastOpen: 1,
  tls: 1,
  proxyProtocol: 1,
};

/** The listener that a user gave us, as what it is. */
export function listenerSocket(listener: Listener): ListenerSocket {
  // A Worker of a cluster serves what the cluster listens at. Nothing else has a socket inside.
  const socket = listener instanceof ListenerSocket ? listener : socketOf(Object(listener));
  if (socket === null) {
    throw new TypeError("Cannot serve: the listener was not made by createListener");
  }
  if (socket.fd < 0) throw new ClosedError("Cannot serve: the listener is closed");
  return socket;
}
