/**
 * Listeners: sockets that connections arrive at.
 */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import { host } from "../../ffi/runtime.ts";
import { native } from "../../ffi/load.ts";
import { unloadables } from "../../ffi/unload.ts";
import { check } from "../core/check.ts";
import { showAs } from "../core/inspect.ts";
import { ClosedError } from "../core/errors.ts";
import { checkNumber, type Known, readOptions, show } from "../core/options.ts";
import {
  describeAddress,
  Family,
  formatAddress,
  isWildcard,
  type Network,
  packAddress,
  type PackedAddress,
  parsePath,
  rawAddress,
  type StreamAddress,
} from "./address.ts";
import { bindFirst } from "./binding.ts";
import { beginServer } from "../tls/context.ts";
import { Credentials } from "../tls/credentials.ts";
import type { TlsServerOptions } from "../tls/options.ts";
import { isDescriptor, kindOf, STANDARD_MAX } from "./descriptor.ts";
import { applyListenerOptions, listen, listenUnix, open, removeFile } from "./listening.ts";
import { HeaderPolicy, type ProxyProtocolOptions } from "./header_policy.ts";
import { listenerClose, listenerOpen } from "./messages.ts";
import { type AddressLike, givenStream } from "./written.ts";
import {
  applyOptions,
  getOption,
  INT_MAX,
  Option,
  SOCKET_OPTIONS,
  type SocketOptions,
} from "./socket.ts";

/** The permissions that a file can have, set-id and sticky bits included. */
const MODE_MAX = 0o7777;

/**
 * The options of a listener. Its connections inherit those of a socket.
 *
 * @example
 * ```ts
 * import { createListener } from "@netpoll/netpoll";
 *
 * using listener = createListener("tcp", "127.0.0.1:0", {
 *   backlog: 1024,
 *   reusePort: true,
 *   keepAlive: { idleMs: 60_000, intervalMs: 10_000, count: 5 },
 * });
 * console.log(listener.fd >= 0); // true
 * ```
 */
export interface ListenerOptions extends SocketOptions {
  /**
   * The length of the accept queue; the kernel cuts it to `net.core.somaxconn`. 4096 unless given.
   */
  backlog?: number;
  /**
   * Let several listeners share the address; the kernel spreads connections over them
   * (SO_REUSEPORT).
   */
  reusePort?: boolean;
  /** For IPv6: do not take IPv4 connections as well. Given with "tcp6", not with "tcp". */
  v6Only?: boolean;
  /**
   * Tell of a connection only when its first bytes are there, or after so many ms
   * (TCP_DEFER_ACCEPT).
   */
  deferAcceptMs?: number;
  /**
   * Take data with the first packet of known clients (TCP_FASTOPEN): how many such may be pending.
   */
  fastOpen?: number;
  /**
   * The permissions of a Unix socket's file, like `0o660`. As the process creates files unless
   * given.
   */
  mode?: number;
  /** TLS for all that it accepts: connections arrive when their handshake is done. */
  tls?: TlsServerOptions;
  /**
   * The PROXY protocol, for what proxies have accepted: a connection arrives when its header has
   * come, and its addresses are those of the client. The header comes before TLS.
   */
  proxyProtocol?: ProxyProtocolOptions;
}

/**
 * The options of a listener over a descriptor that listens already. What is not given is left as it
 * is, but for `noDelay`.
 */
export interface InheritedOptions
  extends
    SocketOptions,
    Pick<ListenerOptions, "backlog" | "deferAcceptMs" | "fastOpen" | "tls" | "proxyProtocol"> {}

/** The options of `createListener({ fd })`. */
export interface ListenerFromFdOptions extends InheritedOptions {
  /** The descriptor, which is the listener's from now on. */
  fd: number;
}

/** A socket that connections arrive at; `EventLoop.serve` takes it over. */
export interface Listener {
  /** The address where it listens. For port 0 it has the port that the kernel chose. */
  readonly address: StreamAddress;
  /** Its descriptor; -1 after `close()`. */
  readonly fd: number;
  /**
   * Shows clients other certificates from now on. Connections that are there go on, and after an
   * error so does what was shown before.
   *
   * @throws {TlsError} A certificate or a key is malformed, or one does not fit the other.
   * @throws {TypeError} An option is wrong, or it was made without `tls`.
   */
  reloadTls(options: TlsServerOptions): void;
  /** Stops listening, and removes the file of a Unix socket. Twice is harmless. */
  close(): void;
  /** Closes it, for `using`. */
  [Symbol.dispose](): void;
}

/** A {@linkcode Listener}, with what the acceptor needs. */
export class ListenerSocket implements Listener {
  readonly address: StreamAddress;
  /** Called before the descriptor is closed: whoever serves it stops watching. */
  onClose: (() => void) | null = null;
  /** Whether others in this process accept from the descriptor, or from siblings of it. */
  isShared = false;
  #fd: number;
  /** The absolute path of a Unix socket's file, also after chdir; null of any other. */
  readonly #path: string | null;
  /** Identifies the file that is ours: another server may have put its own in the place. */
  #file: string | null;
  /**
   * The address of this end of what is accepted: the listener's, unless that is every address of
   * the machine.
   */
  readonly localOfAccepted: PackedAddress | null;
  readonly #options: ListenerOptions;
  readonly #isBorrowed: boolean;
  /** The certificates that its clients are shown; null without TLS. */
  readonly credentials: Credentials | null;
  /** The context that handshakes begin with; -1 without TLS. */
  readonly tlsContext: number;
  /** Says which peers send a PROXY header; null where nobody does. */
  readonly headers: HeaderPolicy | null;

