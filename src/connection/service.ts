/**
 * The common ground of the connections of one server.
 */
import type { Scope } from "../../ffi/context.ts";
import type { Poller } from "../poll/poller.ts";
import type { Callbacks, Inside } from "./connection.ts";
import type { SharedLimits } from "./connection_limits.ts";
import type { ConnectionSettings } from "./settings.ts";
import type { Transport } from "../transport/transport.ts";

/** The server, as its connections tell it what users are not told. */
export interface ConnectionOwner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(inside: Inside): void;
}

/** The common ground of the connections of one server, or of one that was dialled. */
export interface Service<C> {
  /** Watches their descriptors. */
  readonly poller: Poller;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** The limits that they have together, if there are any. */
  readonly limits?: SharedLimits | null;
  /** The calls that receive and send. */
  readonly io: Transport;
  /** Whether we have begun: bytes that were sent are a question, and its answer is waited for. */
  readonly isDialled: boolean;
  /** Their callbacks. */
  readonly callbacks: Callbacks<C>;
  /** The async context they are called in: that of `serve`, `dial` or `fromFd`. */
  readonly scope: Scope;
  /** Keeps account of them. */
  readonly owner: ConnectionOwner | null;
}
