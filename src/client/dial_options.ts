/**
 * The options of `dial`.
 */
import { CALLBACKS } from "../connection/callbacks.ts";
import type { Callbacks, Connection } from "../connection/connection.ts";
import { type ConnectionOptions, DEFAULTS } from "../connection/settings.ts";
import type { Known } from "../core/options.ts";
import type { ProxyHeaderOptions } from "../net/proxy_contract.ts";
import { SOCKET_OPTIONS, type SocketOptions } from "../net/socket.ts";
import type { AddressLike } from "../net/written.ts";
import type { TlsClientOptions } from "../tls/options.ts";

/** The options of {@linkcode dial}, and of the connection that it makes. */
export interface DialOptions<C = undefined>
  extends ConnectionOptions, SocketOptions, Omit<Callbacks<C>, "onPrepare"> {
  /**
   * The time in milliseconds until the connection is there, the look-up included. None
   * unless given.
   */
  timeoutMs?: number;
  /** Ends the attempt when it is aborted, with the signal's reason. */
  signal?: AbortSignal;
  /**
   * The address of this end: "host:port", or an address, with a numeric host; port 0 lets the kernel
   * choose. Deno's `--allow-net` has to grant it, too.
   */
  localAddress?: AddressLike;
  /**
   * TLS, with the server's certificate verified: `true`, or its options. Give the same object for
   * many connections: what is made of it is kept, and so are the sessions with its servers.
   */
  tls?: true | TlsClientOptions;
  /**
   * A PROXY header, which is sent before all else, TLS included: that of a client's connection, whose
   * addresses it passes on with what its own proxy has said of it; or one of these parts; or, with
   * `true`, that the connection is the program's own (`LOCAL`).
   */
  proxyProtocol?: true | Connection | ProxyHeaderOptions;
}

const { onPrepare: _, ...LATER_CALLBACKS } = CALLBACKS;

/** The names of {@linkcode DialOptions}. */
export const DIAL_OPTIONS: Known<DialOptions> = {
  ...DEFAULTS,
  ...SOCKET_OPTIONS,
  ...LATER_CALLBACKS,
  timeoutMs: 1,
  signal: 1,
  localAddress: 1,
  tls: 1,
  proxyProtocol: 1,
};