  /**
   * A listener over a socket that listens, with these options; without any it is borrowed, with the
   * TLS context and the policy of whoever lends it.
   */
  constructor(
    fd: number,
    options: ListenerOptions | null,
    credentials: Credentials | null = null,
    tlsContext: number = credentials?.id ?? -1,
    ownsFile = true,
    headers: ProxyProtocolOptions | undefined = options?.proxyProtocol,
  ) {
    this.headers = headers === undefined ? null : new HeaderPolicy(headers);
    this.credentials = credentials;
    this.tlsContext = tlsContext;
    this.#options = options ?? {};
    this.#isBorrowed = options === null;
    const raw = rawAddress();
    check("learn the address of a socket", native.name(fd, 0, raw));
    this.#fd = fd;
    this.address = formatAddress(raw);
    this.localOfAccepted = isWildcard(raw) ? null : packAddress(raw);
    const path = this.address.transport === "unix" ? this.address.path : "@";
    this.#path = path.startsWith("@") ? null : resolve(path);
    this.#file = this.#path === null || !ownsFile ? null : identify(this.#path);
    unloadables.add(this);
    taken.add(fd);
    if (listenerOpen.isHeard && !this.#isBorrowed) listenerOpen.publish({ address: this.address });
  }

  get fd(): number {
    return this.#fd;
  }

  /** Whether the file of a Unix socket goes with it. */
  get ownsFile(): boolean {
    return this.#file !== null;
  }

  set ownsFile(owns: boolean) {
    this.#file = this.#path === null || !owns ? null : identify(this.#path);
  }

  close(): void {
    if (this.#fd < 0) return;
    unloadables.delete(this);
    taken.delete(this.#fd);
    this.onClose?.();
    if (this.#isBorrowed) return void (this.#fd = -1);
    // Before the descriptor is closed: until then the file's number cannot be another file's.
    if (this.#path !== null && this.#file !== null && identify(this.#path) === this.#file) {
      removeFile(this.#path);
    }
    native.close(this.#fd);
    this.#fd = -1;
    this.credentials?.close();
    if (listenerClose.isHeard) listenerClose.publish({ address: this.address });
  }

  reloadTls(options: TlsServerOptions): void {
    if (this.credentials === null) {
      throw new TypeError("Cannot reload TLS: the listener was made without the option tls");
    }
    this.credentials.reload(options);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Another socket that listens at the same address and shares what comes (SO_REUSEPORT).
   *
   * @throws {TypeError} This one does not share its address.
   * @throws {SystemError} The kernel refuses.
   */
  sibling(): ListenerSocket {
    if (this.address.transport !== "tcp" || !this.#options.reusePort) {
      throw new TypeError(
        'Cannot serve with acceptMode "reuseport": the listener needs "tcp" and reusePort: true',
      );
    }
    const raw = rawAddress();
    check("learn the address of a socket", native.name(this.#fd, 0, raw));
    const v6Only = raw[0] === Family.IPV6 && getOption(this.#fd, Option.V6_ONLY) !== 0;
    const fd = open(raw, this.#options, { v6Only, origin: "stands for what was granted" });
    return listenerOver(fd, () => new ListenerSocket(fd, this.#options, null, this.tlsContext));
  }

  /** Takes a connection and writes down who it is from: its descriptor, or `-errno`. */
  accept(peer: Uint32Array): number {
    const fd = native.accept(this.#fd, peer);
    return fd < 0 || this.tlsContext < 0 ? fd : this.#secure(fd);
  }

  /** Begins TLS: whoever gets the descriptor goes on with the handshake. */
  #secure(fd: number): number {
    const code = beginServer(fd, this.tlsContext);
    if (code >= 0) return fd;
    native.close(fd);
    return code;
  }
}

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

/** The identity of a file, which tells it from another at the same path; null where there is none. */
function identify(path: string): string | null {
  try {
    // Permission may have been taken back, and then the runtime would ask for it.
    host.checkUnix(path);
    const { dev, ino } = lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/** A listener over a socket of ours. It is closed, and its file goes, when that fails. */
function listenerOver(fd: number, make: () => ListenerSocket, path = "@"): ListenerSocket {
  try {
    return make();
  } catch (error) {
    native.close(fd);
    if (!path.startsWith("@")) removeFile(path);
    throw error;
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

/** The numbers that listeners of this thread own. */
const taken = new Set<number>();

/** The descriptor, which must be a listener's of nobody in this thread. */
function checkListening(fd: unknown): asserts fd is number {
  const action = `Cannot listen at ${isDescriptor(fd) ? `descriptor ${fd}` : show(fd)}`;
  if (!isDescriptor(fd)) {
    throw new TypeError(`${action}: a descriptor is a whole number from 0 to ${INT_MAX}`);
  }
  const kind = kindOf(fd);
  if (kind !== "listener") throw new TypeError(`${action}: it is ${kind}`);
  if (taken.has(fd)) throw new TypeError(`${action}: a listener of this thread has it`);
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
