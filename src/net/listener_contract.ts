/**
 * Listeners as their users see them, and their options.
 */
import type { TlsServerOptions } from "../tls/options.ts";
import type { StreamAddress } from "./address.ts";
import type { ProxyProtocolOptions } from "./header_policy.ts";
import type { SocketOptions } from "./socket.ts";

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
