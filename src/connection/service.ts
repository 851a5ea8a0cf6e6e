/**
 * What a server gives its connections, all of them the same.
 */
import type { Scope } from "../../ffi/context.ts";
import type { Callbacks, Inside } from "./connection.ts";
import type { StreamService } from "./stream.ts";

/** What a server wants to know of its connections, beside what users are told. */
export interface ConnectionOwner {
  /** The connection is gone: nothing of it runs any more. */
  onGone(inside: Inside): void;
}

/** What the connections of one server share, or of one dialling. */
export interface Service<C> extends StreamService {
  /** Who is called. */
  readonly callbacks: Callbacks<C>;
  /** The async context they are called in: that of `serve`, `dial` or `fromFd`. */
  readonly scope: Scope;
  /** Who keeps account of them. */
  readonly owner: ConnectionOwner | null;
}
