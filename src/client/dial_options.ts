/**
 * What `dial` is told.
 */
import { CALLBACKS } from "../connection/callbacks.ts";
import type { Callbacks } from "../connection/connection.ts";
import { type ConnectionOptions, DEFAULTS } from "../connection/settings.ts";
import type { Known } from "../core/options.ts";
import { SOCKET_OPTIONS, type SocketOptions } from "../net/socket.ts";

/** How {@linkcode dial} dials, and what it makes. */
export interface DialOptions<C = undefined>
  extends ConnectionOptions, SocketOptions, Omit<Callbacks<C>, "onPrepare"> {
  /**
   * How long it may take until the connection is there, in milliseconds, the look-up included. None
   * unless given.
   */
  timeoutMs?: number;
  /** Ends the attempt when it is aborted, with the signal's reason. */
  signal?: AbortSignal;
  /**
   * The address of this end: "host:port" with a numeric host; port 0 lets the kernel choose. Deno's
   * `--allow-net` has to grant it, too.
   */
  localAddress?: string;
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
};
