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

/** A listener is there. */
export const listenerOpen: Channel<ListenerMessage> = new Channel("netpoll:listener:open");
/** A listener is closed. */
export const listenerClose: Channel<ListenerMessage> = new Channel("netpoll:listener:close");
/** A listener could not take a connection. */
export const acceptError: Channel<AcceptErrorMessage> = new Channel("netpoll:accept:error");
