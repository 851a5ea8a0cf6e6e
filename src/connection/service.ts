/**
 * What the connections of one server share, or of one dialling.
 */
import type { Scope } from "../../ffi/context.ts";
import type { Poller } from "../poll/poller.ts";
import type { Callbacks, Inside } from "./connection.ts";
import type { ConnectionSettings } from "./settings.ts";
import type { Transport } from "./transport.ts";

/** What a server wants to know of its connections, beside what users are told. */
export interface ConnectionOwner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(inside: Inside): void;
}

/** What the connections of one server share, or of one dialling. */
export interface Service<C> {
  /** Who watches their descriptors. */
  readonly poller: Poller;
  /** Deadlines and bounds. */
  readonly settings: ConnectionSettings;
  /** How bytes come and go. */
  readonly io: Transport;
  /** Whether we have begun: bytes that were sent are a question, and its answer is waited for. */
  readonly isDialled: boolean;
  /** Who is called. */
  readonly callbacks: Callbacks<C>;
  /** The async context they are called in: that of `serve`, `dial` or `fromFd`. */
  readonly scope: Scope;
  /** Who keeps account of them. */
  readonly owner: ConnectionOwner | null;
}
