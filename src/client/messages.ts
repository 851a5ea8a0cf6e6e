/**
 * The channels that tell of dialling, and their message (docs/SIGHT.md).
 */
import type { Connection } from "../connection/connection.ts";
import { Trace, type TraceMessage } from "../core/channel.ts";
import type { Network } from "../net/address.ts";

/** The message of `netpoll:dial:start`, `:end` and `:error`: one call of `dial`. */
export interface DialMessage extends TraceMessage {
  /** The network that was dialled. */
  network: Network;
  /** The address, as it was given. */
  address: string;
  /** The connection; null until there is one. */
  connection: Connection | null;
}

/** Calls of `dial`. */
export const dials: Trace<DialMessage> = new Trace("netpoll:dial");
