/**
 * The channels that tell of listeners, and their messages (docs/SIGHT.md).
 */
import { Channel } from "../core/channel.ts";
import type { SystemError } from "../core/errors.ts";
import type { StreamAddress } from "./address.ts";

/** The message of `netpoll:listener:open` and `netpoll:listener:close`. */
export interface ListenerMessage {
  /** Where it listens. */
  address: StreamAddress;
}

/** The message of `netpoll:accept:error`: a listener could not take a connection. */
export interface AcceptErrorMessage extends ListenerMessage {
  /** Why: no descriptor or memory is left, or the listener is broken. */
  error: SystemError;
}

/** The message of `netpoll:accept:refused`: somebody had connected, and was reset before all else. */
export interface AcceptRefusedMessage {
  /** Where it had connected to. */
  localAddress: StreamAddress;
  /** The address that it came from: of a proxy, the proxy's own. */
  remoteAddress: StreamAddress;
  /**
   * Why: a PROXY header that was wrong or late, a peer that is no trusted proxy, or as many connections
   * from its address as there may be.
   */
  reason: "header" | "untrusted" | "per-address";
  /** The error of the header; undefined for other reasons. */
  error?: unknown;
}

/** A listener is there. */
export const listenerOpen: Channel<ListenerMessage> = new Channel("netpoll:listener:open");
/** A listener is closed. */
export const listenerClose: Channel<ListenerMessage> = new Channel("netpoll:listener:close");
/** A listener could not take a connection. */
export const acceptError: Channel<AcceptErrorMessage> = new Channel("netpoll:accept:error");
/** A connection was refused. */
export const acceptRefused: Channel<AcceptRefusedMessage> = new Channel("netpoll:accept:refused");
