/**
 * The channels that tell of connections, and their messages (docs/SIGHT.md).
 */
import { Channel, Trace, type TraceMessage } from "../core/channel.ts";
import type { TimeoutOperation } from "../core/errors.ts";
import { watching } from "../core/watching.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionEnd } from "./settings.ts";

/** The part that all messages about a connection have. */
export interface ConnectionMessage {
  /** The connection. Its addresses are known after close, too. */
  connection: Connection;
  /** Its number, by which log lines name it, too: `"7"`, and `"2-7"` in Worker 2. */
  id: string;
}

/** The message of `netpoll:connection:open`: the connection is watched, and `onConnect` comes next. */
export interface ConnectionOpenMessage extends ConnectionMessage {
  /** Whether we have dialled it; otherwise it was accepted, or made of a descriptor or stream. */
  isDialled: boolean;
}

/** The message of `netpoll:connection:close`: it is closed, and none of its callbacks runs any more. */
export interface ConnectionCloseMessage extends ConnectionMessage, ConnectionEnd {
  /** Bytes that came, by whatever way. */
  receivedBytes: number;
  /** Bytes that the kernel took, by whatever way. */
  sentBytes: number;
  /** Flushed bytes that the peer did not get. */
  unsentBytes: number;
  /** Calls of its handler while somebody listened to requests or to `netpoll:connection:close`. */
  requestCount: number;
  /** The time since it was opened, in milliseconds. */
  durationMs: number;
}

/** The message of `netpoll:connection:error`: a callback of it failed, and it is closed therefore. */
export interface ConnectionErrorMessage extends ConnectionMessage {
  /** The error, as it was thrown. */
  error: unknown;
}

/** The message of `netpoll:timeout`: a deadline of a connection has passed. */
export interface TimeoutMessage extends ConnectionMessage {
  /** The operation that was late. */
  operation: TimeoutOperation;
  /** The time that it had, in milliseconds. */
  timeoutMs: number;
}

/**
 * The message of `netpoll:request:start`, `:end` and `:error`: one call of a handler. It is an object
 * of its own for each call, and whoever hears of it may keep it. Its `durationMs` has the receiving of
 * the bytes as well.
 */
export interface RequestMessage extends ConnectionMessage, TraceMessage {
  /** The number of the call of this connection's handler, from 1, as in `requestCount`. */
  request: number;
  /** The time from when the poller learned of the bytes until it turned to them, in milliseconds. */
  waitMs: number;
  /** Bytes that were there to read when it was called. */
  readableBytes: number;
  /** Bytes that it has read; 0 until it has settled. */
  readBytes: number;
}

/** A connection is open. */
export const connectionOpen: Channel<ConnectionOpenMessage> = new Channel(
  "netpoll:connection:open",
);
/** A connection is closed. */
export const connectionClose: Channel<ConnectionCloseMessage> = new Channel(
  "netpoll:connection:close",
  watch,
);
/** A callback of a connection failed. */
export const connectionError: Channel<ConnectionErrorMessage> = new Channel(
  "netpoll:connection:error",
);
/** A deadline of a connection has passed. */
export const timeout: Channel<TimeoutMessage> = new Channel("netpoll:timeout");
/** Calls of handlers. */
export const requests: Trace<RequestMessage> = new Trace("netpoll:request", watch);

/** Requests are looked at as long as somebody listens to what comes of it. */
function watch(): void {
  watching.want("count", connectionClose.isHeard);
  watching.want("requests", requests.isHeard);
}
watch(); // somebody may have subscribed before the library was there
